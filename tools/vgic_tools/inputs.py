"""The files that commands read: whole or as traces, plain or compressed, "-" for standard input."""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import BinaryIO, Final

from mmio.trace import TraceError, TraceReader, open_trace
from mmio.unpacking import UnpackError, unpacked
from vgic_tools.errors import UsageError

__all__ = [
    "STANDARD_INPUT",
    "is_given_once",
    "kept",
    "opened_trace",
    "read_bytes",
    "read_text",
    "shown_name",
]

STANDARD_INPUT: Final = "-"

_NAME: Final = "standard input"
"""What messages call it."""

_CHUNK: Final = 1 << 16

_TOLD_BY: Final = 100
"""Lines that tell of what kind a text is."""

_MOST: Final = 1 << 30
"""Bytes of a file that is read whole, unpacked: the state of 65,536 vCPUs is a fraction of that."""


def is_given_once(*names: object) -> None:
    """Raise UsageError where more than one of the names is that of standard input, which can be read once."""
    if [str(name) for name in names].count(STANDARD_INPUT) > 1:
        raise UsageError(f"{_NAME} can be one input, and - is given for several")


def read_bytes(name: str | os.PathLike[str], most: int = _MOST) -> bytes:
    """What is in a file, or comes from a pipe, unpacked.

    Raises UsageError where it cannot be read, is a device, or has more than `most` bytes.
    """
    try:
        return _contents(name, most)
    except OSError as error:
        raise UsageError(f"{shown_name(name)}: {error.strerror}") from error


def _contents(name: str | os.PathLike[str], most: int = _MOST) -> bytes:
    shown = shown_name(name)
    contents = bytearray()
    try:
        with _opened(name) as file:
            for piece in unpacked(_chunks(file)):
                contents += piece
                if len(contents) > most:
                    raise UsageError(
                        f"{shown}: has more than {most:,} bytes, the most that are read of such a file"
                    )
    except UnpackError as error:
        raise UsageError(f"{shown}: {error}") from error
    return bytes(contents)


def read_text(name: str | os.PathLike[str], most: int = _MOST) -> str:
    """The text in a file, as `read_bytes` does. Raises UsageError where it is none, too."""
    try:
        return read_bytes(name, most).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"{shown_name(name)}: not text") from error


@contextmanager
def opened_trace(name: str) -> Iterator[TraceReader]:
    """The reader of a trace. Raises TraceError as `open_trace` does, and UsageError as `kept` does."""
    with kept(name) as path:
        try:
            yield open_trace(path, shown_name(name))
        except TraceError as error:
            raise _explained(error, path) from error


def _explained(error: TraceError, path: str) -> TraceError:
    """What is wrong with a trace, where it is of a kind that another command reads."""
    from mmio.trace.kernel import is_kernel_trace
    from mmio.trace.lines import TextLines

    try:
        kernel = is_kernel_trace(line for _, line in islice(TextLines(path), _TOLD_BY))
    except TraceError:
        return error
    message = "is a trace of a Linux kernel, which does not hold what a replay needs: vgic exits reads it"
    return TraceError(error.path, 0, message) if kernel else error


@contextmanager
def kept(name: str) -> Iterator[str]:
    """The path of a file that can be read more than once: what comes from a pipe is in a temporary file meanwhile.

    A trace is read from its start again where something is to be told of it, so that it need not be held in memory.
    Raises UsageError where standard input or a pipe cannot be read, or kept.
    """
    if name != STANDARD_INPUT and not _is_pipe(name):
        yield name
        return
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="vgic-") as file:
        try:
            with _opened(name) as pipe:
                for chunk in _chunks(pipe):
                    file.write(chunk)
            file.flush()
        except OSError as error:
            where = tempfile.gettempdir()
            raise UsageError(f"{shown_name(name)}: cannot be kept in {where}: {error.strerror}") from error
        yield file.name


def shown_name(name: str | os.PathLike[str]) -> str:
    """What messages call an input."""
    return _NAME if os.fspath(name) == STANDARD_INPUT else os.fspath(name)


def _is_pipe(name: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(name).st_mode)
    except OSError:
        return False  # Opening it says why.


@contextmanager
def _opened(name: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    if os.fspath(name) == STANDARD_INPUT:
        if sys.stdin is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        yield sys.stdin.buffer
        return
    with open(name, "rb", buffering=0) as file:
        mode = os.fstat(file.fileno()).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise UsageError(f"{name}: is not a regular file")
        yield file


def _chunks(file: BinaryIO) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk
