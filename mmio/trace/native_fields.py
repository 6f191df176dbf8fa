"""The fields of each kind of event in a native trace, and how a field becomes JSON and back.

`mmio.trace.native` documents the format. A decoder raises ValueError for what it does not accept.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from mmio.trace.events import (
    Access,
    Candidate,
    CollectionEntry,
    Command,
    CommandStart,
    CpuReset,
    Delivery,
    DeviceEntry,
    Event,
    EventEntry,
    Line,
    Maintenance,
    Message,
    Other,
    Outputs,
    Sgi,
    SysReg,
    Text,
    VirtualCandidate,
    VirtualOutputs,
)

__all__ = ["KINDS", "KIND_OF_CLASS", "REQUIRED", "affinity_from_text", "affinity_to_text"]


def _integer(raw: object) -> int:
    if type(raw) is not int:  # bool is a subclass of int, and no number here
        raise ValueError
    return raw


def _number(raw: object) -> int:
    if (number := _integer(raw)) < 0:
        raise ValueError
    return number


def _size(raw: object) -> int:
    if (size := _integer(raw)) not in (1, 2, 4, 8):
        raise ValueError
    return size


def _flag(raw: object) -> bool:
    if not isinstance(raw, bool):
        raise ValueError
    return raw


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError
    return raw


def _hex(raw: object) -> int:
    if not _HEX.fullmatch(digits := _text(raw)):
        raise ValueError
    return int(digits, 16)


def _to_hex(value: int) -> str:
    return f"{value:#x}"


def affinity_from_text(raw: object) -> int:
    """The packed affinity that is written "Aff3.Aff2.Aff1.Aff0". Raises ValueError."""
    levels = _text(raw).split(".")
    if len(levels) != 4 or not all(_LEVEL.fullmatch(level) for level in levels):
        raise ValueError
    # Refuses a level above 255.
    return int.from_bytes(bytes(int(level) for level in levels), "big")


def affinity_to_text(value: int) -> str:
    """Dotted notation of a packed affinity."""
    return ".".join(map(str, value.to_bytes(4, "big")))


def _operation(raw: object) -> bool:
    if raw not in ("read", "write"):
        raise ValueError
    return raw == "write"


def _to_operation(write: bool) -> str:
    return "write" if write else "read"


_HEX = re.compile("0x[0-9a-fA-F]{1,16}")
_LEVEL = re.compile("[0-9]{1,3}")


class _Codec(NamedTuple):
    what: str
    encode: Callable[..., object]
    decode: Callable[[object], object]


_INTEGER = _Codec("an integer", int, _integer)
_NUMBER = _Codec("an integer that is not negative", int, _number)
_SIZE = _Codec("1, 2, 4 or 8", int, _size)
_FLAG = _Codec("true or false", bool, _flag)
_TEXT = _Codec("a string", str, _text)
_HEXADECIMAL = _Codec('a hexadecimal string such as "0x1f", of 64 bits at most', _to_hex, _hex)
_AFFINITY = _Codec('an affinity such as "0.0.1.0"', affinity_to_text, affinity_from_text)
_OPERATION = _Codec('"read" or "write"', _to_operation, _operation)

REQUIRED: Final = object()
"""Instead of the value for which a key is left out: the key is never left out."""


class _Field(NamedTuple):
    key: str
    codec: _Codec
    absent: object = REQUIRED
    """The value for which the key is left out."""


_WHEN = (_Field("t", _INTEGER, None), _Field("tid", _NUMBER, None))

# The fields of each kind stand in the order of its class, after `line`.
KINDS: dict[str, tuple[Callable[..., Event], tuple[_Field, ...]]] = {
    "access": (
        Access,
        (
            *_WHEN,
            _Field("dev", _TEXT),
            _Field("pe", _AFFINITY, None),
            _Field("off", _HEXADECIMAL),
            _Field("size", _SIZE),
            _Field("val", _HEXADECIMAL, None),
            _Field("op", _OPERATION),
            _Field("secure", _FLAG, False),
            _Field("illegal", _FLAG, False),
        ),
    ),
    "sysreg": (
        SysReg,
        (
            *_WHEN,
            _Field("pe", _AFFINITY),
            _Field("reg", _TEXT),
            _Field("val", _HEXADECIMAL),
            _Field("op", _OPERATION),
        ),
    ),
    "sgi": (
        Sgi,
        (
            *_WHEN,
            _Field("pe", _AFFINITY),
            _Field("intid", _NUMBER),
            _Field("irm", _FLAG, False),
            _Field("cluster", _HEXADECIMAL),
            _Field("targets", _HEXADECIMAL),
        ),
    ),
    "delivery": (Delivery, (*_WHEN, _Field("pe", _AFFINITY), _Field("intid", _NUMBER))),
    "line": (
        Line,
        (*_WHEN, _Field("pe", _AFFINITY, None), _Field("intid", _NUMBER), _Field("level", _FLAG)),
    ),
    "cpu_reset": (CpuReset, (*_WHEN, _Field("cpu", _TEXT))),
    "candidate": (
        Candidate,
        (
            *_WHEN,
            _Field("pe", _AFFINITY),
            _Field("intid", _NUMBER),
            _Field("group", _NUMBER),
            _Field("prio", _NUMBER),
        ),
    ),
    "outputs": (Outputs, (*_WHEN, _Field("pe", _AFFINITY), _Field("fiq", _FLAG), _Field("irq", _FLAG))),
    "virtual_candidate": (
        VirtualCandidate,
        (
            *_WHEN,
            _Field("pe", _AFFINITY),
            _Field("lr", _INTEGER),
            _Field("intid", _NUMBER),
            _Field("group", _NUMBER),
            _Field("prio", _NUMBER),
        ),
    ),
    "virtual_outputs": (
        VirtualOutputs,
        (*_WHEN, _Field("pe", _AFFINITY), _Field("fiq", _FLAG), _Field("irq", _FLAG)),
    ),
    "maintenance": (Maintenance, (*_WHEN, _Field("pe", _AFFINITY), _Field("level", _FLAG))),
    "message": (
        Message,
        (
            *_WHEN,
            _Field("device", _HEXADECIMAL),
            _Field("off", _HEXADECIMAL),
            _Field("size", _SIZE),
            _Field("event", _HEXADECIMAL),
        ),
    ),
    "command_start": (CommandStart, (*_WHEN, _Field("slot", _NUMBER), _Field("opcode", _HEXADECIMAL))),
    "command": (
        Command,
        (
            *_WHEN,
            _Field("name", _TEXT),
            _Field("device", _HEXADECIMAL, None),
            _Field("event", _HEXADECIMAL, None),
            _Field("icid", _HEXADECIMAL, None),
            _Field("intid", _NUMBER, None),
            _Field("target", _HEXADECIMAL, None),
            _Field("to", _HEXADECIMAL, None),
            _Field("bits", _NUMBER, None),
            _Field("addr", _HEXADECIMAL, None),
            _Field("valid", _FLAG, None),
        ),
    ),
    "device_entry": (
        DeviceEntry,
        (
            *_WHEN,
            _Field("device", _HEXADECIMAL),
            _Field("valid", _FLAG),
            _Field("bits", _NUMBER),
            _Field("addr", _HEXADECIMAL),
            _Field("op", _OPERATION),
        ),
    ),
    "event_entry": (
        EventEntry,
        (
            *_WHEN,
            _Field("addr", _HEXADECIMAL),
            _Field("event", _HEXADECIMAL),
            _Field("valid", _FLAG),
            _Field("physical", _FLAG),
            _Field("intid", _NUMBER),
            _Field("icid", _HEXADECIMAL),
            _Field("vpe", _HEXADECIMAL),
            _Field("doorbell", _NUMBER),
            _Field("op", _OPERATION),
        ),
    ),
    "collection_entry": (
        CollectionEntry,
        (
            *_WHEN,
            _Field("icid", _HEXADECIMAL),
            _Field("valid", _FLAG),
            _Field("target", _HEXADECIMAL),
            _Field("op", _OPERATION),
        ),
    ),
    "other": (Other, (*_WHEN, _Field("name", _TEXT), _Field("text", _TEXT))),
    "text": (Text, (*_WHEN, _Field("text", _TEXT))),
}
KIND_OF_CLASS = {make: (kind, fields) for kind, (make, fields) in KINDS.items()}
