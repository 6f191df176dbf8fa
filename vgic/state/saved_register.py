"""One register of a saved state: its name, its bits, and how the state behind it is read and written."""

from collections.abc import Callable
from dataclasses import dataclass

__all__ = ["SavedRegister", "attribute", "flag"]


@dataclass(frozen=True, slots=True)
class SavedRegister:
    """One register of a VM, with its device."""

    name: str
    writable: int
    """The bits that are state; the others are the same whatever the state."""
    get: Callable[[], int]
    put: Callable[[int], None]


def attribute(name: str, writable: int, device: object, attribute: str, constant: int = 0) -> SavedRegister:
    """A register whose state is an attribute of a device; the bits of `constant` are ones beside it."""
    return SavedRegister(
        name,
        writable,
        lambda: int(getattr(device, attribute)) | constant,
        lambda value: setattr(device, attribute, value & ~constant),
    )


def flag(name: str, writable: int, device: object, attribute: str) -> SavedRegister:
    """A register of which all that can be written follows one flag."""
    return SavedRegister(
        name,
        writable,
        lambda: writable if getattr(device, attribute) else 0,
        lambda value: setattr(device, attribute, value != 0),
    )
