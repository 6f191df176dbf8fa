"""Writes a file so that it appears complete or not at all, whatever goes wrong on the way."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

__all__ = ["replacing_file"]


@contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file for writing; it gets its name, replacing an older file, when the block succeeds.

    Until then the bytes are in a temporary file beside it, which reaches the disk before it gets the name and is
    removed where the block fails. Raises `OSError` when it cannot be written, also where `path` names something
    that must not be replaced, such as a device.
    """
    # Replacing a symbolic link would leave the file that it points to as it was.
    target = Path(path).resolve()
    if target.exists() and not target.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
        _flush(temporary)
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _flush(path: Path) -> None:
    """Have the bytes of a file that was closed reach the disk."""
    with open(path, "r+b") as file:
        os.fsync(file.fileno())
