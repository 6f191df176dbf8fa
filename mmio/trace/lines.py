"""The numbered text lines of a file, plain or compressed, read as a stream."""

import os
import stat
from collections.abc import Iterator
from typing import BinaryIO

from mmio.trace.errors import TraceError
from mmio.unpacking import UnpackError, unpacked

__all__ = ["TextLines"]

_CHUNK = 1 << 15
"""Bytes read at a time."""

_PIECE = 1 << 16
"""Bytes of a block of lines."""

_LONGEST = 1 << 20
"""Bytes a line may have; without a bound, a file without line ends would have to be held whole."""


class TextLines:
    """The lines of a file as pairs of number, counted from 1, and text without the line end.

    Every iteration is a new pass over the file, which is open only during the pass. Lines end in "\\n" or
    "\\r\\n"; the text is UTF-8. Raises `TraceError`, when made or while iterating, for a file that cannot be
    read, is empty, is compressed and damaged, or holds anything but text. The lines before the damage come first;
    where compressed data is corrupt, the damage may be some lines after the one that is named.

    `name` is what errors call the file, where that is not its path.
    """

    def __init__(self, path: str | os.PathLike[str], name: str | None = None) -> None:
        self.file = os.fspath(path)
        """The file that is read."""
        self.path = self.file if name is None else name
        """What it is called."""
        try:
            status = os.stat(self.file)
        except OSError as error:
            raise TraceError(self.path, 0, f"cannot be read: {error.strerror}") from error
        if not stat.S_ISREG(status.st_mode):
            # A pipe would not do, because a second pass would find it drained.
            raise TraceError(self.path, 0, "is not a regular file")
        self.total_bytes = status.st_size
        """Size of the file on disk."""
        self.bytes_read = 0
        """How far in the file on disk the last pass got."""
        self.unterminated = False
        """Whether the last pass reached a last line without a line end."""

    def __iter__(self) -> Iterator[tuple[int, str]]:
        for count, lines in self.blocks():
            for line in lines:
                count += 1
                yield count, line.decode()

    def blocks(self) -> Iterator[tuple[int, list[bytes]]]:
        """The lines in blocks of many: how many lines come before, and the lines, in UTF-8."""
        self.bytes_read = 0
        self.unterminated = False
        count = 0
        tail = b""
        try:
            with open(self.file, "rb", buffering=0) as file:
                for contents in unpacked(self._chunks(file)):
                    contents = tail + contents
                    end = contents.rfind(b"\n") + 1
                    tail = contents[end:]
                    for block in _pieces(contents, end):
                        for lines in self._lines(block, count):
                            yield count, lines
                            count += len(lines)
                    if len(tail) > _LONGEST:
                        raise TraceError(self.path, count + 1, f"the line is longer than {_LONGEST} bytes")
        except UnpackError as error:
            raise TraceError(self.path, count + 1, str(error)) from error
        except OSError as error:
            raise TraceError(self.path, count, f"cannot be read: {error.strerror}") from error
        if tail:
            for lines in self._lines(tail + b"\n", count):
                self.unterminated = True
                yield count, lines
        elif not count:
            raise TraceError(self.path, 0, "is empty")

    def _chunks(self, file: BinaryIO) -> Iterator[bytes]:
        while chunk := file.read(_CHUNK):
            self.bytes_read += len(chunk)
            yield chunk

    def _lines(self, block: bytes, count: int) -> Iterator[list[bytes]]:
        """The lines of a block that ends in a line end; `count` lines came before."""
        bad = _first_bad_byte(block)
        good = block if bad is None else block[: block.rfind(b"\n", 0, bad) + 1]
        if b"\r" in good:
            good = good.replace(b"\r\n", b"\n")
        lines = good.split(b"\n")
        lines.pop()
        if lines:
            yield lines
        if bad is not None:
            message = f"not a text file: there is a byte {block[bad]:#04x} that no UTF-8 text has there"
            raise TraceError(self.path, count + len(lines) + 1, message)


def _pieces(contents: bytes, end: int) -> Iterator[bytes]:
    """The whole lines in the first `end` bytes, in pieces that fit a processor's cache where lines are short."""
    start = 0
    while start < end:
        cut = contents.rfind(b"\n", start, min(start + _PIECE, end)) + 1
        if not cut:
            cut = contents.find(b"\n", start) + 1
        yield contents[start:cut]
        start = cut


def _first_bad_byte(block: bytes) -> int | None:
    """Where the block stops being text: at a byte that is not UTF-8, or at a NUL, which is, but not in a log."""
    bad = len(block)
    if not block.isascii():
        try:
            block.decode()
        except UnicodeDecodeError as error:
            bad = error.start
    nul = block.find(0, 0, bad)
    if nul >= 0:
        return nul
    return bad if bad < len(block) else None
