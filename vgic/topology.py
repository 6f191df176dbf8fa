"""Topology: which vCPU has which affinity.

vCPUs are numbered 0 to n - 1 in creation order, which is the order of the Redistributor frames; that number is
GICR_TYPER.Processor_Number too, unless said otherwise. Affinities identify vCPUs to the guest and may be anything,
as long as no two are the same.

None of this needs a GIC: a VM without one gets its vCPUs' MPIDRs here too.
"""

from collections.abc import Collection, Iterable, Mapping
from operator import length_hint
from typing import Final

from mypy_extensions import i64

from vgic import affinity
from vgic.arguments import brief, check_integer, is_integer, listed
from vgic.errors import AffinityError, ConfigError

__all__ = ["MAX_VCPUS", "NO_VCPU", "AffinityIndex", "Topology"]

MAX_VCPUS: Final = 65_536
"""GICR_TYPER.Processor_Number has 16 bits."""

NO_VCPU: Final = -1
"""In place of a vCPU where there is none, within the core, which counts in integers of the machine."""


class Topology:
    """The affinities of a VM's vCPUs, packed 32 bits each, in vCPU order. Immutable.

    `aarch32` lists the vCPUs whose highest Exception level is AArch32: their MPIDR has 32 bits and no Aff3.
    `processors` are the GICR_TYPER.Processor_Numbers (16 bits), in vCPU order; None: 0, 1, 2...

    Raises AffinityError, naming the vCPUs, for an affinity that does not fit in 32 bits, one that two vCPUs share,
    or an Aff3 of an AArch32 vCPU; ConfigError for fewer than 1 or more than 65,536 vCPUs, an AArch32 vCPU that the
    VM does not have, what is no list of numbers, and processor numbers that are not different ones of 16 bits, one
    for each vCPU.
    """

    def __init__(
        self, affinities: Iterable[int], aarch32: Iterable[int] = (), processors: Iterable[int] | None = None
    ) -> None:
        given = listed("affinities", affinities, "a list of packed affinities", MAX_VCPUS + 1)
        _check_count(max(length_hint(affinities), len(given)))
        self.affinities = tuple([_packed(cpu, item) for cpu, item in enumerate(given)])
        named = listed("aarch32", aarch32, "a list of vCPUs", MAX_VCPUS + 1)
        self.aarch32 = frozenset([_vcpu(item, len(given)) for item in named])
        self._index: dict[int, int] = {}
        for cpu, packed in enumerate(self.affinities):
            _add(self._index, cpu, packed, self.aarch32)
        cpus = range(len(given))
        numbers = (
            cpus if processors is None else listed("processors", processors, "a list of numbers", len(given) + 1)
        )
        self.processors = tuple([_processor(cpu, item) for cpu, item in enumerate(numbers)])
        """GICR_TYPER.Processor_Number of each vCPU."""
        if len(self.processors) != len(given):
            raise ConfigError(f"{len(given)} vCPUs cannot have {len(self.processors)} processor numbers")
        _check_apart(self.processors)

    @classmethod
    def clusters(cls, cpus: int, size: int) -> "Topology":
        """`cpus` vCPUs, `size` (1 to 256) to a cluster: Aff0 counts within it, Aff1 and up the clusters."""
        check_integer("cpus", cpus)
        check_integer("size", size)
        _check_count(cpus)
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
        """From a list of texts such as "0.0.1.3". Raises AffinityError, and ConfigError for what is no list."""
        texts = listed("dotted", dotted, "a list of texts such as ['0.0.0.0', '0.0.0.1']", MAX_VCPUS + 1)
        return cls([_from_text(cpu, item) for cpu, item in enumerate(texts)], aarch32)

    def __len__(self) -> int:
        return len(self.affinities)

    def find(self, packed: int) -> int | None:
        """The vCPU with this affinity, None where there is none; O(1)."""
        return self._index.get(packed)

    def mpidr(self, cpu: int) -> int:
        """MPIDR_EL1 of a vCPU (64 bits), or its MPIDR (32 bits) where it is AArch32."""
        return affinity.to_mpidr(self.affinities[cpu])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Topology):
            return NotImplemented
        return self.affinities == other.affinities and self.aarch32 == other.aarch32

    def __hash__(self) -> int:
        return hash((self.affinities, self.aarch32))

    def __reduce__(self) -> tuple[type["Topology"], tuple[tuple[int, ...], list[int]]]:
        return Topology, (self.affinities, sorted(self.aarch32))

    def __repr__(self) -> str:
        shown = ", ".join(affinity.text(packed) for packed in self.affinities[:4])
        count = "1 vCPU" if len(self) == 1 else f"{len(self)} vCPUs"
        return f"<Topology of {count}: {shown}{', ...' if len(self) > 4 else ''}>"


_NOBODY: Final = [NO_VCPU] * 16


class AffinityIndex:
    """Which vCPU has which affinity now: as the topology says, until a VMM writes MPIDRs."""

    def __init__(self, topology: Topology) -> None:
        self.affinities = list(topology.affinities)
        """Packed affinity of each vCPU."""
        self.moves: i64 = 0
        """How often affinities have changed: what is made of one is good as long as this stays the same."""
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
        self.moves += 1


def _processor(cpu: int, item: object) -> int:
    if not is_integer(item) or not 0 <= item < MAX_VCPUS:
        raise ConfigError(f"vCPU {cpu}: processor number {brief(item)} is no number of 16 bits")
    return item


def _check_apart(processors: tuple[int, ...]) -> None:
    taken: dict[int, int] = {}
    for cpu, number in enumerate(processors):
        if number in taken:
            raise ConfigError(f"vCPUs {taken[number]} and {cpu} have the same processor number {number}")
        taken[number] = cpu


def _check_count(cpus: int) -> None:
    if not 0 < cpus <= MAX_VCPUS:
        raise ConfigError(f"a VM has 1 to {MAX_VCPUS} vCPUs, not {cpus}")


def _packed(cpu: int, item: object) -> int:
    if not is_integer(item):
        raise AffinityError(f"vCPU {cpu}: affinity {brief(item)} is no integer")
    return item


def _vcpu(item: object, count: int) -> int:
    if not is_integer(item) or not 0 <= item < count:
        raise ConfigError(f"aarch32 names vCPU {brief(item)}: this VM has vCPUs 0 to {count - 1}")
    return item


def _from_text(cpu: int, item: object) -> int:
    if not isinstance(item, str):
        raise AffinityError(f"vCPU {cpu}: affinity {brief(item)} is no text such as '0.0.0.1'")
    return affinity.from_text(item)


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
