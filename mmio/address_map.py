"""The address map: which frame of which device an address belongs to.

Regions lie in a SortedDict by base address and may not overlap. An access outside every region, or one that a
frame refuses, reads as zero, writes nothing, and is reported to the observer; it never raises.
"""

from collections.abc import Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol, TypeVar

from mypy_extensions import i64, mypyc_attr
from sortedcontainers import SortedDict

from mmio.frame import FRAME_BITS, FRAME_SIZE, ILLEGAL, Frame, Refusal, StoredRegister
from mmio.layout import RegisterLayout
from mmio.registers import NOT_THERE

__all__ = ["AddressMap", "FrameArray", "IllegalAccess", "Location", "MapError", "Observer", "Region"]

OwnerT = TypeVar("OwnerT")

_MOST: Final = 1 << 62
"""The size of a region: an offset into it is an integer of the machine."""

_ADDRESSES: Final = 1 << 64
"""Addresses that there are."""


class MapError(ValueError):
    """A region that cannot be placed; the message names it and what it collides with."""


class IllegalAccess(NamedTuple):
    """An access that had no effect, and why."""

    address: int
    size: int
    value: int | None
    """The value written, None for a read."""
    secure: bool
    refusal: Refusal
    cpu: int | None = None
    """Who made it, where that was said."""


class Observer(Protocol):
    """Is told of accesses that had no effect. It must not access the map in turn."""

    def illegal_access(self, access: IllegalAccess) -> None:
        """An access was answered RAZ/WI."""


class Location(NamedTuple):
    """What lies at an address."""

    region: "Region"
    owner: str
    """The label of the device whose frame it is."""
    offset: int
    """Bytes from the start of that device's frames."""
    register: RegisterLayout | None
    element: int
    """Which register of an array, counted from 0."""


# Regions of an embedder are Python, also where this module is compiled.
@mypyc_attr(allow_interpreted_subclasses=True)
class Region:
    """A stretch of addresses [base, base + size)."""

    def __init__(self, name: str, base: int, size: int) -> None:
        self.name = name
        self.base = base
        self.size = size
        self.end = base + size

    def read(self, offset: i64, size: i64, secure: bool) -> int:
        """Read at `offset` from the base; ILLEGAL where refused."""
        return ILLEGAL

    def write(self, offset: i64, size: i64, value: int, secure: bool) -> bool:
        """Write at `offset` from the base; False where refused."""
        return False

    def stored(self, offset: i64) -> int:
        """What the register at `offset` stores, all of it, which a read need not show; 0 where it stores nothing.

        Past the rules for guests, as `keep` is: for what saves and restores a machine.
        """
        return 0

    def keep(self, offset: i64, value: int) -> None:
        """Store what `stored` returned once, and do nothing else: what follows is for the caller to see to."""

    def refusal(self, offset: i64, size: i64, write: bool) -> Refusal | None:
        """Why an access at `offset` has no effect, None where it has one."""
        return Refusal.HOLE

    def locate(self, offset: i64) -> Location:
        """What lies at `offset` from the base."""
        return Location(self, self.name, offset, None, 0)

    def __str__(self) -> str:
        return f"{self.base:#014x}-{self.end - 1:#014x}  {self.size:#10x}  {self.name}"


class FrameArray(Region, Generic[OwnerT]):
    """The frames of equal devices, device after device: all of `frames` for the first, then for the second...

    `labels` name the devices in reports, one for each owner.
    """

    def __init__(
        self,
        name: str,
        base: int,
        frames: Sequence[Frame[OwnerT]],
        owners: Sequence[OwnerT],
        labels: Sequence[str],
    ) -> None:
        super().__init__(name, base, FRAME_SIZE * len(frames) * len(owners))
        self.frames = tuple(frames)
        self.owners = tuple(owners)
        self.labels = tuple(labels)
        # By page, because a division costs as much as the rest of the way to the frame.
        self._page_frames = [frame for _ in owners for frame in frames]
        self._page_owners = [owner for owner in owners for _ in frames]

    def read(self, offset: i64, size: i64, secure: bool) -> int:
        """Read from the frame and owner at `offset`; ILLEGAL where refused."""
        page = offset >> FRAME_BITS
        frame, owner = self._page_frames[page], self._page_owners[page]
        return frame.read(owner, offset & (FRAME_SIZE - 1), size, secure)

    def write(self, offset: i64, size: i64, value: int, secure: bool) -> bool:
        """Write to the frame and owner at `offset`; False where refused."""
        page = offset >> FRAME_BITS
        frame, owner = self._page_frames[page], self._page_owners[page]
        return frame.write(owner, offset & (FRAME_SIZE - 1), size, value, secure)

    def stored(self, offset: i64) -> int:
        """What the register at `offset` stores, and the bits that always read as one; 0 where it stores nothing."""
        found, owner = self._stored(offset)
        return 0 if found is None else found.get(owner)

    def keep(self, offset: i64, value: int) -> None:
        """Store the bits of `value` that are state of the device, and do nothing else."""
        found, owner = self._stored(offset)
        if found is not None:
            kept = found.kept(owner)
            found.keep(owner, found.get(owner) & ~kept | value & kept)

    def _stored(self, offset: i64) -> tuple[StoredRegister[OwnerT] | None, OwnerT]:
        """The register at `offset` where it is state that its device has got, and the device."""
        owner = self._page_owners[offset >> FRAME_BITS]
        found = self._frame(offset).stored_at(offset & (FRAME_SIZE - 1))
        if found is not None and found.kept(owner) == NOT_THERE:
            found = None
        return found, owner

    def refusal(self, offset: i64, size: i64, write: bool) -> Refusal | None:
        """Why an access at `offset` has no effect, None where it has one."""
        return self._frame(offset).refusal(offset & (FRAME_SIZE - 1), size, write)

    def locate(self, offset: i64) -> Location:
        """The device, register and index at `offset`."""
        span = FRAME_SIZE * len(self.frames)
        found = self._frame(offset).register_at(offset & (FRAME_SIZE - 1))
        register, index = found if found is not None else (None, 0)
        return Location(self, self.labels[offset // span], offset % span, register, index)

    def _frame(self, offset: i64) -> Frame[OwnerT]:
        return self._page_frames[offset >> FRAME_BITS]


class AddressMap:
    """Dispatches accesses by address. Regions are added once, when the machine is built."""

    def __init__(self, observer: Observer | None = None) -> None:
        self._regions: SortedDict[int, Region] = SortedDict()
        self._observer = observer
        # Guests hammer one region at a time; remembering it, and where it lies, saves the search.
        self._last = Region("nothing", 0, 0)
        self._last_base = 0
        self._last_end = 0

    def add(self, region: Region) -> None:
        """Place a region. Raises MapError where it is empty, misaligned, too high or overlaps another."""
        if region.size <= 0 or region.base < 0 or region.base % FRAME_SIZE or region.size % FRAME_SIZE:
            raise MapError(
                f"{region.name} at {region.base:#x}, {region.size:#x} bytes: base and size must be multiples"
                f" of {FRAME_SIZE:#x}, the size not zero"
            )
        if region.size > _MOST:
            raise MapError(f"{region.name} at {region.base:#x}: {region.size:#x} bytes are more than {_MOST:#x}")
        if region.end > _ADDRESSES:
            raise MapError(f"{region.name} at {region.base:#x} reaches beyond the addresses of 64 bits")
        for other in self:
            if region.base < other.end and other.base < region.end:
                raise MapError(
                    f"{region.name} ({region.base:#x}-{region.end - 1:#x}) overlaps"
                    f" {other.name} ({other.base:#x}-{other.end - 1:#x})"
                )
        self._regions[region.base] = region

    def __iter__(self) -> Iterator[Region]:
        return iter(self._regions.values())

    def find(self, address: int) -> Region | None:
        """The region that holds `address`; O(log regions)."""
        index = self._regions.bisect_right(address) - 1
        if index < 0:
            return None
        region = self._regions.peekitem(index)[1]
        return region if address < region.end else None

    def locate(self, address: int) -> Location | None:
        """Device and register at `address`, None where nothing is mapped."""
        region = self.find(address)
        return None if region is None else region.locate(address - region.base)

    def read(self, address: int, size: int, secure: bool = False, cpu: int | None = None) -> int:
        """Read `size` bytes at `address`; 0 for an access that has no effect. Never raises.

        `cpu` is who does it; the observer is told.
        """
        value = self.try_read(address, size, secure)
        if value < 0:
            self.report(address, size, None, secure, cpu)
            return 0
        return value

    def write(self, address: int, size: int, value: int, secure: bool = False, cpu: int | None = None) -> None:
        """Write the low `size` bytes of `value` at `address`, as `read` reads. Never raises."""
        if not self.try_write(address, size, value, secure):
            self.report(address, size, value, secure, cpu)

    def try_read(self, address: int, size: int, secure: bool) -> int:
        """`read`, but ILLEGAL for an access that has no effect, of which nobody is told."""
        if not self._last_base <= address < self._last_end and not self._enter(address):
            return ILLEGAL
        if size not in (4, 8, 1, 2):
            return ILLEGAL
        return self._last.read(address - self._last_base, size, secure)

    def try_write(self, address: int, size: int, value: int, secure: bool) -> bool:
        """`write`; False for an access that has no effect, of which nobody is told."""
        if not self._last_base <= address < self._last_end and not self._enter(address):
            return False
        if size not in (4, 8, 1, 2):
            return False
        return self._last.write(address - self._last_base, size, value, secure)

    def report(self, address: int, size: int, value: int | None, secure: bool, cpu: int | None) -> None:
        """Tell the observer of an access that had no effect; `value` is None for a read."""
        if self._observer is None:
            return
        region = self.find(address)
        if region is None:
            refusal = Refusal.UNMAPPED
        elif size not in (4, 8, 1, 2):
            refusal = Refusal.SIZE
        else:
            refusal = region.refusal(address - region.base, size, value is not None) or Refusal.HOLE
        self._observer.illegal_access(IllegalAccess(address, size, value, secure, refusal, cpu))

    def _enter(self, address: int) -> bool:
        """Make the region that holds `address` the last one; False where there is none."""
        found = self.find(address)
        if found is None:
            return False
        self._last = found
        self._last_base = found.base
        self._last_end = found.end
        return True

    def __str__(self) -> str:
        return "\n".join(str(region) for region in self)

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from mmio.notebook import html_table

        rows = [(f"{one.base:#x}", f"{one.end - 1:#x}", f"{one.size:#x}", one.name) for one in self]
        return html_table("Address map", ("first", "last", "bytes", "what is there"), rows)
