"""The ITS commands of GICv3: 32 bytes each, four little-endian doublewords, the opcode in the lowest byte.

The encodings are those that Linux writes, and that KVM and QEMU read. A field that several commands have is in the
same place in each, so that one table (`FIELDS`) decodes them all.
"""

import struct
from collections.abc import Mapping
from typing import Final, NamedTuple

from mmio import BitLayout, Declared, LayoutError, record, res0, rw

__all__ = [
    "COMMANDS",
    "COMMAND_SIZE",
    "FIELDS",
    "ITT_ALIGNMENT_BITS",
    "OPCODES",
    "CommandError",
    "CommandField",
    "by_name",
    "decode",
    "encode",
    "name_of",
]

COMMAND_SIZE: Final = 32
"""Bytes of a command."""

ITT_ALIGNMENT_BITS: Final = 8
"""Bits of the address of a translation table that are zero, and that commands and entries leave out."""

_DOUBLEWORD: Final = 64
_WORDS: Final = struct.Struct("<4Q")


class CommandError(ValueError):
    """A command that cannot be encoded; the message names it and its field."""


OPCODE: Final = rw("Opcode", 8, "which command")
DEVICE_ID: Final = rw("DeviceID", 32, "the device")
EVENT_ID: Final = rw("EventID", 32, "the event of the device")
PINTID: Final = rw("pINTID", 32, "the LPI")
ICID: Final = rw("ICID", 16, "the collection")
VALID: Final = rw("V", 1, "1: map, 0: unmap")
RDBASE: Final = rw("RDbase", 36, "the Redistributor, as GITS_TYPER.PTA says")
RDBASE2: Final = rw("RDbase2", 36, "the Redistributor that takes over, as GITS_TYPER.PTA says")

_DEVICE: Final = (DEVICE_ID, res0(24), OPCODE)
_NO_DEVICE: Final = (res0(56), OPCODE)
_EVENT: Final = (res0(32), EVENT_ID)
_EMPTY: Final = (res0(64),)
_COLLECTION: Final = (res0(48), ICID)
_REDISTRIBUTOR: Final = (res0(12), RDBASE, res0(16))


def _command(name: str, *doublewords: tuple[Declared, ...]) -> BitLayout:
    """A command from its doublewords, the first of them (with the opcode) first; those left out are reserved."""
    words = [*doublewords, *[_EMPTY] * (4 - len(doublewords))]
    return record(name, 8 * COMMAND_SIZE, *(item for word in reversed(words) for item in word))


COMMANDS: Final[Mapping[int, BitLayout]] = {
    0x01: _command("MOVI", _DEVICE, _EVENT, _COLLECTION),
    0x03: _command("INT", _DEVICE, _EVENT),
    0x04: _command("CLEAR", _DEVICE, _EVENT),
    0x05: _command("SYNC", _NO_DEVICE, _EMPTY, _REDISTRIBUTOR),
    0x08: _command(
        "MAPD",
        _DEVICE,
        (res0(59), rw("Size", 5, "EventID bits of the device, minus one")),
        (VALID, res0(11), rw("ITT_addr", 44, "bits [51:8] of the address of the translation table"), res0(8)),
    ),
    0x09: _command("MAPC", _NO_DEVICE, _EMPTY, (VALID, res0(11), RDBASE, ICID)),
    0x0A: _command("MAPTI", _DEVICE, (PINTID, EVENT_ID), _COLLECTION),
    0x0B: _command("MAPI", _DEVICE, _EVENT, _COLLECTION),
    0x0C: _command("INV", _DEVICE, _EVENT),
    0x0D: _command("INVALL", _NO_DEVICE, _EMPTY, _COLLECTION),
    0x0E: _command("MOVALL", _NO_DEVICE, _EMPTY, _REDISTRIBUTOR, (res0(12), RDBASE2, res0(16))),
    0x0F: _command("DISCARD", _DEVICE, _EVENT),
}
"""Every command by its opcode."""


class CommandField(NamedTuple):
    """Where a field is, in every command that has it."""

    word: int
    """The doubleword, 0 to 3."""
    shift: int
    """Bits from the right of that doubleword."""
    mask: int
    """As wide as the field, at bit 0."""

    def extract(self, words: tuple[int, ...]) -> int:
        """The field's value in the four doublewords of a command."""
        return words[self.word] >> self.shift & self.mask


def _walk() -> dict[str, CommandField]:
    places: dict[str, CommandField] = {}
    for command in COMMANDS.values():
        for field in command.fields:
            place = CommandField(field.lsb // _DOUBLEWORD, field.lsb % _DOUBLEWORD, field.mask >> field.lsb)
            if places.setdefault(field.name, place) != place:
                raise LayoutError(f"{command.name}.{field.name} is not where other commands have it")
    return places


FIELDS: Final[Mapping[str, CommandField]] = _walk()
"""Every field of every command by name."""

OPCODES: Final[Mapping[str, int]] = {command.name: opcode for opcode, command in COMMANDS.items()}
"""The opcode of every command by name."""


def by_name(name: str) -> BitLayout:
    """The command of this name. Raises CommandError."""
    if name not in OPCODES:
        raise CommandError(f"no ITS command {name!r}; there are {', '.join(OPCODES)}")
    return COMMANDS[OPCODES[name]]


def name_of(opcode: int) -> str:
    """The name of a command, also of an opcode that means none."""
    known = COMMANDS.get(opcode)
    return f"unknown command {opcode:#04x}" if known is None else known.name


def encode(name: str, **fields: int) -> bytes:
    """The 32 bytes of a command; fields that are left out are zero.

    Raises CommandError for a command or field that there is not, and for a value that does not fit.

    >>> encode("MAPC", ICID=3, RDbase=1, V=1)[16:24].hex()
    '0300010000000080'
    """
    layout = by_name(name)
    try:
        value = layout.encode({**fields, "Opcode": OPCODES[name]})
    except LayoutError as error:
        raise CommandError(str(error)) from error
    return value.to_bytes(COMMAND_SIZE, "little")


def decode(words: tuple[int, ...]) -> dict[str, int]:
    """The fields of a command in its four doublewords, but for the opcode; empty where the opcode means none.

    >>> decode(_WORDS.unpack(encode("MAPC", ICID=3, RDbase=1, V=1)))
    {'V': 1, 'RDbase': 1, 'ICID': 3}
    """
    layout = COMMANDS.get(FIELDS["Opcode"].extract(words))
    if layout is None:
        return {}
    return {field.name: FIELDS[field.name].extract(words) for field in layout.fields if field.name != "Opcode"}
