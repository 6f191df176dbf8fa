"""A saved VM of somebody else's, as this project sees it."""

from dataclasses import dataclass

import vgic

__all__ = ["Snapshot"]


@dataclass(frozen=True)
class Snapshot:
    """A state, and what came with it."""

    kind: str
    """In words, with the version where the file says it: "a migration stream of QEMU, machine virt-7.2"."""
    state: vgic.State
    memory: vgic.GuestMemory | None = None
    """The guest's RAM, where it is in the file."""
    notes: tuple[str, ...] = ()
    """What is missing, or is not known, a sentence each."""
    findings: tuple[str, ...] = ()
    """What goes wrong where the VM is restored from it, a sentence each."""
