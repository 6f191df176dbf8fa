"""Opens a trace of any kind that can be read."""

import os
from collections.abc import Iterator, Mapping
from typing import Literal, TypeAlias

from mmio.trace.errors import LostEventsError, TraceError
from mmio.trace.events import Event, Text
from mmio.trace.lines import TextLines
from mmio.trace.native import read_header, read_native
from mmio.trace.qemu import read_qemu

__all__ = ["Format", "TraceReader", "open_trace"]

Format: TypeAlias = Literal["qemu", "native"]

_READERS = {"qemu": read_qemu, "native": read_native}


def open_trace(path: str | os.PathLike[str]) -> "TraceReader":
    """Find out what kind of trace a file is, plain or gzip, from what is in it, and return a reader for it.

    A file that starts with a JSON object is a native trace, any other text a QEMU log. Raises `TraceError`
    when the file cannot be read, is empty or binary, or has a native header of an unknown version.
    """
    lines = TextLines(path)
    _, first = next(iter(lines))
    if first.startswith("{"):
        return TraceReader(lines, "native", read_header(first, lines.path))
    return TraceReader(lines, "qemu", {})


class TraceReader:
    """The events of a trace file; every iteration is a new pass over the file, which is never held in memory.

    Iterating raises `TraceError` where the file is damaged or not as its format says, and at the end of a file
    without any event. The events before come first.
    """

    def __init__(self, lines: TextLines, trace_format: Format, metadata: Mapping[str, object]) -> None:
        self._lines = lines
        self.path = lines.path
        """The file, as it was named to `open_trace`."""
        self.format = trace_format
        """"qemu" or "native"."""
        self.metadata = metadata
        """What the header of a native trace says besides its format; empty for a QEMU log."""
        self.warnings: list[str] = []
        """What the last pass found that does not make the trace unusable, one line each."""
        self.total_bytes = lines.total_bytes
        """Size of the file on disk."""

    @property
    def bytes_read(self) -> int:
        """How far in the file on disk the last pass has got."""
        return self._lines.bytes_read

    def __iter__(self) -> Iterator[Event]:
        self.warnings.clear()
        found = False
        try:
            for event in _READERS[self.format](self._lines, self.path):
                found = found or not isinstance(event, Text)
                yield event
        except TraceError as error:
            # A recorder that was killed leaves such a line.
            if isinstance(error, LostEventsError) or not self._lines.unterminated:
                raise
            self.warnings.append(f"{error}; the file ends within this line, which is left out")
        if not found:
            raise TraceError(self.path, 0, "holds no trace event")
