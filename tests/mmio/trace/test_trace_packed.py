"""The packed trace file: what is in it, and what can be wrong with it."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from collected import Collector, kept
from mmio.trace import (
    Access,
    CpuReset,
    Event,
    NativeWriter,
    Other,
    PackedFile,
    PackedWriter,
    SysReg,
    Text,
    TraceError,
    open_trace,
)
from mmio.trace.packed import MAGIC

EVENTS: list[Event] = [
    CpuReset(1, 5_000, 9, "0x55e30a100b80"),
    Access(2, 6_000, 7, "gicd", None, 0xFFE8, 4, 0x3B, False, False, False),
    Text(3, None, None, "qemu: warning"),
    SysReg(5, None, None, 0x102, "ICC_PMR", 0xF8, True),
    # No record holds this one.
    Access(6, 7_000, 8, "pl011", None, 0x18, 4, 0x90, False, False, False),
    Other(7, 8_000, 8, "gicv3_its_cmd_sync", "GICv3 ITS: command SYNC"),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "boot.vgpk"


def write(path: Path, events: list[Event] = EVENTS) -> PackedWriter:
    with PackedWriter(path, {"source": "boot.log"}) as writer:
        for event in events:
            writer.write(event)
    return writer


def refused(path: Path) -> str:
    """What is said about the file, after its name, by whoever reads it."""
    with pytest.raises(TraceError) as error:
        list(open_trace(path))
    assert error.value.path == str(path)
    assert "\n" not in str(error.value)
    return error.value.message


def test_what_is_written_is_read(path: Path) -> None:
    write(path)
    trace = open_trace(path)
    assert (trace.format, trace.metadata, trace.warnings) == ("packed", {"source": "boot.log"}, [])
    assert list(trace) == list(trace) == [kept(event) for event in EVENTS]
    assert list(trace.events_from(4)) == [kept(event) for event in EVENTS[4:]]
    assert trace.bytes_read == trace.total_bytes == path.stat().st_size


def test_records_are_handed_over(path: Path) -> None:
    write(path)
    trace = open_trace(path)
    sink, calls = Collector(trace.tables), []
    trace.feed(sink, lambda: calls.append(trace.bytes_read))
    assert [type(event) for event in sink.events] == [type(event) for event in EVENTS]
    assert calls == [64 + 24 * len(EVENTS)]


def test_many_records_are_handed_over_in_pieces(path: Path) -> None:
    write(path, EVENTS * 1_000)
    trace = open_trace(path)
    sink, few = Collector(trace.tables), Collector(trace.tables, most=3_000)
    trace.feed(sink)
    assert sink.indices == list(range(6_000))
    trace.feed(few)
    assert len(few.events) == 3_000


def test_what_is_left_out_is_counted(path: Path) -> None:
    writer = write(path)
    assert (writer.times, writer.texts) == (4, 2)
    assert PackedFile(path).left_out == {"times": 4, "texts": 2}


def test_to_native_and_back(path: Path, tmp_path: Path) -> None:
    write(path)
    native, again = tmp_path / "boot.jsonl", tmp_path / "again.vgpk"
    with NativeWriter(native) as writer:
        for event in open_trace(path):
            writer.write(event)
    write(again, list(open_trace(native)))
    # The native format counts its own lines.
    expected = [event._replace(line=line) for line, event in enumerate(open_trace(path), 2)]
    assert list(open_trace(again)) == expected


def test_the_same_events_give_the_same_bytes(path: Path, tmp_path: Path) -> None:
    write(path)
    write(tmp_path / "other.vgpk")
    assert path.read_bytes() == (tmp_path / "other.vgpk").read_bytes()


def test_it_appears_complete_or_not_at_all(path: Path) -> None:
    path.write_text("what was there")
    with pytest.raises(TraceError), PackedWriter(path) as writer:
        writer.write(EVENTS[2]._replace(line=1 << 32))
    assert path.read_text() == "what was there"
    assert list(path.parent.iterdir()) == [path]


def test_a_line_beyond_what_it_counts(path: Path) -> None:
    with pytest.raises(TraceError, match=r"boot\.vgpk: line 4294967296 is beyond what a packed trace can count$"):
        write(path, [EVENTS[2]._replace(line=1 << 32)])


def test_a_trace_without_events(path: Path) -> None:
    write(path, [])
    assert refused(path) == "holds no trace event"
    with pytest.raises(TraceError, match="holds no trace event"):
        open_trace(path).feed(Collector(open_trace(path).tables))


@pytest.mark.parametrize("size", [8, 63, 64, 64 + 23, 64 + 6 * 24, -1])
def test_truncated(path: Path, size: int) -> None:
    write(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:size])
    message = refused(path)
    if 0 < size < 64:
        assert message == f"the file is truncated: {size} bytes, less than its header has"
    else:
        length = len(whole[:size])
        assert message == f"the file is truncated or damaged: {length} bytes, by its header {len(whole)}"


def test_longer_than_it_says(path: Path) -> None:
    write(path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes() + b"x")
    assert refused(path) == f"the file is truncated or damaged: {size + 1} bytes, by its header {size}"


def patched(path: Path, place: int, data: bytes) -> None:
    contents = bytearray(path.read_bytes())
    contents[place : place + len(data)] = data
    path.write_bytes(contents)


def test_another_version(path: Path) -> None:
    write(path)
    patched(path, 8, b"\2")
    assert refused(path) == "version 2 of the packed format is unknown; known is 1"


@pytest.mark.parametrize("place", [12, 16, 24, 32, 36])
def test_a_damaged_header(path: Path, place: int) -> None:
    write(path)
    patched(path, place, b"\xff")
    assert refused(path) == "the header is damaged: its checksum does not fit"


def test_damaged_tables(path: Path) -> None:
    write(path)
    patched(path, 64 + 24 * len(EVENTS) + 5, b"\xff")
    assert refused(path) == f"the tables at byte {64 + 24 * len(EVENTS)} are damaged: their checksum does not fit"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"pes":["0.0.1.2"]', b'"pes":["0.0.1.x"]'),
        (b'"pes":["0.0.1.2"]', b'"pez":["0.0.1.2"]'),
        (b'"threads":[null,', b'"threads":["no",'),
        (b'"left_out":{"times"', b'"left_out":["times"'),
        (b'{"metadata"', b'["metadata"'),
    ],
)
def test_tables_that_are_something_else(path: Path, old: bytes, new: bytes) -> None:
    write(path)
    contents = path.read_bytes()
    tables = contents[64 + 24 * len(EVENTS) :]
    assert old in tables
    tables = tables.replace(old, new)
    header = struct.pack("<8sIIQQI", MAGIC, 1, 24, len(EVENTS), len(tables), zlib.crc32(tables))
    header += struct.pack("<I", zlib.crc32(header))
    path.write_bytes(header + bytes(24) + contents[64 : 64 + 24 * len(EVENTS)] + tables)
    assert refused(path).startswith(f"the tables at byte {64 + 24 * len(EVENTS)} are not what this version has: ")
    # A packed trace has no lines to name.
    with pytest.raises(TraceError) as error:
        list(open_trace(path))
    assert str(error.value) == f"{path}: {error.value.message}"


@pytest.mark.parametrize(
    ("record", "field", "message"),
    [
        (3, (0, b"\x0f"), "unknown kind 15"),
        (3, (2, b"\x09"), "it names something that the file's tables do not hold"),
        (3, (16, b"\x01"), "it names something that the file's tables do not hold"),
        (4, (16, b"\x01"), "it names something that the file's tables do not hold"),
        (5, (20, b"\x09"), "it names something that the file's tables do not hold"),
    ],
)
def test_a_damaged_record(path: Path, record: int, field: tuple[int, bytes], message: str) -> None:
    write(path)
    patched(path, 64 + 24 * record + field[0], field[1])
    assert refused(path) == f"record {record}: {message}"


@pytest.mark.parametrize("make", [lambda path: path.mkdir(), lambda path: None])
def test_a_file_that_cannot_be_read(path: Path, make: Callable[[Path], None]) -> None:
    make(path)
    with pytest.raises(TraceError, match=r"cannot be read|is not a regular file"):
        open_trace(path)
    with pytest.raises(TraceError, match="cannot be read"):
        PackedFile(path)


def test_no_packed_trace(path: Path) -> None:
    path.write_bytes(bytes(100))
    with pytest.raises(TraceError, match=r"is no packed trace$"):
        PackedFile(path)
