"""Flash memory that firmware writes, as QEMU's virt has it: where UEFI keeps its variables.

Intel's command set (CFI 0x0001) on two chips of 16 bits side by side: a command is in the low byte of what is
stored, and of what each chip answers there is one in each half of a word. Whatever is commanded is done at once.
"""

from enum import Enum, auto
from typing import Final

__all__ = ["BASE", "SIZE", "CfiFlash"]

BASE: Final = 0x400_0000
SIZE: Final = 0x400_0000
BLOCK: Final = 0x4_0000
"""Bytes that are erased together."""

_READY: Final = 0x0080_0080
_CONFIRM: Final = 0xD0
_ERASED: Final = b"\xff"


class _Shows(Enum):
    """What loads find."""

    ARRAY = auto()
    STATUS = auto()
    IDENTIFIER = auto()


class _Waits(Enum):
    """What the next store is."""

    COMMAND = auto()
    ERASE = auto()
    LOCK = auto()
    WORD = auto()
    COUNT = auto()
    DATA = auto()
    CONFIRM = auto()


_BEGIN: Final = {
    0x20: _Waits.ERASE,
    0x60: _Waits.LOCK,
    0x40: _Waits.WORD,
    0x10: _Waits.WORD,
    0xE8: _Waits.COUNT,
}
"""Commands that have more to them."""
_SHOW: Final = {0xFF: _Shows.ARRAY, 0x90: _Shows.IDENTIFIER, 0x70: _Shows.STATUS, 0x50: _Shows.STATUS}


class CfiFlash:
    """A bank, erased. It is a `Device`."""

    def __init__(self) -> None:
        self._blocks: dict[int, bytearray] = {}
        """Those that are not erased, by their numbers."""
        self._shows = _Shows.ARRAY
        self._waits = _Waits.COMMAND
        self._left = 0
        self._buffer: list[tuple[int, int, int]] = []

    def read(self, offset: int, size: int) -> int:
        """A load."""
        if self._shows is _Shows.ARRAY:
            block = self._blocks.get(offset // BLOCK)
            at = offset % BLOCK
            return int.from_bytes(_ERASED * size if block is None else block[at : at + size], "little")
        # The identifier's lock bits say that nothing is locked.
        word = _READY if self._shows is _Shows.STATUS else 0
        return (word | word << 32) >> 8 * (offset % 4) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """A store: a command, or what belongs to one."""
        command = value & 0xFF
        waits, self._waits = self._waits, _Waits.COMMAND
        match waits:
            case _Waits.COMMAND:
                self._waits = _BEGIN.get(command, _Waits.COMMAND)
                self._shows = _SHOW.get(command, self._shows if command not in _BEGIN else _Shows.STATUS)
            case _Waits.ERASE if command == _CONFIRM:
                self._blocks.pop(offset // BLOCK, None)
            case _Waits.WORD:
                self._program(offset, size, value)
            case _Waits.COUNT:
                self._left, self._buffer = (value & 0xFFFF) + 1, []
                self._waits = _Waits.DATA
            case _Waits.DATA:
                self._buffer.append((offset, size, value))
                self._left -= 1
                self._waits = _Waits.DATA if self._left else _Waits.CONFIRM
            case _Waits.CONFIRM if command == _CONFIRM:
                for word in self._buffer:
                    self._program(*word)
                self._buffer = []

    def _program(self, offset: int, size: int, value: int) -> None:
        """Bits become 0; only erasing makes them 1."""
        block = self._blocks.setdefault(offset // BLOCK, bytearray(_ERASED * BLOCK))
        for at, byte in enumerate((value & (1 << 8 * size) - 1).to_bytes(size, "little"), offset % BLOCK):
            block[at] &= byte

    def save(self) -> dict[str, object]:
        """Plain data."""
        blocks = {str(number): bytes(block).hex() for number, block in self._blocks.items()}
        return {
            "blocks": blocks,
            "shows": self._shows.name,
            "waits": self._waits.name,
            "left": self._left,
            "buffer": [list(word) for word in self._buffer],
        }

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made. Raises ValueError for anything else."""
        blocks, buffer, left = state.get("blocks"), state.get("buffer"), state.get("left")
        if not (isinstance(blocks, dict) and isinstance(buffer, list) and isinstance(left, int)):
            raise ValueError("the state of flash memory has blocks, a buffer and what is left of it")
        kept = {int(number): bytearray.fromhex(block) for number, block in blocks.items()}
        if any(not 0 <= number < SIZE // BLOCK or len(block) != BLOCK for number, block in kept.items()):
            raise ValueError(f"flash memory has {SIZE // BLOCK} blocks of {BLOCK:,} bytes")
        try:
            self._shows, self._waits = _Shows[str(state.get("shows"))], _Waits[str(state.get("waits"))]
        except KeyError as error:
            raise ValueError(f"flash memory knows no state {error}") from error
        self._blocks, self._left = kept, left
        self._buffer = [(int(offset), int(size), int(value)) for offset, size, value in buffer]
