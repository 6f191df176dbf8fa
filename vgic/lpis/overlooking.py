"""LPIs as KVM forwards them: when something happens to one, and never else (rule STATE-17).

A pending LPI that is overlooked is held by a configuration byte that does not enable it, whatever its own says.
"""

from typing import Final

from vgic.cpu_interface.pending import NO_KEY
from vgic.lpis.bank import LpiBank
from vgic.lpis.pieces import Piece
from vgic.lpis.tables import ENABLED, PIECE

__all__ = ["OverlookingLpiBank"]

_NOT_ENABLED: Final = int.from_bytes(bytes([0xFF ^ ENABLED]) * PIECE, "little")


class OverlookingLpiBank(LpiBank):
    """A bank that leaves LPIs alone while the Distributor forwards nothing, and afterwards."""

    __slots__ = ("idle",)

    def _begin(self) -> None:
        self.idle = True
        """The Distributor forwards nothing."""

    def set_idle(self, idle: bool) -> None:
        """Overlook what is pending and what happens; or notice what happens from now on. Settles nothing.

        A step of work for each piece of which something is forwarded (LPI-29).
        """
        self.idle = idle
        if not idle:
            return
        for piece in self.pieces.values():
            before = piece.head
            if before != NO_KEY:
                self.configuration.work.steps += 1
                piece.overlook()
                self._offer(NO_KEY, before)

    def overlook(self, intid: int) -> None:
        """Leave an LPI alone, if it is pending, until something happens to it."""
        if self.is_pending(intid):
            self._hold(intid, self.held(intid) & ~ENABLED)
            self.forwarder.settle()

    def make_pending(self, intid: int) -> bool:
        """See `LpiBank.make_pending`; one that is pending already is noticed."""
        if not self.enabled or not self.in_range(intid):
            return False
        self._catch_up(intid)
        if not self.held(intid) & ENABLED:
            self._hold(intid, self._seen(self.configuration.byte(self.table, intid)))
            self.forwarder.settle()
        return True

    def reload(self, intid: int) -> None:
        """See `LpiBank.reload`."""
        if self.enabled and self.in_range(intid):
            self._catch_up(intid)
            byte = self.configuration.read(self.table, intid)
            if self.held(intid):
                self._hold(intid, self._seen(byte))
            self.forwarder.settle()

    def _seen(self, byte: int) -> int:
        return byte & ~ENABLED if self.idle else byte

    def _configurations(self, piece: Piece, pending: int) -> int:
        found = super()._configurations(piece, pending)
        return found & _NOT_ENABLED if self.idle else found
