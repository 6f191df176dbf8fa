"""The PL031, Arm's real-time clock: the machine's clock, from a fixed day on, so that two runs are the same.

Arm DDI 0224 (PrimeCell Real Time Clock): offsets and identification are *known* from there. Its alarm never rings.
"""

from collections.abc import Callable
from typing import Final

__all__ = ["SIZE", "Pl031"]

SIZE: Final = 0x1000
"""Bytes of its frame."""

_DR: Final = 0x000
_MR: Final = 0x004
_LR: Final = 0x008
_CR: Final = 0x00C
_IMSC: Final = 0x010
_IDENTIFICATION: Final = bytes((0x31, 0x10, 0x04, 0x00, 0x0D, 0xF0, 0x05, 0xB1))
"""PeriphID0 to 3 and PCellID0 to 3, a byte each in words from 0xFE0 on."""
_FIRST_ID: Final = 0xFE0

_2020: Final = 1_577_836_800
"""Midnight of 1 January 2020, seconds after 1970."""
_32_BITS: Final = 0xFFFF_FFFF


class Pl031:
    """A clock that counts seconds; `seconds` tells those since the machine began."""

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._offset = _2020
        """What it shows, less the machine's seconds."""
        self._loaded = _2020
        self._match = 0
        self._mask = 0

    def read(self, offset: int, size: int) -> int:
        """A load."""
        if offset == _DR:
            return int(self._offset + self._seconds()) & _32_BITS
        if offset >= _FIRST_ID and offset % 4 == 0:
            return _IDENTIFICATION[(offset - _FIRST_ID) // 4]
        return {_MR: self._match, _LR: self._loaded, _CR: 1, _IMSC: self._mask}.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store."""
        value &= _32_BITS
        if offset == _LR:
            self._loaded = value
            self._offset = value - int(self._seconds())
        elif offset == _MR:
            self._match = value
        elif offset == _IMSC:
            self._mask = value & 1

    def save(self) -> dict[str, object]:
        """Plain data."""
        return {"offset": self._offset, "loaded": self._loaded, "match": self._match, "mask": self._mask}

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made. Raises ValueError for anything else."""
        numbers = [state.get(name) for name in ("offset", "loaded", "match", "mask")]
        offset, loaded, match, mask = (number if isinstance(number, int) else None for number in numbers)
        if offset is None or loaded is None or match is None or mask is None:
            raise ValueError("the state of a PL031 has numbers: offset, loaded, match and mask")
        self._offset, self._loaded, self._match, self._mask = offset, loaded, match, mask
