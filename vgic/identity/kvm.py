"""What KVM answers a VMM that writes identification registers, errno included.

Rules IDENT-10 to IDENT-18, and IDENT-70 to IDENT-73.

KVM lets a VMM make a vCPU look like one of an older host: field by field, a value may be what the host's stands for
safely. This is that side of KVM: no guest runs here, but `run` says that one has.
"""

import errno
from collections.abc import Mapping
from typing import Final

from mmio import Field
from vgic.identity import aarch32_features, features, memory_features
from vgic.identity.caches import claims_idc, generated_ccsidr, generated_clidr, selectors
from vgic.identity.host import HostError
from vgic.identity.implementation import CCSIDR, CTR
from vgic.identity.kvm_versions import KvmIdVersion
from vgic.identity.registers import REGISTERS, SELECTORS, cache_register, selector_of
from vgic.kvm.errors import KvmError

__all__ = ["KvmIdRegisters"]

_ALL: Final = (1 << 64) - 1

_IMPLEMENTATION: Final[Mapping[str, int]] = {"MIDR_EL1": 0xFFFF_FFFF, "REVIDR_EL1": _ALL, "AIDR_EL1": _ALL}
"""Which CPU it is, and the bits that can be written with KVM_CAP_ARM_WRITABLE_IMP_ID_REGS."""

_STORED: Final = frozenset({"MPIDR_EL1", "CSSELR_EL1"})
"""Registers that take any value at any time."""

_ABSENT: Final = frozenset({"DCZID_EL0", "CNTFRQ_EL0", "ICH_VTR_EL2"})
"""Registers that a guest may see, but a VMM cannot ask for: a guest sees its host's."""

_PFR0: Final = features.AA64PFR0.layout
_DFR0: Final = memory_features.AA64DFR0.layout
_AARCH32_DFR0: Final = aarch32_features.DFR0.layout
_CTR: Final = CTR.layout

_AARCH32: Final = frozenset(known.name for known in aarch32_features.AARCH32_REGISTERS) - {"ID_DFR1_EL1"}
"""What reads as zero and ignores writes where there is no AArch32; ID_DFR1_EL1 and ID_AFR0_EL1 are fixed."""

_PMU: Final[Mapping[str, Field]] = {
    "ID_AA64DFR0_EL1": _DFR0.field("PMUVer"),
    "ID_DFR0_EL1": _AARCH32_DFR0.field("PerfMon"),
}
"""Where a register tells of performance monitors."""
_PMU_OF_ITS_OWN: Final = 0xF
_LEAST_PERFMON: Final = 3
_LEAST_DEBUG: Final = 6
_VIPT: Final = 2
_CLIDR_RES0: Final = _ALL & ~((1 << 47) - 1)


class KvmIdRegisters:
    """The identification registers of a vCPU, as KVM_GET_ONE_REG and KVM_SET_ONE_REG have them.

    `shown` is what this host shows a new vCPU of the same features, by name: a `Cpu` of a `Host` with `View.GUEST`.
    CLIDR_EL1 and CCSIDR_EL1 need not be among them where KVM makes them. `implementation_ids` is that the VMM has
    enabled KVM_CAP_ARM_WRITABLE_IMP_ID_REGS. `hidden` is what this host's KVM accepts of fields that it then
    clears (`KvmIdVersion.clears`), by register; one that is missing is unknown. Raises HostError where the kernel
    has no such capability.

    MTE_frac, and vCPUs with nested virtualisation are not modelled (IDENT-19).

    >>> from vgic.identity.kvm_versions import KVM_6_12
    >>> vcpu = KvmIdRegisters({"CTR_EL0": 0x9444C004, "ID_AA64MMFR0_EL1": 0x101122}, KVM_6_12)
    >>> vcpu.set("ID_AA64MMFR0_EL1", 0x101121)  # fewer bits of a physical address
    >>> vcpu.set("ID_AA64MMFR0_EL1", 0x101123)
    Traceback (most recent call last):
    vgic.kvm.errors.KvmError: EINVAL: ID_AA64MMFR0_EL1: this host cannot show 0x101123
    """

    def __init__(
        self,
        shown: Mapping[str, int],
        version: KvmIdVersion,
        *,
        implementation_ids: bool = False,
        hidden: Mapping[str, int] | None = None,
    ) -> None:
        if implementation_ids and not version.implementation_ids:
            raise HostError(f"KVM of Linux {version.name} has no KVM_CAP_ARM_WRITABLE_IMP_ID_REGS")
        self.version = version
        self.implementation_ids = implementation_ids
        self.has_run = False
        self._known_ctr = ctr = shown.get("CTR_EL0")
        made: dict[str, int] = {}
        if version.generated_caches and ctr is not None:
            made = {cache_register(selector): generated_ccsidr(ctr, selector) for selector in SELECTORS}
            made["CLIDR_EL1"] = generated_clidr(ctr)
        self._host: dict[str, int] = {**made, **shown}
        self._hidden = hidden or {}
        self._values = dict(self._host)

    @property
    def _ctr(self) -> int:
        """The host's CTR_EL0. Raises HostError where it is unknown."""
        if self._known_ctr is None:
            raise HostError("CTR_EL0 is unknown, by which KVM judges what is said of caches")
        return self._known_ctr

    def run(self) -> None:
        """KVM_RUN of any vCPU of the VM."""
        self.has_run = True

    def get(self, register: str) -> int:
        """KVM_GET_ONE_REG.

        Raises KvmError with ENOENT for a register that KVM does not have, HostError for one of which the host's
        value is unknown, or that is not modelled.
        """
        if register in _ABSENT or self._has_no_cache(register):
            raise KvmError(errno.ENOENT, f"{register}: KVM has no such register")
        if register not in self._values:
            raise HostError(f"{register} is unknown of this host")
        return self._values[register]

    def set(self, register: str, value: int) -> None:
        """KVM_SET_ONE_REG of 64 bits, of 32 for CCSIDR_EL1. Raises as `get` does, and has then changed nothing.

        Raises KvmError with EINVAL for what this host cannot show, EBUSY for what is settled since a vCPU has run,
        and HostError for a value that does not fit.
        """
        self.get(register)
        bits = 64 if selector_of(register) is None else 32
        if not 0 <= value < 1 << bits:
            raise HostError(f"{register}: {value:#x} does not fit into {bits} bits")
        self._values[register] = self._stored(register, value)

    def ignores(self, register: str) -> bool:
        """True for what takes anything and stays as it is: AArch32's registers where there is none. Rule IDENT-70.

        Raises HostError where that is unknown.
        """
        if register not in _AARCH32:
            return False
        if "ID_AA64PFR0_EL1" not in self._host:
            raise HostError("ID_AA64PFR0_EL1 is unknown of this host, whose EL0 tells whether there is AArch32")
        return aarch32_features.without_aarch32(self._host)

    def _stored(self, register: str, value: int) -> int:
        """What KVM stores for a value. Raises as `set` does."""
        if register in _STORED:
            return value
        if register in _IMPLEMENTATION:
            return self._implementation(register, value)
        selector = selector_of(register)
        if selector is not None:
            return self._ccsidr(register, value, selector)
        if register == "CLIDR_EL1":
            return self._clidr(register, value)
        if self.ignores(register):
            return self._values[register]
        return self._feature(register, value)

    def _refused(self, register: str, value: int) -> KvmError:
        return KvmError(errno.EINVAL, f"{register}: this host cannot show {value:#x}")

    def _settled(self, register: str) -> KvmError:
        return KvmError(errno.EBUSY, f"{register}: is settled, a vCPU has run")

    def _implementation(self, register: str, value: int) -> int:
        """Rule IDENT-14."""
        if value == self._values[register]:
            return value
        if not self.implementation_ids:
            raise self._refused(register, value)
        if self.has_run:
            raise self._settled(register)
        if value & ~_IMPLEMENTATION[register]:
            raise self._refused(register, value)
        return value

    def _ccsidr(self, register: str, value: int, selector: int) -> int:
        """Rules IDENT-4 and IDENT-15."""
        if not self.version.generated_caches:
            return self._same(register, value)
        line = CCSIDR.layout.decode(value)["LineSize"]
        if line < generated_ccsidr(self._ctr, selector):
            raise self._refused(register, value)
        return value

    def _clidr(self, register: str, value: int) -> int:
        """Rules IDENT-5 and IDENT-16."""
        if not self.version.generated_caches:
            return self._same(register, value)
        if value & _CLIDR_RES0 or (claims_idc(value) and not _CTR.field("IDC").extract(self._ctr)):
            raise self._refused(register, value)
        return value

    def _has_no_cache(self, register: str) -> bool:
        """True for a CCSIDR_EL1 that CLIDR_EL1 has no cache for, where caches are not made up. Rule IDENT-73."""
        selector = selector_of(register)
        if selector is None or self.version.generated_caches:
            return False
        if register in self._host or "CLIDR_EL1" not in self._host:
            return False
        return selector not in selectors(self._host["CLIDR_EL1"])

    def _same(self, register: str, value: int) -> int:
        if value != self._host[register]:
            raise self._refused(register, value)
        return value

    def _feature(self, register: str, value: int) -> int:
        """Rules IDENT-10 to IDENT-13, IDENT-71 and IDENT-72."""
        self._refuse_at_once(register, value)
        value = self._without_own_pmu(register, value)
        clears = self.version.clears.get(register, 0)
        if (value ^ self._host[register]) & clears == 0:
            return self._judged(register, value)
        if register in self._hidden:
            is_the_hardwares = value & clears == self._hidden[register] & clears
            return self._judged(register, value & ~clears if is_the_hardwares else value)
        # What the hardware has decides, unless the rest is refused anyway.
        self._judged(register, value & ~clears)
        raise HostError(f"{register}: what KVM does not show of this host is unknown, bits {clears:#x}")

    def _judged(self, register: str, value: int) -> int:
        if self.has_run and self.version.settled_by_running:
            if value != self._values[register]:
                raise self._settled(register)
        elif not self._stands_for_host(register, value):
            raise self._refused(register, value)
        return value

    def _refuse_at_once(self, register: str, value: int) -> None:
        """What is refused before anything else. Raises KvmError."""
        refused = False
        if register not in self.version.writable:
            return
        if register == "ID_AA64DFR0_EL1":
            refused = _DFR0.field("DebugVer").extract(value) < _LEAST_DEBUG
        elif register == "ID_DFR0_EL1":
            perfmon = _AARCH32_DFR0.field("PerfMon").extract(value)
            refused = _AARCH32_DFR0.field("CopDbg").extract(value) < _LEAST_DEBUG or 0 < perfmon < _LEAST_PERFMON
        elif register == "ID_AA64PFR0_EL1" and self.version.refuses_early:
            refused = not all(_PFR0.field(level).extract(value) for level in ("EL0", "EL1"))
        elif register == "CTR_EL0" and self.version.refuses_early:
            refused = _CTR.field("L1Ip").extract(value) < _VIPT
        if refused:
            raise self._refused(register, value)

    def _without_own_pmu(self, register: str, value: int) -> int:
        """A PMU of the implementation's own is taken for none."""
        pmu = _PMU.get(register)
        if pmu is None or register not in self.version.writable or pmu.extract(value) != _PMU_OF_ITS_OWN:
            return value
        return value & ~pmu.mask

    def _stands_for_host(self, register: str, value: int) -> bool:
        """True where each field is the host's, or may differ and is safe beside the host's. Rule IDENT-11."""
        host, writable = self._host[register], self.version.writable.get(register, 0)
        differ = value ^ host
        if register not in REGISTERS:
            return not differ
        declared = REGISTERS[register]
        for field in declared.layout.fields:
            if differ & field.mask and field.mask & ~writable == 0:
                mine, hosts = field.extract(value), field.extract(host)
                if declared.safe_values[field.name].of(mine, hosts, field.width) != mine:
                    return False
                differ &= ~field.mask
        return not differ
