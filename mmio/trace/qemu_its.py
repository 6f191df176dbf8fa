"""What QEMU logs of its translation service: messages, commands and table entries.

Here every number is hexadecimal, but for `size`, `valid`, `V` and `inttype`. QEMU names the address of an interrupt
translation table in bytes where it reads an entry, and without the low 8 bits in MAPD and where it writes one. The
commands of GICv4 and entries that could not be read are not taken apart.
"""

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from mmio.trace.events import CollectionEntry, Command, CommandStart, DeviceEntry, Event, EventEntry, Message

__all__ = ["ITS_EVENTS"]

_Parser: TypeAlias = Callable[[int, int | None, int | None, str], Event | None]

_WORD: Final = "0x([0-9a-f]{1,8})"
_HEX: Final = "0x([0-9a-f]{1,16})"
_BIT: Final = "([01])"

_TABLE_SHIFT: Final = 8

_MESSAGE: Final = re.compile(
    rf"GICv3 ITS TRANSLATER write: offset {_HEX} data {_HEX} size ([1248]) requester_id {_WORD}"
)
_START: Final = re.compile(rf"GICv3 ITS: processing command at offset {_WORD}: {_WORD}")

_DEVICE: Final = rf"DeviceID (?P<device>{_WORD})"
_EVENT: Final = rf"{_DEVICE} EventID (?P<event>{_WORD})"
_COLLECTION: Final = rf"ICID (?P<collection>{_WORD})"

_COMMANDS: Final = {
    "MAPD": rf"{_DEVICE} Size (?P<size>{_WORD}) ITT_addr (?P<address>{_HEX}) V (?P<valid>{_BIT})",
    "MAPC": rf"{_COLLECTION} RDbase (?P<target>{_HEX}) V (?P<valid>{_BIT})",
    "MAPTI": rf"{_EVENT} {_COLLECTION} pINTID (?P<intid>{_WORD})",
    "MAPI": rf"{_EVENT} {_COLLECTION}",
    "MOVI": rf"{_EVENT} {_COLLECTION}",
    "MOVALL": rf"RDbase1 (?P<target>{_HEX}) RDbase2 (?P<to>{_HEX})",
    "DISCARD": _EVENT,
    "CLEAR": _EVENT,
    "INT": _EVENT,
    "INV": _EVENT,
    "INVALL": "",
    "SYNC": "",
}
"""The text after each command's name, with its operands as groups."""


def _message(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _MESSAGE.fullmatch(text)) is None:
        return None
    offset, value, size, requester = match.groups()
    return Message(line, time, thread, int(requester, 16), int(offset, 16), int(size), int(value, 16))


def _start(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
    if (match := _START.fullmatch(text)) is None:
        return None
    return CommandStart(line, time, thread, int(match[1], 16), int(match[2], 16))


def _command(name: str, operands: str) -> _Parser:
    """Make the parser for one command."""
    pattern = re.compile(f"GICv3 ITS: command {name}" + (f" {operands}" if operands else ""))

    def parse(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
        if (match := pattern.fullmatch(text)) is None:
            return None
        numbers = {key: int(value, 0) for key, value in match.groupdict().items()}
        valid = numbers.pop("valid", None)
        if "address" in numbers:
            numbers["address"] <<= _TABLE_SHIFT
        return Command(line, time, thread, name, **numbers, valid=None if valid is None else valid == 1)

    return parse


def _device_entry(write: bool) -> _Parser:
    """Make the parser for reads or writes of the device table."""
    shift = _TABLE_SHIFT if write else 0
    pattern = re.compile(
        rf"GICv3 ITS: Device Table {_verb(write)} for DeviceID {_WORD}: valid {_BIT} size {_WORD} ITTaddr {_HEX}"
    )

    def parse(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
        if (match := pattern.fullmatch(text)) is None:
            return None
        device, valid, size, address = match.groups()
        return DeviceEntry(
            line, time, thread, int(device, 16), valid == "1", int(size, 16), int(address, 16) << shift, write
        )

    return parse


def _event_entry(write: bool) -> _Parser:
    """Make the parser for reads or writes of interrupt translation tables."""
    pattern = re.compile(
        rf"GICv3 ITS: Interrupt Table {_verb(write)} for ITTaddr {_HEX} EventID {_WORD}: valid {_BIT}"
        rf" inttype {_BIT} intid {_WORD} ICID {_WORD} vPEID {_WORD} doorbell {_WORD}"
    )

    def parse(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
        if (match := pattern.fullmatch(text)) is None:
            return None
        address, event, valid, kind, *numbers = match.groups()
        intid, collection, vpe, doorbell = (int(number, 16) for number in numbers)
        return EventEntry(
            line,
            time,
            thread,
            int(address, 16),
            int(event, 16),
            valid == "1",
            kind == "1",
            intid,
            collection,
            vpe,
            doorbell,
            write,
        )

    return parse


def _collection_entry(write: bool) -> _Parser:
    """Make the parser for reads or writes of the collection table."""
    pattern = re.compile(
        rf"GICv3 ITS: Collection Table {_verb(write)} for ICID {_WORD}: valid {_BIT} RDBase {_WORD}"
    )

    def parse(line: int, time: int | None, thread: int | None, text: str) -> Event | None:
        if (match := pattern.fullmatch(text)) is None:
            return None
        collection, valid, target = match.groups()
        return CollectionEntry(line, time, thread, int(collection, 16), valid == "1", int(target, 16), write)

    return parse


def _verb(write: bool) -> str:
    return "write" if write else "read"


ITS_EVENTS: Final[dict[str, _Parser]] = {
    "gicv3_its_translation_write": _message,
    "gicv3_its_process_command": _start,
    **{f"gicv3_its_cmd_{name.lower()}": _command(name, operands) for name, operands in _COMMANDS.items()},
    **{
        f"gicv3_its_{table}_{_verb(write)}": make(write)
        for table, make in (("dte", _device_entry), ("ite", _event_entry), ("cte", _collection_entry))
        for write in (False, True)
    },
}
"""The parser for each event, from line, time, thread and text; None when the text is malformed."""
