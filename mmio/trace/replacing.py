"""Writes a text file so that it appears complete or not at all."""

import errno
import gzip
import io
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

__all__ = ["replacing"]


@contextmanager
def replacing(path: str) -> Iterator[TextIO]:
    """Open an ASCII text file for writing; it gets its name, replacing an older file, when the block succeeds.

    It is packed when the name ends in ".gz", and then the bytes depend on the text alone. Raises `OSError` when
    it cannot be written, also where `path` names something that must not be replaced, such as a device.
    """
    # Replacing a symbolic link would leave the file that it points to as it was.
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file", path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            # Without a name and a time in it, the gzip header is always the same.
            binary = gzip.GzipFile("", "wb", 6, file, 0) if path.endswith(".gz") else file
            with io.TextIOWrapper(binary, encoding="ascii", newline="\n") as text:
                yield text
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
