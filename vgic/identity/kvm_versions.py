"""What differs between kernels in how KVM answers a write of an identification register, as data.

Rules IDENT-10 to IDENT-18, and IDENT-70 to IDENT-73. The masks are those that KVM_ARM_GET_REG_WRITABLE_MASKS told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vgic.identity.aarch32_features import AARCH32_REGISTERS

__all__ = ["KVM_6_1", "KVM_6_12", "KVM_7_2", "VERSIONS", "KvmIdVersion"]


@dataclass(frozen=True)
class KvmIdVersion:
    """A kernel's answers."""

    name: str
    writable: Mapping[str, int] = field(repr=False)
    """The bits of each register that may differ from the host's; a register that is left out has none."""
    generated_caches: bool
    """CLIDR_EL1 and CCSIDR_EL1 are made from CTR_EL0, and accept what others made; else they are the host's."""
    implementation_ids: bool
    """There is KVM_CAP_ARM_WRITABLE_IMP_ID_REGS."""
    refuses_early: bool
    """ID_AA64PFR0_EL1 without EL0 or EL1, and CTR_EL0 with an L1Ip that Arm took back, are refused at once."""
    settled_by_running: bool
    """Once a vCPU has run, another value is refused with EBUSY."""
    has_masks: bool = True
    """There is KVM_ARM_GET_REG_WRITABLE_MASKS."""
    clears: Mapping[str, int] = field(default_factory=dict, repr=False)
    """Fields of each register that are not shown, and may be accepted as the hardware has them: they stay 0."""


_AARCH32_FIXED: Final = "ID_DFR1_EL1"
_AARCH32: Final[Mapping[str, int]] = {
    register.name: 0xFFFF_FFFF for register in AARCH32_REGISTERS if register.name != _AARCH32_FIXED
}
"""What KVM_ARM_GET_REG_WRITABLE_MASKS tells of AArch32's registers, of 6.12 and 7.2 alike."""

_MPAM: Final[Mapping[str, int]] = {
    "ID_AA64PFR0_EL1": 0x0000_0F00_0000_0000,
    "ID_AA64PFR1_EL1": 0x0000_0000_000F_0000,
}
"""MPAM and MPAM_frac."""


KVM_6_1: Final = KvmIdVersion(
    "6.1",
    {"ID_AA64PFR0_EL1": 0xFF00_0000_0000_0000},
    generated_caches=False,
    implementation_ids=False,
    refuses_early=False,
    settled_by_running=False,
    has_masks=False,
)
"""Linux 6.1, which has no call for masks: as measured."""

KVM_6_12: Final = KvmIdVersion(
    "6.12",
    {
        "ID_AA64PFR0_EL1": 0xFFFF_00F0_0F00_FFFF,
        "ID_AA64PFR1_EL1": 0x0000_000F_0000_00FF,
        "ID_AA64PFR2_EL1": 0x0000_000F_0000_0000,
        "ID_AA64ZFR0_EL1": 0x0FF0_FF0F_0FFF_00FF,
        "ID_AA64FPFR0_EL1": 0x0000_0000_F000_0003,
        "ID_AA64DFR0_EL1": 0x0000_00F0_00F0_0F0F,
        "ID_AA64ISAR0_EL1": 0xFFFF_FFFF_FFFF_FFF0,
        "ID_AA64ISAR1_EL1": 0xFFFF_FFFF_00FF_F00F,
        "ID_AA64ISAR2_EL1": 0xFFFF_0FFF_FFFF_00FF,
        "ID_AA64MMFR0_EL1": 0xFF00_F000_FFFF_FF0F,
        "ID_AA64MMFR1_EL1": 0xFFFF_F0F0_0FFF_F00F,
        "ID_AA64MMFR2_EL1": 0xF0FF_000F_F00F_FFFF,
        "ID_AA64MMFR3_EL1": 0x0000_0000_000F_0F0F,
        "CTR_EL0": 0x0000_0000_300F_000F,
        **_AARCH32,
    },
    generated_caches=True,
    implementation_ids=False,
    refuses_early=False,
    settled_by_running=True,
    clears=_MPAM,
)
"""Linux 6.12."""

KVM_7_2: Final = KvmIdVersion(
    "7.2",
    {
        "ID_AA64PFR0_EL1": 0xFFFF_00F0_FF00_FFFF,
        "ID_AA64PFR1_EL1": 0x0F00_000F_0000_F0FF,
        "ID_AA64PFR2_EL1": 0x0000_000F_0000_FFF0,
        "ID_AA64ZFR0_EL1": 0x0FFF_FF0F_0FFF_F0FF,
        "ID_AA64FPFR0_EL1": 0x0000_0000_FC00_80FF,
        "ID_AA64DFR0_EL1": 0x0000_00F0_00F0_0F0F,
        "ID_AA64ISAR0_EL1": 0xFFFF_FFFF_F0FF_FFF0,
        "ID_AA64ISAR1_EL1": 0xFFFF_FFFF_00FF_F00F,
        "ID_AA64ISAR2_EL1": 0xFFFF_FFFF_FFFF_00FF,
        "ID_AA64ISAR3_EL1": 0x0000_0000_FF0F_00F0,
        "ID_AA64MMFR0_EL1": 0xFF00_FFFF_FFFF_FF0F,
        "ID_AA64MMFR1_EL1": 0xFFFF_FFFF_0FFF_F00F,
        "ID_AA64MMFR2_EL1": 0xF0FF_000F_F00F_FFFF,
        "ID_AA64MMFR3_EL1": 0x0000_0000_000F_0FFF,
        "ID_AA64MMFR4_EL1": 0x0000_0000_00F0_0000,
        "CTR_EL0": 0x0000_0000_300F_C00F,
        **_AARCH32,
    },
    generated_caches=True,
    implementation_ids=True,
    refuses_early=True,
    settled_by_running=True,
    clears={**_MPAM, "ID_AA64MMFR2_EL1": 0x0000_0000_0F00_0000},
)
"""Linux 7.2."""

VERSIONS: Final[Mapping[str, KvmIdVersion]] = {known.name: known for known in (KVM_6_1, KVM_6_12, KVM_7_2)}
"""The kernels whose answers are known, by name."""
