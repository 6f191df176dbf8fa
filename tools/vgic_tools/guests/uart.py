"""The PL011, Arm's UART: registers, FIFOs, and an interrupt line.

Arm DDI 0183 (PrimeCell UART): offsets, bits and identification are *known* from there. What is written is sent at
once, at no baud rate; errors, DMA and modem lines are not there.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from vgic_tools.guests.seams import Line

__all__ = ["SIZE", "Pl011"]

SIZE: Final = 0x1000
"""Bytes of its frame."""

_DR: Final = 0x000
_FR: Final = 0x018
_IFLS: Final = 0x034
_IMSC: Final = 0x038
_RIS: Final = 0x03C
_MIS: Final = 0x040
_ICR: Final = 0x044
_STORED: Final = {0x020: 0x00, 0x024: 0xFFFF, 0x028: 0x3F, 0x02C: 0xFF, 0x030: 0xFFFF, _IFLS: 0x3F}
"""Registers that keep what is written, with the bits that they have: ILPR, IBRD, FBRD, LCR_H, CR, IFLS."""
_RESET: Final = {0x030: 0x300, _IFLS: 0x12}
_IDENTIFICATION: Final = bytes((0x11, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1))
"""PeriphID0 to 3 and PCellID0 to 3, a byte each in words from 0xFE0 on: what Linux knows a PL011 by."""
_FIRST_ID: Final = 0xFE0

_FR_TXFE: Final = 1 << 7
_FR_RXFF: Final = 1 << 6
_FR_RXFE: Final = 1 << 4

_RX: Final = 1 << 4
_TX: Final = 1 << 5
_RX_TIMEOUT: Final = 1 << 6
_INTERRUPTS: Final = 0x7FF

_FIFO: Final = 16
"""Characters that wait to be read by the guest; more stay outside until there is room."""


class Pl011:
    """A UART. `sent` is told each byte that the guest sends; `receive` gives it some to read."""

    def __init__(self, line: Line, sent: Callable[[int], None]) -> None:
        self._line = line
        self._sent = sent
        self._registers = {offset: _RESET.get(offset, 0) for offset in _STORED}
        self._mask = 0
        self._raw = 0
        self._waiting: deque[int] = deque()

    def receive(self, data: bytes) -> None:
        """Bytes for the guest to read."""
        self._waiting.extend(data)
        self._update()

    def read(self, offset: int, size: int) -> int:
        """A load; what is not there reads as zero."""
        if offset == _DR:
            character = self._waiting.popleft() if self._waiting else 0
            self._update()
            return character
        if offset == _FR:
            full = _FR_RXFF if len(self._waiting) >= _FIFO else 0
            return _FR_TXFE | full | (0 if self._waiting else _FR_RXFE)
        if offset == _IMSC:
            return self._mask
        if offset == _RIS:
            return self._raw
        if offset == _MIS:
            return self._raw & self._mask
        if offset >= _FIRST_ID and offset % 4 == 0 and offset < SIZE:
            return _IDENTIFICATION[(offset - _FIRST_ID) // 4]
        return self._registers.get(offset, 0)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store; what is not there, or can only be read, ignores it."""
        if offset == _DR:
            self._sent(value & 0xFF)
            self._raw |= _TX
        elif offset == _IMSC:
            # An interrupt of an empty FIFO: with nobody to wait for, it is always empty.
            self._raw |= _TX
            self._mask = value & _INTERRUPTS
        elif offset == _ICR:
            self._raw &= ~value
        elif offset in _STORED:
            self._registers[offset] = value & _STORED[offset]
        self._update()

    def _update(self) -> None:
        self._raw = self._raw | _RX | _RX_TIMEOUT if self._waiting else self._raw & ~(_RX | _RX_TIMEOUT)
        self._line(self._raw & self._mask != 0)

    def save(self) -> dict[str, object]:
        """The registers, and what waits to be read."""
        registers = {f"{offset:#05x}": value for offset, value in self._registers.items()}
        return {"registers": registers, "mask": self._mask, "raw": self._raw, "waiting": list(self._waiting)}

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made. Raises ValueError for anything else."""
        registers, waiting = state.get("registers"), state.get("waiting")
        mask, raw = state.get("mask"), state.get("raw")
        if not (isinstance(registers, dict) and isinstance(waiting, list)):
            raise ValueError("the state of a PL011 has registers and what waits")
        if not (isinstance(mask, int) and isinstance(raw, int)):
            raise ValueError("the state of a PL011 has the mask and the raw status of its interrupts")
        kept = {int(offset, 16): int(value) for offset, value in registers.items()}
        if set(kept) != set(_STORED):
            raise ValueError(f"a PL011 has the registers {', '.join(f'{offset:#05x}' for offset in _STORED)}")
        self._registers = {offset: value & _STORED[offset] for offset, value in kept.items()}
        self._mask, self._raw = mask & _INTERRUPTS, raw & _INTERRUPTS
        self._waiting = deque(int(character) & 0xFF for character in waiting)
        self._update()
