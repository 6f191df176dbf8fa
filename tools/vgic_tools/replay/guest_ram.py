"""Guest RAM for a machine whose own is not at hand: zero until it is written."""

from collections.abc import Iterator
from typing import Final

__all__ = ["MOST_PAGES", "SparseRam"]

_PAGE: Final = 4096
_ADDRESS_BITS: Final = 52

MOST_PAGES: Final = 16_384
"""Pages of 4 KiB that are kept, 64 MiB in all: a trace cannot make a replay take more."""


class SparseRam:
    """RAM at every address of 52 bits, as `vgic.GuestMemory`.

    Once `MOST_PAGES` hold something else than zeros, the others are no RAM any more.
    """

    def __init__(self) -> None:
        self._pages: dict[int, bytearray] = {}

    def is_ram(self, address: int, size: int) -> bool:
        """Whether all `size` bytes from an address on are RAM."""
        if address < 0 or address + size > 1 << _ADDRESS_BITS:
            return False
        return len(self._pages) < MOST_PAGES or all(
            page in self._pages for page in range(address // _PAGE, (address + size - 1) // _PAGE + 1)
        )

    def read(self, address: int, size: int) -> bytes:
        """The `size` bytes from an address on."""
        data = bytearray()
        for page, first, last in _pieces(address, size):
            held = self._pages.get(page)
            data += bytes(last - first) if held is None else held[first:last]
        return bytes(data)

    def write(self, address: int, data: bytes) -> None:
        """Write bytes from an address on; zeros take no room where zeros are."""
        done = 0
        for page, first, last in _pieces(address, len(data)):
            piece = data[done : done + last - first]
            done += last - first
            if page not in self._pages:
                if not any(piece):
                    continue
                self._pages[page] = bytearray(_PAGE)
            self._pages[page][first:last] = piece


def _pieces(address: int, size: int) -> Iterator[tuple[int, int, int]]:
    """The pages of a stretch, each with the first byte in it and the one after the last."""
    end = address + size
    while address < end:
        page, first = divmod(address, _PAGE)
        last = min(_PAGE, first + end - address)
        yield page, first, last
        address += last - first
