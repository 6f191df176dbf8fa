"""Makes records of the text log that QEMU writes, many lines at a time.

A guest does the same few things over and over: of the 248,963 lines that a boot of Linux on four CPUs leaves, 729
differ in more than thread and time. So what a line says is parsed once, by `read_qemu`, whose grammar is the only
one there is, and its record serves every later line that says the same.
"""

from typing import Final

from mypy_extensions import i64

from mmio.trace.qemu import PREFIX, read_qemu
from mmio.trace.records import TEXT, WRITTEN, Packer, RecordSink, placed

__all__ = ["QemuScanner"]

_MOST_RECORDS: Final = 1 << 16
"""Records that are kept: 15 MB of them, or 30 where lines are long."""

_LONGEST: Final = 256
"""Bytes that a line may say for its record to be kept."""

_MOST_STAMPS: Final = 1 << 10
_LONGEST_STAMP: Final = 23
"""Bytes of a prefix before its microseconds."""

_COLON: Final = 58
_UPPER_Z: Final = 90
_SPACE: Final = 32
_ZERO: Final = 48
_NINE: Final = 57


class QemuScanner:
    """Takes the lines of a log, in order; `path` only names it in errors."""

    def __init__(self, path: str, packer: Packer) -> None:
        self.found_event = False
        """There was a line that is a trace event."""
        self._path = path
        self._packer = packer
        self._records: dict[bytes, bytes] = {}
        # The prefix of a line up to the point before the microseconds, and the thread that it names.
        self._stamps: dict[bytes, int] = {}
        self._stamp = b""
        self._stamp_thread: i64 = 0

    def scan(self, lines: list[bytes], count: i64, sink: RecordSink) -> bool:
        """Hand over the records of some lines; `count` came before. True where the sink wants no more.

        Raises `TraceError` as `read_qemu` does.
        """
        for line in lines:
            stamp = self._stamp
            start: i64 = len(stamp)
            if start and line.startswith(stamp) and _fraction_ends(line, start, self._stamp_thread):
                start += 7 if self._stamp_thread else 8
            else:
                start = self._after_prefix(line, count + 1)
            thread = self._stamp_thread
            said = line[start:]
            record = self._records.get(said)
            if record is None:
                record = self._parse(line, said, count + 1)
            if record[0] == WRITTEN:
                record = placed(record, count + 1, thread)
            if sink.take(record, 0, count, thread):
                return True
            count += 1
        return False

    def _after_prefix(self, line: bytes, number: i64) -> i64:
        """Where the text behind the prefix starts; remembers the prefix, and its thread, for the lines to come."""
        self._stamp_thread = 0
        if not line or not _ZERO <= line[0] <= _NINE:
            return 0
        point = line.find(b".", 0, _LONGEST_STAMP) + 1
        stamp = line[:point]
        known = self._stamps.get(stamp)
        if known is not None and _fraction_ends(line, point, known):
            self._stamp = stamp
            self._stamp_thread = known
            return point + (7 if known else 8)
        self._stamp = b""
        prefix = PREFIX.match(line.decode())
        if prefix is None:
            return 0
        # Raises an error where the time is none.
        for event in read_qemu([(number, line.decode())], self._path):
            thread = self._packer.thread(event.thread)
            self._stamp_thread = thread
            if point and _fraction_ends(line, point, thread):
                if len(self._stamps) >= _MOST_STAMPS:
                    self._stamps.clear()
                self._stamps[stamp] = thread
                self._stamp = stamp
        return prefix.end()

    def _parse(self, line: bytes, said: bytes, number: i64) -> bytes:
        if len(self._records) >= _MOST_RECORDS:
            self._records.clear()
            self._packer.forget_written()
        record = b""
        for event in read_qemu([(number, line.decode())], self._path):
            record = self._packer.pack(event)
        if record[0] != TEXT:
            self.found_event = True
        if len(said) <= _LONGEST:
            self._records[said] = record
        return record


def _fraction_ends(line: bytes, start: i64, thread: i64) -> bool:
    """True where six digits are at `start`, and behind them what ends a prefix: with a thread, or with a date."""
    if len(line) < start + 8:
        return False
    at = start
    while at < start + 6:
        digit: i64 = line[at]
        if digit < _ZERO or digit > _NINE:
            return False
        at += 1
    end: i64 = line[at]
    return end == _COLON if thread else end == _UPPER_Z and line[at + 1] == _SPACE
