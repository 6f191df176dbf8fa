"""A replay's result for people and for machines."""

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from vgic_tools.fields import difference_table
from vgic_tools.replay.describe import describe
from vgic_tools.replay.result import Divergence, Result

__all__ = ["as_json", "print_report"]

_INTERRUPT_TYPES = ("SGI", "PPI", "SPI", "LPI")
_MOST_PES = 16


def print_report(console: Console, result: Result) -> None:
    """The summary, and the first divergence where there is one."""
    console.print(f"[bold]{escape(result.trace)}[/bold]: {result.events:,} events")
    console.print(f"machine: {escape(result.machine)}\n")
    console.print(_counts("inputs replayed", result.inputs))
    console.print()
    console.print(_compared(result))
    if result.acknowledged:
        console.print()
        console.print(_acknowledged(result))
    if result.accepted:
        console.print()
        console.print(_counts("accepted, not predicted", result.accepted))
    if result.exits is not None:
        console.print()
        console.print(_exits(result, result.exits))
    for note in result.notes:
        console.print(f"[yellow]note:[/yellow] {escape(note)}")
    if result.first is not None:
        console.print()
        _print_divergence(console, result, result.first)
    console.print()
    console.print(_verdict(result))


def _verdict(result: Result) -> str:
    compared = result.compared.total()
    if result.undecided:
        return f"[bold yellow]no verdict[/bold yellow]: {escape(result.undecided)}"
    if not result.diverged:
        return f"[bold green]no divergence[/bold green]: {compared:,} recorded values came out the same"
    different = result.divergences.total()
    stopped = "; stopped there, --keep-going counts them all" if result.stopped else ""
    return f"[bold red]diverged[/bold red]: {different:,} of {compared:,} values differ{stopped}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(column, justify="left" if number == 0 else "right")
    return table


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    table = _table(title, "count")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        table.add_row(escape(name), f"{count:,}")
    return table


def _exits(result: Result, exits: Counter[str]) -> Table | str:
    accesses = result.inputs["ICC reads"] + result.inputs["ICC writes"]
    if not exits:
        return f"the host traps none of the {accesses:,} ICC accesses"
    share = exits.total() / accesses
    return _counts(f"the host traps {exits.total():,} of {accesses:,} ICC accesses ({share:.2%})", exits)


def _compared(result: Result) -> Table:
    table = _table("outcomes", "compared", *(["different"] if result.diverged else []))
    for name, count in sorted(result.compared.items(), key=lambda item: -item[1]):
        different = result.divergences[name]
        row = [escape(name), f"{count:,}"]
        if result.diverged:
            row.append(f"[red]{different:,}[/red]" if different else "")
        table.add_row(*row)
    return table


def _acknowledged(result: Result) -> Table:
    table = _table("interrupts taken", *_INTERRUPT_TYPES)
    pes = sorted({pe for pe, _ in result.acknowledged}, key=lambda pe: [int(level) for level in pe.split(".")])
    for pe in pes[:_MOST_PES]:
        table.add_row(f"vCPU {pe}", *(_count(result.acknowledged[pe, kind]) for kind in _INTERRUPT_TYPES))
    if len(pes) > _MOST_PES:
        rest = pes[_MOST_PES:]
        sums = (sum(result.acknowledged[pe, kind] for pe in rest) for kind in _INTERRUPT_TYPES)
        table.add_row(f"{len(rest)} more vCPUs", *(_count(number) for number in sums))
    return table


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def _print_divergence(console: Console, result: Result, divergence: Divergence) -> None:
    where = f"{result.trace}:{divergence.event.line}"
    pe = f", vCPU {divergence.place}" if divergence.place else ""
    console.print(f"[bold red]{escape(where)}[/bold red]{pe}: [bold]{divergence.what}[/bold]")
    console.print(f"  expected {escape(divergence.expected)}\n  got      {escape(divergence.got)}")
    if divergence.layout is not None:
        table = difference_table(divergence.layout, divergence.expected_value, divergence.got_value)
        if table.row_count:
            console.print(table)
    for interrupt in divergence.interrupts:
        console.print(f"  model: {escape(interrupt)}")
    console.print("the events before it:")
    for event in divergence.before:
        console.print(f"  {event.line:>8}  {escape(describe(event))}")
    console.print(f"  {divergence.event.line:>8}  {escape(describe(divergence.event))}  [red]<- here[/red]")


def as_json(result: Result) -> dict[str, object]:
    """The result as plain data for `json.dump`."""
    first = result.first
    taken: dict[str, dict[str, int]] = {}
    for (pe, kind), count in result.acknowledged.items():
        taken.setdefault(pe, {})[kind] = count
    return {
        "trace": result.trace,
        "machine": result.machine,
        "events": result.events,
        "diverged": result.diverged,
        "undecided": result.undecided or None,
        "stopped_at_first_divergence": result.stopped,
        "inputs": dict(result.inputs),
        "compared": dict(result.compared),
        "values_compared": result.compared.total(),
        "divergences": dict(result.divergences),
        "interrupts_taken": taken,
        "exits": None if result.exits is None else dict(result.exits),
        "accepted_not_predicted": dict(result.accepted),
        "notes": list(result.notes),
        "first_divergence": None if first is None else _divergence_json(first),
    }


def _divergence_json(divergence: Divergence) -> dict[str, object]:
    layout = divergence.layout
    return {
        "line": divergence.event.line,
        "what": divergence.what,
        "vcpu": divergence.place or None,
        "expected": divergence.expected,
        "got": divergence.got,
        "fields_expected": None if layout is None else layout.decode(divergence.expected_value),
        "fields_got": None if layout is None else layout.decode(divergence.got_value),
        "event": describe(divergence.event),
        "before": [{"line": event.line, "event": describe(event)} for event in divergence.before],
        "interrupts": list(divergence.interrupts),
    }
