"""What is mapped in an ITS of a VM: a walk through the tables in the guest's RAM."""

from dataclasses import dataclass, field
from typing import Final

from vgic import Gic, ItsError
from vgic.its.commands import Targets
from vgic.its.entries import Device
from vgic.its.errors import Fault
from vgic.its.tables import Table
from vgic.layouts import gits

__all__ = ["MOST_LOOKUPS", "Mapped", "Walk"]

MOST_LOOKUPS: Final = 1 << 18
"""Entries that are looked at: a guest may call any memory a table."""

_BY_ADDRESS: Final = gits.TYPER.mask("PTA")


@dataclass(frozen=True)
class Mapped:
    """An event of a device."""

    device: int
    event: int
    intid: int
    collection: int
    target: int | None
    """The vCPU that it goes to; None where `error` says why to none."""
    error: ItsError | None = None


@dataclass
class Walk:
    """What is mapped in ITS number `number` of a VM."""

    gic: Gic
    number: int
    devices: dict[int, Device] = field(default_factory=dict)
    """By DeviceID."""
    events: list[Mapped] = field(default_factory=list)
    collections: dict[int, tuple[int, int | None]] = field(default_factory=dict)
    """By ICID: RDbase, and the vCPU that it means, None where it means none."""
    readable: bool = True
    """The tables are in RAM."""
    complete: bool = True
    """There was no more to look at than `MOST_LOOKUPS`."""

    def __post_init__(self) -> None:
        gic = self.gic
        self.its = gic.its(self.number)
        banks = [gic.lpis(cpu) for cpu in range(len(gic.config.topology))]
        processors = self.its.choices.numbers(gic.config.topology.processors)
        self._targets = Targets(banks, gic.redistributor_bases, processors, self.its.typer & _BY_ADDRESS != 0)
        self._left = MOST_LOOKUPS
        tables = self.its.tables
        kept = self.its.choices.keeps_collections
        self.readable = self._is_ram(tables.devices) and (kept or self._is_ram(tables.collections))
        self._walk_collections(sorted(tables.kept) if kept else range(tables.collections.count))
        self._walk_devices()

    def _is_ram(self, table: Table) -> bool:
        return table.count == 0 or self.gic.memory.is_ram(table.base, 1)

    def _looks(self) -> bool:
        """True where another entry may be looked at."""
        self._left -= 1
        self.complete = self.complete and self._left >= 0
        return self._left >= 0

    def _walk_collections(self, numbers: range | list[int]) -> None:
        for collection in numbers:
            if not self._looks():
                return
            try:
                rdbase = self.its.tables.rdbase(collection)
            except Fault:
                continue
            self.collections[collection] = rdbase, self._cpu(rdbase)

    def _cpu(self, rdbase: int) -> int | None:
        try:
            return self._targets.cpu(rdbase)
        except Fault:
            return None

    def _walk_devices(self) -> None:
        for number in range(self.its.tables.devices.count):
            if not self._looks():
                return
            try:
                device = self.its.tables.device(number)
            except Fault:
                continue
            self.devices[number] = device
        for number, device in self.devices.items():
            self._walk_events(number, device)

    def _walk_events(self, number: int, device: Device) -> None:
        for event_id in range(device.events):
            if not self._looks():
                return
            try:
                event = self.its.tables.event(device, event_id)
            except Fault:
                continue
            found = self.its.translate(number, event_id)
            target, error = (None, found) if isinstance(found, ItsError) else (found.cpu, None)
            self.events.append(Mapped(number, event_id, event.intid, event.collection, target, error))
