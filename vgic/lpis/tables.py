"""The tables of LPIs in guest RAM: the configuration table of GICR_PROPBASER, the pending table of GICR_PENDBASER.

| table | what it holds |
|---|---|
| configuration | a byte for each LPI from INTID 8192 on: priority[7:2], one[1], enable[0] |
| pending | a bit for each INTID from 0 on; those below 8192, 1 KiB, mean nothing |

What is not RAM reads as zero and takes no writes.
"""

import re
from typing import Final

from vgic.intids import FIRST_LPI
from vgic.layouts import gicr
from vgic.memory import UNREADABLE, GuestMemory, read_word, write_word

__all__ = [
    "ALWAYS_ONE",
    "BITS_OF_PIECE",
    "ENABLED",
    "NO_BITS",
    "PIECE",
    "PRIORITY",
    "ConfigurationTable",
    "PendingTable",
]

ENABLED: Final = 0b01
"""Bit 0 of a configuration byte."""

ALWAYS_ONE: Final = 0b10
"""Bit 1 of a configuration byte, RES1: no configuration is 0."""

PRIORITY: Final = 0xFC
"""The priority in a configuration byte."""

PIECE: Final = 4096
"""LPIs of a piece, which are read and written at once (`vgic.lpis.pieces`); so many bytes of configuration."""

BITS_OF_PIECE: Final = PIECE // 8
"""Bytes of pending bits."""

NO_BITS: Final = bytes(BITS_OF_PIECE)
"""None of a piece is pending."""

_MIN_ID_BITS: Final = 14
_ID_BITS: Final = gicr.PROPBASER.field("IDbits")
_CONFIGURATION_ADDRESS: Final[int] = gicr.PROPBASER.mask("Physical_Address")
_PENDING_ADDRESS: Final[int] = gicr.PENDBASER.mask("Physical_Address")
_PTZ: Final[int] = gicr.PENDBASER.mask("PTZ")

_NOT_ZERO: Final = re.compile(rb"[^\0]")

_CONFIGURATION: Final = bytes(byte | ALWAYS_ONE for byte in range(0x100))


class ConfigurationTable:
    """The configuration table that GICR_PROPBASER points to, in a VM with INTIDs of at most `id_bits` bits."""

    __slots__ = ("_id_bits", "_memory", "address", "limit", "register")

    def __init__(self, id_bits: int, memory: GuestMemory) -> None:
        self._id_bits = id_bits
        self._memory = memory
        self.set_register(0)

    def set_register(self, value: int) -> None:
        """Write GICR_PROPBASER (64 bits)."""
        self.register = value
        self.address = value & _CONFIGURATION_ADDRESS
        """Physical address of the table."""
        bits = _ID_BITS.extract(value) + 1
        # Fewer than 14 bits hold no LPI.
        self.limit = 1 << min(bits, self._id_bits) if bits >= _MIN_ID_BITS else FIRST_LPI
        """The first INTID beyond the table."""

    def read(self, intid: int) -> int:
        """The configuration byte of an LPI that is in the table: never 0, and disabled where it is not RAM.

        Rules LPI-10, MEM-1.
        """
        byte = read_word(self._memory, self.address + intid - FIRST_LPI, 1)
        return ALWAYS_ONE if byte == UNREADABLE else byte | ALWAYS_ONE

    def read_piece(self, number: int, wanted: int) -> tuple[int, int]:
        """The configuration bytes of the LPIs of a piece, in one number, at least of those in the mask `wanted`.

        The other number is how many had to be read one by one, because not all of the piece is in RAM.
        """
        address = self.address + number * PIECE - FIRST_LPI
        if self._memory.is_ram(address, PIECE):
            return int.from_bytes(self._memory.read(address, PIECE).translate(_CONFIGURATION), "little"), 0
        data = bytearray(PIECE)
        places = [place.start() for place in _NOT_ZERO.finditer(wanted.to_bytes(PIECE, "little"))]
        for place in places:
            data[place] = self.read(number * PIECE + place)
        return int.from_bytes(data, "little"), len(places)

    def holds(self, intid: int) -> bool:
        """True where the configuration byte of an LPI is in RAM."""
        return self._memory.is_ram(self.address + intid - FIRST_LPI, 1)


class PendingTable:
    """The pending table that GICR_PENDBASER points to."""

    __slots__ = ("_memory", "register")

    def __init__(self, memory: GuestMemory) -> None:
        self._memory = memory
        self.register = 0
        """GICR_PENDBASER (64 bits), with PTZ as it was written."""

    @property
    def address(self) -> int:
        """Physical address of the table."""
        return self.register & _PENDING_ADDRESS

    @property
    def is_zero(self) -> bool:
        """GICR_PENDBASER.PTZ: the guest says that no bit is set (LPI-6)."""
        return self.register & _PTZ != 0

    def has_changed(self) -> None:
        """What the guest said of the table with PTZ is no longer so."""
        self.register &= ~_PTZ

    def holds(self, intid: int) -> bool:
        """True where the bit of an LPI is in RAM."""
        return self._memory.is_ram(self.address + (intid >> 3), 1)

    def get(self, intid: int) -> bool:
        """The bit of an LPI."""
        byte = read_word(self._memory, self.address + (intid >> 3), 1)
        return byte != UNREADABLE and byte >> (intid & 7) & 1 != 0

    def set(self, intid: int, pending: bool) -> bool:
        """Set or clear the bit of an LPI; False where it was so already."""
        address, bit = self.address + (intid >> 3), 1 << (intid & 7)
        byte = max(0, read_word(self._memory, address, 1))
        if (byte & bit != 0) == pending:
            return False
        write_word(self._memory, address, 1, byte ^ bit)
        return True

    def piece(self, number: int) -> bytes:
        """The bits of the LPIs of a piece; nothing where none is set."""
        address = self.address + number * BITS_OF_PIECE
        if not self._memory.is_ram(address, BITS_OF_PIECE):
            return b""
        bits = self._memory.read(address, BITS_OF_PIECE)
        return b"" if bits == NO_BITS else bits

    def put_piece(self, number: int, bits: bytes) -> None:
        """Set and clear the bits of the LPIs of a piece."""
        address = self.address + number * BITS_OF_PIECE
        if self._memory.is_ram(address, BITS_OF_PIECE):
            self._memory.write(address, bits)
