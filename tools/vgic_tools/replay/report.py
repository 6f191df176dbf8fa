"""A replay's result for people and for machines."""

from collections import Counter
from collections.abc import Mapping

from vgic_tools.console import Output, Styled, Table, styled, table
from vgic_tools.fields import difference_table
from vgic_tools.replay.describe import describe
from vgic_tools.replay.result import Divergence, Result
from vgic_tools.state_words import difference

__all__ = ["as_json", "divergence_json", "print_divergence", "print_report"]

_INTERRUPT_TYPES = ("SGI", "PPI", "SPI", "LPI")
_MOST_PES = 16
_MOST_REGISTERS = 40


def print_report(console: Output, result: Result) -> None:
    """The summary, and the first divergence where there is one."""
    console.print(styled(result.trace, "bold"), f": {result.events:,} events", sep="")
    console.print(f"machine: {result.machine}")
    console.print()
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
        console.print(styled("note:", "yellow"), note)
    if result.first is not None:
        console.print()
        print_divergence(console, result.trace, result.first)
    if result.final_differences:
        console.print()
        console.print(_final(result))
    console.print()
    console.print(*_verdict(result), sep="")


def _verdict(result: Result) -> tuple[Styled, str]:
    compared = result.compared.total()
    if result.undecided:
        return styled("no verdict", "bold yellow"), f": {result.undecided}"
    if not result.diverged:
        return styled("no divergence", "bold green"), f": {compared:,} recorded values came out the same"
    different = result.divergences.total()
    stopped = "; stopped there, --keep-going counts them all" if result.stopped else ""
    return styled("diverged", "bold red"), f": {different:,} of {compared:,} values differ{stopped}"


def _final(result: Result) -> Table:
    shown = table("final state", "snapshot", "model", "difference", right=("snapshot", "model"))
    for item in result.final_differences[:_MOST_REGISTERS]:
        expected, got = f"{item.expected:#x}", f"{item.got:#x}"
        shown.add_row(item.register, expected, got, difference(item.register, item.expected, item.got))
    if len(result.final_differences) > _MOST_REGISTERS:
        shown.add_row(f"{len(result.final_differences) - _MOST_REGISTERS} more", "", "", "")
    return shown


def _counts(title: str, counts: Mapping[str, int]) -> Table:
    shown = table(title, "count", right=("count",))
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        shown.add_row(name, f"{count:,}")
    return shown


def _exits(result: Result, exits: Counter[str]) -> Table | str:
    accesses = result.inputs["ICC reads"] + result.inputs["ICC writes"]
    if not exits:
        return f"the host traps none of the {accesses:,} ICC accesses"
    share = exits.total() / accesses
    return _counts(f"the host traps {exits.total():,} of {accesses:,} ICC accesses ({share:.2%})", exits)


def _compared(result: Result) -> Table:
    numbers = ("compared", "different") if result.diverged else ("compared",)
    shown = table("outcomes", *numbers, right=numbers)
    for name, count in sorted(result.compared.items(), key=lambda item: -item[1]):
        different = result.divergences[name]
        row: list[str | Styled] = [name, f"{count:,}"]
        if result.diverged:
            row.append(styled(f"{different:,}" if different else "", "red"))
        shown.add_row(*row)
    return shown


def _acknowledged(result: Result) -> Table:
    shown = table("interrupts taken", *_INTERRUPT_TYPES, right=_INTERRUPT_TYPES)
    pes = sorted({pe for pe, _ in result.acknowledged}, key=lambda pe: [int(level) for level in pe.split(".")])
    for pe in pes[:_MOST_PES]:
        shown.add_row(f"vCPU {pe}", *(_count(result.acknowledged[pe, kind]) for kind in _INTERRUPT_TYPES))
    if len(pes) > _MOST_PES:
        rest = pes[_MOST_PES:]
        sums = (sum(result.acknowledged[pe, kind] for pe in rest) for kind in _INTERRUPT_TYPES)
        shown.add_row(f"{len(rest)} more vCPUs", *(_count(number) for number in sums))
    return shown


def _count(number: int) -> str:
    return f"{number:,}" if number else ""


def print_divergence(console: Output, trace: str, divergence: Divergence) -> None:
    """A divergence with what led to it."""
    where = f"{trace}:{divergence.event.line}"
    pe = f", vCPU {divergence.place}" if divergence.place else ""
    console.print(styled(where, "bold red"), f"{pe}: ", styled(divergence.what, "bold"), sep="")
    console.print(f"  expected {divergence.expected}")
    console.print(f"  got      {divergence.got}")
    if divergence.layout is not None:
        fields = difference_table(divergence.layout, divergence.expected_value, divergence.got_value)
        if fields.row_count:
            console.print(fields)
    for interrupt in divergence.interrupts:
        console.print(f"  model: {interrupt}")
    console.print("the events before it:")
    for event in divergence.before:
        console.print(f"  {event.line:>8}  {describe(event)}")
    here = f"  {divergence.event.line:>8}  {describe(divergence.event)}  "
    console.print(here, styled("<- here", "red"), sep="")


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
        "final_state": [
            {"register": item.register, "expected": item.expected, "got": item.got}
            for item in result.final_differences
        ],
        "first_divergence": None if first is None else divergence_json(first),
    }


def divergence_json(divergence: Divergence) -> dict[str, object]:
    """A divergence as plain data for `json.dump`."""
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
