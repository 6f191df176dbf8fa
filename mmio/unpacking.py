"""Unpacks compressed data as a stream, whatever of four formats it is in: gzip, bzip2, xz or Zstandard.

The format is known by how the data begins, not by a file's name. Memory is bounded: a piece of what comes out has
at most `PIECE` bytes, however much the data grows, and data that asks for a larger window than `WINDOW` is refused.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from itertools import chain
from typing import Final, NamedTuple, Protocol

__all__ = ["PIECE", "WINDOW", "UnpackError", "unpacked"]

PIECE: Final = 1 << 20
"""Bytes that are unpacked at a time."""

WINDOW: Final = 1 << 28
"""Bytes that an unpacker may remember of what came before; `xz -9` asks for a quarter of it."""


class UnpackError(ValueError):
    """The data is damaged, ends early, or is in a format that cannot be unpacked here; the message says which."""


class _Unpacker(Protocol):
    """What unpacks one member of a file, as in the standard library."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ..., /) -> bytes: ...


class _Gzip:
    """`zlib` with the interface that the other unpackers have."""

    def __init__(self) -> None:
        # Expects a gzip header and checks the sum at the end.
        self._zlib = zlib.decompressobj(16 + zlib.MAX_WBITS)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = PIECE, /) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)


class _Format(NamedTuple):
    name: str
    magic: bytes
    make: Callable[[], _Unpacker]


# Each of the others is loaded when there is data for it.


def _bzip2() -> _Unpacker:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> _Unpacker:
    import lzma

    return lzma.LZMADecompressor(lzma.FORMAT_XZ, WINDOW)


def _zstd() -> _Unpacker:
    """An unpacker of the interpreter (3.14) or of the package that brings it to older ones."""
    for module in ("compression.zstd", "backports.zstd"):
        try:
            found: _Unpacker = import_module(module).ZstdDecompressor()
        except ImportError:
            continue
        return found
    raise UnpackError(
        "the data is Zstandard, which needs Python 3.14 or the package backports.zstd; or unpack it: zstd -dc FILE"
    )


_FORMATS: Final = (
    _Format("gzip", b"\x1f\x8b", _Gzip),
    _Format("bzip2", b"BZh", _bzip2),
    _Format("xz", b"\xfd7zXZ\0", _xz),
    _Format("Zstandard", b"\x28\xb5\x2f\xfd", _zstd),
)


def unpacked(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The data in the chunks, unpacked where it is compressed and as it is where it is not.

    Raises UnpackError where it is damaged or ends early, but yields what comes before.
    """
    iterator = iter(chunks)
    start = b""
    while len(start) < 6 and (more := next(iterator, b"")):
        start += more
    data = chain([start] if start else [], iterator)
    for kind in _FORMATS:
        if start.startswith(kind.magic):
            return _members(data, kind)
    return data


def _members(chunks: Iterable[bytes], kind: _Format) -> Iterator[bytes]:
    member = None
    for data in chunks:
        while data:
            if member is None:
                # Some tools fill the last block of a medium with zeros.
                data = data.lstrip(b"\0")
                if not data:
                    break
                member = kind.make()
            try:
                piece = member.decompress(data, PIECE)
                yield piece
                while not (member.eof or member.needs_input):
                    yield member.decompress(b"", PIECE)
            except Exception as error:  # Each library has errors of its own, some of no common kind.
                raise UnpackError(f"the {kind.name} data is corrupt: {error}") from error
            data = member.unused_data if member.eof else b""
            if member.eof:
                member = None
    if member is not None:
        raise UnpackError(f"the {kind.name} data ends early: the file is truncated")
