"""The tables of LPIs in guest RAM: the configuration table of GICR_PROPBASER, the pending table of GICR_PENDBASER.

| table | what it holds |
|---|---|
| configuration | a byte for each LPI from INTID 8192 on: priority[7:2], one[1], enable[0] |
| pending | a bit for each INTID from 0 on; those below 8192, 1 KiB, mean nothing |

What is not RAM reads as zero and takes no writes.
"""

import re
from collections.abc import Iterable
from typing import Final

from vgic.intids import FIRST_LPI
from vgic.layouts import gicr
from vgic.memory import UNREADABLE, GuestMemory, read_word, write_word

__all__ = ["ALWAYS_ONE", "ENABLED", "PRIORITY", "ConfigurationTable", "PendingTable"]

ENABLED: Final = 0b01
"""Bit 0 of a configuration byte."""

ALWAYS_ONE: Final = 0b10
"""Bit 1 of a configuration byte, RES1: no configuration is 0."""

PRIORITY: Final = 0xFC
"""The priority in a configuration byte."""

_MIN_ID_BITS: Final = 14
_ID_BITS: Final = gicr.PROPBASER.field("IDbits")
_CONFIGURATION_ADDRESS: Final[int] = gicr.PROPBASER.mask("Physical_Address")
_PENDING_ADDRESS: Final[int] = gicr.PENDBASER.mask("Physical_Address")
_PTZ: Final[int] = gicr.PENDBASER.mask("PTZ")

_NOT_ZERO: Final = re.compile(rb"[^\0]")

_CHUNK: Final = 4096
"""Bytes that are read or written at once: RAM comes in pages."""


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
        """The configuration byte of an LPI that is in the table: never 0, and disabled where it is not RAM."""
        byte = read_word(self._memory, self.address + intid - FIRST_LPI, 1)
        return ALWAYS_ONE if byte == UNREADABLE else byte | ALWAYS_ONE

    def holds(self, intid: int) -> bool:
        """True where the configuration byte of an LPI is in RAM."""
        return self._memory.is_ram(self.address + intid - FIRST_LPI, 1)

    def read_all(self, intids: list[int]) -> list[int]:
        """The configuration bytes of LPIs, as `read` gives them; quickly where the INTIDs ascend."""
        found: list[int] = []
        piece, start, end = b"", 0, 0
        for intid in intids:
            if not start <= intid < end:
                start = intid - intid % _CHUNK
                address = self.address + start - FIRST_LPI
                piece = self._memory.read(address, _CHUNK) if self._memory.is_ram(address, _CHUNK) else b""
                end = start + len(piece)
            found.append(piece[intid - start] | ALWAYS_ONE if piece else self.read(intid))
        return found


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
        """GICR_PENDBASER.PTZ: the guest says that no bit is set."""
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

    def load(self, limit: int) -> list[int]:
        """The LPIs below `limit` whose bits are set, in ascending order."""
        found: list[int] = []
        for first, size in _chunks(limit):
            address = self.address + first
            data = self._memory.read(address, size) if self._memory.is_ram(address, size) else b""
            for place in _NOT_ZERO.finditer(data):
                byte = data[place.start()]
                found += [8 * (first + place.start()) + bit for bit in range(8) if byte >> bit & 1]
        return found

    def store(self, limit: int, pending: Iterable[int]) -> None:
        """Set the bits of the LPIs in `pending`, and clear those of the others; neither from `limit` on."""
        bits = bytearray(limit >> 3)
        for intid in pending:
            if intid < limit:
                bits[intid >> 3] |= 1 << (intid & 7)
        for first, size in _chunks(limit):
            address = self.address + first
            if self._memory.is_ram(address, size):
                self._memory.write(address, bytes(bits[first : first + size]))


def _chunks(limit: int) -> list[tuple[int, int]]:
    """Offset and size in bytes of the parts of a pending table that belong to the LPIs below `limit`."""
    start, end = FIRST_LPI >> 3, limit >> 3
    edges = [start, *range(start - start % _CHUNK + _CHUNK, end, _CHUNK), end]
    return [(edges[n], edges[n + 1] - edges[n]) for n in range(len(edges) - 1) if edges[n + 1] > edges[n]]
