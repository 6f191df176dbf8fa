"""Which machine a file describes, whatever of four kinds it is: known by what is in it, not by its name."""

from pathlib import Path
from typing import Final, NamedTuple

import vgic
from vgic_tools.errors import UsageError
from vgic_tools.inputs import read_bytes, shown_name
from vgic_tools.machines.errors import MachineFileError
from vgic_tools.machines.qemu_cmdline import QEMU_SPIS, config_of_words, words_of

__all__ = ["Described", "describes_machine", "machine_from_file"]

_LARGEST: Final = 1 << 26
"""Bytes of a file: a hundred times those of a large board's device tree, or of a long kernel log."""

_TREE: Final = b"\xd0\x0d\xfe\xed"
_TABLE: Final = b"APIC"

_FOUND: Final = b"GICv3: CPU0: found redistributor "
"""In the kernel log of every boot that has found a GICv3."""

_KINDS: Final = "a QEMU command line, a device tree blob, an ACPI MADT or a kernel log (dmesg)"


class Described(NamedTuple):
    """A machine that a file describes."""

    config: vgic.Config
    tells_distributor: bool = True
    """Where False, the address of the distributor is a default."""


def machine_from_file(path: Path, profile: vgic.Profile) -> Described:
    """The machine of a file; `profile` is for a file that does not tell whose GIC it is.

    Raises UsageError where the file cannot be read, is of no known kind, or describes a machine that cannot be.
    """
    return _described(read_bytes(path, _LARGEST), path, profile)


def describes_machine(path: Path) -> int | None:
    """How much a file of a known kind says of a machine, 0 the most; None for one that says nothing."""
    try:
        data = read_bytes(path, _LARGEST)
    except UsageError:
        return None
    if _qemu_words(data):
        return 0
    if data.startswith((_TREE, _TABLE)):
        return 1 if data.startswith(_TREE) else 2
    return 3 if _FOUND in data else None


def _described(data: bytes, path: Path, profile: vgic.Profile) -> Described:
    shown = shown_name(path)
    try:
        if data.startswith(_TREE):
            from vgic_tools.machines.device_tree import config_of_blob

            return Described(config_of_blob(data, QEMU_SPIS))
        if data.startswith(_TABLE):
            from vgic_tools.machines.madt import config_from_madt

            return Described(config_from_madt(data, profile, QEMU_SPIS))
        if words := _qemu_words(data):
            return Described(config_of_words(words, shown))
        if (log := _kernel_log(data)) is not None:
            from vgic_tools.machines.dmesg import config_from_dmesg

            return Described(config_from_dmesg(log, profile, QEMU_SPIS), tells_distributor=False)
    except (MachineFileError, vgic.VgicError) as error:
        raise UsageError(f"{shown}: {error}") from error
    raise UsageError(f"{shown}: describes no machine: expected {_KINDS}")


def _qemu_words(data: bytes) -> list[str]:
    """The words of a QEMU command line; empty where the data is none."""
    try:
        return words_of(data.decode())
    except (UnicodeDecodeError, ValueError):
        return []


def _kernel_log(data: bytes) -> str | None:
    """The text of a kernel log; None where the data is none."""
    from vgic_tools.machines.dmesg import is_dmesg

    # A console may hold anything beside it.
    text = data.decode("utf-8", "replace")
    return text if is_dmesg(text) else None
