"""LPIs: message-signalled interrupts, INTID 8192 and up, which each Redistributor keeps for its PE.

An LPI is configured by a byte in a table in guest RAM: its priority and whether it is enabled. It is pending or
not, and never active (specs/lpis.md). The model keeps what is pending, and the configuration bytes that it has
needed; everything else is in the guest's tables.

Every method that changes state ends by bringing queues and CPU interfaces up to date.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.interface import GROUP1, ActivationBank
from vgic.cpu_interface.pending import INTID_BITS
from vgic.interrupts.delivery import Forwarder
from vgic.intids import FIRST_LPI
from vgic.lpis.tables import ENABLED, PRIORITY, ConfigurationTable, PendingTable
from vgic.profiles.choices import LpiChoices

__all__ = ["LpiBank", "LpiConfiguration"]

_PIECE_BITS: Final = 12
_IN_PIECE: Final = (1 << _PIECE_BITS) - 1

_EVERY_LPI: Final = (1 << INTID_BITS) - FIRST_LPI


class LpiConfiguration:
    """The configuration bytes of a VM's LPIs, cached from when they are first needed until they are read again.

    1 byte for each LPI, in pieces of 4 KiB where one of them has been needed.
    """

    def __init__(self) -> None:
        self.cached: dict[int, bytearray] = {}
        """By INTID >> 12, the bytes of 4096 LPIs; 0: not cached, since a configuration byte is never 0."""

    def byte(self, table: ConfigurationTable, intid: int) -> int:
        """The configuration byte of an LPI of this table."""
        return self.held(intid) or self.read(table, intid)

    def held(self, intid: int) -> int:
        """The byte as it is cached, 0 where it is not."""
        piece = self.cached.get(intid >> _PIECE_BITS)
        return 0 if piece is None else piece[intid & _IN_PIECE]

    def read(self, table: ConfigurationTable, intid: int) -> int:
        """The same as `byte`, read again."""
        byte = table.read(intid)
        self.keep(intid, byte)
        return byte

    def keep(self, intid: int, byte: int) -> None:
        """Cache a configuration byte."""
        piece = self.cached.get(intid >> _PIECE_BITS)
        if piece is None:
            piece = self.cached[intid >> _PIECE_BITS] = bytearray(1 << _PIECE_BITS)
        piece[intid & _IN_PIECE] = byte

    def forget(self) -> None:
        """Have every byte read again when it is needed."""
        self.cached.clear()


class LpiBank(ActivationBank):
    """The LPIs of one Redistributor: which are pending, and how they are forwarded to its PE.

    Any INTID may be asked for; one that GICR_PROPBASER leaves out does not exist.
    """

    __slots__ = (
        "_choices",
        "configuration",
        "cpu",
        "enabled",
        "forwarder",
        "pending",
        "pending_table",
        "priority_mask",
        "table",
    )

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
        super().__init__(FIRST_LPI, _EVERY_LPI)
        self.cpu = cpu
        self.forwarder = forwarder
        self.configuration = configuration
        """Shared by the banks of the VM."""
        self.table = table
        """Behind GICR_PROPBASER."""
        self.pending_table = pending_table
        """Behind GICR_PENDBASER."""
        self.priority_mask = PRIORITY & 0xFF00 >> priority_bits
        """The bits of a priority that count."""
        self._choices = choices
        self.enabled = False
        """GICR_CTLR.EnableLPIs."""
        self.pending: dict[int, int] = {}
        """The pending LPIs, each with the configuration byte by which it is forwarded, or is not."""

    # What the registers are.

    @property
    def propbaser(self) -> int:
        """GICR_PROPBASER (64 bits)."""
        return self.table.register

    @propbaser.setter
    def propbaser(self, value: int) -> None:
        self.table.set_register(value)

    @property
    def pendbaser(self) -> int:
        """GICR_PENDBASER (64 bits), with PTZ as it was written."""
        return self.pending_table.register

    @pendbaser.setter
    def pendbaser(self, value: int) -> None:
        self.pending_table.register = value

    def enable(self) -> None:
        """Set GICR_CTLR.EnableLPIs: what is pending in the guest's table becomes pending here. O(table)."""
        if self.enabled:
            return
        self.enabled = True
        self.configuration.forget()
        if not (self._choices.honours_ptz and self.pending_table.is_zero):
            loaded = self.pending_table.load(self.table.limit)
            for intid in loaded:
                self._hold(intid, self.configuration.byte(self.table, intid))
            if self._choices.consumes_table and loaded:
                self.pending_table.store(self.table.limit, ())
        self.forwarder.settle()

    def disable(self) -> None:
        """Clear GICR_CTLR.EnableLPIs: nothing is pending here any more."""
        if not self.enabled:
            return
        if self._choices.saves_on_disable:
            self.flush()
            self.pending_table.has_changed()
        self.enabled = False
        for intid in list(self.pending):
            self._drop(intid)
        self.forwarder.settle()

    def flush(self) -> None:
        """Write what is pending to the guest's pending table. O(table)."""
        if self.enabled:
            self.pending_table.store(self.table.limit, self.pending)

    # What becomes pending, and what does not any more.

    def in_range(self, intid: int) -> bool:
        """True where GICR_PROPBASER has room for the INTID."""
        return FIRST_LPI <= intid < self.table.limit

    def is_pending(self, intid: int) -> bool:
        """True where the LPI is pending at this PE."""
        return intid in self.pending

    def make_pending(self, intid: int) -> bool:
        """An LPI has arrived; False, and nothing happens, where LPIs are not enabled or it does not exist."""
        if not self.enabled or not FIRST_LPI <= intid < self.table.limit:
            return False
        if intid not in self.pending:
            self._hold(intid, self.configuration.byte(self.table, intid))
            self.forwarder.settle()
        return True

    def clear_pending(self, intid: int) -> bool:
        """Take an LPI back; False, and nothing happens, where LPIs are not enabled or it does not exist."""
        if not self.enabled or not self.in_range(intid):
            return False
        self._drop(intid)
        self.forwarder.settle()
        return True

    def move(self, intid: int, to: "LpiBank") -> None:
        """Give what is pending of one LPI to another PE, if that can take it."""
        if to is not self and intid in self.pending and to.enabled and to.in_range(intid):
            self._drop(intid)
            to.make_pending(intid)
            self.forwarder.settle()

    def move_all(self, to: "LpiBank") -> None:
        """Give every pending LPI that another PE can take to it. O(pending)."""
        for intid in list(self.pending):
            self.move(intid, to)

    def acknowledge(self, index: i64) -> None:
        """The PE takes the LPI: it is pending no longer, and never active."""
        self._drop(index + FIRST_LPI)
        self.forwarder.settle()

    def deactivate(self, index: i64) -> None:
        """Nothing: an LPI is never active."""

    def group(self, index: i64) -> i64:
        """LPIs are in Group 1."""
        return GROUP1

    # What the guest has changed in its tables.

    def reload(self, intid: int) -> None:
        """Read the configuration of one LPI again, and forward it accordingly where it is pending here."""
        if self.enabled and self.in_range(intid):
            byte = self.configuration.read(self.table, intid)
            if intid in self.pending:
                self._hold(intid, byte)
            self.forwarder.settle()

    def reload_all(self) -> None:
        """Read the configuration of every LPI again. O(pending)."""
        if self.enabled:
            self.configuration.forget()
            for intid in list(self.pending):
                self._hold(intid, self.configuration.byte(self.table, intid))
            self.forwarder.settle()

    def take_from_table(self, intid: int) -> bool:
        """Make an LPI pending if the guest's pending table says so, and consume the bit; True where it does."""
        if not self.enabled or not self.in_range(intid) or not self.pending_table.set(intid, False):
            return False
        return self.make_pending(intid)

    @property
    def reading_cost(self) -> int:
        """How many LPIs and pieces of tables reading everything again touches, about."""
        return len(self.pending)

    def forward_all(self) -> None:
        """Put the pending LPIs into the pending queue, which does not have them."""
        for intid, byte in self.pending.items():
            self._forward(intid, byte)

    def configuration_of(self, intid: int) -> int:
        """The configuration byte by which an LPI is, or would be, forwarded."""
        if intid in self.pending:
            return self.pending[intid]
        if not self.in_range(intid):
            return 0
        return self.configuration.held(intid) or self.table.read(intid)

    def clear(self) -> None:
        """Forget what is pending and what is cached: the state of the VM is being replaced."""
        self.pending.clear()
        self.configuration.forget()

    # How.

    def _hold(self, intid: int, byte: int) -> None:
        """Keep an LPI pending by this configuration byte."""
        self._drop(intid)
        self.pending[intid] = byte
        self._forward(intid, byte)

    def _forward(self, intid: int, byte: int) -> None:
        if byte & ENABLED:
            self.forwarder.forward(self.cpu, GROUP1, self.key(intid, byte))

    def _drop(self, intid: int) -> None:
        byte = self.pending.pop(intid, 0)
        if byte & ENABLED:
            self.forwarder.withdraw(self.cpu, GROUP1, self.key(intid, byte))

    def key(self, intid: int, byte: int) -> int:
        """What the pending queue sorts an LPI of this configuration byte by."""
        return (byte & self.priority_mask) << INTID_BITS | intid
