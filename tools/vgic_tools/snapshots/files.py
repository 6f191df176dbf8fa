"""Saved VMs in files, whoever saved them: known by what is in them, not by their names."""

import os
from collections.abc import Callable
from typing import Final, NamedTuple

from vgic import State, VgicError
from vgic_tools.errors import UsageError
from vgic_tools.inputs import read_bytes, shown_name
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.snapshot import Snapshot

__all__ = ["is_snapshot", "read_snapshot"]

_STATE: Final = b'{"format": "vgic-state"'


class _Format(NamedTuple):
    """A kind of file that holds a saved VM."""

    words: str
    is_it: Callable[[bytes], bool]
    """Whether a file that begins with these bytes is one."""
    read: Callable[[bytes], Snapshot]


def _state_file(data: bytes) -> Snapshot:
    return Snapshot("a saved VM", State.from_bytes(data))


def _begins_state(start: bytes) -> bool:
    return start.startswith(_STATE)


def _stream(data: bytes) -> Snapshot:
    from vgic_tools.snapshots.qemu_state import snapshot_of_stream

    return snapshot_of_stream(data)


def _begins_stream(start: bytes) -> bool:
    return start.startswith((b"QEVM", b"LibvirtQemud"))


_FORMATS: Final = (
    _Format("a state file", _begins_state, _state_file),
    _Format("a migration stream of QEMU", _begins_stream, _stream),
)


def is_snapshot(start: bytes) -> bool:
    """True where a file that begins with these bytes holds a saved VM."""
    return any(known.is_it(start) for known in _FORMATS)


def read_snapshot(name: str | os.PathLike[str], shown: str | None = None) -> Snapshot:
    """The saved VM in a file, plain or compressed, which messages call `shown`.

    Raises UsageError where it cannot be read, is damaged, or holds none.
    """
    shown = shown or shown_name(name)
    data = read_bytes(name)
    known = next((known for known in _FORMATS if known.is_it(data)), _FORMATS[0])
    try:
        return known.read(data)
    except (SnapshotError, VgicError) as error:
        raise UsageError(f"{shown}: {error}") from error
