"""Opens a trace of any kind that can be read."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Literal, TypeAlias

from mmio.trace.errors import LostEventsError, TraceError
from mmio.trace.events import Event, Text
from mmio.trace.lines import TextLines
from mmio.trace.packed import MAGIC, PackedFile
from mmio.trace.qemu import read_qemu
from mmio.trace.records import Packer, RecordError, RecordSink, Tables
from mmio.trace.scanner import QemuScanner

__all__ = ["Format", "TraceReader", "open_trace"]

Format: TypeAlias = Literal["qemu", "native", "packed"]

_TextEvents: TypeAlias = Callable[[Iterable[tuple[int, str]], str], Iterator[Event]]


def _text_reader(trace_format: Format) -> _TextEvents:
    """What reads the lines of a format. Most traces are QEMU's, and load no other."""
    if trace_format == "qemu":
        return read_qemu
    from mmio.trace.native import read_native

    return read_native


def open_trace(path: str | os.PathLike[str], name: str | None = None) -> "TraceReader":
    """Find out what kind of trace a file is from what is in it, and return a reader for it.

    A file that starts with a JSON object is a native trace, any other text a QEMU log; both may be compressed
    (`mmio.unpacking`). `name` is what the reader and its errors call the file, where that is not its path. Raises
    `TraceError` when the file cannot be read, is empty or binary, or has a header of an unknown version.
    """
    lines = TextLines(path, name)
    if _starts_with(lines, MAGIC):
        return PackedReader(PackedFile(path, name))
    _, first = next(iter(lines))
    if first.startswith("{"):
        from mmio.trace.native import read_header

        return TextReader(lines, "native", read_header(first, lines.path))
    return TextReader(lines, "qemu", {})


def _starts_with(lines: TextLines, magic: bytes) -> bool:
    try:
        with open(lines.file, "rb") as file:
            return file.read(len(magic)) == magic
    except OSError as error:
        raise TraceError(lines.path, 0, f"cannot be read: {error.strerror}") from error


class TraceReader:
    """The events of a trace file; every iteration is a new pass over the file, which is never held in memory.

    Iterating raises `TraceError` where the file is damaged or not as its format says, and at the end of a file
    without any event. The events before come first.
    """

    def __init__(
        self, path: str, trace_format: Format, metadata: Mapping[str, object], total_bytes: int, tables: Tables
    ) -> None:
        self.path = path
        """The file, as it was named to `open_trace`."""
        self.format = trace_format
        """"qemu", "native" or "packed"."""
        self.metadata = metadata
        """What the header of a native or packed trace says besides its format; empty for a QEMU log."""
        self.warnings: list[str] = []
        """What the last pass found that does not make the trace unusable, one line each."""
        self.total_bytes = total_bytes
        """Size of the file on disk."""
        self.tables = tables
        """What the records refer to that `feed` hands over."""

    @property
    def bytes_read(self) -> int:
        """How far in the file on disk the last pass has got."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[Event]:
        raise NotImplementedError

    def events_from(self, first: int) -> Iterator[Event]:
        """The events from `first` on, counted from 0, by themselves: no pass that is under way notices."""
        raise NotImplementedError

    def feed(self, sink: RecordSink, progress: Callable[[], None] | None = None) -> None:
        """A pass that hands the events over as records, until the sink wants no more; raises as iterating does.

        `progress` is called now and then.
        """
        raise NotImplementedError


class TextReader(TraceReader):
    """A trace that is text, of one event a line."""

    def __init__(self, lines: TextLines, trace_format: Format, metadata: Mapping[str, object]) -> None:
        self._packer = Packer()
        super().__init__(lines.path, trace_format, metadata, lines.total_bytes, self._packer.tables)
        self._lines = lines

    @property
    def bytes_read(self) -> int:
        """How far in the file on disk the last pass has got."""
        return self._lines.bytes_read

    def __iter__(self) -> Iterator[Event]:
        self.warnings.clear()
        found = False
        try:
            for event in _text_reader(self.format)(self._lines, self.path):
                found = found or not isinstance(event, Text)
                yield event
        except TraceError as error:
            self._forgive(error)
        if not found:
            raise self._no_event()

    def events_from(self, first: int) -> Iterator[Event]:
        """The events from `first` on."""
        # The first line of a native trace is its header.
        skipped = first + (self.format == "native")
        return _text_reader(self.format)(islice(TextLines(self._lines.file, self.path), skipped, None), self.path)

    def feed(self, sink: RecordSink, progress: Callable[[], None] | None = None) -> None:
        """Hand the events over as records."""
        if self.format != "qemu":
            self._feed_events(sink, progress)
            return
        self.warnings.clear()
        scanner = QemuScanner(self.path, self._packer)
        try:
            for count, lines in self._lines.blocks():
                if scanner.scan(lines, count, sink):
                    return
                if progress is not None:
                    progress()
        except RecordError as error:
            raise TraceError(self.path, 0, str(error)) from error
        except TraceError as error:
            self._forgive(error)
        if not scanner.found_event:
            raise self._no_event()

    def _feed_events(self, sink: RecordSink, progress: Callable[[], None] | None) -> None:
        packer = self._packer
        for index, event in enumerate(self):
            try:
                if sink.take(packer.pack(event), 0, index, packer.thread(event.thread)):
                    return
            except RecordError as error:
                raise TraceError(self.path, event.line, str(error)) from error
            if progress is not None and not index & 0xFFF:
                progress()

    def _forgive(self, error: TraceError) -> None:
        """A recorder that was killed leaves a last line like this; any other error is one."""
        if isinstance(error, LostEventsError) or not self._lines.unterminated:
            raise error
        self.warnings.append(f"{error}; the file ends within this line, which is left out")

    def _no_event(self) -> TraceError:
        return TraceError(self.path, 0, "holds no trace event")


class PackedReader(TraceReader):
    """A packed trace."""

    def __init__(self, packed: PackedFile) -> None:
        super().__init__(packed.path, "packed", packed.metadata, packed.total_bytes, packed.tables)
        self._packed = packed
        self._bytes_read = 0

    @property
    def bytes_read(self) -> int:
        """How far in the file on disk the last pass has got."""
        return self._bytes_read

    def __iter__(self) -> Iterator[Event]:
        if not self._packed.count:
            raise TraceError(self.path, 0, "holds no trace event")
        yield from self._packed.events()
        self._bytes_read = self.total_bytes

    def events_from(self, first: int) -> Iterator[Event]:
        """The events from `first` on."""
        return self._packed.events(first)

    def feed(self, sink: RecordSink, progress: Callable[[], None] | None = None) -> None:
        """Hand the events over as records."""
        if not self._packed.count:
            raise TraceError(self.path, 0, "holds no trace event")
        for done in self._packed.feed(sink):
            self._bytes_read = done
            if progress is not None:
                progress()
