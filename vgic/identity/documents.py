"""JSON documents of hosts and contracts: their parts, each refused by its place.

Every function raises HostError that names the place where a document has something else.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from vgic.errors import VgicError

__all__ = [
    "HostError",
    "as_boolean",
    "as_list",
    "as_object",
    "as_registers",
    "as_text",
    "hexadecimal",
    "parsed",
    "without_none",
]

_BITS: Final = 64
_LONGEST: Final = len("0x") + _BITS // 4


class HostError(VgicError):
    """What describes no host, or no contract of a VM; the message names the place."""


def parsed(text: str) -> object:
    """What JSON has."""
    try:
        return json.loads(text, object_pairs_hook=_unique)
    except HostError:
        raise
    except RecursionError:
        raise HostError("is nested too deeply") from None
    except ValueError as error:
        raise HostError(f"is no JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise HostError(f"{twice!r} is there twice in one object")
    return made


def as_object(
    value: object, place: str, needed: set[str], optional: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """An object that has the `needed` entries, and no others but the `optional` ones."""
    if not isinstance(value, dict):
        raise HostError(f"{place}: expected an object")
    missing = sorted(needed - value.keys())
    if missing:
        raise HostError(f"{place}: {missing[0]!r} is missing")
    unknown = sorted(value.keys() - needed - optional)
    if unknown:
        raise HostError(f"{place}: {unknown[0]!r} is unknown")
    return value


def as_list(top: Mapping[str, Any], key: str) -> list[Any]:
    """The list under a key; an empty one where there is none."""
    value = top.get(key, [])
    if not isinstance(value, list):
        raise HostError(f"{key}: expected a list")
    return value


def as_text(value: object, place: str) -> str:
    """A text."""
    if not isinstance(value, str):
        raise HostError(f"{place}: expected a text")
    return value


def as_boolean(value: object, place: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise HostError(f"{place}: expected true or false")
    return value


def as_registers(value: object, place: str) -> dict[str, int]:
    """Values of registers by name, of 64 bits at most."""
    if not isinstance(value, dict):
        raise HostError(f"{place}: expected an object")
    return {name: _value(text, f"{place}.{name}") for name, text in value.items()}


def _value(value: object, place: str) -> int:
    if isinstance(value, str) and value.startswith("0x") and len(value) <= _LONGEST:
        digits = value.removeprefix("0x")
        if digits and all(digit in "0123456789abcdefABCDEF" for digit in digits):
            return int(digits, 16)
    raise HostError(f'{place}: expected a text of hexadecimal digits, such as "0x414fd0b1", of 64 bits at most')


def hexadecimal(values: Mapping[str, int]) -> dict[str, str]:
    """Values of registers by name, as `as_registers` reads them."""
    return {name: f"{value:#x}" for name, value in values.items()}


def without_none(**entries: object) -> dict[str, object]:
    """The entries that are known."""
    return {key: value for key, value in entries.items() if value is not None}
