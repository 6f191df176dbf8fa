"""MPIDR layouts: how vCPUs are given affinities, as hypervisors, emulators and machines do."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vgic
from vgic import affinity
from vgic_tools.errors import UsageError
from vgic_tools.inputs import read_text

__all__ = ["LAYOUTS", "Layout", "topology_from_file"]

_SGI_TARGETS: Final = 16
_SOCKETS: Final = 2
_MOST: Final = 1 << 26
"""Bytes of a file of affinities: enough for every vCPU, and comments."""


@dataclass(frozen=True)
class Layout:
    """A way to give vCPUs their affinities."""

    name: str
    text: str
    place: Callable[[int, int], int]
    """From a vCPU and the number of vCPUs to a packed affinity."""
    most: int = vgic.MAX_VCPUS
    """How many vCPUs it has affinities for."""

    def topology(self, vcpus: int) -> vgic.Topology:
        """`vcpus` vCPUs in this layout. Raises ConfigError where there is no such topology."""
        return vgic.Topology(self.place(vcpu, vcpus) for vcpu in range(vcpus))


def _clusters(size: int) -> Callable[[int, int], int]:
    return lambda vcpu, _: (vcpu // size) << 8 | vcpu % size


def _sockets(vcpu: int, vcpus: int) -> int:
    socket, core = divmod(vcpu, -(-vcpus // _SOCKETS))
    return affinity.pack(0, socket, *divmod(core, _SGI_TARGETS))


def _sparse(vcpu: int, _: int) -> int:
    group, aff0 = divmod(vcpu, _SGI_TARGETS)
    aff1, aff3 = divmod(group, 256)
    return affinity.pack(aff3, 0, aff1, aff0)


def _threads(vcpu: int, _: int) -> int:
    cluster, core = divmod(vcpu, 8)
    aff3, aff2 = divmod(cluster, 256)
    return affinity.pack(aff3, aff2, core, 0)


LAYOUTS: Final = {
    layout.name: layout
    for layout in (
        Layout("kvm", "Linux KVM: 16 to a cluster", _clusters(16)),
        Layout("qemu", "QEMU's virt machine with a GICv3: 16 to a cluster", _clusters(16)),
        Layout("qemu-gicv2", "QEMU's virt machine with a GICv2: 8 to a cluster", _clusters(8)),
        Layout("aff0-256", "256 to a cluster: SGIs reach them with the range selector", _clusters(256)),
        Layout("two-sockets", "two sockets, told apart by Aff2, 16 to a cluster", _sockets, _SOCKETS * 256 * 16),
        Layout("sparse-aff3", "every 16 vCPUs under another Aff3", _sparse),
        Layout("threads", "as cores with MPIDR_EL1.MT: Aff0 the thread (always 0), Aff1 the core, 8 to a cluster,"
               " Aff2 the cluster, Aff3 beyond 256 clusters", _threads),
    )
}  # fmt: skip
"""Every layout by name."""


def topology_from_file(path: Path) -> vgic.Topology:
    """The topology in a file of dotted affinities, one vCPU a line; empty lines and those after # do not count.

    Raises UsageError naming file and line.
    """
    lines = read_text(path, _MOST).splitlines()
    affinities = []
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if text:
            try:
                affinities.append(affinity.from_text(text))
            except vgic.AffinityError as error:
                raise UsageError(f"{path}:{number}: {error}") from error
    try:
        return vgic.Topology(affinities)
    except vgic.VgicError as error:
        raise UsageError(f"{path}: {error}") from error
