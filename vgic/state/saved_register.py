"""One register of a saved state: its name, its bits, and how the state behind it is read and written."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from mmio import NOT_THERE, Frame

__all__ = ["SavedRegister", "attribute", "flag", "registers_of"]

OwnerT = TypeVar("OwnerT")


@dataclass(frozen=True, slots=True)
class SavedRegister:
    """One register of a VM, with its device."""

    name: str
    writable: int
    """The bits that are state; the others are the same whatever the state."""
    get: Callable[[], int]
    put: Callable[[int], None]


def registers_of(frame: Frame[OwnerT], owner: OwnerT, arm: str, own: str) -> Iterator[SavedRegister]:
    """What a device's frame has of its state; `arm` begins the names that are Arm's, `own` the others."""
    for stored in frame.stored():
        kept = stored.kept(owner)
        if kept != NOT_THERE:
            prefix = own if stored.word.alias else arm
            yield SavedRegister(prefix + stored.name, kept, partial(stored.get, owner), partial(stored.keep, owner))


def attribute(name: str, writable: int, device: object, attribute: str) -> SavedRegister:
    """A register whose state is an attribute of a device."""
    return SavedRegister(
        name,
        writable,
        lambda: int(getattr(device, attribute)),
        lambda value: setattr(device, attribute, value),
    )


def flag(name: str, writable: int, device: object, attribute: str) -> SavedRegister:
    """A register of which all that can be written follows one flag."""
    return SavedRegister(
        name,
        writable,
        lambda: writable if getattr(device, attribute) else 0,
        lambda value: setattr(device, attribute, value != 0),
    )
