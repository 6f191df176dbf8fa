"""Features that a VM has or has not, whatever its host: each shows in several registers, which must agree.

| feature | where it shows |
|---|---|
| a3v | GICD_TYPER.A3V, ICC_CTLR_EL1.A3V, the upper word of GICD_IROUTER<n>, GICR_TYPER[63:56], CommonLPIAff |
| rss | GICD_TYPER.RSS, ICC_CTLR_EL1.RSS, the RS field of the SGI registers |
| lpis | GICD_TYPER.LPIS and IDbits, GICR_TYPER.PLPIS and DirectLPI, GICR_CTLR, the registers of LPI tables |
| one_of_n | GICD_TYPER.No1N, GICD_IROUTER<n>.IRM, GICD_CTLR.E1NWF, GICR_TYPER.DPGS, GICR_CTLR.DPG*, ICC_CTLR.PMHE |
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vgic.layouts import gicd, gicr

__all__ = ["DPG0", "DPG1NS", "DPG1S", "E1NWF", "ENABLE_LPIS", "IRM", "Features", "writable_bits"]

IRM: Final[int] = gicd.IROUTER.mask("Interrupt_Routing_Mode")
"""GICD_IROUTER<n>.Interrupt_Routing_Mode: to any one of the participating PEs."""

E1NWF: Final[int] = gicd.CTLR.mask("E1NWF")
"""GICD_CTLR.E1NWF: 1-of-N interrupts may wake a sleeping PE."""

DPG1NS: Final[int] = gicr.CTLR.mask("DPG1NS")
DPG1S: Final[int] = gicr.CTLR.mask("DPG1S")
DPG0: Final[int] = gicr.CTLR.mask("DPG0")

ENABLE_LPIS: Final[int] = gicr.CTLR.mask("EnableLPIs")

_LOW_WORD: Final = 0xFFFF_FFFF


class Features(NamedTuple):
    """What a VM's GIC offers."""

    a3v: bool
    """Affinity level 3 may be non-zero."""
    rss: bool
    """SGIs reach Aff0 values above 15."""
    one_of_n: bool
    """An SPI may be sent to any one of the participating PEs."""
    lpis: bool
    """There are LPIs."""


def writable_bits(features: Features, two_states: bool, overrides: Mapping[str, int]) -> dict[str, int]:
    """The writable bits of registers that depend on features, and of those that a profile overrides.

    Rules A3V-5, ONEN-1, LPI-1, ROUTE-5, SEC-2.

    A profile's own bits replace the layouts'. A feature that the VM has can be written in every profile; of one it
    has not, nothing can be, but for what the profile stores without meaning (QEMU: reserved bits of IROUTER).
    """
    control = gicd.CTLR_OF_TWO_STATES if two_states else gicd.CTLR
    declining = DPG1NS | DPG0 | (DPG1S if two_states else 0)
    one_of_n = {"GICD_IROUTER": IRM, "GICD_CTLR": E1NWF, "GICR_CTLR": declining}
    lpis = {
        "GICR_CTLR": ENABLE_LPIS,
        "GICR_PROPBASER": gicr.PROPBASER.writable,
        "GICR_PENDBASER": gicr.PENDBASER.writable,
    }
    plain = (gicd.IROUTER, control, gicr.CTLR, gicr.PROPBASER, gicr.PENDBASER)
    writable = {
        layout.name: layout.writable & ~one_of_n.get(layout.name, 0) & ~lpis.get(layout.name, 0) for layout in plain
    }
    writable["GICR_CTLR"] &= ~DPG1S
    writable.update(overrides)
    for wanted, bits in ((features.one_of_n, one_of_n), (features.lpis, lpis)):
        if wanted:
            for name in bits:
                writable[name] |= bits[name]
    if not features.a3v:
        writable["GICD_IROUTER"] &= _LOW_WORD
    return writable
