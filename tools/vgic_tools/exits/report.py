"""What a KVM trace holds, for people and for machines."""

from collections import Counter
from typing import Final

from vgic_tools.console import Output, Table, styled, table
from vgic_tools.exits.counts import Spent
from vgic_tools.exits.reading import KvmTrace
from vgic_tools.replay.report import divergence_json, print_divergence

__all__ = ["as_json", "print_report"]

_MOST_ROWS: Final = 40

_NOT_SEEN: Final = (
    "a KVM trace holds no accesses to ICC registers but trapped ones, no SGI's value, no message of a device and no"
    " acknowledgement: what is pending or active, and what is delivered, is not compared"
)


def print_report(console: Output, trace: KvmTrace) -> None:
    """Everything, and the verdict on what was replayed."""
    counts, dialogue = trace.counts, trace.dialogue
    console.print(styled(trace.path, "bold"), f": {counts.events.total():,} events", _span(trace), sep="")
    console.print(f"machine: {trace.machine}")
    console.print()
    console.print(_spent("exits by cause", counts.by_cause, counts.userspace))
    console.print()
    console.print(_spent("exits by vCPU", counts.by_vcpu, None))
    if counts.registers:
        console.print()
        console.print(_registers(counts.registers))
    shown = {
        "reads compared": dialogue.compared,
        "reads that told what was not known": dialogue.adopted,
        "reads not predicted": dialogue.unpredicted,
    }
    for title, by_register in shown.items():
        if by_register:
            console.print()
            console.print(_counted(title, by_register))
    _note(console, _NOT_SEEN)
    if trace.lost:
        console.print(styled("note:", "yellow"), f"the recorder lost {trace.lost:,} events: the counts are too low")
    if trace.unanswered:
        console.print(
            styled("note:", "yellow"), f"{trace.unanswered:,} reads of the GIC have no answer in the trace"
        )
    if dialogue.first is not None and not trace.undecided:
        console.print()
        print_divergence(console, trace.path, dialogue.first)
    console.print()
    _print_verdict(console, trace)


def _note(console: Output, text: str) -> None:
    console.print(styled("note:", "yellow"), text)


def _print_verdict(console: Output, trace: KvmTrace) -> None:
    dialogue = trace.dialogue
    replayed = f"{dialogue.writes:,} writes replayed, {dialogue.compared.total():,} reads compared"
    if trace.undecided:
        console.print(styled("no verdict", "bold yellow"), f": {replayed}; {trace.undecided}", sep="")
    elif dialogue.different:
        console.print(
            styled("diverged", "bold red"), f": {replayed}, {dialogue.different.total():,} differ", sep=""
        )
    else:
        console.print(styled("no divergence", "bold green"), f": {replayed}", sep="")


def _span(trace: KvmTrace) -> str:
    span = trace.counts.span
    return "" if span is None else f" in {(span[1] - span[0]) / 1e9:,.3f} s"


def _spent(title: str, spent: dict[str, Spent], userspace: Counter[str] | None) -> Table:
    """Exits with the time until the guest goes on."""
    headings = (
        "exits",
        "share",
        "total ms",
        "median us",
        "99 % us",
        *(() if userspace is None else ("to the VMM",)),
    )
    shown = table(title, *headings, right=tuple(headings))
    exits = sum(item.count for item in spent.values())
    ordered = sorted(spent.items(), key=lambda item: (-item[1].count, item[0]))
    for name, item in ordered[:_MOST_ROWS]:
        row = [name, f"{item.count:,}", f"{item.count / exits:.1%}", f"{item.total / 1e6:,.3f}"]
        row += [_micro(item.share_below(0.5)), _micro(item.share_below(0.99))]
        if userspace is not None:
            row.append(f"{userspace[name]:,}" if userspace[name] else "")
        shown.add_row(*row)
    if len(ordered) > _MOST_ROWS:
        rest = sum(item.count for _, item in ordered[_MOST_ROWS:])
        shown.add_row(f"{len(ordered) - _MOST_ROWS} more", f"{rest:,}", f"{rest / exits:.1%}")
    return shown


def _micro(nanoseconds: int | None) -> str:
    return "" if nanoseconds is None else f"{nanoseconds / 1e3:,.1f}"


def _registers(registers: Counter[tuple[str, str, str]]) -> Table:
    """Accesses that exit, by register and by who makes them."""
    who = sorted({item[2] for item in registers}, key=lambda name: (len(name), name))
    shown_who = who[:8]
    headings = ("reads", "writes", *shown_who)
    shown = table("accesses that exit", *headings, right=headings)
    names = Counter[str]()
    for (register, _, _), count in registers.items():
        names[register] += count
    for register, _ in sorted(names.items(), key=lambda item: (-item[1], item[0]))[:_MOST_ROWS]:
        sums = [sum(registers[register, verb, name] for name in who) for verb in ("read", "write")]
        per = [sum(registers[register, verb, name] for verb in ("read", "write")) for name in shown_who]
        shown.add_row(register, *(f"{number:,}" if number else "" for number in [*sums, *per]))
    return shown


def _counted(title: str, counts: Counter[str]) -> Table:
    shown = table(title, "count", right=("count",))
    for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
        shown.add_row(name, f"{count:,}")
    return shown


def as_json(trace: KvmTrace) -> dict[str, object]:
    """The same as plain data for `json.dump`; times in nanoseconds."""
    counts, dialogue = trace.counts, trace.dialogue
    return {
        "trace": trace.path,
        "machine": str(trace.machine),
        "events": dict(counts.events),
        "lost": trace.lost,
        "nanoseconds": None if counts.span is None else counts.span[1] - counts.span[0],
        "exits_by_cause": {
            name: {**_spent_json(item), "to_the_vmm": counts.userspace[name]}
            for name, item in counts.by_cause.items()
        },
        "exits_by_vcpu": {name: _spent_json(item) for name, item in counts.by_vcpu.items()},
        "accesses": [
            {"register": register, "access": verb, "vcpu": who, "count": count}
            for (register, verb, who), count in counts.registers.items()
        ],
        "writes_replayed": dialogue.writes,
        "compared": dict(dialogue.compared),
        "adopted": dict(dialogue.adopted),
        "not_predicted": dict(dialogue.unpredicted),
        "unanswered": trace.unanswered,
        "divergences": dict(dialogue.different),
        "undecided": trace.undecided or None,
        "first_divergence": None if dialogue.first is None else divergence_json(dialogue.first),
    }


def _spent_json(spent: Spent) -> dict[str, object]:
    return {
        "exits": spent.count,
        "timed": len(spent.times),
        "total": spent.total,
        "median": spent.share_below(0.5),
        "p99": spent.share_below(0.99),
    }
