"""Initial RAM file systems: cpio archives (newc) with the same bytes for the same files.

Linux, Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["Entry", "archive", "console", "directory", "program", "symlink", "text"]

_DIRECTORY: Final = 0o040755
_PROGRAM: Final = 0o100755
_TEXT: Final = 0o100644
_SYMLINK: Final = 0o120777
_CONSOLE: Final = 0o020600
_CONSOLE_DEVICE: Final = (5, 1)

_ALIGNMENT: Final = 4


class Entry(NamedTuple):
    """A file of an archive."""

    name: str
    """Without a slash in front."""
    mode: int
    """Kind and permissions, as in stat."""
    content: bytes = b""
    device: tuple[int, int] = (0, 0)
    """Major and minor number of a device."""


def directory(name: str) -> Entry:
    """An empty directory."""
    return Entry(name, _DIRECTORY)


def program(name: str, content: bytes) -> Entry:
    """A file that can be executed."""
    return Entry(name, _PROGRAM, content)


def text(name: str, content: str) -> Entry:
    """A file to read."""
    return Entry(name, _TEXT, content.encode())


def symlink(name: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(name, _SYMLINK, target.encode())


def console() -> Entry:
    """/dev/console, which init is given; the kernel makes all other devices."""
    return Entry("dev/console", _CONSOLE, device=_CONSOLE_DEVICE)


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of these files, whose directories come before what is in them."""
    whole = [*entries, Entry("TRAILER!!!", 0)]
    return b"".join(_packed(inode, entry) for inode, entry in enumerate(whole, 1))


def _packed(inode: int, entry: Entry) -> bytes:
    path = entry.name.encode() + b"\0"
    fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.content), 0, 0, *entry.device, len(path), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + path
    return _padded(head) + _padded(entry.content)


def _padded(piece: bytes) -> bytes:
    return piece + bytes(-len(piece) % _ALIGNMENT)
