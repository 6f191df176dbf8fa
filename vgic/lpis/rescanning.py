"""LPIs as QEMU 7.2 keeps them: what is pending is in the guest's pending table, and nowhere else.

Of all that is pending a PE knows one LPI, the best, and that is the one it is offered. Others are found when the
best one is gone: then the whole table is read again, with the configuration of every LPI whose bit is set, which
happens on INV, INVALL and every write of GICR_CTLR.EnableLPIs = 1 as well (rule LPI-24 in specs/lpis.md).
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.pending import NO_KEY
from vgic.interrupts.delivery import Forwarder
from vgic.intids import FIRST_LPI
from vgic.lpis.bank import LpiBank, LpiConfiguration
from vgic.lpis.tables import ENABLED, ConfigurationTable, PendingTable
from vgic.profiles.choices import LpiChoices

__all__ = ["RescanningLpiBank"]

_NONE: Final = 0

_LPIS_OF_A_PIECE: Final = 8 * 4096
"""Bits of the pending table that are read at once."""


class RescanningLpiBank(LpiBank):
    """A bank that holds the best LPI only: `pending` has one entry, or none."""

    __slots__ = ("_read", "last_best")

    def __init__(
        self,
        cpu: int,
        forwarder: Forwarder,
        configuration: LpiConfiguration,
        table: ConfigurationTable,
        pending_table: PendingTable,
        priority_bits: int,
        choices: LpiChoices,
    ) -> None:
        super().__init__(cpu, forwarder, configuration, table, pending_table, priority_bits, choices)
        self._read = 0
        self.last_best = 0
        """The INTID of the best LPI, also when nothing is offered any more; 0 where there was none."""

    def clear(self) -> None:
        """Forget everything: the state of the VM is being replaced."""
        super().clear()
        self.last_best = 0

    def enable(self) -> None:
        """Write GICR_CTLR.EnableLPIs = 1. O(table)."""
        self.enabled = True
        self._rescan()

    def disable(self) -> None:
        """Clear GICR_CTLR.EnableLPIs: nothing is offered any more, the table stays as it is."""
        self.enabled = False
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
        """Clear the bit of an LPI; O(table) if it was the best one. As `LpiBank.clear_pending`."""
        if not self.enabled or not self.in_range(intid):
            return False
        self._remove(intid)
        return True

    def acknowledge(self, index: i64) -> None:
        """The PE takes the best LPI. O(table)."""
        self.pending_table.set(index + FIRST_LPI, False)
        self._rescan()

    def move(self, intid: int, to: LpiBank) -> None:
        """Move the bit of an LPI to another PE's table, where LPIs are enabled at both; its range is not asked."""
        enabled = self.enabled and to.enabled and to is not self
        if enabled and self.in_range(intid) and self._remove(intid) and isinstance(to, RescanningLpiBank):
            to._arrive(intid)

    def move_all(self, to: LpiBank) -> None:
        """Move every bit that both tables have to another PE's table. O(table)."""
        if self.enabled and to.enabled and to is not self:
            limit = min(self.table.limit, to.table.limit)
            moved = self.pending_table.load(limit) + to.pending_table.load(limit)
            self.pending_table.store(limit, ())
            to.pending_table.store(limit, moved)
            self.reload_all()
            to.reload_all()

    def reload(self, intid: int) -> None:
        """Read everything again. O(table)."""
        self.reload_all()

    def reload_all(self) -> None:
        """Read everything again. O(table)."""
        if self.enabled:
            self._rescan()

    def take_from_table(self, intid: int) -> bool:
        """Nothing: what the table says is pending already."""
        return self.is_pending(intid)

    @property
    def reading_cost(self) -> int:
        """The LPIs that were pending when everything was last read, and the pieces of the pending table."""
        return self._read + self.table.limit // _LPIS_OF_A_PIECE

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
        found = self.pending_table.load(self.table.limit)
        self._read = len(found)
        for intid, byte in zip(found, self.table.read_all(found), strict=True):
            self._consider(intid, byte)
        self.forwarder.settle()

    def _consider(self, intid: int, byte: int) -> None:
        """Let an LPI of this configuration byte be the best one, if it is."""
        held = self.pending.get(self.last_best, _NONE)
        best = self.key(self.last_best, held) if held else NO_KEY
        if byte & ENABLED and self.key(intid, byte) < best:
            self._offer_nothing()
            self._hold(intid, byte)
            self.last_best = intid

    def _offer_nothing(self) -> None:
        """Forget the best LPI, but which one it was."""
        self._drop(self.last_best)
