"""What is mapped in an ITS, as tables: from a trace, or from a saved VM."""

from collections import Counter
from typing import Final

from vgic import VgicError, affinity
from vgic.layouts import gits
from vgic_tools.console import Output, Table, styled, table
from vgic_tools.its_history import Collection, History
from vgic_tools.its_walk import MOST_LOOKUPS, Mapped, Walk

__all__ = ["print_history", "print_walk"]

_MOST_NOTES: Final = 8

_OFFSET: Final = gits.CWRITER.mask("Offset")


def print_history(console: Output, file: str, history: History) -> bool:
    """What a trace shows; False where something in it has no mapping."""
    if not history.commands and not history.unmapped:
        console.print(f"{file}: no ITS command and no MSI")
        return True
    messages = sum(event.messages for event in history.events)
    commands = ", ".join(f"{name} {count:,}" for name, count in history.commands.most_common())
    console.print(styled(file, "bold"), f": {history.commands.total():,} ITS commands: {commands}", sep="")
    console.print(f"{messages:,} MSIs of {len(history.events):,} mappings of {len(_events(history)):,} events")
    console.print()
    console.print(_devices(history))
    console.print()
    console.print(_mappings(history))
    console.print()
    console.print(_collections(history))
    for (device, event), count in sorted(history.unmapped.items())[:_MOST_NOTES]:
        _note(console, f"{count:,} MSIs of device {device:#x}, event {event:#x}, not mapped")
    for intid, count in sorted(history.unexplained.items())[:_MOST_NOTES]:
        _note(console, f"LPI {intid} was taken {count:,} times, and never mapped")
    return not history.unmapped and not history.unexplained


def _note(console: Output, text: str) -> None:
    console.print(styled("note:", "yellow"), text)


def _events(history: History) -> set[tuple[int, int]]:
    return {(mapping.device, mapping.event) for mapping in history.events}


def _devices(history: History) -> Table:
    table = _table("device", "EventID bits", "translation table", "events", "MSIs", "lines")
    for device in history.devices:
        own = [
            event
            for event in history.events
            if event.device == device.device
            and device.mapped <= event.mapped
            and (device.unmapped is None or event.mapped <= device.unmapped)
        ]
        table.add_row(
            f"{device.device:#x}",
            str(device.bits),
            f"{device.address:#x}",
            str(len({event.event for event in own})),
            f"{sum(event.messages for event in own):,}",
            _lines(device.mapped, device.unmapped),
        )
    return table


def _mappings(history: History) -> Table:
    table = _table("device", "event", "INTID", "collection", "moves", "target", "MSIs", "INTs", "taken by", "lines")
    targets = {item.collection: item for item in history.collections}
    for mapping in history.events:
        collection = mapping.collections[-1]
        target = targets.get(collection)
        table.add_row(
            f"{mapping.device:#x}",
            f"{mapping.event:#x}",
            str(mapping.intid),
            f"{collection:#x}",
            _count(len(mapping.collections) - 1),
            "not mapped" if target is None else _target(history, target),
            _count(mapping.messages),
            _count(mapping.commands),
            _taken(mapping.taken),
            _lines(mapping.mapped, mapping.unmapped),
        )
    return table


def _collections(history: History) -> Table:
    table = _table("collection", "target", "events", "lines")
    events = Counter(number for event in history.events for number in set(event.collections))
    for collection in history.collections:
        table.add_row(
            f"{collection.collection:#x}",
            _target(history, collection),
            _count(events[collection.collection]),
            _lines(collection.mapped, collection.unmapped),
        )
    return table


def _target(history: History, collection: Collection) -> str:
    """The PE, where the trace tells which one has this number."""
    number = collection.targets[-1]
    pe = history.processors.get(number)
    return f"processor {number:#x}" if pe is None else f"vCPU {affinity.text(pe)}"


def _taken(taken: Counter[int]) -> str:
    return ", ".join(f"{affinity.text(pe)}: {count:,}" for pe, count in sorted(taken.items()))


def _lines(first: int, last: int | None) -> str:
    return f"{first}-" if last is None else f"{first}-{last}"


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _table(*headings: str) -> Table:
    words = ("collection", "target", "taken by", "lines", "LPI", "pending LPIs", "INTIDs")
    return table(*headings, right=tuple(heading for heading in headings if heading not in words))


def print_walk(console: Output, file: str, walk: Walk) -> bool:
    """What is mapped in an ITS of a saved VM; False where an event goes nowhere or the queue is stalled."""
    its, config = walk.its, walk.gic.config
    base = config.its[walk.number]
    state = "enabled" if its.enabled else "disabled"
    where = f": ITS {walk.number} at {base:#x}, profile {config.profile.name}, {state}"
    console.print(styled(file, "bold"), where, sep="")
    console.print(_queue(walk))
    for name, kept in (("devices", its.tables.devices), ("collections", its.tables.collections)):
        shape = "two-level table" if kept.indirect else "table"
        where = f"{shape} at {kept.base:#x}, room for {kept.count:,}" if kept.count else "no table"
        console.print(f"{name}: {where}")
    if not walk.readable:
        _note(
            console,
            "the tables are in the guest's RAM, which a state does not hold: give it with --ram FILE@ADDRESS",
        )
    if not walk.complete:
        _note(console, f"only the first {MOST_LOOKUPS:,} table entries were looked at")
    for shown in (_mapped_devices(walk), _mapped_events(walk), _mapped_collections(walk), _pending(walk)):
        if shown.row_count:
            console.print()
            console.print(shown)
    return not its.queue.waits and all(event.target is not None for event in walk.events)


def _queue(walk: Walk) -> str:
    queue = walk.its.queue
    if not queue.size:
        return "command queue: none"
    waits = ", stalled" if queue.waits else ""
    return (
        f"command queue: {queue.size:#x} bytes at {queue.base:#x}, read to {queue.creadr & _OFFSET:#x}, written to"
        f" {queue.cwriter & _OFFSET:#x}{waits}"
    )


def _mapped_devices(walk: Walk) -> Table:
    table = _table("device", "EventID bits", "translation table", "events")
    events = Counter(event.device for event in walk.events)
    for number, device in walk.devices.items():
        bits = str(device.events.bit_length() - 1)
        table.add_row(f"{number:#x}", bits, f"{device.itt:#x}", _count(events[number]))
    return table


def _mapped_events(walk: Walk) -> Table:
    table = _table("device", "event", "INTID", "collection", "target", "LPI")
    for event in walk.events:
        table.add_row(
            f"{event.device:#x}",
            f"{event.event:#x}",
            str(event.intid),
            f"{event.collection:#x}",
            "none" if event.target is None else _vcpu(walk, event.target),
            _lpi(walk, event),
        )
    return table


def _lpi(walk: Walk, event: Mapped) -> str:
    """What is known of the LPI at its target, or why there is none."""
    if event.target is None:
        return "" if event.error is None else event.error.value
    try:
        lpi = walk.gic.lpi(event.target, event.intid)
    except VgicError as error:
        return str(error)
    state = [name for name in ("pending", "enabled") if getattr(lpi, name)]
    return f"{' '.join(state) or 'disabled'}, priority {lpi.priority:#04x}"


def _mapped_collections(walk: Walk) -> Table:
    table = _table("collection", "target", "events")
    events = Counter(event.collection for event in walk.events)
    for number, (rdbase, cpu) in walk.collections.items():
        target = f"none: RDbase {rdbase:#x}" if cpu is None else _vcpu(walk, cpu)
        table.add_row(f"{number:#x}", target, _count(events[number]))
    return table


def _pending(walk: Walk) -> Table:
    """What is pending where, as far as the model or a mapped event tells: one profile keeps it in RAM alone."""
    table = _table("pending LPIs", "INTIDs")
    mapped: dict[int, set[int]] = {}
    for event in walk.events:
        if event.target is not None:
            mapped.setdefault(event.target, set()).add(event.intid)
    for cpu in range(len(walk.gic.config.topology)):
        bank = walk.gic.lpis(cpu)
        if pending := sorted({*bank.pending, *filter(bank.is_pending, mapped.get(cpu, ()))}):
            more = f" and {len(pending) - _MOST_NOTES} more" if len(pending) > _MOST_NOTES else ""
            table.add_row(_vcpu(walk, cpu), ", ".join(map(str, pending[:_MOST_NOTES])) + more)
    return table


def _vcpu(walk: Walk, cpu: int) -> str:
    return f"vCPU {affinity.text(walk.gic.affinity(cpu))}"
