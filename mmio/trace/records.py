"""Events as records of 24 bytes: what a replay runs on, and what a packed trace file holds.

| bytes   | field  | what                                                                             |
|---------|--------|----------------------------------------------------------------------------------|
| 0       | kind   | one of the kinds below                                                           |
| 1       | flags  | depends on the kind                                                              |
| 2, 3    | pe     | a PE, as its place in `Tables.pes`                                               |
| 4 to 7  | line   | line of the trace that the event was read from                                   |
| 8 to 15 | value  | depends on the kind                                                              |
| 16 - 19 | number | depends on the kind                                                              |
| 20 - 23 | thread | the recorder's thread, as its place in `Tables.threads`; 0: not recorded         |

Everything is little-endian. What does not fit, and every event without a kind of its own, is kept as the event
that it is in `Tables.written`, with a record of kind WRITTEN in its place. Times are not kept, nor are the texts of
`Other` and `Text`.

| kind      | flags                                                    | value             | number                |
|-----------|----------------------------------------------------------|-------------------|-----------------------|
| ACCESS    | size, WRITE, SECURE, ILLEGAL, HAS_VALUE, device (above)  | value             | offset                |
| SYSREG    | WRITE                                                    | value             | register, in `Tables` |
| SGI       | IRM                                                      | cluster << 16, target list | INTID        |
| DELIVERY  |                                                          |                   | INTID                 |
| LINE      | LEVEL, PRIVATE                                           |                   | INTID                 |
| CPU_RESET |                                                          |                   | token, in `Tables`    |
| CANDIDATE | group                                                    | priority          | INTID                 |
| OUTPUTS   | IRQ, FIQ                                                 |                   |                       |
| VIRTUAL_  | group of the LPI                                         | INTID << 16,      | list register + 1     |
| CANDIDATE |                                                          | priority, of the  |                       |
|           |                                                          | LPI               |                       |
| VIRTUAL_  | IRQ, FIQ                                                 |                   |                       |
| OUTPUTS   |                                                          |                   |                       |
| MAIN-     | LEVEL                                                    |                   |                       |
| TENANCE   |                                                          |                   |                       |
| OTHER     |                                                          |                   | name, in `Tables`     |
| TEXT      |                                                          |                   |                       |
| WRITTEN   |                                                          |                   | event, in `Tables`    |
"""

from struct import Struct, error
from typing import Final

from mypy_extensions import i64, mypyc_attr

from mmio.trace.events import (
    Access,
    Candidate,
    CpuReset,
    Delivery,
    Event,
    Line,
    Maintenance,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
    VirtualCandidate,
    VirtualOutputs,
)

__all__ = [
    "ACCESS",
    "CANDIDATE",
    "CPU_RESET",
    "DELIVERY",
    "DEVICES",
    "DEVICE_SHIFT",
    "FIQ",
    "GICD",
    "GICR",
    "GITS",
    "HAS_VALUE",
    "ILLEGAL",
    "IRM",
    "IRQ",
    "LEVEL",
    "LINE",
    "MAINTENANCE",
    "OTHER",
    "OUTPUTS",
    "PRIVATE",
    "RECORD_SIZE",
    "SECURE",
    "SGI",
    "SIZE_MASK",
    "SYSREG",
    "TEXT",
    "VIRTUAL_CANDIDATE",
    "VIRTUAL_OUTPUTS",
    "WRITE",
    "WRITTEN",
    "Packer",
    "RecordError",
    "RecordSink",
    "Tables",
    "feed",
    "half_of",
    "number_of",
    "pe_of",
    "placed",
    "unpack",
    "value_of",
]

RECORD_SIZE: Final = 24

ACCESS: Final = 1
SYSREG: Final = 2
SGI: Final = 3
DELIVERY: Final = 4
LINE: Final = 5
CPU_RESET: Final = 6
CANDIDATE: Final = 7
OUTPUTS: Final = 8
OTHER: Final = 9
TEXT: Final = 10
WRITTEN: Final = 11
VIRTUAL_CANDIDATE: Final = 12
VIRTUAL_OUTPUTS: Final = 13
MAINTENANCE: Final = 14

SIZE_MASK: Final = 0b11
"""ACCESS: the size is 1 << these bits."""
WRITE: Final = 0b100
SECURE: Final = 0b1000
ILLEGAL: Final = 0b1_0000
HAS_VALUE: Final = 0b10_0000
DEVICE_SHIFT: Final = 6
"""ACCESS: the bits from here on are the device's place in `DEVICES`."""
DEVICES: Final = ("gicd", "gicr", "gits", "gits_translater")
GICD: Final = 0
GICR: Final = 1
GITS: Final = 2

IRM: Final = 1
LEVEL: Final = 1
PRIVATE: Final = 2
IRQ: Final = 2
FIQ: Final = 1

_LAYOUT: Final = Struct("<BBHIQII")
_WORD: Final = Struct("<I")
_SIZES: Final = {1: 0, 2: 1, 4: 2, 8: 3}


class RecordError(ValueError):
    """A record that cannot be, or an event that no record can hold; the message does not say where."""


class Tables:
    """What records name by its place in a list, in the order in which it came up."""

    def __init__(self) -> None:
        self.pes: list[int] = []
        """Packed affinities."""
        self.registers: list[str] = []
        """Names of system registers."""
        self.tokens: list[str] = []
        """The recorder's names of PEs that are reset."""
        self.names: list[str] = []
        """Names of events that are not taken apart."""
        self.threads: list[int | None] = [None]
        """The recorder's thread ids."""
        self.written: list[Event] = []
        """Events that no record can hold, without line, time and thread."""


# The sinks of an embedder are Python, also where this module is compiled.
@mypyc_attr(allow_interpreted_subclasses=True)
class RecordSink:
    """Takes the records of a trace, one after the other."""

    def take(self, data: bytes, at: i64, index: i64, thread: i64) -> bool:
        """The record at byte `at` of `data`, event `index` of the trace (from 0); True: no more of them, please.

        `thread` is in place of the record's own, and counts only for SYSREG, CPU_RESET and WRITTEN. Raises
        RecordError for a record that cannot be.
        """
        raise NotImplementedError


def feed(data: bytes, index: i64, sink: RecordSink) -> bool:
    """Hand over records, the first of which is event `index`; True where the sink wants no more."""
    at: i64 = 0
    end = len(data)
    while at < end:
        kind: i64 = data[at]
        thread: i64 = 0
        if kind in (SYSREG, CPU_RESET, WRITTEN):
            thread = _word(data, at + 20)
        if sink.take(data, at, index, thread):
            return True
        index += 1
        at += RECORD_SIZE
    return False


def pe_of(data: bytes, at: i64) -> i64:
    """The PE of the record at byte `at`, as its place in `Tables.pes`."""
    return half_of(data, at + 2)


def number_of(data: bytes, at: i64) -> i64:
    """The number of the record at byte `at`."""
    return _word(data, at + 16)


def value_of(data: bytes, at: i64) -> int:
    """The value of the record at byte `at`."""
    low: int = _word(data, at + 8)
    high: int = _word(data, at + 12)
    return high << 32 | low if high else low


def placed(record: bytes, line: int, thread: int) -> bytes:
    """The record with another line and thread. Raises RecordError for a line beyond what a record holds."""
    try:
        return record[:4] + _WORD.pack(line) + record[8:20] + _WORD.pack(thread)
    except error:
        raise RecordError(f"line {line} is beyond what a packed trace can count") from None


def half_of(data: bytes, at: i64) -> i64:
    """The 16 bits at byte `at`."""
    low: i64 = data[at]
    high: i64 = data[at + 1]
    return low | high << 8


def _word(data: bytes, at: i64) -> i64:
    return half_of(data, at) | half_of(data, at + 2) << 16


class Packer:
    """Makes records of events, and fills the tables that the records need."""

    def __init__(self) -> None:
        self.tables = Tables()
        self._pes: dict[int, int] = {}
        self._registers: dict[str, int] = {}
        self._tokens: dict[str, int] = {}
        self._names: dict[str, int] = {}
        self._threads: dict[int | None, int] = {None: 0}
        self._written: dict[Event, int] = {}

    def pack(self, event: Event) -> bytes:
        """The record of an event. Raises RecordError where its line is beyond what a record holds."""
        try:
            return self._pack(event)
        except error:
            return self._write_out(event)

    def forget_written(self) -> None:
        """Records that were made do not matter any more: forget the events that they only point to."""
        self._written.clear()
        self.tables.written.clear()

    def thread(self, thread: int | None) -> int:
        """The place of a thread in the table."""
        place = self._threads.get(thread)
        if place is None:
            place = self._threads[thread] = len(self.tables.threads)
            self.tables.threads.append(thread)
        return place

    def _pack(self, event: Event) -> bytes:
        kind = flags = pe = value = number = 0
        if isinstance(event, Candidate):
            kind, flags, pe = CANDIDATE, event.group, self._pe(event.cpu)
            value, number = event.priority, event.intid
            if value > 0xFFFF:
                raise error
        elif isinstance(event, Outputs):
            kind, flags, pe = OUTPUTS, (IRQ if event.irq else 0) | (FIQ if event.fiq else 0), self._pe(event.cpu)
        elif isinstance(event, VirtualCandidate):
            kind, flags, pe = VIRTUAL_CANDIDATE, event.group, self._pe(event.cpu)
            value, number = event.intid << 16 | event.priority, event.list_register + 1
            if event.priority > 0xFFFF:
                raise error
        elif isinstance(event, VirtualOutputs):
            kind, flags = VIRTUAL_OUTPUTS, (IRQ if event.irq else 0) | (FIQ if event.fiq else 0)
            pe = self._pe(event.cpu)
        elif isinstance(event, Maintenance):
            kind, flags, pe = MAINTENANCE, LEVEL if event.level else 0, self._pe(event.cpu)
        elif isinstance(event, Access):
            if event.device not in DEVICES or (event.device == "gicr") == (event.owner is None):
                raise error
            kind, flags = ACCESS, _SIZES[event.size] | DEVICES.index(event.device) << DEVICE_SHIFT
            flags |= WRITE if event.write else 0
            flags |= SECURE if event.secure else 0
            flags |= ILLEGAL if event.illegal else 0
            if event.owner is not None:
                pe = self._pe(event.owner)
            if event.value is not None:
                flags |= HAS_VALUE
                value = event.value
            number = event.offset
        elif isinstance(event, SysReg):
            kind, flags, pe = SYSREG, WRITE if event.write else 0, self._pe(event.cpu)
            value, number = event.value, _place(self._registers, self.tables.registers, event.register)
        elif isinstance(event, Sgi):
            if event.target_list >> 16:
                raise error
            kind, flags, pe = SGI, IRM if event.irm else 0, self._pe(event.cpu)
            value, number = event.cluster << 16 | event.target_list, event.intid
        elif isinstance(event, Delivery):
            kind, pe, number = DELIVERY, self._pe(event.cpu), event.intid
        elif isinstance(event, Line):
            kind, flags, number = LINE, LEVEL if event.level else 0, event.intid
            if event.owner is not None:
                flags |= PRIVATE
                pe = self._pe(event.owner)
        elif isinstance(event, CpuReset):
            kind, number = CPU_RESET, _place(self._tokens, self.tables.tokens, event.token)
        elif isinstance(event, Other):
            kind, number = OTHER, _place(self._names, self.tables.names, event.name)
        elif isinstance(event, Text):
            kind = TEXT
        else:
            raise error
        return _LAYOUT.pack(kind, flags, pe, event.line, value, number, self.thread(event.thread))

    def _write_out(self, event: Event) -> bytes:
        bare = event._replace(line=0, time=None, thread=None)
        place = self._written.get(bare)
        if place is None:
            place = self._written[bare] = len(self.tables.written)
            self.tables.written.append(bare)
        try:
            return _LAYOUT.pack(WRITTEN, 0, 0, event.line, 0, place, self.thread(event.thread))
        except error:
            raise RecordError(f"line {event.line} is beyond what a packed trace can count") from None

    def _pe(self, affinity: int) -> int:
        place = self._pes.get(affinity)
        if place is None:
            place = self._pes[affinity] = len(self.tables.pes)
            self.tables.pes.append(affinity)
        return place


def _place(places: dict[str, int], table: list[str], name: str) -> int:
    place = places.get(name)
    if place is None:
        place = places[name] = len(table)
        table.append(name)
    return place


def unpack(data: bytes, at: i64, tables: Tables) -> Event:
    """The event of the record at byte `at`; without time, and without the text of `Other` and `Text`.

    Raises RecordError for a record that cannot be.
    """
    kind, flags, place, line, value, number, thread_place = _LAYOUT.unpack_from(data, at)
    try:
        thread = tables.threads[thread_place]
        if kind == TEXT:
            return Text(line, None, thread, "")
        if kind == OTHER:
            return Other(line, None, thread, tables.names[number], "")
        if kind == CPU_RESET:
            return CpuReset(line, None, thread, tables.tokens[number])
        if kind == WRITTEN:
            written: Event = tables.written[number]._replace(line=line, thread=thread)
            return written
        if kind == LINE:
            owner = tables.pes[place] if flags & PRIVATE else None
            return Line(line, None, thread, owner, number, flags & LEVEL != 0)
        if kind == ACCESS:
            device = DEVICES[flags >> DEVICE_SHIFT]
            return Access(
                line,
                None,
                thread,
                device,
                tables.pes[place] if device == "gicr" else None,
                number,
                1 << (flags & SIZE_MASK),
                value if flags & HAS_VALUE else None,
                flags & WRITE != 0,
                flags & SECURE != 0,
                flags & ILLEGAL != 0,
            )
        pe = tables.pes[place]
        if kind == SYSREG:
            return SysReg(line, None, thread, pe, tables.registers[number], value, flags & WRITE != 0)
        if kind == SGI:
            return Sgi(line, None, thread, pe, number, flags & IRM != 0, value >> 16, value & 0xFFFF)
        if kind == DELIVERY:
            return Delivery(line, None, thread, pe, number)
        if kind == CANDIDATE:
            return Candidate(line, None, thread, pe, number, flags, value)
        if kind == OUTPUTS:
            return Outputs(line, None, thread, pe, flags & FIQ != 0, flags & IRQ != 0)
        if kind == VIRTUAL_CANDIDATE:
            return VirtualCandidate(line, None, thread, pe, number - 1, value >> 16, flags, value & 0xFFFF)
        if kind == VIRTUAL_OUTPUTS:
            return VirtualOutputs(line, None, thread, pe, flags & FIQ != 0, flags & IRQ != 0)
        if kind == MAINTENANCE:
            return Maintenance(line, None, thread, pe, flags & LEVEL != 0)
    except IndexError:
        raise RecordError("it names something that the file's tables do not hold") from None
    raise RecordError(f"unknown kind {kind}")
