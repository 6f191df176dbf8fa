"""Memory types: what stage 1, stage 2 and their controls make of an access. Rules IDENT-60 to IDENT-65.

Stage 1 is the guest's, or what stands in for it while its MMU is off; stage 2 is the hypervisor's.

>>> written_back = normal(Cacheability.WB)
>>> str(resolved(written_back, 0b0101, Shareability.INNER, Access.DATA, Sctlr.M | Sctlr.C, Hcr.VM))
'Normal NC, Outer Shareable'
>>> str(resolved(None, 0b110, Shareability.INNER, Access.DATA, Sctlr(0), Hcr.VM | Hcr.FWB))
'Normal WB, Outer Shareable'
"""

from dataclasses import dataclass, replace
from enum import Enum, IntEnum, IntFlag
from typing import Final, NamedTuple

from vgic.errors import ConfigError

__all__ = [
    "Access",
    "Attributes",
    "Cacheability",
    "DeviceType",
    "Hcr",
    "Hints",
    "Sctlr",
    "Shareability",
    "combined",
    "device",
    "normal",
    "resolved",
    "stage1",
]


class Sctlr(IntFlag):
    """Bits of SCTLR_EL1."""

    M = 1 << 0
    """Stage 1 translates."""
    C = 1 << 2
    """Data accesses may be cacheable."""
    I = 1 << 12  # noqa: E741 - Arm's name
    """Instruction fetches may be cacheable."""


class Hcr(IntFlag):
    """Bits of HCR_EL2."""

    VM = 1 << 0
    """Stage 2 translates."""
    DC = 1 << 12
    """Default cacheable: stage 1 is off, and gives Normal memory."""
    CD = 1 << 32
    """Stage 2 lets no data access be cacheable."""
    ID = 1 << 33
    """Stage 2 lets no instruction fetch be cacheable."""
    FWB = 1 << 46
    """Stage 2 attributes are those of FEAT_S2FWB, which can force Write-Back."""


class Access(Enum):
    """What accesses memory."""

    DATA = "data access"
    FETCH = "instruction fetch"


class Cacheability(IntEnum):
    """Of Normal memory; the lower prevails where two stages differ."""

    NC = 0
    WT = 1
    WB = 2


class DeviceType(IntEnum):
    """Of Device memory: gathering, reordering, early acknowledgement or not; the lower prevails."""

    nGnRnE = 0  # noqa: N815 - Arm's names
    nGnRE = 1  # noqa: N815
    nGRE = 2  # noqa: N815
    GRE = 3


class Shareability(IntEnum):
    """The higher prevails where two stages differ."""

    NON = 0
    INNER = 1
    OUTER = 2

    @classmethod
    def of_field(cls, sh: int) -> "Shareability":
        """The one that SH [1:0] of a descriptor encodes. Raises ConfigError for 1, which is reserved."""
        if sh not in _SH:
            raise ConfigError(f"SH is {sh}, which is no shareability: there are 0, 2 and 3")
        return _SH[sh]


_SH: Final = {0b00: Shareability.NON, 0b10: Shareability.OUTER, 0b11: Shareability.INNER}
_SHAREABLE: Final = {
    Shareability.NON: "Non-shareable",
    Shareability.INNER: "Inner Shareable",
    Shareability.OUTER: "Outer Shareable",
}


class Hints(NamedTuple):
    """Whether a cache is asked to allocate, on a read and on a write."""

    read: bool
    write: bool


_NONE: Final = Hints(read=False, write=False)
_READ: Final = Hints(read=True, write=False)
_BOTH: Final = Hints(read=True, write=True)


@dataclass(frozen=True)
class Attributes:
    """The type of memory that an access has, at one stage or as a result. Made by `device` and `normal`."""

    device: DeviceType | None
    """None for Normal memory."""
    inner: Cacheability
    outer: Cacheability
    shareability: Shareability
    inner_hints: Hints
    outer_hints: Hints

    @property
    def cacheable(self) -> bool:
        """At either level."""
        return self.inner > Cacheability.NC or self.outer > Cacheability.NC

    @property
    def kind(self) -> str:
        """The type alone: "Device-nGnRE", "Normal WB"."""
        if self.device is not None:
            return f"Device-{self.device.name}"
        if self.inner is self.outer:
            return f"Normal {self.inner.name}"
        return f"Normal, outer {self.outer.name}, inner {self.inner.name}"

    def __str__(self) -> str:
        return f"{self.kind}, {_SHAREABLE[self.shareability]}"


def device(kind: DeviceType) -> Attributes:
    """Device memory, which is Outer Shareable always."""
    return Attributes(kind, Cacheability.NC, Cacheability.NC, Shareability.OUTER, _NONE, _NONE)


def normal(
    inner: Cacheability,
    outer: Cacheability | None = None,
    shareability: Shareability = Shareability.OUTER,
    inner_hints: Hints = _BOTH,
    outer_hints: Hints | None = None,
) -> Attributes:
    """Normal memory, at the outer level as at the inner where nothing else is said.

    What is not cacheable at a level allocates nothing there, and what is cacheable at none is Outer Shareable.
    """
    outer = inner if outer is None else outer
    outer_hints = inner_hints if outer_hints is None else outer_hints
    made = Attributes(
        None,
        inner,
        outer,
        shareability,
        inner_hints if inner else _NONE,
        outer_hints if outer else _NONE,
    )
    return made if made.cacheable else replace(made, shareability=Shareability.OUTER)


_NON_CACHEABLE: Final = normal(Cacheability.NC)


def stage1(mapped: Attributes | None, access: Access, sctlr: int, hcr: int) -> Attributes:
    """What stage 1 gives, SCTLR_EL1 and HCR_EL2 being as they are. Rules IDENT-60 and IDENT-61.

    `mapped` is what the guest's tables say; it counts only where its MMU is on. Raises ConfigError where it would
    count and is None.
    """
    if hcr & Hcr.DC:
        return normal(Cacheability.WB, shareability=Shareability.NON)
    may_cache = sctlr & (Sctlr.I if access is Access.FETCH else Sctlr.C)
    if not sctlr & Sctlr.M:
        if access is Access.DATA:
            return device(DeviceType.nGnRnE)
        return normal(Cacheability.WT, inner_hints=_READ) if may_cache else _NON_CACHEABLE
    if mapped is None:
        raise ConfigError("the MMU is on, and what its tables say is not given")
    return mapped if mapped.device is not None or may_cache else _NON_CACHEABLE


def resolved(
    mapped: Attributes | None,
    memattr: int,
    shareability: Shareability,
    access: Access,
    sctlr: int,
    hcr: int,
) -> Attributes | None:
    """The type that an access of a guest has; None where stage 2 has a reserved `memattr`.

    `memattr` and `shareability` are those of the stage 2 descriptor, 4 bits and SH. Raises ConfigError as `stage1`
    does, and for a `memattr` of more bits.
    """
    first = stage1(mapped, access, sctlr, hcr)
    if not hcr & (Hcr.VM | Hcr.DC):
        return first
    both = combined(first, memattr, shareability, fwb=bool(hcr & Hcr.FWB))
    if both is not None and both.device is None and hcr & (Hcr.ID if access is Access.FETCH else Hcr.CD):
        return _NON_CACHEABLE
    return both


def combined(first: Attributes, memattr: int, shareability: Shareability, *, fwb: bool) -> Attributes | None:
    """What stage 2 makes of what stage 1 gives; None for a reserved `memattr`. Rules IDENT-62 to IDENT-64.

    Raises ConfigError for a `memattr` of more than 4 bits.
    """
    if not 0 <= memattr <= 0b1111:
        raise ConfigError(f"MemAttr is {memattr:#x}, which does not fit into 4 bits")
    second = _forced(first, memattr) if fwb else _stage2(memattr)
    if second is None:
        return None
    if first.device is not None and second.device is not None:
        return device(min(first.device, second.device))
    if second.device is not None:
        return second
    if first.device is not None and not fwb:
        return first
    inner, outer = (second.inner, second.outer) if fwb else _lower(first, second)
    return normal(
        inner,
        outer,
        max(first.shareability, shareability),
        first.inner_hints if first.inner else _BOTH,
        first.outer_hints if first.outer else _BOTH,
    )


def _lower(first: Attributes, second: Attributes) -> tuple[Cacheability, Cacheability]:
    return min(first.inner, second.inner), min(first.outer, second.outer)


_LEVEL: Final = {0b01: Cacheability.NC, 0b10: Cacheability.WT, 0b11: Cacheability.WB}


def _stage2(memattr: int) -> Attributes | None:
    """What MemAttr [3:0] says for itself: outer [3:2] and inner [1:0], or Device where the outer is 0."""
    outer, inner = memattr >> 2, memattr & 0b11
    if outer == 0:
        return device(DeviceType(inner))
    return normal(_LEVEL[inner], _LEVEL[outer]) if inner in _LEVEL else None


def _forced(first: Attributes, memattr: int) -> Attributes | None:
    """What MemAttr makes of stage 1 with FEAT_S2FWB: it goes by stage 1 only where it says so."""
    if memattr <= 0b011:
        return device(DeviceType(memattr))
    if memattr == 0b101:
        return first if first.device is not None else _NON_CACHEABLE
    if memattr == 0b110:
        return normal(Cacheability.WB)
    return first if memattr == 0b111 else None
