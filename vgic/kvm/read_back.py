"""Whether a write has kept what it says: what a register reads afterwards, and which of its bits mean something.

Not every difference is a loss. Reserved bits mean nothing; a status tells of its own implementation's past; the
attributes of accesses to memory are stored as the nearest that there are (LPI-7), since no guest can tell them
apart here; a binary point below the least is the least; STATUSR tells of errors that are over.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout
from vgic.layouts import gicd, gicr, gits, icc
from vgic.lpis.base_registers import Substitutes
from vgic.profiles import Profile

__all__ = ["is_latch", "is_status", "loses"]

_STATUS: Final = {
    gicd.CTLR: gicd.CTLR.mask("RWP"),
    gicr.CTLR: gicr.CTLR.mask("RWP") | gicr.CTLR.mask("UWP"),
    gits.CTLR: gits.CTLR.mask("Quiescent"),
}
"""Bits that say what is under way."""

_TRIGGERS: Final = 0xAAAA_AAAA
"""The upper bit of each two of ICFGR; the lower ones are reserved."""

_BINARY_POINTS: Final = frozenset({icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1})


def is_latch(layout: RegisterLayout) -> bool:
    """True for ISPENDR, which a write of userspace's replaces."""
    return layout.name.endswith("_ISPENDR") and layout.access is AccessKind.W1S


def is_status(layout: RegisterLayout) -> bool:
    """True for STATUSR, which a restore need not carry, wherever it is implemented."""
    return layout.name.endswith("_STATUSR")


def loses(layout: RegisterLayout, profile: Profile, written: int, kept: int, shift: int = 0) -> bool:
    """True where a write of `written` has not done what it says, the register reading as `kept` (KVM-38).

    Both are the bits of the register from `shift` on, 32 or all.
    """
    if layout.access is AccessKind.RAZ_WI:
        return written != 0
    if layout.access is AccessKind.W1C:
        # ICPENDR reads as zero and does nothing.
        return bool(written) if layout.name.endswith("_ICPENDR") else written & kept != 0
    if layout.offset in _BINARY_POINTS and written < kept:
        return False
    written = Substitutes(layout, profile.lpi.attributes).stored(written << shift) >> shift
    if "_ICFGR" in layout.name:
        written &= _TRIGGERS
    meaning = ~(layout.reserved_bits_set(-1) | _STATUS.get(layout, 0)) >> shift
    if layout.access is AccessKind.W1S and not is_latch(layout):
        return written & ~kept & meaning != 0
    added = kept & ~written & meaning
    if layout.access is not AccessKind.RO and not is_latch(layout):
        added &= layout.writable >> shift
    return written & ~kept & meaning != 0 or added != 0
