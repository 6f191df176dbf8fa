"""Topology: which vCPU has which affinity.

vCPUs are numbered 0 to n - 1 in creation order, which is the order of the Redistributor frames; that number is
GICR_TYPER.Processor_Number too, unless said otherwise. Affinities identify vCPUs to the guest and may be anything,
as long as no two are the same.

None of this needs a GIC: a VM without one gets its vCPUs' MPIDRs here too.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from mypy_extensions import i64

from vgic import affinity
from vgic.errors import AffinityError, ConfigError

__all__ = ["MAX_VCPUS", "NO_VCPU", "AffinityIndex", "Topology"]

MAX_VCPUS: Final = 65_536
"""GICR_TYPER.Processor_Number has 16 bits."""

NO_VCPU: Final = -1
"""What `find` returns for an affinity that no vCPU has."""


class Topology:
    """The affinities of a VM's vCPUs, packed 32 bits each, in vCPU order. Immutable.

    `aarch32` lists the vCPUs whose highest Exception level is AArch32: their MPIDR has 32 bits and no Aff3.
    `processors` are the GICR_TYPER.Processor_Numbers (16 bits), in vCPU order; None: 0, 1, 2...

    Raises AffinityError, naming the vCPUs, for an affinity that does not fit in 32 bits, one that two vCPUs share,
    or an Aff3 of an AArch32 vCPU; ConfigError for fewer than 1 or more than 65,536 vCPUs, and for processor numbers
    that are not different ones of 16 bits, one for each vCPU.
    """

    def __init__(
        self, affinities: Iterable[int], aarch32: Iterable[int] = (), processors: Iterable[int] | None = None
    ) -> None:
        self.affinities = tuple(affinities)
        self.aarch32 = frozenset(aarch32)
        if not 0 < len(self.affinities) <= MAX_VCPUS:
            raise ConfigError(f"a VM has 1 to {MAX_VCPUS} vCPUs, not {len(self.affinities)}")
        self._index: dict[int, int] = {}
        for cpu, packed in enumerate(self.affinities):
            _add(self._index, cpu, packed, self.aarch32)
        self.processors = tuple(range(len(self.affinities)) if processors is None else processors)
        if len(self.processors) != len(self.affinities):
            raise ConfigError(f"{len(self.affinities)} vCPUs cannot have {len(self.processors)} processor numbers")
        _check_processors(self.processors)

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
    def from_text(cls, dotted: Iterable[str], aarch32: Iterable[int] = ()) -> "Topology":
        """From texts such as "0.0.1.3". Raises AffinityError."""
        return cls((affinity.from_text(item) for item in dotted), aarch32)

    def __len__(self) -> int:
        return len(self.affinities)

    def find(self, packed: int) -> int:
        """The vCPU with this affinity, NO_VCPU where there is none; O(1)."""
        return self._index.get(packed, NO_VCPU)

    def mpidr(self, cpu: int) -> int:
        """MPIDR_EL1 of a vCPU (64 bits), or its MPIDR (32 bits) where it is AArch32."""
        return affinity.to_mpidr(self.affinities[cpu])

    def __repr__(self) -> str:
        shown = ", ".join(affinity.text(packed) for packed in self.affinities[:4])
        return f"<Topology of {len(self)} vCPUs: {shown}{', ...' if len(self) > 4 else ''}>"


_NOBODY: Final = [NO_VCPU] * 16


class AffinityIndex:
    """Which vCPU has which affinity now: as the topology says, until a VMM writes MPIDRs."""

    def __init__(self, topology: Topology) -> None:
        self.affinities = list(topology.affinities)
        """Packed affinity of each vCPU."""
        self._aarch32 = topology.aarch32
        self._ranges: dict[int, list[int]] = {}
        """The vCPUs of 16 affinities that differ in their lowest 4 bits, by the others."""
        self._last_number: i64 = -1
        self._last = _NOBODY
        for cpu, packed in enumerate(topology.affinities):
            self._put(packed, cpu)

    def find(self, packed: i64) -> i64:
        """The vCPU with this affinity, NO_VCPU where there is none; O(1)."""
        return self.range_of(packed)[packed & 15]

    def range_of(self, packed: i64) -> list[int]:
        """The vCPUs of the 16 affinities that differ from this one in the lowest 4 bits, as an SGI names them."""
        number = packed >> 4
        # Devices and PEs address the same few all the time; remembering the last saves the search.
        if number != self._last_number:
            self._last = self._ranges.get(number, _NOBODY)
            self._last_number = number
        return self._last

    def _put(self, packed: int, cpu: int) -> None:
        self._ranges.setdefault(packed >> 4, [NO_VCPU] * 16)[packed & 15] = cpu
        self._last_number = -1

    def _remove(self, packed: int) -> None:
        cpus = self._ranges[packed >> 4]
        cpus[packed & 15] = NO_VCPU
        if cpus == _NOBODY:
            del self._ranges[packed >> 4]
        self._last_number = -1

    def move(self, changes: Mapping[int, int]) -> None:
        """Give vCPUs (keys) other affinities (values), all at once, so that two may swap.

        Raises AffinityError naming the vCPUs as `Topology` does, and then changes nothing.
        """
        freed = {self.affinities[cpu] for cpu in changes}
        taken: dict[int, int] = {}
        for cpu, packed in changes.items():
            holder = NO_VCPU if packed in freed else self.find(packed)
            if holder != NO_VCPU:
                raise _shared(holder, cpu, packed)
            _add(taken, cpu, packed, self._aarch32)
        for packed in freed:
            self._remove(packed)
        for cpu, packed in changes.items():
            self._put(packed, cpu)
            self.affinities[cpu] = packed


def _check_processors(processors: tuple[int, ...]) -> None:
    taken: dict[int, int] = {}
    for cpu, number in enumerate(processors):
        if not 0 <= number < MAX_VCPUS:
            raise ConfigError(f"vCPU {cpu}: processor number {number} does not fit in 16 bits")
        if number in taken:
            raise ConfigError(f"vCPUs {taken[number]} and {cpu} have the same processor number {number}")
        taken[number] = cpu


def _add(index: dict[int, int], cpu: int, packed: int, aarch32: Collection[int]) -> None:
    """Enter a vCPU into an index of affinities, where that can be."""
    if not 0 <= packed <= 0xFFFF_FFFF:
        raise AffinityError(f"vCPU {cpu}: affinity {packed:#x} does not fit in 32 bits")
    if cpu in aarch32 and affinity.has_aff3(packed):
        raise AffinityError(f"vCPU {cpu} is AArch32 and has no Aff3, but its affinity is {affinity.text(packed)}")
    if packed in index:
        raise _shared(index[packed], cpu, packed)
    index[packed] = cpu


def _shared(one: int, other: int, packed: int) -> AffinityError:
    return AffinityError(f"vCPUs {one} and {other} have the same affinity {affinity.text(packed)}")
