"""The identification registers, by name and by encoding.

A register is called by Arm's name, CCSIDR_EL1 with what CSSELR_EL1 selects: "CCSIDR_EL1[2]". Those whose fields are
not declared here have a name and a value all the same, and so has one that Arm has not named yet: "S3_0_0_4_3".
"""

import re
from collections.abc import Mapping
from typing import Final

from vgic.identity import features, implementation, memory_features
from vgic.identity.aarch32_features import AARCH32_REGISTERS
from vgic.identity.declaring import IdRegister, system_register
from vgic.layouts.ich import VTR

__all__ = [
    "FEATURE_REGISTERS",
    "REGISTERS",
    "SELECTORS",
    "arms_name",
    "cache_register",
    "is_register",
    "name_of",
    "selector_of",
]

FEATURE_REGISTERS: Final[tuple[IdRegister, ...]] = (
    features.AA64PFR0,
    features.AA64PFR1,
    features.AA64PFR2,
    features.AA64ZFR0,
    features.AA64SMFR0,
    features.AA64FPFR0,
    memory_features.AA64DFR0,
    memory_features.AA64DFR1,
    features.AA64ISAR0,
    features.AA64ISAR1,
    features.AA64ISAR2,
    features.AA64ISAR3,
    memory_features.AA64MMFR0,
    memory_features.AA64MMFR1,
    memory_features.AA64MMFR2,
    memory_features.AA64MMFR3,
    memory_features.AA64MMFR4,
)
"""ID_AA64*: what a CPU can do."""

_VTR: Final = IdRegister(VTR, {})

REGISTERS: Final[Mapping[str, IdRegister]] = {
    register.name: register
    for register in (
        implementation.MIDR,
        implementation.MPIDR,
        implementation.REVIDR,
        implementation.AIDR,
        implementation.CTR,
        implementation.DCZID,
        implementation.CLIDR,
        implementation.CSSELR,
        *FEATURE_REGISTERS,
        *AARCH32_REGISTERS,
        implementation.CNTFRQ,
        _VTR,
    )
}
"""The declared ones by name, in the order in which they are shown; CCSIDR_EL1 is in `vgic.identity.caches`."""

SELECTORS: Final = range(14)
"""What CSSELR_EL1 can select: seven levels, each a data or unified cache and an instruction cache."""


_OPAQUE: Final[Mapping[str, int]] = {
    "ID_AFR0_EL1": system_register(3, 0, 0, 1, 3),
    "ID_AA64DFR2_EL1": system_register(3, 0, 0, 5, 2),
    "ID_AA64AFR0_EL1": system_register(3, 0, 0, 5, 4),
    "ID_AA64AFR1_EL1": system_register(3, 0, 0, 5, 5),
}
"""Registers of which the name is known, but not the fields."""

_NAMES: Final[Mapping[int, str]] = {
    **{encoding: name for name, encoding in _OPAQUE.items()},
    **{register.encoding: name for name, register in REGISTERS.items()},
}

_CACHE: Final = re.compile(r"CCSIDR_EL1\[(0|[1-9]|1[0-3])\]")
_NAMELESS: Final = re.compile(r"S3_([0-7])_([0-9]|1[0-5])_([0-9]|1[0-5])_([0-7])")


def is_register(name: str) -> bool:
    """True for the name of a register that a CPU can be identified by."""
    return name in REGISTERS or name in _OPAQUE or bool(_CACHE.fullmatch(name) or _NAMELESS.fullmatch(name))


def name_of(encoding: int) -> str | None:
    """The name of a register by its encoding, as `IdRegister.encoding`; None for one that identifies nothing.

    The space of ID registers, op0 3, op1 0, CRn 0, CRm 1 to 7, has registers that Arm has not named yet.

    >>> name_of(0xC020), name_of(0xC023), name_of(0xC080)
    ('ID_AA64PFR0_EL1', 'S3_0_0_4_3', None)
    """
    if encoding in _NAMES:
        return _NAMES[encoding]
    crm, op2 = encoding >> 3 & 0xF, encoding & 7
    if encoding == system_register(3, 0, 0, crm, op2) and 1 <= crm <= 7:
        return f"S3_0_0_{crm}_{op2}"
    return None


def arms_name(name: str) -> str:
    """What Arm calls a register that somebody calls by its encoding; another name as it is.

    >>> arms_name("S3_0_0_4_0"), arms_name("S3_0_0_4_3"), arms_name("CTR_EL0")
    ('ID_AA64PFR0_EL1', 'S3_0_0_4_3', 'CTR_EL0')
    """
    found = _NAMELESS.fullmatch(name)
    return _NAMES.get(system_register(3, *map(int, found.groups())), name) if found else name


def cache_register(selector: int) -> str:
    """The name of CCSIDR_EL1 where CSSELR_EL1 selects this cache."""
    return f"CCSIDR_EL1[{selector}]"


def selector_of(name: str) -> int | None:
    """What CSSELR_EL1 selects for a register of this name; None unless it is a CCSIDR_EL1."""
    found = _CACHE.fullmatch(name)
    return int(found[1]) if found else None
