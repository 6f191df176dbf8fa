"""How many breakpoints and watchpoints a CPU has, and which of them match contexts. Rules IDENT-40 and IDENT-41."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vgic.errors import VgicError
from vgic.identity.hardware import field_of
from vgic.identity.host import Cpu

__all__ = [
    "DEFERRED",
    "DFR0",
    "DFR1",
    "FIELDS",
    "NAMES",
    "DebugError",
    "DebugResources",
    "context_aware",
    "debug_resources",
    "reserved",
]

DFR0: Final = "ID_AA64DFR0_EL1"
DFR1: Final = "ID_AA64DFR1_EL1"

DEBUG_V8P9: Final = 0xB
"""ID_AA64DFR0_EL1.DebugVer from which on there may be more than 16."""

DEFERRED: Final = 0xF
"""Of a field of ID_AA64DFR0_EL1: 16, or what ID_AA64DFR1_EL1 says."""

FIELDS: Final = ("BRPs", "CTX_CMPs", "WRPs")
"""Of ID_AA64DFR0_EL1, and of ID_AA64DFR1_EL1, in the order of `DebugResources`."""

NAMES: Final[Mapping[str, str]] = {
    "BRPs": "breakpoints",
    "CTX_CMPs": "breakpoints that match contexts",
    "WRPs": "watchpoints",
}

_BANK: Final = 16
_MOST: Final = 64


class DebugError(VgicError):
    """What no CPU has, or cannot be mapped; the message names it."""


class DebugResources(NamedTuple):
    """Numbers of debug resources."""

    breakpoints: int
    context_aware: int
    """Of the breakpoints, those that can match a context, and be linked to."""
    watchpoints: int


def context_aware(breakpoints: int, aware: int) -> range:
    """The numbers of the breakpoints that are context-aware: `aware` of `breakpoints`.

    They are the highest; but where there are more than 16, those up to number 15, or from 0 on. Rule IDENT-41.

    >>> context_aware(6, 2), context_aware(20, 2), context_aware(20, 18)
    (range(4, 6), range(14, 16), range(0, 18))
    """
    if aware > _BANK:
        return range(aware)
    end = min(breakpoints, _BANK)
    return range(end - aware, end)


def debug_resources(cpu: Cpu) -> DebugResources | None:
    """What ID_AA64DFR0_EL1 tells, with ID_AA64DFR1_EL1 where there may be more than 16; None where one is unknown.

    Nothing is said of whether there can be so many: `reserved` does. Rule IDENT-40.
    """
    counts = [_count(cpu, field) for field in FIELDS]
    known = [count for count in counts if count is not None]
    return DebugResources(*known) if len(known) == len(counts) else None


def reserved(resources: DebugResources) -> tuple[str, str] | None:
    """Numbers that Arm reserves: the field that is wrong, and a sentence; None where all is well. Rule IDENT-40."""
    for field, count in (("BRPs", resources.breakpoints), ("WRPs", resources.watchpoints)):
        if not 2 <= count <= _MOST:
            return field, f"there are 2 to {_MOST} {NAMES[field]}, and not {count}"
    if not 1 <= resources.context_aware <= resources.breakpoints:
        return "CTX_CMPs", f"{resources.context_aware} of {resources.breakpoints} breakpoints cannot match contexts"
    return None


def _count(cpu: Cpu, field: str) -> int | None:
    """One more than a field says."""
    short, version = field_of(cpu, DFR0, field), field_of(cpu, DFR0, "DebugVer")
    if short != DEFERRED or version is None or version < DEBUG_V8P9:
        return None if short is None else short + 1
    long = field_of(cpu, DFR1, field)
    return None if long is None else max(short, long) + 1
