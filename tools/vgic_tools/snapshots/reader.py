"""Reads numbers, big-endian, and names from the bytes of a snapshot."""

from mmap import mmap
from typing import TypeAlias

from vgic_tools.snapshots.errors import SnapshotError

__all__ = ["Buffer", "Reader"]

Buffer: TypeAlias = bytes | mmap


class Reader:
    """Where reading has got to. Raises SnapshotError where the bytes end."""

    def __init__(self, data: Buffer, at: int = 0) -> None:
        self.data = data
        self.at = at

    def number(self, size: int) -> int:
        """A number of `size` bytes."""
        return int.from_bytes(self.take(size), "big")

    def u8(self) -> int:
        """8 bits."""
        return self.number(1)

    def u32(self) -> int:
        """32 bits."""
        return self.number(4)

    def u64(self) -> int:
        """64 bits."""
        return self.number(8)

    def name(self) -> str:
        """A text behind its length in a byte."""
        return self.take(self.u8()).decode("utf-8", "replace")

    def take(self, size: int) -> bytes:
        """The next `size` bytes."""
        start = self.skip(size)
        return bytes(self.data[start : self.at])

    def skip(self, size: int) -> int:
        """Go on behind the next `size` bytes; where they begin."""
        start = self.at
        if start + size > len(self.data):
            raise SnapshotError(f"cut off: {size:,} bytes are to come at byte {start:#x} of {len(self.data):,}")
        self.at = start + size
        return start
