"""LPIs as QEMU 7.2 keeps them: what is pending is in the guest's pending table, and nowhere else.

Of all that is pending a PE knows one LPI, the best, and that is the one it is offered. Others are found when the
best one is gone: then the whole table is read again, with the configuration of every LPI whose bit is set, which
happens on INV, INVALL and every write of GICR_CTLR.EnableLPIs = 1 as well (rule LPI-24 in specs/lpis.md). While
some of it is left to be read, the best one is that of what has been.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, PRIORITY_LSB
from vgic.intids import FIRST_LPI
from vgic.lpis.bank import LpiBank
from vgic.lpis.pieces import IN_PIECE, PIECE_BITS, Piece, mask_of_bits
from vgic.lpis.tables import BITS_OF_PIECE, ENABLED, NO_BITS

__all__ = ["RescanningLpiBank"]

_SCAN: Final = 4
"""What is left to be done for a piece of the table."""


class RescanningLpiBank(LpiBank):
    """A bank that holds the best LPI only: `pending` has one entry, or none."""

    __slots__ = ("last_best",)

    def _begin(self) -> None:
        self.last_best = 0
        """The INTID of the best LPI, also when nothing is offered any more; 0 where there was none."""

    def clear(self) -> None:
        """Forget everything: the state of the VM is being replaced."""
        super().clear()
        self.last_best = 0

    def enable(self) -> None:
        """Write GICR_CTLR.EnableLPIs = 1: the table is read, also where it was 1."""
        self.enabled = True
        self._rescan()

    def disable(self) -> None:
        """Clear GICR_CTLR.EnableLPIs: nothing is offered any more, the table stays as it is."""
        self.enabled = False
        self._left = {}
        self._offer_nothing()
        self.forwarder.settle()

    def flush(self) -> None:
        """Nothing: the table is up to date."""

    def is_pending(self, intid: int) -> bool:
        """True where the bit of the LPI is set."""
        return self.enabled and self.in_range(intid) and self.pending_table.get(intid)

    def make_pending(self, intid: int) -> bool:
        """Set the bit of an LPI, which is offered if it is better than the best one. As `LpiBank.make_pending`."""
        if not self.enabled or not self.in_range(intid):
            return False
        self._arrive(intid)
        return True

    def clear_pending(self, intid: int) -> bool:
        """Clear the bit of an LPI; if it was the best one, the table is read. As `LpiBank.clear_pending`."""
        if not self.enabled or not self.in_range(intid):
            return False
        self._remove(intid)
        return True

    def acknowledge(self, index: i64) -> None:
        """The PE takes the best LPI, and the table is read for another."""
        self.pending_table.set(index + FIRST_LPI, False)
        self._rescan()

    def move(self, intid: int, to: LpiBank) -> None:
        """Move the bit of an LPI to another PE's table, where LPIs are enabled at both; its range is not asked."""
        enabled = self.enabled and to.enabled and to is not self
        if enabled and self.in_range(intid) and self._remove(intid) and isinstance(to, RescanningLpiBank):
            to._arrive(intid)

    def move_all(self, to: LpiBank, start: int = 0) -> int:
        """Move every bit that both tables have to another PE's table, which are then read again."""
        if not self.enabled:
            return 0
        following = super().move_all(to, start)
        if not following and to.enabled and to is not self:
            self.reload_all()
            to.reload_all()
        return following

    def _move_piece(self, number: int, to: LpiBank) -> None:
        if number >= self.table.limit >> PIECE_BITS:
            return
        self.configuration.work.steps += 1
        bits = self.pending_table.piece(number)
        if bits:
            there = int.from_bytes(to.pending_table.piece(number), "little")
            moved = int.from_bytes(bits, "little") | there
            self.pending_table.put_piece(number, NO_BITS)
            to.pending_table.put_piece(number, moved.to_bytes(BITS_OF_PIECE, "little"))

    def reload(self, intid: int) -> None:
        """Read everything again."""
        self.reload_all()

    def reload_all(self) -> None:
        """Read everything again."""
        if self.enabled:
            self._rescan()

    def take_from_table(self, intid: int) -> bool:
        """Nothing: what the table says is pending already."""
        return self.is_pending(intid)

    def _arrive(self, intid: int) -> None:
        if self.pending_table.set(intid, True):
            self._consider(intid, self.table.read(intid))
            self.forwarder.settle()

    def _remove(self, intid: int) -> bool:
        """Clear the bit of an LPI; False where it was not set."""
        if not self.pending_table.set(intid, False):
            return False
        if intid == self.last_best:
            self._rescan()
        return True

    def _rescan(self) -> None:
        self._offer_nothing()
        self._left = dict.fromkeys(self._downwards(), _SCAN)
        self.go_on()

    def _do(self, number: int, work: int) -> None:
        """Let the best LPI of a piece be the best one, if it is."""
        self.configuration.work.steps += 1
        bits = self.pending_table.piece(number)
        if bits:
            piece = Piece(number, self.priorities.mask)
            piece.fill(self.configuration.fresh(self.table, number, mask_of_bits(bits)))
            if piece.head != NO_KEY:
                intid: int = piece.head & INTID_MASK
                self._consider(intid, piece.data[intid & IN_PIECE])

    def _consider(self, intid: int, byte: int) -> None:
        """Let an LPI of this configuration byte be the best one, if it is."""
        held = self.pieces.get(self.last_best >> PIECE_BITS)
        best = NO_KEY if held is None else held.head
        if byte & ENABLED and (byte & self.priorities.mask) << PRIORITY_LSB | intid < best:
            self._offer_nothing()
            self._hold(intid, byte)
            self.last_best = intid

    def _offer_nothing(self) -> None:
        """Forget the best LPI, but which one it was."""
        self._drop(self.last_best)
