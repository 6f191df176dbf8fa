"""ITS commands as the 32 bytes that a guest writes, put together field by field and not by the model's layouts."""

import struct
from typing import Final

MOVI: Final = 0x01
INT: Final = 0x03
CLEAR: Final = 0x04
SYNC: Final = 0x05
MAPD: Final = 0x08
MAPC: Final = 0x09
MAPTI: Final = 0x0A
MAPI: Final = 0x0B
INV: Final = 0x0C
INVALL: Final = 0x0D
MOVALL: Final = 0x0E
DISCARD: Final = 0x0F

VALID: Final = 1 << 63
SIZE: Final = 32
"""Bytes of a command."""


def words(first: int, second: int = 0, third: int = 0, fourth: int = 0) -> bytes:
    """A command of these doublewords."""
    return struct.pack("<4Q", first, second, third, fourth)


def mapd(device: int, bits: int, itt: int, valid: bool = True) -> bytes:
    """Give a device an interrupt translation table for EventIDs of `bits` bits, 1 to 32."""
    return words(MAPD | device << 32, bits - 1, itt | valid * VALID)


def mapc(collection: int, rdbase: int, valid: bool = True) -> bytes:
    """Point a collection at a Redistributor; `rdbase` is DW2[51:16]."""
    return words(MAPC, 0, collection | rdbase << 16 | valid * VALID)


def mapti(device: int, event: int, intid: int, collection: int) -> bytes:
    """Translate an event into an LPI."""
    return words(MAPTI | device << 32, event | intid << 32, collection)


def mapi(device: int, event: int, collection: int) -> bytes:
    """Translate an event into the LPI of its own number."""
    return words(MAPI | device << 32, event, collection)


def movi(device: int, event: int, collection: int) -> bytes:
    """Move an event to another collection."""
    return words(MOVI | device << 32, event, collection)


def on_event(opcode: int, device: int, event: int) -> bytes:
    """INT, CLEAR, DISCARD or INV."""
    return words(opcode | device << 32, event)


def invall(collection: int) -> bytes:
    """Have the configuration of a collection's LPIs read again."""
    return words(INVALL, 0, collection)


def movall(source: int, target: int) -> bytes:
    """Move all LPIs of a Redistributor to another; both are DW2[51:16] or DW3[51:16]."""
    return words(MOVALL, 0, source << 16, target << 16)


def sync(rdbase: int = 0) -> bytes:
    """Wait for a Redistributor; `rdbase` is DW2[51:16]."""
    return words(SYNC, 0, rdbase << 16)
