"""What an embedder hands in, looked at at once: a slip is not to be found in the middle of a guest's access.

Rule API-12 in specs/embedding.md.
"""

import inspect
from collections.abc import Iterable, Mapping
from itertools import islice
from reprlib import repr as brief
from typing import Final, TypeGuard

from vgic.errors import ConfigError

__all__ = ["brief", "check_flag", "check_instance", "check_integer", "check_protocols", "is_integer", "listed"]

_LINES: Final = {"set_lines": 3}
_OPTIONAL_LINES: Final = {"set_virtual_lines": 3}
"""What a line sink may have."""
_OBSERVER: Final = {"illegal_access": 1, "illegal_sysreg": 1}
_OPTIONAL: Final = {"its_command_error": 1, "wake_request": 1}
"""What an observer may have."""
_MEMORY: Final = {"is_ram": 2, "read": 2, "write": 2}


def is_integer(value: object) -> TypeGuard[int]:
    """True for an int; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_integer(name: str, value: object) -> None:
    """Raise ConfigError naming the argument unless `value` is an int."""
    if not is_integer(value):
        raise ConfigError(f"{name} is an integer, not {brief(value)}")


def check_flag(name: str, value: object) -> None:
    """Raise ConfigError naming the argument unless `value` is True, False or None."""
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{name} is True, False or None, not {brief(value)}")


def check_instance(name: str, value: object, kind: type, hint: str) -> None:
    """Raise ConfigError naming the argument unless `value` is of a class; `hint` says how to come by one."""
    if not isinstance(value, kind):
        raise ConfigError(f"{name} is a {kind.__name__}, not {brief(value)}: {hint}")


def listed(name: str, value: object, hint: str, most: int) -> list[object]:
    """The items of an iterable, as many as `most`. Raises ConfigError for a text, and for what has no items."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise ConfigError(f"{name} is {hint}, not {brief(value)}")
    return list(islice(value, most))


def check_protocols(lines: object, observer: object, memory: object) -> None:
    """Raise ConfigError where one that is not None lacks a method of its protocol, or has one of another shape."""
    _check_methods("lines", lines, _LINES, "LineSink")
    _check_methods("lines", lines, _present(lines, _OPTIONAL_LINES), "VirtualLineSink")
    _check_methods("lines", lines, _present(lines, {"set_nmi": 2}), "NmiSink")
    _check_methods("lines", lines, _present(lines, {"set_virtual_nmi": 2}), "VirtualNmiSink")
    _check_methods("observer", observer, _OBSERVER, "Observer")
    _check_methods("observer", observer, _present(observer, _OPTIONAL), "Observer")
    _check_methods("memory", memory, _MEMORY, "GuestMemory")


def _present(value: object, optional: Mapping[str, int]) -> dict[str, int]:
    """Those of the methods that it has."""
    return {method: count for method, count in optional.items() if hasattr(value, method)}


def _check_methods(name: str, value: object, methods: Mapping[str, int], protocol: str) -> None:
    if value is None:
        return
    if isinstance(value, type):
        raise ConfigError(f"{name} is the class {value.__name__}, not an object of it")
    kind = type(value).__name__
    for method, arguments in methods.items():
        function = getattr(value, method, None)
        if not callable(function):
            raise ConfigError(f"{name} is a {kind}, which has no method {method}: see vgic.{protocol}")
        try:
            shape = inspect.signature(function)
        except (TypeError, ValueError):
            continue  # Compiled code need not tell.
        try:
            shape.bind(*[None] * arguments)
        except TypeError:
            number = f"{arguments} argument{'s' if arguments > 1 else ''}"
            raise ConfigError(
                f"{name} is a {kind}, whose method {method} does not take {number}: see vgic.{protocol}"
            ) from None
