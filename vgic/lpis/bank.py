"""LPIs: message-signalled interrupts, INTID 8192 and up, which each Redistributor keeps for its PE.

An LPI is configured by a byte in a table in guest RAM: its priority and whether it is enabled. It is pending or
not, and never active (specs/lpis.md). The model keeps what is pending, and the configuration bytes that it has
needed; everything else is in the guest's tables.

What concerns many LPIs is done piece by piece (`vgic.lpis.pieces`). Where an access leaves some of it, what it
leaves of a piece is done before anything else happens to an LPI of that piece: so nothing is lost or done twice.

Every method that changes state ends by bringing queues and CPU interfaces up to date.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP1
from vgic.cpu_interface.interface import NOT_ACTIVE, ActivationBank
from vgic.cpu_interface.pending import INTID_BITS, NO_KEY
from vgic.interrupts.delivery import Forwarder
from vgic.intids import FIRST_LPI
from vgic.lpis.configuration import LpiConfiguration
from vgic.lpis.pieces import IN_PIECE, PIECE_BITS, Piece, bits_of, mask_of, mask_of_bits
from vgic.lpis.priorities import LpiPriorities
from vgic.lpis.tables import ENABLED, NO_BITS, PIECE, ConfigurationTable, PendingTable
from vgic.lpis.work import LOOKS_OF_A_STEP, STEPS_OF_A_PIECE, STEPS_OF_AN_ACCESS
from vgic.profiles.choices import LpiChoices

__all__ = ["LpiBank", "MappedLpis"]

_EVERY_LPI: Final = (1 << INTID_BITS) - FIRST_LPI
_FIRST_PIECE: Final = FIRST_LPI >> PIECE_BITS

# What is left to be done for a piece.
_NOTHING: Final = 0
_LOAD: Final = 1
"""Its bits of the pending table are pending here too."""
_RELOAD: Final = 2
"""The configuration of those that are pending is read again."""
_SAVE: Final = 3
"""Its bits of the pending table are written."""


class MappedLpis:
    """What ITSes have mapped, where a Redistributor takes nothing else out of its pending table (LPI-27)."""

    def goes_to(self, cpu: int, intid: int) -> bool:
        """True where an event has this LPI, and it goes to this vCPU."""
        raise NotImplementedError


class LpiBank(ActivationBank):
    """The LPIs of one Redistributor: which are pending, and how they are forwarded to its PE.

    Any INTID may be asked for; one that GICR_PROPBASER leaves out does not exist.
    """

    __slots__ = (
        "_choices",
        "_leaving",
        "_left",
        "_spare",
        "configuration",
        "cpu",
        "enabled",
        "forwarder",
        "mapped",
        "pending_table",
        "pieces",
        "priorities",
        "table",
    )

    def __init__(
        self,
        cpu: int,
        forwarder: Forwarder,
        configuration: LpiConfiguration,
        table: ConfigurationTable,
        pending_table: PendingTable,
        priorities: LpiPriorities,
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
        self.priorities = priorities
        """Shared by the banks of the VM."""
        self._choices = choices
        self.mapped: MappedLpis | None = None
        """None: what the pending table has is pending, whoever mapped it."""
        self.enabled = False
        """GICR_CTLR.EnableLPIs."""
        self.pieces: dict[int, Piece] = {}
        """By number, those of which an LPI is pending, or was; the pending queue has the best LPI of each."""
        self._leaving: dict[int, Piece] = {}
        """Those that are yet to be written to the pending table, since LPIs have been disabled."""
        self._left: dict[int, int] = {}
        """What is left to be done, by piece; the last is done first."""
        self._spare: Piece | None = None
        """The last one that lost its only LPI, for the next that is needed: there is one soon, and it is 4 KiB."""
        self._begin()

    def _begin(self) -> None:
        """Set what a kind of bank has besides."""

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

    @property
    def busy(self) -> bool:
        """GICR_SYNCR.Busy: something is left to be done for some piece (LPI-29)."""
        return bool(self._left)

    @property
    def saving(self) -> bool:
        """GICR_CTLR.RWP: LPIs have been disabled, and not all that was pending is in the pending table yet.

        Rule LPI-29.
        """
        return self.busy and not self.enabled

    def enable(self) -> None:
        """Set GICR_CTLR.EnableLPIs: what is pending in the guest's table becomes pending here.

        Nothing happens while `saving`.
        """
        if self.enabled or self.saving:
            return
        self.enabled = True
        self.configuration.forget()
        if not (self._choices.honours_ptz and self.pending_table.is_zero):
            self._left = dict.fromkeys(self._downwards(), _LOAD)
            self.go_on()

    def disable(self) -> None:
        """Clear GICR_CTLR.EnableLPIs: nothing is pending here any more (LPI-14, LPI-15)."""
        if not self.enabled:
            return
        self.enabled = False
        self.withdraw_all()
        left = self._left
        self._left = {}
        if self._choices.saves_on_disable:
            # The table still has the bits of those that were not loaded.
            self._left = {number: _SAVE for number in self._downwards() if left.get(number, _NOTHING) != _LOAD}
            self._leaving = self.pieces
            self.pending_table.has_changed()
        self.pieces = {}
        self.go_on()

    def flush(self) -> None:
        """Write what is pending to the guest's pending table. O(table)."""
        self.finish()
        if self.enabled:
            for number in self._downwards():
                self._save(number, self.pieces)

    def _downwards(self) -> range:
        """The pieces of the table, so that the first is done first."""
        return range((self.table.limit >> PIECE_BITS) - 1, _FIRST_PIECE - 1, -1)

    # What takes longer than an access may.

    def go_on(self) -> None:
        """Do some of what is left to be done."""
        steps = self.configuration.work.steps
        while self._left and self.configuration.work.steps - steps < STEPS_OF_AN_ACCESS:
            self._do(*self._left.popitem())
        self.forwarder.settle()

    def finish(self) -> None:
        """Do all of it. O(table)."""
        while self._left:
            self.go_on()

    def _catch_up(self, intid: int) -> None:
        """Do what is left to be done for the piece of an LPI."""
        number = intid >> PIECE_BITS
        work = self._left.pop(number, _NOTHING)
        if work != _NOTHING:
            self._do(number, work)

    def _do(self, number: int, work: int) -> None:
        self.configuration.work.steps += 1
        if work == _LOAD:
            self._load(number)
        elif work == _RELOAD:
            self._reload(number)
        else:
            self._save(number, self._leaving)
            self._leaving.pop(number, None)

    def _load(self, number: int) -> None:
        bits = self.pending_table.piece(number)
        if not bits:
            return
        pending = mask_of_bits(bits)
        if self.mapped is not None:
            pending = self._mapped_here(number, pending)
        elif self._choices.consumes_table:
            self.pending_table.put_piece(number, NO_BITS)
        if pending:
            self._fill(self._piece(number), pending)

    def _mapped_here(self, number: int, pending: int) -> int:
        """What remains of a mask of the LPIs of a piece without those that do not go to this PE (LPI-27)."""
        assert self.mapped is not None
        mask = bytearray(pending.to_bytes(PIECE, "little"))
        self.configuration.work.steps += (PIECE - mask.count(0)) // LOOKS_OF_A_STEP
        cpu: int = self.cpu
        for place in range(PIECE):
            if mask[place] and not self.mapped.goes_to(cpu, number * PIECE + place):
                mask[place] = 0
        return int.from_bytes(mask, "little")

    def _reload(self, number: int) -> None:
        piece = self.pieces.get(number)
        if piece is not None:
            self._fill(piece, mask_of(piece.data))

    def _fill(self, piece: Piece, pending: int) -> None:
        """Have the LPIs in a mask pending, by the configuration bytes that they have now."""
        before = piece.head
        piece.fill(self._configurations(piece, pending))
        self._offer(piece.head, before)

    def _configurations(self, piece: Piece, pending: int) -> int:
        return self.configuration.of_piece(self.table, piece.first >> PIECE_BITS, pending)

    def _save(self, number: int, pieces: dict[int, Piece]) -> None:
        piece = pieces.get(number)
        if piece is not None:
            self.configuration.work.steps += STEPS_OF_A_PIECE
        self.pending_table.put_piece(number, NO_BITS if piece is None else bits_of(piece.data))

    # What becomes pending, and what does not any more.

    @property
    def pending(self) -> dict[int, int]:
        """The pending LPIs, each with the configuration byte by which it is forwarded, or is not. O(pending)."""
        found: dict[int, int] = {}
        for number in sorted(self.pieces):
            found.update(self.pieces[number].pending())
        return found

    def in_range(self, intid: int) -> bool:
        """True where GICR_PROPBASER has room for the INTID (LPI-9)."""
        return FIRST_LPI <= intid < self.table.limit

    def is_pending(self, intid: int) -> bool:
        """True where the LPI is pending at this PE."""
        self._catch_up(intid)
        return self.held(intid) != 0

    def make_pending(self, intid: int) -> bool:
        """An LPI has arrived; False, and nothing happens, where LPIs are not enabled or it does not exist."""
        if not self.enabled or not FIRST_LPI <= intid < self.table.limit:
            return False
        if self._left:
            self._catch_up(intid)
        if not self.held(intid):
            self._hold(intid, self.configuration.byte(self.table, intid))
            self.forwarder.settle()
        return True

    def is_offered(self, intid: int) -> bool:
        """True where the LPI is pending and enabled, and the Distributor forwards its group."""
        self._catch_up(intid)
        return self.held(intid) & ENABLED != 0 and self.forwarder.cpus[self.cpu].groups[GROUP1].forwarded

    def clear_pending(self, intid: int) -> bool:
        """Take an LPI back; False, and nothing happens, where LPIs are not enabled or it does not exist."""
        if not self.enabled or not self.in_range(intid):
            return False
        self._catch_up(intid)
        self._drop(intid)
        self.forwarder.settle()
        return True

    def move(self, intid: int, to: "LpiBank") -> None:
        """Give what is pending of one LPI, with its configuration, to another PE, if that can take it.

        Rules ITS-16, LPI-21.
        """
        if to is not self and to.enabled and to.in_range(intid):
            self._catch_up(intid)
            to._catch_up(intid)
            byte = self.held(intid)
            if byte:
                self._drop(intid)
                if not to.held(intid):
                    to._hold(intid, byte)
            self.forwarder.settle()

    def move_all(self, to: "LpiBank", start: int = 0) -> int:
        """Give the pending LPIs that another PE can take to it, from piece `start` on.

        Where to go on, once an access can do no more; 0 where nothing is left.
        """
        if to is self or not to.enabled:
            return 0
        steps = self.configuration.work.steps
        for number in range(max(start, _FIRST_PIECE), to.table.limit >> PIECE_BITS):
            if self.configuration.work.steps - steps >= STEPS_OF_AN_ACCESS:
                self.forwarder.settle()
                return number
            self._move_piece(number, to)
        self.forwarder.settle()
        return 0

    def _move_piece(self, number: int, to: "LpiBank") -> None:
        first = number << PIECE_BITS
        self._catch_up(first)
        piece = self.pieces.pop(number, None)
        if piece is None:
            return
        self.configuration.work.steps += 1
        to._catch_up(first)
        self._offer(NO_KEY, piece.head)
        there = to.pieces.get(number)
        if there is None:
            to.pieces[number] = piece
            to._offer(piece.head, NO_KEY)
            return
        self.configuration.work.steps += STEPS_OF_A_PIECE
        before = there.head
        held = int.from_bytes(there.data, "little")
        there.fill(held | int.from_bytes(piece.data, "little") & ~mask_of(there.data))
        to._offer(there.head, before)

    def acknowledge(self, index: i64) -> None:
        """The PE takes the LPI: it is pending no longer, and never active (LPI-19)."""
        self._drop(index + FIRST_LPI)
        if self._left:
            self.go_on()
        self.forwarder.settle()

    def deactivate(self, index: i64) -> None:
        """Nothing: an LPI is never active (LPI-19)."""

    def active_priority(self, index: i64, cpu: i64) -> i64:
        """An LPI is never active."""
        return NOT_ACTIVE

    def group(self, index: i64) -> i64:
        """LPIs are in Group 1 (LPI-20)."""
        return GROUP1

    # What the guest has changed in its tables.

    def reload(self, intid: int) -> None:
        """Read the configuration of one LPI again, and forward it accordingly where it is pending here (LPI-18)."""
        if self.enabled and self.in_range(intid):
            self._catch_up(intid)
            byte = self.configuration.read(self.table, intid)
            if self.held(intid):
                self._hold(intid, byte)
            self.forwarder.settle()

    def reload_all(self) -> None:
        """Read the configuration of every LPI again (LPI-18)."""
        if self.enabled:
            self.configuration.forget()
            for number in self.pieces:
                self._left.setdefault(number, _RELOAD)
            self.go_on()

    def take_from_table(self, intid: int) -> bool:
        """Make an LPI pending if the guest's pending table says so, and consume the bit; True where it does.

        Rule LPI-13.
        """
        if not self.enabled or not self.in_range(intid) or not self.pending_table.set(intid, False):
            return False
        return self.make_pending(intid)

    def configuration_of(self, intid: int) -> int:
        """The configuration byte by which an LPI is, or would be, forwarded."""
        if not self.in_range(intid):
            return self.held(intid)
        return self.held(intid) or self.configuration.held(intid) or self.table.read(intid)

    # Restoring.

    def clear(self) -> None:
        """Forget what is pending and what is cached: the state of the VM is being replaced."""
        self.pieces = {}
        self._leaving = {}
        self._left = {}
        self.configuration.forget()

    def restore(self, intid: int, byte: int) -> None:
        """Have an LPI pending by this configuration byte, while the pending queue has none of them."""
        self._piece(intid >> PIECE_BITS).hold(intid & IN_PIECE, byte)

    def forward_all(self) -> None:
        """Put the pending LPIs into the pending queue, which does not have them."""
        for piece in self.pieces.values():
            self._offer(piece.head, NO_KEY)

    def withdraw_all(self) -> None:
        """Take them out of it. Settles nothing."""
        for piece in self.pieces.values():
            self._offer(NO_KEY, piece.head)

    def sort_anew(self) -> None:
        """Follow what bits of priorities count, while the pending queue has no LPI. O(pieces)."""
        self._spare = None
        for piece in self.pieces.values():
            piece.set_priority_mask(self.priorities.mask)

    # How.

    def held(self, intid: int) -> int:
        """The configuration byte by which an LPI is pending, 0 where it is not."""
        piece = self.pieces.get(intid >> PIECE_BITS)
        return 0 if piece is None else piece.data[intid & IN_PIECE]

    def _piece(self, number: int) -> Piece:
        """A piece, of which nothing may be pending yet."""
        piece = self.pieces.get(number)
        if piece is None:
            piece = self._spare
            if piece is None:
                piece = Piece(number, self.priorities.mask)
            else:
                self._spare = None
                piece.first = number * PIECE
            self.pieces[number] = piece
        return piece

    def _hold(self, intid: int, byte: int) -> None:
        """Keep an LPI pending by this configuration byte."""
        piece = self._piece(intid >> PIECE_BITS)
        before = piece.head
        piece.hold(intid & IN_PIECE, byte)
        self._offer(piece.head, before)

    def _drop(self, intid: int) -> None:
        piece = self.pieces.get(intid >> PIECE_BITS)
        if piece is None or not piece.data[intid & IN_PIECE]:
            return
        before = piece.head
        piece.drop(intid & IN_PIECE)
        self._offer(piece.head, before)
        if not piece.count:
            self._spare = self.pieces.pop(intid >> PIECE_BITS)

    def _offer(self, key: i64, before: i64) -> None:
        """Have this the best LPI of a piece in the pending queue, where there was another before."""
        if key == before:
            return
        if before != NO_KEY:
            self.forwarder.withdraw(self.cpu, GROUP1, self.priorities.queue_key(before))
        if key != NO_KEY:
            self.forwarder.forward(self.cpu, GROUP1, self.priorities.queue_key(key))
