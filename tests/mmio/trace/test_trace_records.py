"""Events as records, and back."""

import pytest

from collected import Collector, kept
from mmio.trace import (
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
from mmio.trace.records import RECORD_SIZE, WRITTEN, Packer, RecordError, Tables, feed, number_of, unpack, value_of

WIDE = 1 << 32

EVENTS: list[Event] = [
    Access(1, 5, 6, "gicd", None, 0xFFE8, 4, 0x3B, False, False, False),
    Access(2, None, None, "gicd", None, 0x6100, 8, 0xFFFF_FFFF_FFFF_FFFF, True, True, False),
    Access(3, None, 6, "gicr", 0x0102_0304, 0x1_0400, 1, None, False, False, True),
    Access(4, None, 6, "gits", None, 0x80, 2, 0, True, False, False),
    Access(5, None, 6, "gits_translater", None, 0x40, 4, 3, True, False, False),
    SysReg(6, None, 7, 0xFFFF_FFFF, "ICC_IAR1", 1023, False),
    SysReg(7, None, None, 0, "ICC_SGI1R", 1 << 63, True),
    Sgi(8, None, 7, 0, 15, False, 0xFF_FFFF, 0xFFFF),
    Sgi(9, None, 7, 0, 0, True, 0, 0),
    Delivery(10, None, 7, 1, 15),
    Line(11, None, 7, None, 1019, True),
    Line(12, None, 7, 0, 27, False),
    CpuReset(13, None, 8, "0x55e30a100b80"),
    Candidate(14, None, 8, 1, 0xFFFF_FFFF, 2, 255),
    Candidate(15, None, 8, 1, 27, 0, 160),
    Outputs(16, None, 8, 1, False, True),
    Outputs(17, None, 8, 1, True, False),
    VirtualCandidate(17, None, 8, 1, -1, 0, 0, 255),
    VirtualCandidate(17, None, 8, 1, 15, 8192, 2, 160),
    VirtualCandidate(17, None, 8, 1, 0x7FFF_FFFF, 8192, 2, 160),
    VirtualOutputs(17, None, 8, 1, False, True),
    VirtualOutputs(17, None, 8, 1, True, False),
    Maintenance(17, None, 8, 1, True),
    Maintenance(17, None, 8, 1, False),
    Other(18, None, 8, "gicv3_its_cmd_sync", "GICv3 ITS: command SYNC"),
    Text(0xFFFF_FFFF, None, None, "qemu: warning"),
]

TOO_LARGE: list[Event] = [
    Access(1, None, None, "gicd", None, WIDE, 4, 0, False, False, False),
    Access(1, None, None, "gicd", 3, 0, 4, 0, False, False, False),
    Access(1, None, None, "gicr", None, 0, 4, 0, False, False, False),
    Access(1, None, 4, "pl011", None, 0, 4, 0, False, False, False),
    Sgi(1, None, None, 0, WIDE, False, 0, 0),
    Sgi(1, None, None, 0, 0, False, 0, 0x1_0000),
    Sgi(1, None, None, 0, 0, False, 1 << 48, 0),
    Line(1, None, None, None, WIDE, True),
    Candidate(1, None, None, 0, 0, 0, 1 << 16),
    Candidate(1, None, None, 0, WIDE, 0, 0),
    Candidate(1, None, None, 0, 0, 256, 0),
    VirtualCandidate(1, None, None, 0, -2, 0, 0, 0),
    VirtualCandidate(1, None, None, 0, 0, 0, 0, 1 << 16),
    VirtualCandidate(1, None, None, 0, 0, 1 << 48, 0, 0),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: f"{type(event).__name__} {event.line}")
def test_a_record_keeps_all_but_times_and_texts(event: Event) -> None:
    packer = Packer()
    packer.pack(EVENTS[-2])
    record = packer.pack(event)
    assert len(record) == RECORD_SIZE
    assert record[0] != WRITTEN
    assert unpack(record, 0, packer.tables) == kept(event)


@pytest.mark.parametrize("event", TOO_LARGE, ids=str)
def test_what_does_not_fit_is_kept_as_it_is(event: Event) -> None:
    packer = Packer()
    record, again = packer.pack(event), packer.pack(event._replace(line=9, time=4, thread=5))
    assert (record[0], again[0]) == (WRITTEN, WRITTEN)
    assert unpack(record, 0, packer.tables) == event
    assert unpack(again, 0, packer.tables) == event._replace(line=9, thread=5)
    assert len(packer.tables.written) == 1
    packer.forget_written()
    assert packer.tables.written == []


def test_every_name_is_in_the_tables_once() -> None:
    packer = Packer()
    for event in (*EVENTS, *EVENTS):
        packer.pack(event)
    tables = packer.tables
    assert tables.pes == [0x0102_0304, 0xFFFF_FFFF, 0, 1]
    assert tables.registers == ["ICC_IAR1", "ICC_SGI1R"]
    assert (tables.tokens, tables.names) == (["0x55e30a100b80"], ["gicv3_its_cmd_sync"])
    assert tables.threads == [None, 6, 7, 8]


def test_many_pes() -> None:
    packer = Packer()
    events = [Outputs(1, None, None, pe, False, True) for pe in range(65_540)]
    records = [packer.pack(event) for event in events]
    assert [unpack(record, 0, packer.tables) for record in records] == events


@pytest.mark.parametrize("event", [EVENTS[0], TOO_LARGE[0]])
def test_a_line_beyond_what_a_record_counts(event: Event) -> None:
    with pytest.raises(RecordError, match=r"^line 4294967296 is beyond what a packed trace can count$"):
        Packer().pack(event._replace(line=WIDE))


@pytest.mark.parametrize("value", [0, 1, 0xFFFF_FFFF, WIDE, (1 << 62) - 1, 1 << 62, 1 << 63, (1 << 64) - 1])
def test_wide_values(value: int) -> None:
    record = b"x" + Packer().pack(SysReg(1, None, None, 0, "ICC_PMR", value, True))
    assert value_of(record, 1) == value
    assert number_of(record, 1) == 0


def test_records_are_handed_over_in_order_until_the_sink_has_enough() -> None:
    packer = Packer()
    data = b"".join(packer.pack(event) for event in EVENTS)
    everything, few = Collector(packer.tables), Collector(packer.tables, most=6)
    assert not feed(data, 100, everything)
    assert everything.indices == list(range(100, 100 + len(EVENTS)))
    assert [type(event) for event in everything.events] == [type(event) for event in EVENTS]
    # The thread comes with the events that need it.
    assert [event.thread for event in everything.events if isinstance(event, SysReg | CpuReset)] == [7, None, 8]
    assert feed(data, 0, few)
    assert len(few.events) == 6


@pytest.mark.parametrize("kind", [0, 15, 255])
def test_an_unknown_kind(kind: int) -> None:
    with pytest.raises(RecordError, match=f"^unknown kind {kind}$"):
        unpack(bytes([kind]) + bytes(23), 0, _tables())


@pytest.mark.parametrize("event", [EVENTS[2], EVENTS[5], EVENTS[12], EVENTS[17], EVENTS[-2], TOO_LARGE[0]], ids=str)
def test_a_record_of_another_trace(event: Event) -> None:
    with pytest.raises(RecordError, match=r"^it names something that the file's tables do not hold$"):
        unpack(Packer().pack(event), 0, Tables())


def _tables() -> Tables:
    packer = Packer()
    packer.pack(EVENTS[5])
    return packer.tables
