"""Topology: which vCPU has which affinity.

vCPUs are numbered 0 to n - 1 in creation order; that number is GICR_TYPER.Processor_Number and the order of the
Redistributor frames. Affinities identify vCPUs to the guest and may be anything, as long as no two are the same.
"""

from collections.abc import Iterable
from typing import Final

from vgic import affinity
from vgic.errors import AffinityError, ConfigError

__all__ = ["MAX_VCPUS", "NO_VCPU", "Topology"]

MAX_VCPUS: Final = 65_536
"""GICR_TYPER.Processor_Number has 16 bits."""

NO_VCPU: Final = -1
"""What `Topology.find` returns for an affinity that no vCPU has."""


class Topology:
    """The affinities of a VM's vCPUs, packed 32 bits each, in vCPU order."""

    def __init__(self, affinities: Iterable[int]) -> None:
        """Raises AffinityError for an affinity of more than 32 bits or one that two vCPUs share; both are named."""
        self.affinities = tuple(affinities)
        if not 0 < len(self.affinities) <= MAX_VCPUS:
            raise ConfigError(f"a VM has 1 to {MAX_VCPUS} vCPUs, not {len(self.affinities)}")
        self._index: dict[int, int] = {}
        for cpu, packed in enumerate(self.affinities):
            if not 0 <= packed <= 0xFFFF_FFFF:
                raise AffinityError(f"vCPU {cpu}: affinity {packed:#x} does not fit in 32 bits")
            if packed in self._index:
                raise AffinityError(
                    f"vCPUs {self._index[packed]} and {cpu} have the same affinity {affinity.text(packed)}"
                )
            self._index[packed] = cpu

    @classmethod
    def clusters(cls, cpus: int, size: int) -> "Topology":
        """`cpus` vCPUs, `size` (1 to 256) to a cluster: Aff0 counts within it, Aff1 and up the clusters."""
        if not 1 <= size <= 256:
            raise ConfigError(f"a cluster has 1 to 256 vCPUs, not {size}")
        return cls((cpu // size) << 8 | cpu % size for cpu in range(cpus))

    @classmethod
    def kvm(cls, cpus: int) -> "Topology":
        """What KVM gives its vCPUs: 16 to a cluster, because ICC_SGI1R_EL1 names 16 at a time."""
        return cls.clusters(cpus, 16)

    @classmethod
    def qemu(cls, cpus: int) -> "Topology":
        """What QEMU's virt machine gives its vCPUs with a GICv3: 16 to a cluster."""
        return cls.clusters(cpus, 16)

    @classmethod
    def from_text(cls, dotted: Iterable[str]) -> "Topology":
        """From texts such as "0.0.1.3". Raises AffinityError."""
        return cls(affinity.from_text(item) for item in dotted)

    def __len__(self) -> int:
        return len(self.affinities)

    def find(self, packed: int) -> int:
        """The vCPU with this affinity, NO_VCPU where there is none; O(1)."""
        return self._index.get(packed, NO_VCPU)

    def __repr__(self) -> str:
        shown = ", ".join(affinity.text(packed) for packed in self.affinities[:4])
        return f"<Topology of {len(self)} vCPUs: {shown}{', ...' if len(self) > 4 else ''}>"
