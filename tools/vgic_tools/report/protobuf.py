"""Protocol Buffers' wire format, as far as a trace for Perfetto needs it.

A message is its fields one after the other, each a key and a value: numbers in 7-bit groups, lowest first; 64 fixed
bits; or a length and that many bytes. See https://protobuf.dev/programming-guides/encoding/.
"""

from struct import Struct
from typing import Final

__all__ = ["fixed64", "message", "number", "string"]

_VARINT: Final = 0
_FIXED64: Final = 1
_BYTES: Final = 2

_WORD: Final = Struct("<Q")


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    groups.append(value)
    return bytes(groups)


def number(field: int, value: int) -> bytes:
    """A field of an integer type, or an enumeration or bool; `value` is not negative."""
    return _varint(field << 3 | _VARINT) + _varint(value)


def fixed64(field: int, value: int) -> bytes:
    """A field of type fixed64."""
    return _varint(field << 3 | _FIXED64) + _WORD.pack(value)


def message(field: int, content: bytes) -> bytes:
    """A field that is a message, or bytes."""
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def string(field: int, text: str) -> bytes:
    """A field of type string."""
    return message(field, text.encode("utf-8", "replace"))
