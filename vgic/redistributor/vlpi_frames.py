"""The two frames that a GICv4 adds to each Redistributor: VLPI_base, and one that is reserved.

There are no virtual LPIs behind them: a vPE that software makes resident has none pending.
"""

from typing import Final

from mmio import Frame, StoredWord
from vgic.config import Config
from vgic.layouts import gicr
from vgic.redistributor.frame import Redistributor

__all__ = ["vlpi_frames"]

_VALID: Final = gicr.VPENDBASER.mask("Valid")
_PENDING_LAST: Final = gicr.VPENDBASER.mask("PendingLast")


class _VirtualProperties(StoredWord[Redistributor]):
    def get(self, owner: Redistributor, index: int) -> int:
        return owner.vpropbaser

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        owner.vpropbaser = value

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        owner.vpropbaser = value


class _VirtualPending(StoredWord[Redistributor]):
    """GICR_VPENDBASER, which is fixed while a vPE is resident (VLPI-4)."""

    def get(self, owner: Redistributor, index: int) -> int:
        return owner.vpendbaser

    def keep(self, owner: Redistributor, index: int, value: int) -> None:
        owner.vpendbaser = value

    def put(self, owner: Redistributor, index: int, value: int, mask: int, secure: bool) -> None:
        was, becomes = owner.vpendbaser & _VALID, value & _VALID
        if not was and becomes:
            owner.vpendbaser = value | _PENDING_LAST
        elif was and not becomes:
            owner.vpendbaser = value & ~_PENDING_LAST
        elif not was:
            owner.vpendbaser = value


def vlpi_frames(config: Config) -> list[Frame[Redistributor]]:
    """The frames of a VM's Redistributors behind SGI_base: none but in a VM that has those of a GICv4."""
    if not config.vlpi_frames:
        return []
    words = {"GICR_VPROPBASER": _VirtualProperties(), "GICR_VPENDBASER": _VirtualPending()}
    return [
        Frame("GICR VLPI_base", gicr.VLPI_BASE, words, None, config.profile.writable),
        Frame("GICR reserved", [], {}),
    ]
