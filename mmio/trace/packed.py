"""The packed trace format: the records of a trace behind a header, in a file that is read where it lies.

A file is a header of 64 bytes, the records (see `mmio.trace.records`), and the tables that they refer to. The
header, little-endian:

| bytes    | what                                                                  |
|----------|-----------------------------------------------------------------------|
| 0 to 7   | `MAGIC`                                                               |
| 8 to 11  | version of the format: this module reads and writes `VERSION`         |
| 12 to 15 | bytes of a record: 24                                                 |
| 16 to 23 | how many records there are                                            |
| 24 to 31 | bytes of the tables, which end the file                               |
| 32 to 35 | CRC-32 of the tables                                                  |
| 36 to 39 | CRC-32 of the 36 bytes before                                         |
| 40 to 63 | zero                                                                  |

The tables are one JSON object: the lists of `Tables`, what is to be told of the trace (`metadata`, free), and what
was left out of it (`left_out`: how many times and texts). PEs are affinities in dotted notation, events are lines
of the native format. Records have no checksum: one that cannot be is found, one that says something else is not.
"""

import json
import mmap
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Final, Self

from mmio.replacing import replacing_file
from mmio.trace.errors import TraceError
from mmio.trace.events import Event, Other, Text
from mmio.trace.native import event_from_json, event_to_json
from mmio.trace.native_fields import affinity_from_text, affinity_to_text
from mmio.trace.records import RECORD_SIZE, Packer, RecordError, RecordSink, Tables, feed, unpack

__all__ = ["MAGIC", "VERSION", "PackedFile", "PackedWriter"]

MAGIC: Final = b"\x89vgicpk\n"
"""No text starts like this."""

VERSION: Final = 1

_HEADER: Final = Struct("<8sIIQQI")
_CRC: Final = Struct("<I")
_HEADER_SIZE: Final = 64

_CHUNK: Final = 2048
"""Records that are handed over at a time."""


class PackedWriter:
    """Writes a packed trace, one event at a time.

        with PackedWriter("boot.vgpk", {"source": "boot.log"}) as writer:
            writer.write(event)

    The file appears under its name only when the `with` block ends without an exception. `metadata` must be what
    `json` can write. Raises `OSError` when the file cannot be written, and `TraceError` for an event beyond what
    the format can hold.
    """

    def __init__(self, path: str | os.PathLike[str], metadata: Mapping[str, object] | None = None) -> None:
        self.times = 0
        """Events whose time was left out."""
        self.texts = 0
        """Events whose text was left out: they are no more than counted by a replay."""
        self._path = os.fspath(path)
        self._metadata = dict(metadata or {})
        self._packer = Packer()
        self._count = 0
        self._waiting: list[bytes] = []
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._file: BinaryIO = self._stack.enter_context(replacing_file(self._path))
        self._file.write(bytes(_HEADER_SIZE))
        return self

    def write(self, event: Event) -> None:
        """Append an event; its `line` is kept."""
        self.times += event.time is not None
        self.texts += isinstance(event, Other | Text)
        try:
            self._waiting.append(self._packer.pack(event))
        except RecordError as error:
            raise TraceError(self._path, 0, str(error)) from error
        if len(self._waiting) == _CHUNK:
            self._flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._flush()
            self._finish()
        self._stack.__exit__(kind, error, trace)

    def _flush(self) -> None:
        self._file.write(b"".join(self._waiting))
        self._count += len(self._waiting)
        self._waiting.clear()

    def _finish(self) -> None:
        tables = self._packer.tables
        document = {
            "metadata": self._metadata,
            "left_out": {"times": self.times, "texts": self.texts},
            "pes": [affinity_to_text(pe) for pe in tables.pes],
            "registers": tables.registers,
            "tokens": tables.tokens,
            "names": tables.names,
            "threads": tables.threads,
            "written": [event_to_json(event) for event in tables.written],
        }
        data = json.dumps(document, separators=(",", ":")).encode()
        self._file.write(data)
        header = _HEADER.pack(MAGIC, VERSION, RECORD_SIZE, self._count, len(data), zlib.crc32(data))
        self._file.seek(0)
        self._file.write(header + _CRC.pack(zlib.crc32(header)))


class PackedFile:
    """A packed trace.

    Raises `TraceError` where the file cannot be read, is damaged or truncated, or has another version.
    The file stays open, and mapped, as long as the object lives. `name` is what errors call it, where that is not
    its path.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        self.path = os.fspath(path) if name is None else name
        try:
            with open(path, "rb") as file:
                self.total_bytes = os.fstat(file.fileno()).st_size
                """Size of the file."""
                if self.total_bytes < _HEADER_SIZE:
                    raise self._damage(f"the file is truncated: {self.total_bytes} bytes, less than its header has")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise TraceError(self.path, 0, f"cannot be read: {error.strerror}") from error
        tables_size = self._read_header()
        self.metadata: dict[str, object] = {}
        """What the writer was given."""
        self.left_out: dict[str, int] = {}
        """What the format does not hold of the trace: how many times and texts."""
        self.tables = self._read_tables(bytes(self._map[len(self._map) - tables_size :]))
        """What the records refer to."""

    def feed(self, sink: RecordSink) -> Iterator[int]:
        """Hand all records to the sink, until it wants no more; yields how many bytes are done, now and then."""
        index = 0
        while index < self.count:
            end = min(index + _CHUNK, self.count)
            try:
                if feed(self._map[_place(index) : _place(end)], index, sink):
                    return
            except RecordError as error:
                raise self._damage(str(error)) from error
            index = end
            yield _place(end)

    def events(self, first: int = 0, last: int | None = None) -> Iterator[Event]:
        """The events from `first` on, counted from 0, up to and without `last`."""
        end = self.count if last is None else min(last, self.count)
        for index in range(first, end):
            try:
                yield unpack(self._map[_place(index) : _place(index + 1)], 0, self.tables)
            except RecordError as error:
                raise self._damage(f"record {index}: {error}") from error

    def _read_header(self) -> int:
        """Check the header; the bytes of the tables."""
        header = self._map[: _HEADER.size]
        magic, version, record_size, self.count, tables_size, self._tables_crc = _HEADER.unpack(header)
        if magic != MAGIC:
            raise TraceError(self.path, 0, "is no packed trace")
        if version != VERSION:
            raise TraceError(self.path, 0, f"version {version} of the packed format is unknown; known is {VERSION}")
        if self._map[_HEADER.size : _HEADER.size + _CRC.size] != _CRC.pack(zlib.crc32(header)):
            raise self._damage("the header is damaged: its checksum does not fit")
        size = _place(self.count) + tables_size
        if record_size != RECORD_SIZE or len(self._map) != size:
            raise self._damage(f"the file is truncated or damaged: {len(self._map)} bytes, by its header {size}")
        return int(tables_size)

    def _read_tables(self, data: bytes) -> Tables:
        place = f"at byte {_place(self.count)}"
        if zlib.crc32(data) != self._tables_crc:
            raise self._damage(f"the tables {place} are damaged: their checksum does not fit")
        tables = Tables()
        try:
            document = json.loads(data)
            self.metadata = dict(document["metadata"])
            self.left_out = {str(what): int(count) for what, count in document["left_out"].items()}
            tables.pes = [affinity_from_text(text) for text in document["pes"]]
            tables.registers = [str(name) for name in document["registers"]]
            tables.tokens = [str(token) for token in document["tokens"]]
            tables.names = [str(name) for name in document["names"]]
            tables.threads = [None if thread is None else int(thread) for thread in document["threads"]]
            tables.written = [event_from_json(text, self.path, 0) for text in document["written"]]
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError, RecursionError) as error:
            if isinstance(error, TraceError):
                raise
            raise self._damage(f"the tables {place} are not what this version has: {error!r}") from error
        return tables

    def _damage(self, message: str) -> TraceError:
        return TraceError(self.path, 0, message)


def _place(index: int) -> int:
    """The byte at which a record starts."""
    return _HEADER_SIZE + index * RECORD_SIZE
