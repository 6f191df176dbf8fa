"""Saved VMs in files, whoever saved them: known by what is in them, not by their names."""

import os
import stat
from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

from vgic import State, VgicError
from vgic_tools.errors import UsageError
from vgic_tools.inputs import STANDARD_INPUT, read_bytes, shown_name
from vgic_tools.progress import progress
from vgic_tools.snapshots.debugfs import Dump, ItsDump, is_dump, is_its_dump, read_dump, read_its_dump
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.qemu_stream import LONGEST_MAGIC, is_stream
from vgic_tools.snapshots.snapshot import Snapshot
from vgic_tools.snapshots.vmms import is_cloud_hypervisor, is_crosvm, is_firecracker

__all__ = ["Saved", "is_snapshot", "read_saved", "read_snapshot"]

_STATE: Final = b'{"format": "vgic-state"'


Saved: TypeAlias = Snapshot | Dump | ItsDump
"""A VM's state; or what KVM's debugfs says of its GIC, or of an ITS."""


class _Format(NamedTuple):
    """A kind of file that holds a saved VM, or what a host says of one."""

    words: str
    is_it: Callable[[bytes], bool]
    """Whether a file that begins with these bytes is one."""
    read: Callable[[bytes], Saved]


def _state_file(data: bytes) -> Snapshot:
    return Snapshot("a saved VM", State.from_bytes(data))


def _begins_state(start: bytes) -> bool:
    return start.startswith(_STATE)


def _stream(data: bytes) -> Snapshot:
    from vgic_tools.snapshots.qemu_state import snapshot_of_stream

    return snapshot_of_stream(data)


def _cloud_hypervisor(data: bytes) -> Snapshot:
    from vgic_tools.snapshots.cloud_hypervisor import snapshot_of_cloud_hypervisor

    return snapshot_of_cloud_hypervisor(data)


def _firecracker(data: bytes) -> Snapshot:
    from vgic_tools.snapshots.firecracker import snapshot_of_firecracker

    return snapshot_of_firecracker(data)


def _crosvm(data: bytes) -> Snapshot:
    from vgic_tools.snapshots.crosvm import snapshot_of_crosvm

    return snapshot_of_crosvm(data)


_FORMATS: Final = (
    _Format("a state file", _begins_state, _state_file),
    _Format("a migration stream of QEMU", is_stream, _stream),
    _Format("a state.json of Cloud Hypervisor", is_cloud_hypervisor, _cloud_hypervisor),
    _Format("a text of Firecracker's snapshot-editor", is_firecracker, _firecracker),
    _Format("a file irqchip of crosvm", is_crosvm, _crosvm),
    _Format("a vgic-state of KVM", is_dump, read_dump),
    _Format("a vgic-its-state of KVM", is_its_dump, read_its_dump),
)


def is_snapshot(start: bytes) -> bool:
    """True where a file that begins with these bytes holds a saved VM."""
    return any(known.is_it(start) for known in _FORMATS)


def read_saved(name: str | os.PathLike[str], shown: str | None = None) -> Saved:
    """What is in a file, plain or compressed, which messages call `shown`.

    Raises UsageError where it cannot be read, is damaged, or holds none of these.
    """
    shown = shown or shown_name(name)
    try:
        if (stream := _stream_in(name, shown)) is not None:
            return stream
        data = read_bytes(name)
        known = next((known for known in _FORMATS if known.is_it(data)), _FORMATS[0])
        return known.read(data)
    except (SnapshotError, VgicError) as error:
        raise UsageError(f"{shown}: {error}") from error
    except OSError as error:
        raise UsageError(f"{shown}: cannot be read: {error.strerror}") from error
    except UsageError as error:
        if isinstance(cause := error.__cause__, OSError):
            raise UsageError(f"{shown}: cannot be read: {cause.strerror}") from cause
        raise


def _stream_in(name: str | os.PathLike[str], shown: str) -> Snapshot | None:
    """The VM in an uncompressed file that holds a stream, None for any other.

    A stream has all of a guest's RAM: it is mapped, not loaded, and reading it can take a while.
    """
    if os.fspath(name) == STANDARD_INPUT or not stat.S_ISREG(os.stat(name).st_mode):
        return None
    with open(name, "rb") as file:
        if not is_stream(file.read(LONGEST_MAGIC)):
            return None
        from mmap import ACCESS_READ, mmap

        from vgic_tools.snapshots.qemu_state import snapshot_of_stream

        data = mmap(file.fileno(), 0, access=ACCESS_READ)
    done = 0

    def reached(at: int) -> None:
        nonlocal done
        done = at
        advance()

    with progress(shown, len(data), lambda: done) as advance:
        return snapshot_of_stream(data, reached)


def read_snapshot(name: str | os.PathLike[str], shown: str | None = None) -> Snapshot:
    """The saved VM in a file, as `read_saved` does. Raises UsageError for less than a VM's whole state, too."""
    saved = read_saved(name, shown)
    if isinstance(saved, Snapshot):
        return saved
    what = "vgic-state" if isinstance(saved, Dump) else "vgic-its-state"
    raise UsageError(f"{shown or shown_name(name)}: a {what} of a KVM host, which is not the whole state of a VM")
