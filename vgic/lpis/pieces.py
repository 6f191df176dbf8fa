"""LPIs by the piece: 4096 of them, whose configuration is a page of guest RAM, their pending bits 512 bytes.

What concerns many LPIs at once is done to the bytes of a piece, and costs next to nothing for each of them. A
number of 4096 bytes stands for something of every LPI of a piece, the byte of the first lowest: its configuration,
or as a *mask* 0xFF or 0.
"""

from typing import Final

from mypy_extensions import i64

from vgic.bits import shifted
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, PRIORITY_LSB
from vgic.lpis.tables import ALWAYS_ONE, BITS_OF_PIECE, ENABLED, PIECE

__all__ = ["IN_PIECE", "PIECE_BITS", "Piece", "bits_of", "mask_of", "mask_of_bits"]

PIECE_BITS: Final = 12
"""The piece of an LPI is its INTID >> PIECE_BITS."""

IN_PIECE: Final = PIECE - 1

_AS_MASK: Final = b"\0" + b"\xff" * 0xFF
_AS_DIGIT: Final = b"0" + b"1" * 0xFF
_DIGIT_AS_MASK: Final = bytes.maketrans(b"01", b"\0\xff")
_IN_BINARY: Final = f"0{PIECE}b"

_NOT_ENABLED: Final = bytes(byte & ~ENABLED for byte in range(0x100))

_LEVEL_SHIFT: Final = 2
_ALL_LEVELS: Final = (1 << 64) - 1


def mask_of(data: bytes | bytearray) -> int:
    """The mask of the bytes that are not 0."""
    return int.from_bytes(data.translate(_AS_MASK), "little")


def mask_of_bits(bits: bytes) -> int:
    """The mask of the bits that are set."""
    digits = format(int.from_bytes(bits, "little"), _IN_BINARY)
    return int.from_bytes(digits.encode().translate(_DIGIT_AS_MASK), "big")


def bits_of(data: bytes | bytearray) -> bytes:
    """A bit for each byte, set where that is not 0."""
    return int(data[::-1].translate(_AS_DIGIT), 2).to_bytes(BITS_OF_PIECE, "little")


class Piece:
    """What is pending of the LPIs of a piece, and the best of them. 4 KiB, however many are pending."""

    __slots__ = ("_levels", "_priority_mask", "count", "data", "first", "head")

    def __init__(self, number: i64, priority_mask: i64) -> None:
        self._priority_mask = priority_mask
        self.first: i64 = number * PIECE
        """The lowest INTID."""
        self.data = bytearray(PIECE)
        """The configuration byte by which each LPI is pending, 0 where it is not."""
        self.count: i64 = 0
        """How many are pending."""
        self.head: i64 = NO_KEY
        """The key of the best one, NO_KEY where none is enabled."""
        self._levels: int = 0
        """Bit n: an enabled LPI may be pending with priority 4 * n."""

    def set_priority_mask(self, mask: i64) -> None:
        """Have these bits of priorities count. O(levels), but for looking through 4 KiB for each."""
        self._priority_mask = mask
        self.head = self._best()

    def key(self, place: i64) -> i64:
        """What LPIs are sorted by: the bits of the priority that count, then the INTID."""
        return shifted(self.data[place] & self._priority_mask, PRIORITY_LSB) | self.first + place

    def pending(self) -> dict[int, int]:
        """The INTIDs of those that are pending, with their configuration bytes. O(4096)."""
        first: int = self.first
        return {first + place: byte for place, byte in enumerate(bytes(self.data)) if byte}

    def hold(self, place: i64, byte: i64) -> None:
        """Keep an LPI pending by this configuration byte."""
        if self._is_head(place):
            self.drop(place)
        if not self.data[place]:
            self.count += 1
        self.data[place] = byte
        if byte & ENABLED:
            level: int = byte >> _LEVEL_SHIFT
            self._levels |= 1 << level
            key = shifted(byte & self._priority_mask, PRIORITY_LSB) | self.first + place
            if key < self.head:
                self.head = key

    def drop(self, place: i64) -> None:
        """An LPI that was pending is so no longer."""
        self.data[place] = 0
        self.count -= 1
        if self._is_head(place):
            self.head = self._best()

    def fill(self, configurations: int) -> None:
        """Have exactly those pending whose bytes in this number are not 0, by these."""
        self.data = bytearray(configurations.to_bytes(PIECE, "little"))
        self.count = PIECE - self.data.count(0)
        self._levels = _ALL_LEVELS
        self.head = self._best()

    def overlook(self) -> None:
        """Have none of those that are pending enabled."""
        self.data = self.data.translate(_NOT_ENABLED)
        self._levels = 0
        self.head = NO_KEY

    def _is_head(self, place: i64) -> bool:
        return self.head & INTID_MASK == self.first + place and self.head != NO_KEY

    def _best(self) -> i64:
        best: i64 = NO_KEY
        if not self.count:
            self._levels = 0
            return best
        levels = self._levels
        while levels:
            lowest = levels & -levels
            levels ^= lowest
            byte = lowest.bit_length() - 1 << _LEVEL_SHIFT | ALWAYS_ONE | ENABLED
            # Several may be of one priority, where not all of its bits count.
            if best >> PRIORITY_LSB < byte & self._priority_mask:
                break
            place = self.data.find(byte)
            if place < 0:
                self._levels ^= lowest
            else:
                best = min(best, self.key(place))
        return best
