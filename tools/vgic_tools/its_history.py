"""What a trace tells of an ITS: devices, events, collections, and what became of their interrupts."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from mmio.trace import Access, Command, Event, Message, SysReg
from vgic.intids import FIRST_LPI
from vgic.layouts import gicr, gits

__all__ = ["Collection", "Device", "EventMapping", "History"]

_ACKNOWLEDGES: Final = ("ICC_IAR0", "ICC_IAR1")


@dataclass
class EventMapping:
    """An event of a device, from the command that mapped it to the one that ended it."""

    device: int
    event: int
    intid: int
    collections: list[int]
    """Where it was, one after the other."""
    mapped: int
    """Line of the trace."""
    unmapped: int | None = None
    messages: int = 0
    commands: int = 0
    """INT commands."""
    taken: Counter[int] = field(default_factory=Counter)
    """Acknowledgements, by packed affinity of the PE."""


@dataclass
class Device:
    """A device, from the command that mapped it to the one that ended it."""

    device: int
    bits: int
    """Bits of EventID."""
    address: int
    """Of its interrupt translation table."""
    mapped: int
    unmapped: int | None = None


@dataclass
class Collection:
    """A collection."""

    collection: int
    targets: list[int]
    """Where its interrupts went, one after the other: as the commands say."""
    mapped: int
    unmapped: int | None = None


class History:
    """Follows the commands and messages of a trace."""

    def __init__(self, trace: Iterable[Event] = ()) -> None:
        self.devices: list[Device] = []
        self.events: list[EventMapping] = []
        self.collections: list[Collection] = []
        self.commands: Counter[str] = Counter()
        """By name."""
        self.unmapped: Counter[tuple[int, int]] = Counter()
        """Messages of events that were not mapped, by device and event."""
        self.unexplained: Counter[int] = Counter()
        """Acknowledgements of LPIs that were not mapped, by INTID."""
        self.processors: dict[int, int] = {}
        """Packed affinities of the PEs whose number was read."""
        self._device_now: dict[int, Device] = {}
        self._event_now: dict[tuple[int, int], EventMapping] = {}
        self._by_intid: dict[int, EventMapping] = {}
        self._collection_now: dict[int, Collection] = {}
        for event in trace:
            self.feed(event)

    def feed(self, event: Event) -> None:
        """Take the next event."""
        match event:
            case Command():
                self._command(event)
            case Message(offset=gits.TRANSLATER.offset):
                self._message(event)
            case SysReg() if event.value >= FIRST_LPI and not event.write and event.register in _ACKNOWLEDGES:
                self._acknowledged(event)
            case Access() if event.device == "gicr" and event.offset == gicr.TYPER.offset and not event.write:
                if event.owner is not None and event.value is not None:
                    self.processors[gicr.TYPER.field("Processor_Number").extract(event.value)] = event.owner
            case _:
                pass

    def mapping(self, device: int | None, event: int | None) -> EventMapping | None:
        """The mapping of an event now."""
        return None if device is None or event is None else self._event_now.get((device, event))

    def _command(self, command: Command) -> None:
        self.commands[command.name] += 1
        mapping = self.mapping(command.device, command.event)
        match command:
            case Command(name="MAPD", device=int(device)):
                self._unmap_device(device, command.line)
                if command.valid:
                    mapped = Device(device, (command.size or 0) + 1, command.address or 0, command.line)
                    self.devices.append(mapped)
                    self._device_now[device] = mapped
            case Command(name="MAPC", collection=int(number)):
                self._map_collection(number, command)
            case Command(name="MAPTI" | "MAPI", device=int(device), event=int(event), collection=int(number)):
                intid = event if command.intid is None else command.intid
                self._unmap_event(device, event, command.line)
                made = EventMapping(device, event, intid, [number], command.line)
                self.events.append(made)
                self._event_now[device, event] = self._by_intid[intid] = made
            case Command(name="MOVI", collection=int(number)) if mapping is not None:
                mapping.collections.append(number)
            case Command(name="DISCARD", device=int(device), event=int(event)):
                self._unmap_event(device, event, command.line)
            case Command(name="INT") if mapping is not None:
                mapping.commands += 1
            case _:
                pass

    def _map_collection(self, number: int, command: Command) -> None:
        known = self._collection_now.get(number)
        if not command.valid:
            if known is not None:
                known.unmapped = command.line
                del self._collection_now[number]
        elif known is None:
            self._collection_now[number] = Collection(number, [command.target or 0], command.line)
            self.collections.append(self._collection_now[number])
        elif known.targets[-1] != command.target:
            known.targets.append(command.target or 0)

    def _unmap_device(self, device: int, line: int) -> None:
        if (known := self._device_now.pop(device, None)) is not None:
            known.unmapped = line
        for owner, event in [key for key in self._event_now if key[0] == device]:
            self._unmap_event(owner, event, line)

    def _unmap_event(self, device: int, event: int, line: int) -> None:
        if (known := self._event_now.pop((device, event), None)) is not None:
            known.unmapped = line

    def _message(self, message: Message) -> None:
        mapping = self.mapping(message.requester, message.value)
        if mapping is None:
            self.unmapped[message.requester, message.value] += 1
        else:
            mapping.messages += 1

    def _acknowledged(self, access: SysReg) -> None:
        mapping = self._by_intid.get(access.value)
        if mapping is None:
            self.unexplained[access.value] += 1
        else:
            mapping.taken[access.cpu] += 1
