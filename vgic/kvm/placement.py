"""Where the frames are: the addresses of Distributor, Redistributor regions and ITSes, under KVM's rules.

vCPUs get Redistributors in the order in which they were created, the first free slot of the first region with room.
KVM checks little when an address is set and the rest when a vCPU is placed or first run; so does this.
"""

import errno
from dataclasses import dataclass
from itertools import combinations
from typing import Final, NamedTuple

from mmio import FRAME_SIZE
from vgic.config import REDISTRIBUTOR_SIZE, RedistributorRegion
from vgic.its.device import ITS_SIZE
from vgic.kvm.errors import KvmError
from vgic.kvm.uapi import RegionAttr

__all__ = ["Addresses", "Placement"]

_ADDRESS_LIMIT: Final = 1 << 64


@dataclass
class _Region:
    base: int
    count: int
    """Redistributors; 0 for the one region of the old attribute, which grows with the vCPUs."""
    used: int = 0

    def size(self, vcpus: int) -> int:
        return (self.count or vcpus) * REDISTRIBUTOR_SIZE

    @property
    def has_room(self) -> bool:
        return not self.count or self.used < self.count


def _overlap(base: int, size: int, other: int, other_size: int) -> bool:
    return base < other + other_size and other < base + size


class Addresses(NamedTuple):
    """The addresses in a `vgic.Config`, under its names."""

    gicd_base: int
    redistributor_regions: tuple[RedistributorRegion, ...]
    its: tuple[int, ...]


class Placement:
    """The addresses of a VM with `ipa_bits` bits of guest physical address."""

    def __init__(self, ipa_bits: int) -> None:
        self._end = 1 << ipa_bits
        self.distributor: int | None = None
        """Address of the GICD frame."""
        self.frames: list[int] = []
        """RD_base of every vCPU that has one, in creation order."""
        self.its: list[int | None] = []
        """Address of each ITS, None while it has none."""
        self._regions: list[_Region] = []

    # Setting addresses. Each raises KvmError; `what` names the attribute.

    def set_distributor(self, what: str, base: int) -> None:
        """Set the Distributor's address. Overlaps are found later."""
        if self.distributor is not None:
            raise KvmError(errno.EEXIST, f"{what} is set to {self.distributor:#x} already")
        self._check_range(what, base, FRAME_SIZE)
        self.distributor = base

    def set_its(self, what: str, number: int, base: int) -> None:
        """Set the address of an ITS. Overlaps are found later."""
        if self.its[number] is not None:
            raise KvmError(errno.EEXIST, f"{what} is set to {self.its[number]:#x} already")
        self._check_range(what, base, ITS_SIZE)
        self.its[number] = base

    def set_legacy(self, what: str, base: int, vcpus: int) -> None:
        """Set the address of the only region, which has room for every vCPU."""
        if self._regions and self._regions[0].count:
            raise KvmError(errno.EINVAL, f"{what} cannot be mixed with REDIST_REGION")
        if self._regions:
            raise KvmError(errno.EEXIST, f"{what} is set to {self._regions[0].base:#x} already")
        region = _Region(base, 0)
        size = region.size(vcpus)
        if self.distributor is not None and _overlap(base, size, self.distributor, FRAME_SIZE):
            raise KvmError(errno.EINVAL, f"{what} {base:#x} overlaps the distributor at {self.distributor:#x}")
        self._add(what, region, vcpus)

    def set_region(self, what: str, value: int, vcpus: int) -> None:
        """Add a region. Regions come in the order of their index, from 0 on."""
        wanted = RegionAttr.unpack(value)
        if not wanted.count or wanted.flags:
            raise KvmError(errno.EINVAL, f"{what} {value:#x}: the count must not be 0, the flags must be")
        if self._regions and not self._regions[0].count:
            raise KvmError(errno.EINVAL, f"{what} cannot be mixed with REDIST")
        if wanted.index != len(self._regions):
            raise KvmError(errno.EINVAL, f"{what} has index {wanted.index}; the next is {len(self._regions)}")
        self._add(what, _Region(wanted.base, wanted.count), vcpus)

    def _add(self, what: str, region: _Region, vcpus: int) -> None:
        for other in self._regions:
            if _overlap(region.base, region.size(vcpus), other.base, other.size(vcpus)):
                raise KvmError(errno.EINVAL, f"{what} {region.base:#x} overlaps the region at {other.base:#x}")
        self._check_range(what, region.base, region.size(vcpus))
        self._regions.append(region)
        try:
            self.place(what, vcpus, vcpus)
        except KvmError:
            self._regions.pop()
            raise

    def _check_range(self, what: str, base: int, size: int) -> None:
        if base % FRAME_SIZE:
            raise KvmError(errno.EINVAL, f"{what} {base:#x} is no multiple of {FRAME_SIZE:#x}")
        if base + size >= _ADDRESS_LIMIT:
            raise KvmError(errno.EINVAL, f"{what} {base:#x} wraps around after {size:#x} bytes")
        if base >= self._end or base + size > self._end:
            raise KvmError(errno.E2BIG, f"{what} {base:#x}, {size:#x} bytes, ends beyond {self._end:#x}")

    # Using them.

    def place(self, what: str, vcpus: int, counted: int) -> None:
        """Give each of `vcpus` vCPUs that has no Redistributor one, as far as there is room.

        Raises KvmError (EINVAL) where a region does not lie soundly; the growing one has the size of `counted`.
        """
        while len(self.frames) < vcpus:
            region = next((region for region in self._regions if region.has_room), None)
            if region is None:
                return
            self._check_sound(what, counted)
            self.frames.append(region.base + region.used * REDISTRIBUTOR_SIZE)
            region.used += 1

    def _check_sound(self, what: str, vcpus: int) -> None:
        for region in self._regions:
            size = region.size(vcpus)
            if region.base + size > self._end:
                raise KvmError(errno.EINVAL, f"{what}: the region at {region.base:#x} ends beyond {self._end:#x}")
            if self.distributor is not None and _overlap(region.base, size, self.distributor, FRAME_SIZE):
                raise KvmError(
                    errno.EINVAL,
                    f"{what}: the region at {region.base:#x} overlaps the distributor at {self.distributor:#x}",
                )

    def check_run(self, what: str, vcpus: int) -> None:
        """What KVM checks when the first vCPU runs. Raises KvmError: ENXIO, or EINVAL."""
        if len(self.frames) < vcpus:
            raise KvmError(errno.ENXIO, f"{what}: vCPU {len(self.frames)} has no redistributor")
        if self.distributor is None:
            raise KvmError(errno.ENXIO, f"{what}: the distributor has no address")
        self._check_sound(what, vcpus)
        frames = [(region.base, region.size(vcpus)) for region in self._regions]
        frames += [(self.distributor, FRAME_SIZE), *((base, ITS_SIZE) for base in self.its if base is not None)]
        for (base, size), (other, other_size) in combinations(frames, 2):
            if _overlap(base, size, other, other_size):
                raise KvmError(errno.EINVAL, f"{what}: the ITS at {other:#x} overlaps what is at {base:#x}")

    def is_last(self, cpu: int) -> bool:
        """GICR_TYPER.Last: no other Redistributor follows that of vCPU `cpu`; False where it has none."""
        return cpu < len(self.frames) and self.frames[cpu] + REDISTRIBUTOR_SIZE not in self.frames

    @property
    def first_region(self) -> int | None:
        """The address of the first region, of either kind."""
        return self._regions[0].base if self._regions else None

    def region(self, what: str, index: int) -> int:
        """The value of REDIST_REGION for an index. Raises KvmError (ENOENT) where there is no such region."""
        if index >= len(self._regions):
            raise KvmError(errno.ENOENT, f"{what}: there is no region {index}")
        region = self._regions[index]
        return RegionAttr(region.base, region.count, index).pack()

    @property
    def nowhere(self) -> tuple[int, ...]:
        """An address for each ITS that no guest can reach."""
        return tuple(self._end + number * ITS_SIZE for number in range(len(self.its)))

    def complete(self, vcpus: int) -> Addresses | None:
        """The addresses, with room for `vcpus` vCPUs; None while that cannot run. An ITS may be nowhere."""
        try:
            self.check_run("", vcpus)
        except KvmError:
            return None
        assert self.distributor is not None
        regions = (RedistributorRegion(region.base, region.count or vcpus) for region in self._regions)
        its = (there if base is None else base for base, there in zip(self.its, self.nowhere, strict=True))
        return Addresses(self.distributor, tuple(regions), tuple(its))
