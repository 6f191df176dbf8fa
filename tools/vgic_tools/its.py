"""`vgic its`: the devices, events and collections of an ITS, from a trace."""

from collections import Counter

import click
from rich.console import Console
from rich.table import Table

from mmio.trace import TraceError, open_trace
from vgic import affinity
from vgic_tools.its_history import Collection, History
from vgic_tools.terminal import fail, stdout

__all__ = ["its_command"]

_MOST_UNEXPLAINED = 8


@click.command("its")
@click.argument("file", metavar="TRACE")
def its_command(file: str) -> None:
    """Show the devices, events and collections of an ITS, where events went, and who took them.

    TRACE is a QEMU log or a native trace: whatever was mapped in it at some time is shown, with the lines of the
    commands that mapped and unmapped it.

    \b
    vgic its trace.log.gz
    """
    try:
        history = History(open_trace(file))
    except TraceError as error:
        fail(error)
    _print_history(stdout(), file, history)


def _print_history(console: Console, file: str, history: History) -> None:
    if not history.commands and not history.unmapped:
        console.print(f"{file}: no ITS command and no MSI")
        return
    messages = sum(event.messages for event in history.events)
    commands = ", ".join(f"{name} {count:,}" for name, count in history.commands.most_common())
    console.print(f"[bold]{file}[/bold]: {history.commands.total():,} ITS commands: {commands}")
    console.print(f"{messages:,} MSIs of {len(history.events):,} mappings of {len(_events(history)):,} events\n")
    console.print(_devices(history))
    console.print()
    console.print(_mappings(history))
    console.print()
    console.print(_collections(history))
    for (device, event), count in sorted(history.unmapped.items())[:_MOST_UNEXPLAINED]:
        console.print(f"[yellow]note:[/yellow] {count:,} MSIs of device {device:#x}, event {event:#x}, not mapped")
    for intid, count in sorted(history.unexplained.items())[:_MOST_UNEXPLAINED]:
        console.print(f"[yellow]note:[/yellow] LPI {intid} was taken {count:,} times, and never mapped")


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
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        words = heading in ("collection", "target", "taken by", "lines")
        table.add_column(heading, justify="left" if words else "right")
    return table
