"""Guest memory that counts what is asked of it, and finds fault with what should not be."""

import vgic


class CountingMemory:
    """The RAM of a guest, with counters. Raises AssertionError for an access that the model must not make."""

    def __init__(self, ram: vgic.GuestMemory, limit: int) -> None:
        self._ram = ram
        self._limit = limit
        self.accesses = 0
        """Reads, writes and questions."""
        self.bytes = 0
        """Read and written."""

    def is_ram(self, address: int, size: int) -> bool:
        self.accesses += 1
        return self._ram.is_ram(address, size)

    def read(self, address: int, size: int) -> bytes:
        self._count(address, size)
        return self._ram.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self._count(address, len(data))
        self._ram.write(address, data)

    def _count(self, address: int, size: int) -> None:
        assert 0 < size <= self._limit, f"{size} bytes at once"
        assert self._ram.is_ram(address, size), f"{size} bytes at {address:#x} are not RAM"
        self.accesses += 1
        self.bytes += size
