"""Opening a trace file: what kind it is, and what can be wrong with a file."""

import gzip
import os
import pickle
from pathlib import Path

import pytest

from mmio.trace import Access, Delivery, LostEventsError, Text, TraceError, open_trace

READ = "27195@1795205157.855973:gicv3_dist_read GICv3 distributor read: offset 0xffe8 data 0x3b size 4 secure 0\n"
SEND = "27195@1795205173.562262:gicv3_redist_send_sgi GICv3 redistributor 0x70a pending SGI 0\n"
HEADER = '{"format":"vgic-trace","version":1,"source":"boot.log"}\n'
DELIVERY = '{"ev":"delivery","pe":"0.0.0.0","intid":1}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace"


def refused(path: Path) -> TraceError:
    """The error of a file, which must name the file and fit on one line."""
    with pytest.raises(TraceError) as caught:
        list(open_trace(path))
    assert caught.value.path == str(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)
    return caught.value


def test_qemu_log(path: Path) -> None:
    path.write_text(READ + "warning\n" + SEND)
    trace = open_trace(path)
    assert [type(event) for event in trace] == [Access, Text, Delivery]
    assert (trace.path, trace.format, trace.metadata, trace.warnings) == (str(path), "qemu", {}, [])


def test_native(path: Path) -> None:
    path.write_text(HEADER + DELIVERY)
    trace = open_trace(str(path))
    assert list(trace) == [Delivery(2, None, None, 0, 1)]
    assert (trace.format, trace.metadata, trace.warnings) == ("native", {"source": "boot.log"}, [])


@pytest.mark.parametrize("text", [READ + SEND, HEADER + DELIVERY])
def test_gzip_is_found_by_its_contents(path: Path, text: str) -> None:
    path.write_text(text)
    plain = list(open_trace(path))
    path.write_bytes(gzip.compress(text.encode()))
    assert list(open_trace(path)) == plain
    # Several members, as from `cat a.gz b.gz`, with the zeros that some tools add.
    path.write_bytes(gzip.compress(text[:50].encode()) + gzip.compress(text[50:].encode()) + bytes(100_000))
    assert list(open_trace(path)) == plain


def test_lines_may_end_as_on_windows(path: Path) -> None:
    path.write_bytes((READ + "warning\n" + SEND).replace("\n", "\r\n").encode())
    events = list(open_trace(path))
    assert [type(event) for event in events] == [Access, Text, Delivery]
    assert events[1] == Text(2, None, None, "warning")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_long_file(path: Path, pack: type[bytes]) -> None:
    # Different lines, so that the gzip data, too, is read in several pieces.
    path.write_bytes(pack("".join(READ.replace("0x3b", hex(n * 7919)) for n in range(20_000)).encode()))
    trace = open_trace(path)
    progress = [trace.bytes_read for _ in trace]
    assert len(progress) == 20_000
    assert progress == sorted(progress)
    assert progress[-1] == trace.total_bytes == path.stat().st_size


def test_every_iteration_is_a_new_pass(path: Path) -> None:
    path.write_text(READ + SEND[:-5])
    trace = open_trace(path)
    assert list(trace) == list(trace)
    assert len(trace.warnings) == 1
    assert next(iter(trace)) == next(iter(trace))


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (READ + SEND[:-7], 2, "malformed gicv3_redist_send_sgi event: 'GICv3 redistributor 0x70a pending'"),
        (HEADER + DELIVERY + '{"ev":"deliv', 3, "not JSON: Unterminated string starting at (column 7)"),
    ],
)
def test_partial_last_line_is_left_out_with_a_warning(path: Path, text: str, line: int, message: str) -> None:
    path.write_text(text)
    trace = open_trace(path)
    assert len(list(trace)) == 1
    assert trace.warnings == [f"{path}:{line}: {message}; the file ends within this line, which is left out"]


def test_last_line_without_line_end_that_parses(path: Path) -> None:
    path.write_text(READ + SEND[:-1])
    trace = open_trace(path)
    assert [type(event) for event in trace] == [Access, Delivery]
    assert trace.warnings == []


def test_the_same_line_elsewhere_is_an_error(path: Path) -> None:
    path.write_text(READ + SEND[:-9] + "\n" + READ)
    assert refused(path).line == 2


@pytest.mark.parametrize("end", ["", "\n", "\n" + READ])
def test_lost_events_are_an_error_even_in_a_partial_line(path: Path, end: str) -> None:
    path.write_text(READ + "CPU:1 [LOST 12 EVENTS]" + end)
    error = refused(path)
    assert isinstance(error, LostEventsError)
    assert error.line == 2


def test_missing_file(path: Path) -> None:
    assert str(refused(path)) == f"{path}: cannot be read: No such file or directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_file_without_permission(path: Path) -> None:
    path.write_text(READ)
    path.chmod(0)
    assert str(refused(path)) == f"{path}: cannot be read: Permission denied"


def test_file_that_goes_away(path: Path) -> None:
    path.write_text(READ)
    trace = open_trace(path)
    path.unlink()
    with pytest.raises(TraceError, match=f"^{path}: cannot be read: No such file or directory$"):
        list(trace)


def test_directory(tmp_path: Path) -> None:
    assert str(refused(tmp_path)) == f"{tmp_path}: is not a regular file"


def test_pipe(path: Path) -> None:
    os.mkfifo(path)
    assert str(refused(path)) == f"{path}: is not a regular file"


@pytest.mark.parametrize("contents", [b"", gzip.compress(b"", mtime=0)])
def test_empty_file(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    assert str(refused(path)) == f"{path}: is empty"


@pytest.mark.parametrize("text", ["hello\nworld\n", "\n", "hello", HEADER, SEND[:-9]])
def test_file_without_any_event(path: Path, text: str) -> None:
    path.write_text(text)
    assert str(refused(path)) == f"{path}: holds no trace event"


@pytest.mark.parametrize(
    ("bad", "byte"), [(b"\x00", "0x00"), (b"ab\xff", "0xff"), (b"\xc3\n", "0xc3"), (b"a\x00\xff", "0x00")]
)
@pytest.mark.parametrize("end", [b"", b"\n", b"\n" + READ.encode()])
def test_binary_data(path: Path, bad: bytes, byte: str, end: bytes) -> None:
    path.write_bytes(READ.encode() * 2 + bad + end)
    assert str(refused(path)).startswith(f"{path}:3: not a text file: there is a byte {byte} ")


def test_binary_file(path: Path) -> None:
    path.write_bytes(bytes(range(256)) * 100)
    assert refused(path).line == 1


def test_endless_line(path: Path) -> None:
    path.write_bytes(b"x" * (3 << 20))
    assert str(refused(path)) == f"{path}:1: the line is longer than 1048576 bytes"


def test_damage_comes_after_the_events_before_it(path: Path) -> None:
    path.write_bytes(READ.encode() * 3 + b"\xff\n" + READ.encode())
    lines = []

    def collect() -> None:
        for event in open_trace(path):
            lines.append(event.line)

    with pytest.raises(TraceError):
        collect()
    assert lines == [1, 2, 3]


def test_truncated_gzip(path: Path) -> None:
    whole = gzip.compress("".join(READ.replace("0x3b", hex(n)) for n in range(10_000)).encode())
    path.write_bytes(whole[: len(whole) // 2])
    reached = 0

    def collect() -> None:
        nonlocal reached
        for event in open_trace(path):
            reached = event.line

    with pytest.raises(TraceError) as caught:
        collect()
    assert 1000 < reached < 10_000
    assert str(caught.value) == f"{path}:{reached + 1}: the gzip data ends early: the file is truncated"


@pytest.mark.parametrize("length", [2, 9, -1, -8])
def test_gzip_truncated_in_its_header_or_trailer(path: Path, length: int) -> None:
    path.write_bytes(gzip.compress(READ.encode())[:length])
    error = refused(path)
    assert error.message == "the gzip data ends early: the file is truncated"


def test_corrupt_gzip(path: Path) -> None:
    whole = bytearray(gzip.compress((READ * 100).encode()))
    whole[-5] ^= 1  # in the check sum
    path.write_bytes(whole)
    assert refused(path).message.startswith("the gzip data is corrupt: ")
    path.write_bytes(gzip.compress(READ.encode()) + b"garbage")
    error = refused(path)
    assert error.message.startswith("the gzip data is corrupt: ")
    assert error.line == 2


def test_error_survives_pickling(path: Path) -> None:
    error = TraceError("boot.log", 3, "malformed")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.path, copy.line, copy.message) == (
        "boot.log:3: malformed",
        "boot.log",
        3,
        "malformed",
    )
