"""Writes a text file, packed where its name says so, that appears complete or not at all."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from mmio.replacing import replacing_file

if TYPE_CHECKING:
    from gzip import GzipFile

__all__ = ["replacing"]


@contextmanager
def replacing(path: str) -> Iterator[TextIO]:
    """Open an ASCII text file for writing; it gets its name, replacing an older file, when the block succeeds.

    It is packed when the name ends in ".gz", and then the bytes depend on the text alone. Raises `OSError` as
    `replacing_file` does.
    """
    with replacing_file(path) as file:
        # Without a name and a time in it, the gzip header is always the same.
        binary = _gzip()("", "wb", 6, file, 0) if path.endswith(".gz") else file
        with io.TextIOWrapper(binary, encoding="ascii", newline="\n") as text:
            yield text


def _gzip() -> "type[GzipFile]":
    # Whoever reads, or writes plain text, need not load it.
    from gzip import GzipFile

    return GzipFile
