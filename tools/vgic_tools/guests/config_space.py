"""PCI configuration space: registers that keep some of what is written, and some that writing ones clears."""

from collections.abc import Iterable
from typing import Final, NamedTuple

__all__ = ["SIZE", "ConfigSpace", "Register"]

SIZE: Final = 0x1000
"""Bytes for each function, with PCI Express."""


class Register(NamedTuple):
    """`size` bytes of configuration space at `offset`."""

    offset: int
    size: int
    reset: int = 0
    writable: int = 0
    """Bits that software writes."""
    cleared: int = 0
    """Bits that software clears by writing ones."""


class ConfigSpace:
    """The configuration space of a function; all else in it reads as zero."""

    def __init__(self, registers: Iterable[Register]) -> None:
        self._values = bytearray(SIZE)
        self._writable = bytearray(SIZE)
        self._cleared = bytearray(SIZE)
        for register in registers:
            self[register] = register.reset
            where = slice(register.offset, register.offset + register.size)
            self._writable[where] = register.writable.to_bytes(register.size, "little")
            self._cleared[where] = register.cleared.to_bytes(register.size, "little")

    def __getitem__(self, register: Register) -> int:
        return self.read(register.offset, register.size)

    def __setitem__(self, register: Register, value: int) -> None:
        """Change a register as the function itself does."""
        where = slice(register.offset, register.offset + register.size)
        self._values[where] = value.to_bytes(register.size, "little")

    def read(self, offset: int, size: int) -> int:
        """A load by software."""
        return int.from_bytes(self._values[offset : offset + size], "little")

    def write(self, offset: int, size: int, value: int) -> None:
        """A store by software."""
        for at, byte in enumerate((value & (1 << 8 * size) - 1).to_bytes(size, "little"), offset):
            kept = self._values[at] & ~self._writable[at] | byte & self._writable[at]
            self._values[at] = kept & ~(byte & self._cleared[at])

    def save(self) -> str:
        """All of it, in hexadecimal."""
        return self._values.rstrip(b"\0").hex()

    def restore(self, state: str) -> None:
        """Take what `save` made. Raises ValueError for anything else."""
        values = bytes.fromhex(state)
        if len(values) > SIZE:
            raise ValueError(f"configuration space has {SIZE} bytes, not {len(values)}")
        self._values[:] = values.ljust(SIZE, b"\0")
