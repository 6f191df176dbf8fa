"""`vgic its`: the devices, events and collections of an ITS, from a trace or a saved VM."""

import mmap
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import click

from mmio.trace import TraceError, open_trace
from mmio.unpacking import unpacked
from vgic import Ram, RamRegions, VgicError
from vgic_tools.console import stdout
from vgic_tools.errors import UsageError
from vgic_tools.inputs import kept, shown_name
from vgic_tools.its_history import History
from vgic_tools.its_report import print_history, print_walk
from vgic_tools.its_walk import Walk
from vgic_tools.numbers import number
from vgic_tools.snapshots.debugfs import ItsDump
from vgic_tools.snapshots.files import is_snapshot, read_saved
from vgic_tools.snapshots.snapshot import Snapshot
from vgic_tools.terminal import DIFFERENT, fail

__all__ = ["guest_ram", "its_command"]

_FIRST: Final = 1 << 16
"""Bytes of a file that tell what it is."""


@click.command("its", short_help="Show what is mapped in an ITS, and who took its interrupts.")
@click.argument("file", metavar="TRACE|STATE")
@click.option(
    "--ram",
    "images",
    multiple=True,
    metavar="FILE@ADDRESS",
    help="With a STATE: the guest's RAM from this address on, where its tables are; may be given several times.",
)
def its_command(file: str, images: tuple[str, ...]) -> None:
    """Show the devices, events and collections of an ITS, where events go, and who took them.

    TRACE is a QEMU log or a native trace: whatever was mapped in it at some time is shown, with the lines of the
    commands that mapped and unmapped it. STATE is a saved VM, a state file or a migration stream of QEMU, which has
    the guest's RAM: what is mapped in it is shown, as far as that RAM is there; or a KVM host's vgic-its-state.
    Each may be compressed; - is standard input.

    Exits with 0; with 1 where an MSI or an LPI that was taken has no mapping, a mapped event goes nowhere, or the
    queue is stalled; with 2 where the input cannot be used.

    \b
    vgic its trace.log.gz
    vgic its vm.state --ram ram.bin@0x40000000
    """
    name = shown_name(file)
    try:
        with kept(file) as path:
            if _is_state(path):
                fits = _print_state(path, name, images)
            elif images:
                raise UsageError(f"--ram goes with a saved state, and {name} is none")
            else:
                fits = print_history(stdout(), name, History(open_trace(path, name)))
    except (TraceError, UsageError, VgicError) as error:
        fail(error)
    sys.exit(0 if fits else DIFFERENT)


def _is_state(path: str) -> bool:
    try:
        with open(path, "rb") as opened:
            # The first piece of what is compressed has the first line.
            return is_snapshot(next(unpacked([opened.read(_FIRST)]), b""))
    except (OSError, ValueError):
        return False  # Reading it as a trace says why.


def _print_state(path: str, name: str, images: Sequence[str]) -> bool:
    snapshot = read_saved(path, name)
    if isinstance(snapshot, ItsDump):
        from vgic_tools.snapshots.debugfs_report import print_its_dump

        return print_its_dump(stdout(), name, snapshot)
    if not isinstance(snapshot, Snapshot):
        raise UsageError(f"{name}: a vgic-state of a KVM host has no ITS: vgic-its-state@ADDRESS beside it has")
    memory = snapshot.memory
    if images or memory is None:
        memory = guest_ram(images)
    gic = snapshot.state.build(memory=memory)
    if not gic.config.its:
        raise UsageError(f"{name}: the VM has no ITS")
    console = stdout()
    # All of them are shown, whatever is wrong with the first.
    walks = [Walk(gic, index) for index in range(len(gic.config.its))]
    fits = [print_walk(console, name, walk) for walk in walks]
    return all(fits)


def guest_ram(images: Sequence[str]) -> RamRegions:
    """The RAM in files, each FILE@ADDRESS. Raises UsageError, or ConfigError where they overlap."""
    return RamRegions([_ram(image) for image in images])


def _ram(image: str) -> Ram:
    """The RAM in a file, FILE@ADDRESS; what is written to it stays here."""
    name, separator, address = image.rpartition("@")
    base = number(address)
    if not separator or base is None:
        raise UsageError(f"--ram {image}: written FILE@ADDRESS")
    try:
        with Path(name).open("rb") as file:
            return Ram(base, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY))
    except (OSError, ValueError) as error:
        raise UsageError(f"{name}: {getattr(error, 'strerror', None) or 'is empty'}") from error
