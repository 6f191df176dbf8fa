"""What a host's virtual CPU interface can do, and what a guest has been told of its own.

With hardware virtualisation a guest's ICC_CTLR_EL1 is the host's ICV_CTLR_EL1, whose A3V, SEIS, IDbits and PRIbits
are those of the host (ICH_VTR_EL2 shows the same). A VM that moves between hosts must go on seeing what it saw
first; `vgic.host.trap_plan` says what that takes.
"""

from dataclasses import dataclass
from typing import Final

from vgic.errors import ConfigError
from vgic.layouts.icc import CTLR
from vgic.layouts.ich import VTR

__all__ = ["CpuInterfaceView", "HostCapabilities"]

MOST_PREEMPTION_BITS: Final = 7
"""The lowest bit of a priority is never part of the group priority: a binary point of 0 leaves [7:1]."""

INTID_BITS: Final = (16, 24)
"""The sizes of an INTID that IDbits can tell, by its value."""


def _check(what: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ConfigError(f"{what} is {low} to {high}, not {value}")


def _check_id_bits(id_bits: int) -> None:
    if id_bits not in INTID_BITS:
        raise ConfigError(f"id_bits is 16 or 24, not {id_bits}")


def _id_bits(field: int) -> int:
    if field >= len(INTID_BITS):
        raise ConfigError(f"IDbits is 0 or 1; {field} is reserved")
    return INTID_BITS[field]


@dataclass(frozen=True)
class CpuInterfaceView:
    """What a guest sees of its CPU interface, wherever it runs. Raises ConfigError naming what cannot be.

    Rules HOST-2 and HOST-14.
    """

    a3v: bool
    """ICC_CTLR_EL1.A3V: Aff3 can be non-zero in SGI registers."""
    priority_bits: int = 5
    """Bits of priority, 4 to 8."""
    id_bits: int = 16
    """Bits of an INTID, 16 or 24."""
    seis: bool = False
    """ICC_CTLR_EL1.SEIS: SErrors can be generated locally."""

    def __post_init__(self) -> None:
        _check("priority_bits", self.priority_bits, 4, 8)
        _check_id_bits(self.id_bits)

    @classmethod
    def from_ctlr(cls, value: int) -> "CpuInterfaceView":
        """The view that this value of ICC_CTLR_EL1 gives, say a saved one.

        Raises ConfigError for a value that no CPU interface has. Rule HOST-14.
        """
        ctlr = CTLR.decode(value)
        return cls(
            a3v=bool(ctlr["A3V"]),
            priority_bits=ctlr["PRIbits"] + 1,
            id_bits=_id_bits(ctlr["IDbits"]),
            seis=bool(ctlr["SEIS"]),
        )

    @property
    def preemption_bits(self) -> int:
        """Bits of priority that decide preemption, which no field tells: all, up to seven. Rule HOST-8."""
        return min(self.priority_bits, MOST_PREEMPTION_BITS)


@dataclass(frozen=True)
class HostCapabilities:
    """A host's virtual CPU interface, as ICH_VTR_EL2 describes it. Raises ConfigError naming what cannot be.

    Rules HOST-1 and HOST-2.
    """

    a3v: bool
    """Aff3 can be non-zero in SGI registers."""
    priority_bits: int = 5
    """Bits of virtual priority, 5 to 8."""
    preemption_bits: int = 5
    """Bits of virtual priority that decide preemption, 5 to 7 and no more than `priority_bits`."""
    id_bits: int = 16
    """Bits of a virtual INTID, 16 or 24."""
    seis: bool = False
    """SErrors can be generated locally."""
    list_registers: int = 4
    """List registers, 1 to 16."""
    tds: bool = True
    """ICH_HCR_EL2.TDIR traps writes of ICC_DIR_EL1 alone."""

    def __post_init__(self) -> None:
        _check("priority_bits", self.priority_bits, 5, 8)
        _check("preemption_bits", self.preemption_bits, 5, min(self.priority_bits, MOST_PREEMPTION_BITS))
        _check_id_bits(self.id_bits)
        _check("list_registers", self.list_registers, 1, 16)

    @classmethod
    def from_vtr(cls, value: int) -> "HostCapabilities":
        """The host with this ICH_VTR_EL2. What GICv4 adds (nV4, DVIM) does not matter here and is left out.

        Raises ConfigError for a value that the architecture does not allow. Source: IHI 0069, ICH_VTR_EL2.

        >>> HostCapabilities.from_vtr(0x9018_0003).list_registers
        4
        """
        vtr = VTR.decode(value)
        return cls(
            a3v=bool(vtr["A3V"]),
            priority_bits=vtr["PRIbits"] + 1,
            preemption_bits=vtr["PREbits"] + 1,
            id_bits=_id_bits(vtr["IDbits"]),
            seis=bool(vtr["SEIS"]),
            list_registers=vtr["ListRegs"] + 1,
            tds=bool(vtr["TDS"]),
        )

    def to_vtr(self) -> int:
        """This host's ICH_VTR_EL2, 64 bits, were it a GICv3: nV4 is 1 and DVIM is 0. Source: as `from_vtr`."""
        return VTR.encode(
            {
                "PRIbits": self.priority_bits - 1,
                "PREbits": self.preemption_bits - 1,
                "IDbits": INTID_BITS.index(self.id_bits),
                "SEIS": self.seis,
                "A3V": self.a3v,
                "nV4": 1,
                "TDS": self.tds,
                "ListRegs": self.list_registers - 1,
            }
        )
