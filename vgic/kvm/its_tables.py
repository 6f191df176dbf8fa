"""SAVE_TABLES and RESTORE_TABLES of an ITS: revision 0 of the format in which KVM keeps tables in guest RAM.

Devices and events are in guest RAM all the time, in this format (`vgic.layouts.its_tables`). What saving adds:

* each device's entry tells how far on the next one is, 0 for the last, at most 2^14 - 1;
* each event's entry tells the same of the next event of its device, at most 2^16 - 1;
* the collections, which the ITS itself keeps, are listed at the beginning of their table, ended by an entry that is
  not valid if there is room.

Restoring goes along these chains. The tables are the guest's, so both check everything before they change anything,
and take no longer than reading RAM once does: tables that overlap are refused.

An ITS of another profile keeps nothing beside guest RAM, so there is nothing to save or restore.
"""

import errno
import struct
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from mmio import Field
from vgic.gic import Gic
from vgic.intids import FIRST_LPI
from vgic.its.device import Its, Translation
from vgic.its.entries import LEVEL1_SIZE, NO_PAGE, Device, Event
from vgic.its.tables import CHUNK
from vgic.kvm.errors import KvmError
from vgic.layouts import gicr, its_tables
from vgic.memory import UNREADABLE, read_word, write_word

__all__ = ["ItsTables"]

_ENTRY: Final = 8
"""Bytes of every entry in this format."""
_WORD: Final = struct.Struct("<Q")

_NEXT_DEVICE: Final = its_tables.KVM.device.field("Next")
_NEXT_EVENT: Final = its_tables.KVM.translation.field("Next")
_VALID: Final[int] = its_tables.KVM.collection.mask("V")
_RDBASE: Final = its_tables.KVM.collection.field("RDbase")
_ICID: Final = its_tables.KVM.collection.field("ICID")

_NUMBER: Final = (1 << gicr.TYPER.field("Processor_Number").width) - 1
_NOT_MAPPED: Final = 0xFFFF_FFFF
"""RDbase of a collection that events name and no MAPC has mapped."""

_LOST_PAGE: Final = -2
"""The address of a page whose level-1 descriptor is not in RAM; NO_PAGE is that of one that there is not."""


class _Slot(NamedTuple):
    """An entry that is not zero, or that cannot be read."""

    id: int
    address: int
    entry: int
    """UNREADABLE for all up to this one that are not in RAM."""


class _Found(NamedTuple):
    """A device, and the events that it has."""

    slot: _Slot
    device: Device
    events: list[_Slot]


class ItsTables:
    """The tables of one ITS of a GIC. `what` names the attribute that asks."""

    def __init__(self, gic: Gic, its: Its, what: str) -> None:
        self._its = its
        self._tables = its.tables
        self._memory = gic.memory
        self._processors = {
            number: cpu for cpu, number in enumerate(its.choices.numbers(gic.config.topology.processors))
        }
        """vCPUs by what RDbase names them."""
        self._lpi_end = 1 << gic.config.lpi_id_bits
        self._gic = gic
        self._what = what

    # Saving.

    def save(self) -> None:
        """Link the devices and events in guest RAM, and list the collections.

        Raises KvmError, and writes nothing: EINVAL for tables that could not be restored, EFAULT for a collection
        table outside RAM, or events that were mapped where there is none any more. A device table outside RAM has
        no devices.
        """
        if not self._its.choices.keeps_collections:
            return
        self._check_collections_are_ram(1)
        devices = list(self._devices(_readable, _readable))
        events: set[Event] = set()
        whole = True
        for device in devices:
            events.update(self._event(device, slot) for slot in device.events)
            whole = whole and self._memory.is_ram(device.device.itt, device.device.events * _ENTRY)
        if not whole:
            self._check_events_are_ram({event.intid for event in events})
        listed = self._collections({event.collection for event in events})
        for device in devices:
            self._link(device.events, _NEXT_EVENT)
        self._link([device.slot for device in devices], _NEXT_DEVICE)
        base = self._tables.collections.base
        for place, entry in enumerate(listed):
            write_word(self._memory, base + place * _ENTRY, _ENTRY, entry)

    def _collections(self, named: set[int]) -> list[int]:
        """The entries of the collection table; `named` are the collections that events name."""
        room = self._tables.collections.count
        if not room:
            return []
        # KVM keeps a collection that a command has named until it is unmapped, with events or without.
        targets = dict.fromkeys((icid for icid in self._tables.named if icid < room), _NOT_MAPPED)
        targets.update(dict.fromkeys(named, _NOT_MAPPED))
        targets.update((icid, rdbase & _NUMBER) for icid, rdbase in self._tables.kept.items() if icid < room)
        # As KVM lists them: in the order in which commands named them.
        order = [icid for icid in self._tables.named if icid in targets]
        order += sorted(icid for icid in targets if icid not in self._tables.named)
        listed = [_VALID | targets[icid] << _RDBASE.lsb | icid << _ICID.lsb for icid in order]
        if len(listed) < room:
            listed.append(0)
        self._check_collections_are_ram(len(listed))
        return listed

    def _check_collections_are_ram(self, entries: int) -> None:
        table = self._tables.collections
        if table.count and not self._memory.is_ram(table.base, entries * _ENTRY):
            raise self._refused(errno.EFAULT, "the collection table is not in RAM")

    def _check_events_are_ram(self, found: set[int]) -> None:
        """Raise where an LPI of this ITS is not among those that were found: its event cannot be reached."""
        for lpi in self._its.kept.mapped() if self._its.kept is not None else ():
            if lpi.its == self._its.number and lpi.intid not in found:
                raise self._refused(errno.EFAULT, f"the event of INTID {lpi.intid} is not in RAM")

    def _link(self, slots: list[_Slot], field: Field) -> None:
        """Write into each entry how far on the next one is."""
        furthest = (1 << field.width) - 1
        steps = [min(after.id - slot.id, furthest) for slot, after in pairwise(slots)]
        # Without a slot there is no last one either.
        for slot, step in zip(slots, [*steps, 0], strict=False):
            write_word(self._memory, slot.address, _ENTRY, slot.entry & ~field.mask | step << field.lsb)

    # Restoring.

    def restore(self) -> None:
        """Take over what guest RAM says: collections, and of every event's LPI its configuration and pending bit.

        Raises KvmError, and changes nothing: EINVAL for tables that contradict themselves or the VM, EEXIST for a
        collection that there is already, EFAULT for an entry, or for what is known of an LPI, outside RAM.
        """
        if not self._its.choices.keeps_collections:
            return
        targets = self._listed_collections()
        for device in self._devices(_chained, _chained):
            self._check_chain(device, targets)
        self._tables.kept.update({icid: rdbase for icid, rdbase in targets.items() if rdbase != _NOT_MAPPED})
        self._tables.named.update(targets)
        for device in self._devices(_chained, _chained):
            for slot in device.events:
                event = self._event(device, slot)
                self._its.commands.keep(event.intid, event.collection)
                found = self._its.translate(device.slot.id, slot.id)
                if isinstance(found, Translation):
                    bank = self._gic.lpis(found.cpu)
                    bank.reload(found.intid)
                    bank.take_from_table(found.intid)

    def _listed_collections(self) -> dict[int, int]:
        targets: dict[int, int] = {}
        table = self._tables.collections
        for place in range(table.count):
            entry = read_word(self._memory, table.base + place * _ENTRY, _ENTRY)
            if entry == UNREADABLE:
                raise self._refused(errno.EFAULT, f"entry {place} of the collection table is not in RAM")
            if not entry & _VALID:
                break
            icid, rdbase = _ICID.extract(entry), _RDBASE.extract(entry)
            if rdbase not in self._processors and rdbase != _NOT_MAPPED:
                raise self._refused(
                    errno.EINVAL, f"collection {icid} goes to vCPU {rdbase}, which this VM does not have"
                )
            if icid in targets or icid in self._tables.kept:
                raise self._refused(errno.EEXIST, f"collection {icid} is there already")
            if icid >= table.count:
                raise self._refused(errno.EINVAL, f"collection {icid} is beyond the table of {table.count}")
            targets[icid] = rdbase
        return targets

    def _check_chain(self, found: _Found, targets: dict[int, int]) -> None:
        for slot in found.events:
            name = f"event {slot.id} of device {found.slot.id:#x}"
            if slot.id + _NEXT_EVENT.extract(slot.entry) >= found.device.events:
                raise self._refused(errno.EINVAL, f"{name}: the next one is beyond the device's last")
            event = self._event(found, slot)
            if event.collection not in targets:
                raise self._refused(
                    errno.EINVAL, f"{name}: collection {event.collection} is not in the collection table"
                )
            self._check_lpi(name, event.intid, targets[event.collection])

    def _check_lpi(self, name: str, intid: int, rdbase: int) -> None:
        """Raise where what restoring an LPI reads of it is not in RAM."""
        # The configuration is that of the VM, so any vCPU knows it.
        if not self._gic.lpis(0).table.holds(intid):
            raise self._refused(errno.EFAULT, f"{name}: the configuration of INTID {intid} is not in RAM")
        if rdbase == _NOT_MAPPED:
            return
        if not self._gic.lpis(self._processors[rdbase]).pending_table.holds(intid):
            raise self._refused(errno.EFAULT, f"{name}: the pending bit of INTID {intid} is not in RAM")

    # Reading.

    def _devices(self, devices: "_Selection", events: "_Selection") -> Iterator[_Found]:
        """The devices and their events that these keep of those that are mapped. Raises KvmError."""
        entries = self._tables.entries
        mapped = (
            slot
            for page in self._device_pages()
            for slot in self._entries(*page)
            if slot.entry == UNREADABLE or entries.device(slot.entry) is not None
        )
        known = [(slot, self._device(slot)) for slot in devices(mapped, _NEXT_DEVICE)]
        self._check_apart([device for _, device in known])
        for found, device in known:
            mapped = (
                slot
                for slot in self._entries(device.itt, device.events, 0)
                if slot.entry == UNREADABLE or entries.event(slot.entry) is not None
            )
            chosen = list(events(mapped, _NEXT_EVENT))
            for slot in chosen:
                self._check_readable(slot, f"event {slot.id} of device {found.id:#x}")
            yield _Found(found, device, chosen)

    def _check_readable(self, slot: _Slot, name: str) -> None:
        if slot.entry == UNREADABLE:
            raise self._refused(errno.EFAULT, f"the entries up to {name} are not in RAM")

    def _device(self, slot: _Slot) -> Device:
        self._check_readable(slot, f"device {slot.id:#x}")
        device = self._tables.entries.device(slot.entry)
        assert device is not None
        if device.events > 1 << self._its.event_bits:
            raise self._refused(errno.EINVAL, f"device {slot.id:#x} has {device.events:#x} events")
        return device

    def _event(self, found: _Found, slot: _Slot) -> Event:
        event = self._tables.entries.event(slot.entry)
        assert event is not None
        name = f"event {slot.id} of device {found.slot.id:#x}"
        if not FIRST_LPI <= event.intid < self._lpi_end:
            raise self._refused(errno.EINVAL, f"{name}: INTID {event.intid} is no LPI of this VM")
        if event.collection >= self._tables.collections.count:
            raise self._refused(errno.EINVAL, f"{name}: collection {event.collection} is beyond the table")
        return event

    def _device_pages(self) -> list[tuple[int, int, int]]:
        """Address, number of entries and first DeviceID of each part of the device table that is there.

        Where a level-1 descriptor cannot be read the address is _LOST_PAGE.
        """
        table, count = self._tables.devices, self._tables.devices.count
        if not table.indirect:
            return [(table.base, count, 0)] if count else []
        pages = []
        for first in range(0, count, table.entries_of_page):
            place = table.base + first // table.entries_of_page * LEVEL1_SIZE
            descriptor = read_word(self._memory, place, LEVEL1_SIZE)
            start = _LOST_PAGE if descriptor == UNREADABLE else self._tables.entries.page(descriptor)
            if start != NO_PAGE:
                pages.append((start, min(table.entries_of_page, count - first), first))
        return pages

    def _check_apart(self, devices: list[Device]) -> None:
        """Raise where two tables overlap: one is then no table of this guest's, and reading could take for ever."""
        level1 = self._tables.devices
        stretches = [(start, entries) for start, entries, _ in self._device_pages() if start != _LOST_PAGE]
        stretches += [(device.itt, device.events) for device in devices]
        stretches.append((self._tables.collections.base, self._tables.collections.count))
        if level1.indirect:
            stretches.append((level1.base, -(-level1.count // level1.entries_of_page)))
        for (lower, entries), (upper, _) in pairwise(sorted(stretch for stretch in stretches if stretch[1])):
            if lower + entries * _ENTRY > upper:
                raise self._refused(errno.EINVAL, f"the tables at {lower:#x} and {upper:#x} overlap")

    def _entries(self, start: int, count: int, first: int) -> Iterator[_Slot]:
        """The entries that are not zero, or cannot be read."""
        if start == _LOST_PAGE:
            yield _Slot(first + count - 1, start, UNREADABLE)
            return
        end = start + count * _ENTRY
        place = start
        while place < end:
            size = min(CHUNK - place % CHUNK, end - place)
            head = self._readable(place, size)
            data = self._memory.read(place, head) if head else b""
            if data != bytes(head):
                for number, (entry,) in enumerate(_WORD.iter_unpack(data), (place - start) // _ENTRY):
                    if entry:
                        yield _Slot(first + number, start + number * _ENTRY, entry)
            place += head
            if head < size:
                place += self._unreadable(place, size - head)
                yield _Slot(first + (place - start) // _ENTRY - 1, place - _ENTRY, UNREADABLE)

    def _readable(self, start: int, size: int) -> int:
        """How many of these bytes are in RAM before an entry that is not."""
        if self._memory.is_ram(start, size):
            return size
        # RAM seldom ends within a page: mostly it is all or nothing.
        if not self._memory.is_ram(start, _ENTRY):
            return 0
        entries = range(size // _ENTRY)
        return bisect_left(entries, True, key=lambda n: not self._memory.is_ram(start, (n + 1) * _ENTRY)) * _ENTRY

    def _unreadable(self, start: int, size: int) -> int:
        """How many of these bytes, the first of which are not in RAM, come before an entry from which all are."""
        end = start + size
        if not self._memory.is_ram(end - _ENTRY, _ENTRY):
            return size
        entries = range(size // _ENTRY)
        return (
            bisect_left(entries, True, key=lambda n: self._memory.is_ram(start + n * _ENTRY, size - n * _ENTRY))
            * _ENTRY
        )

    def _refused(self, number: int, reason: str) -> KvmError:
        return KvmError(number, f"{self._what}: {reason}")


_Selection: TypeAlias = Callable[[Iterator[_Slot], Field], Iterator[_Slot]]
"""Which of the entries in a table count; the field tells how far on the next one is."""


def _readable(slots: Iterator[_Slot], field: Field) -> Iterator[_Slot]:
    """All that are in RAM."""
    return (slot for slot in slots if slot.entry != UNREADABLE)


def _chained(slots: Iterator[_Slot], field: Field) -> Iterator[_Slot]:
    """Those that the chain leads to: from the first on, each tells how far on the next is, the last tells 0."""
    wanted = 0
    for slot in slots:
        if slot.id >= wanted:
            yield slot
            step = field.extract(slot.entry)
            if not step:
                return
            wanted = slot.id + step
