"""The ITS in a replay: guest RAM is rebuilt as far as it matters, and the model executes the guest's commands.

A trace shows the commands that an ITS took from its queue, and the table entries that it read and wrote, but not
the guest's stores to its RAM. These are made up for:

* the command queue: each recorded command is there when the model fetches it;
* LPI configuration bytes: see `lpi_bytes`;
* level-1 descriptors of two-level tables: a page of zeros is at a made-up address when an entry is first mapped.

The model then does with them what it does, and its tables are compared with the recorded entries.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import vgic
from mmio.trace import CollectionEntry, Command, CommandStart, DeviceEntry, Event, EventEntry, Message
from mmio.trace.records import GICR, GITS
from vgic.intids import FIRST_LPI
from vgic.its.device import Its, MsiOutcome
from vgic.its.entries import LEVEL1_SIZE, NO_PAGE, Device
from vgic.its.errors import Fault
from vgic.its.tables import Table
from vgic.layouts import gicr, gits, its_commands
from vgic.lpis.tables import ConfigurationTable
from vgic.memory import read_word, write_word
from vgic_tools.replay.describe import describe, entry_text
from vgic_tools.replay.guest_ram import SparseRam
from vgic_tools.replay.lpi_bytes import START, LpiBytes
from vgic_tools.replay.result import Result

__all__ = ["ITS_EVENTS", "RebuiltIts"]

_Entry: TypeAlias = DeviceEntry | EventEntry | CollectionEntry
_Diverge: TypeAlias = Callable[[str, int, str, str], None]
"""What differs, at which event (its index), what was expected, and what there is."""

ITS_EVENTS: Final = (Message, CommandStart, Command, DeviceEntry, EventEntry, CollectionEntry)
"""What `RebuiltIts.feed` takes."""

_TABLES: Final[dict[type, str]] = {
    DeviceEntry: "device table entries",
    EventEntry: "translation table entries",
    CollectionEntry: "collection table entries",
}

_MADE_UP_PAGES: Final = 1 << 50
"""Physical address of the first made-up page: above any RAM that a machine has."""
_MADE_UP_PAGE: Final = 0x1_0000

_TABLE_SHIFT: Final = 8
"""Commands hold the address of a translation table without its low bits."""

_MORE_EVENTS: Final = 1 << 32
"""Than a device can have."""

_PROPERTIES: Final = range(gicr.PROPBASER.offset, gicr.PROPBASER.offset + 8)


@dataclass
class _Recorded:
    """A recorded command, which the model has not executed yet."""

    start: CommandStart | Command
    index: int
    """Of that event in the trace."""
    data: bytes
    """As the guest wrote it; what the trace does not tell of it is zero."""
    command: Command | None = None
    told: int = 0
    """Index of the event that tells what it is."""
    entries: list[tuple[_Entry, int]] = field(default_factory=list)
    """What it read, and then what it wrote, with the indices of the events."""


class _Memory(SparseRam):
    """Guest RAM that is told when 32 bytes are read: a command is fetched."""

    def __init__(self, fetch: Callable[[int], None]) -> None:
        super().__init__()
        self._fetch = fetch

    def read(self, address: int, size: int) -> bytes:
        """The `size` bytes from an address on."""
        if size == its_commands.COMMAND_SIZE:
            self._fetch(address)
        return super().read(address, size)


class RebuiltIts:
    """Feeds the ITS of a machine from a trace. `passed` is called whenever the model is between two commands."""

    def __init__(self, result: Result, lpis: LpiBytes, diverge: _Diverge, passed: Callable[[], None]) -> None:
        self.memory = _Memory(self._fetched)
        """The guest's RAM."""
        self._result = result
        self._lpis = lpis
        self._diverge = diverge
        self._passed = passed
        self._gic: vgic.Gic
        self._its: Its
        self._waiting: list[_Recorded] = []
        self._running: _Recorded | None = None
        self._message: Message | None = None
        self._looked_up: set[type] = set()
        self._bytes = dict(lpis.changes(START))
        self._pages = 0
        for what, count in (
            ("LPIs enabled, because they were taken or offered", lpis.enabled),
            ("priorities of LPIs, as they were offered", lpis.priorities),
            (f"priorities of LPIs, assumed to be {lpis.assumed:#x}", lpis.enabled - lpis.priorities),
        ):
            if count:
                result.accepted[what] = count

    def follow(self, gic: vgic.Gic) -> None:
        """The replay goes on with this GIC."""
        self._gic = gic
        self._its = gic.its(0)

    # Events.

    def feed(self, event: Event, index: int) -> None:
        """Take an event of `ITS_EVENTS`. Raises CommandError for a command that a queue cannot hold."""
        match event:
            case Message():
                self._signal(event)
            case CommandStart() | Command():
                self._queue(event, index)
            case DeviceEntry() | EventEntry() | CollectionEntry():
                self._entry(event, index)
            case _:
                pass

    def _signal(self, event: Message) -> None:
        """A device writes to GITS_TRANSLATER, or beside it."""
        if event.offset != gits.TRANSLATER.offset:
            self._result.accepted["writes of devices beside GITS_TRANSLATER"] += 1
            return
        self._message = event
        self._looked_up.clear()
        try:
            outcome = self._gic.msi(event.requester, event.value).outcome
        except vgic.ConfigError:
            outcome = MsiOutcome.BLOCKED
        self._result.inputs["MSIs" if outcome is MsiOutcome.DELIVERED else f"MSIs, {outcome.name.lower()}"] += 1

    def _queue(self, event: CommandStart | Command, index: int) -> None:
        """A command, which is executed when the access that made the ITS take it is known."""
        last = self._waiting[-1] if self._waiting else None
        if isinstance(event, CommandStart):
            opcode = event.opcode.to_bytes(its_commands.COMMAND_SIZE, "little")
            self._waiting.append(_Recorded(event, index, opcode, told=index))
        elif last is not None and last.command is None:
            last.command, last.told, last.data = event, index, _encoded(event)
        else:
            self._waiting.append(_Recorded(event, index, _encoded(event), event, index))

    def _entry(self, event: _Entry, index: int) -> None:
        """A table entry, to be compared with the model's at the command or message to which it belongs."""
        if self._waiting:
            self._waiting[-1].entries.append((event, index))
        elif self._needed(event):
            self._compare(event, index)
        else:
            self._count(event, index, "no MSI and no command that needs it")

    def settled(self) -> None:
        """Another operation begins."""
        self._message = None

    def accessed(self, device: int, offset: int, write: bool) -> None:
        """An access has been carried out: commands that made it take place, if any, are done."""
        if device == GICR and write and offset in _PROPERTIES:
            self._place(self._bytes)
        elif device == GITS:
            self._finish()
            for left in self._waiting:
                self._result.compared["ITS commands"] += 1
                place = f"GITS_CREADR is {self._its.queue.creadr:#x}"
                self._diverge("ITS commands", left.index, _command_text(left), f"not taken, {place}")
            self._waiting.clear()

    def finish(self) -> None:
        """The trace is over."""
        if self._waiting:
            self._result.accepted["ITS commands after the last operation"] += len(self._waiting)

    def _needed(self, entry: _Entry) -> bool:
        """True where the message under way looks this entry up: one of each table."""
        message, table = self._message, type(entry)
        if message is None or entry.write or table in self._looked_up:
            return False
        self._looked_up.add(table)
        match entry:
            case DeviceEntry():
                return entry.device == message.requester
            case EventEntry():
                return entry.event == message.value
            case CollectionEntry():
                return True

    # Commands.

    def _fetched(self, address: int) -> None:
        """The model is about to read a command at this address."""
        self._finish()
        if not self._waiting:
            self._result.accepted["ITS commands that the trace does not show"] += 1
            return
        recorded = self._running = self._waiting.pop(0)
        self._result.inputs["ITS commands"] += 1
        self._result.compared["ITS commands"] += 1
        slot = (address - self._its.queue.base) // its_commands.COMMAND_SIZE
        if isinstance(recorded.start, CommandStart) and recorded.start.slot != slot:
            text = _command_text(recorded)
            self._diverge("ITS commands", recorded.index, f"{text} at {recorded.start.slot:#x}", f"at {slot:#x}")
        command = recorded.command
        if command is not None and command.valid and command.device is not None:
            self._add_page(self._its.tables.devices, command.device)
        elif command is not None and command.valid and command.collection is not None:
            self._add_page(self._its.tables.collections, command.collection)
        changes = self._lpis.changes(recorded.told)
        self._bytes.update(changes)
        self._place(changes)
        self.memory.write(address, recorded.data)
        for entry, index in recorded.entries:
            if not entry.write:
                self._compare(entry, index)

    def _finish(self) -> None:
        """The command under way has been executed."""
        recorded, self._running = self._running, None
        if recorded is not None:
            for entry, index in recorded.entries:
                if entry.write:
                    self._compare(entry, index)
            self._passed()

    # Guest RAM.

    def _place(self, changes: Mapping[int, int]) -> None:
        """Store configuration bytes in the tables of all Redistributors, which may be one."""
        cpus = range(len(self._gic.config.topology))
        for address, limit in {(table.address, table.limit) for table in map(self._table, cpus)}:
            for intid, byte in changes.items():
                if FIRST_LPI <= intid < limit:
                    write_word(self.memory, address + intid - FIRST_LPI, 1, byte)

    def _table(self, cpu: int) -> ConfigurationTable:
        return self._gic.lpis(cpu).table

    def _add_page(self, table: Table, number: int) -> None:
        """See to it that there is a page for an entry of a two-level table."""
        if not table.indirect or number >= table.count:
            return
        address = table.base + number // table.entries_of_page * LEVEL1_SIZE
        entries, level1 = self._its.tables.entries, self._its.choices.entries.level1
        if entries.page(read_word(self.memory, address, LEVEL1_SIZE)) == NO_PAGE:
            page = _MADE_UP_PAGES + self._pages * _MADE_UP_PAGE
            self._pages += 1
            write_word(self.memory, address, LEVEL1_SIZE, level1.mask("V") | page & level1.mask("Physical_Address"))
            self._result.accepted["pages of two-level tables, at made-up addresses"] += 1

    # Comparing.

    def _compare(self, recorded: _Entry, index: int) -> None:
        self._count(recorded, index, entry_text(self._of_model(recorded)))

    def _count(self, recorded: _Entry, index: int, got: str) -> None:
        what, expected = _TABLES[type(recorded)], entry_text(recorded)
        self._result.compared[what] += 1
        if expected != got:
            self._diverge(what, index, expected, got)

    def _of_model(self, recorded: _Entry) -> _Entry:
        """The entry in the model's table."""
        tables = self._its.tables
        try:
            match recorded:
                case DeviceEntry():
                    device = tables.device(recorded.device)
                    return recorded._replace(valid=True, size=device.events.bit_length() - 2, address=device.itt)
                case EventEntry():
                    event = tables.event(Device(recorded.address, _MORE_EVENTS), recorded.event)
                    return recorded._replace(
                        valid=True, physical=True, intid=event.intid, collection=event.collection
                    )
                case CollectionEntry():
                    return recorded._replace(valid=True, target=tables.rdbase(recorded.collection))
        except Fault:
            return recorded._replace(valid=False)


def _encoded(command: Command) -> bytes:
    """The 32 bytes of a command."""
    fields = {
        "DeviceID": command.device,
        "EventID": command.event,
        "ICID": command.collection,
        "pINTID": command.intid,
        "RDbase": command.target,
        "RDbase2": command.to,
        "Size": command.size,
        "ITT_addr": None if command.address is None else command.address >> _TABLE_SHIFT,
        "V": command.valid,
    }
    return its_commands.encode(command.name, **{name: value for name, value in fields.items() if value is not None})


def _command_text(recorded: _Recorded) -> str:
    return describe(recorded.start if recorded.command is None else recorded.command)
