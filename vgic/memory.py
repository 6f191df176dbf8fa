"""Guest memory, as the tables of LPIs and of an ITS need it: bytes at physical addresses, little-endian.

A guest may point a table anywhere. So the model asks whether an address is RAM before it reads or writes there;
what is not RAM reads as `UNREADABLE` and takes no writes, and no exception leaves the model because of it.

    ram = vgic.Ram.zeroed(0x4000_0000, 0x10_0000)      # or vgic.Ram(base, an_mmap)
    gic = vgic.Gic(config, memory=ram)
"""

from collections.abc import Iterable
from itertools import pairwise
from mmap import mmap
from typing import Final, Protocol, TypeAlias

from vgic.errors import ConfigError

__all__ = ["UNREADABLE", "GuestMemory", "NoMemory", "Ram", "RamRegions", "read_word", "write_word"]

UNREADABLE: Final = -1
"""What `read_word` returns where there is no RAM."""


class GuestMemory(Protocol):
    """The RAM of a guest. The model reads and writes only where `is_ram` says that it can.

    It does so in the middle of an operation, so that none of these may access the GIC in turn.
    """

    def is_ram(self, address: int, size: int) -> bool:
        """True where all `size` bytes from physical `address` on are RAM. Both may be any integers from 0 on."""

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address` on."""

    def write(self, address: int, data: bytes) -> None:
        """Store `data` from `address` on."""


class NoMemory:
    """A guest that has no RAM, or none that the model is shown."""

    def is_ram(self, address: int, size: int) -> bool:
        """Nowhere."""
        return False

    def read(self, address: int, size: int) -> bytes:
        """Zeros."""
        return bytes(size)

    def write(self, address: int, data: bytes) -> None:
        """Nothing."""


Buffer: TypeAlias = bytearray | memoryview | mmap
"""A writable buffer; a memoryview wraps any other."""


class Ram:
    """One stretch of RAM from the physical address `base` on: a view of `buffer`, which is not copied.

    Raises ConfigError for a buffer that cannot be written.
    """

    def __init__(self, base: int, buffer: Buffer) -> None:
        view = memoryview(buffer).cast("B")
        if view.readonly:
            raise ConfigError(f"the RAM at {base:#x} cannot be written")
        self.base = base
        self.size = len(view)
        """Bytes."""
        self.end = base + self.size
        self._bytes = view

    def __repr__(self) -> str:
        return f"<Ram {self.base:#x}-{self.end - 1:#x}>" if self.size else f"<Ram {self.base:#x}, no bytes>"

    @classmethod
    def zeroed(cls, base: int, size: int) -> "Ram":
        """New RAM of `size` bytes, all zero."""
        return cls(base, bytearray(size))

    def is_ram(self, address: int, size: int) -> bool:
        """True within the stretch."""
        return self.base <= address and address + size <= self.end

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address` on."""
        start = address - self.base
        return bytes(self._bytes[start : start + size])

    def write(self, address: int, data: bytes) -> None:
        """Store `data` from `address` on."""
        start = address - self.base
        self._bytes[start : start + len(data)] = data


class RamRegions:
    """Several stretches of RAM. An access across the seam of two that touch is taken for one outside RAM.

    Raises ConfigError for stretches that overlap.
    """

    def __init__(self, stretches: Iterable[Ram]) -> None:
        self._stretches = sorted(stretches, key=lambda ram: ram.base)
        for lower, upper in pairwise(self._stretches):
            if upper.base < lower.end:
                raise ConfigError(f"the RAM at {lower.base:#x} and the RAM at {upper.base:#x} overlap")

    def __repr__(self) -> str:
        return f"RamRegions({self._stretches})"

    def is_ram(self, address: int, size: int) -> bool:
        """True within one of the stretches."""
        return any(ram.is_ram(address, size) for ram in self._stretches)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address` on."""
        return self._holder(address, size).read(address, size)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` from `address` on."""
        self._holder(address, len(data)).write(address, data)

    def _holder(self, address: int, size: int) -> Ram:
        return next(ram for ram in self._stretches if ram.is_ram(address, size))


def read_word(memory: GuestMemory, address: int, size: int) -> int:
    """The little-endian number in `size` bytes from `address` on, UNREADABLE where not all of them are RAM.

    Rules MEM-1, MEM-2.
    """
    if not memory.is_ram(address, size):
        return UNREADABLE
    return int.from_bytes(memory.read(address, size), "little")


def write_word(memory: GuestMemory, address: int, size: int, value: int) -> bool:
    """Store `value` as `size` bytes, little-endian; False, and nothing stored, where not all of them are RAM.

    Rules MEM-1, MEM-2.
    """
    if not memory.is_ram(address, size):
        return False
    memory.write(address, value.to_bytes(size, "little"))
    return True
