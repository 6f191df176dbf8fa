"""The result of the benchmark as tables for people and as JSON for programs."""

from typing import Final

from vgic_tools.bench.cases import EMPTY, SGI_CYCLE
from vgic_tools.bench.figures import INTERPRETED, QEMU, C, Figure
from vgic_tools.bench.loops import LOOPS
from vgic_tools.bench.replays import REPLAYED
from vgic_tools.bench.subject import IN_CORE, MIX
from vgic_tools.bench.suite import Outcome
from vgic_tools.bench.worst import PROFILES, worst_of
from vgic_tools.console import Output, Styled, Table, styled, table

__all__ = ["as_json", "headline", "print_report"]

_NOT_MEASURED: Final = "not measured"
_LONGEST: Final = 10


def as_json(outcome: Outcome) -> dict[str, object]:
    """Everything, for `json.dumps`. Times are nanoseconds of CPU time, memory is bytes."""
    return {
        "core": "compiled" if outcome.compiled else "interpreted",
        "python": outcome.python,
        "machine": outcome.machine,
        "workload": outcome.workload,
        "operations": outcome.operations,
        "rounds": outcome.rounds,
        "figures": [_figure(figure) for figure in outcome.figures],
        "measured": dict(outcome.measured),
        "curves": [curve._asdict() for curve in outcome.curves],
    }


def _figure(figure: Figure) -> dict[str, object]:
    bound = figure.bound
    return {
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "bound": None if bound is None else bound.bound,
        "aim": None if bound is None else bound.aim,
        "at_least": None if bound is None else bound.at_least,
        "met": figure.met,
        "from": dict(figure.parts),
        "why_not": figure.why_not or None,
    }


def print_report(console: Output, outcome: Outcome) -> None:
    """Print the figures, and the times that they come from."""
    console.print(f"{headline(outcome)} of {outcome.rounds} rounds")
    console.print(f"trace mix: {outcome.operations:,} operations of {outcome.workload}")
    console.print()
    console.print(_figures(outcome))
    for reason in dict.fromkeys(figure.why_not for figure in outcome.figures if figure.why_not):
        console.print(f"{_NOT_MEASURED}: {reason}")
    console.print()
    console.print(_loops(outcome))
    console.print()
    console.print(_called(outcome))
    console.print()
    console.print(_worst(outcome))


def headline(outcome: Outcome) -> str:
    """What was measured where."""
    core = "compiled" if outcome.compiled else "interpreted"
    return f"{core} core, Python {outcome.python}, {outcome.machine}; medians in CPU time"


def _figures(outcome: Outcome) -> Table:
    shown = table("figure", "is", "bound", "aim", "", right=("is", "bound", "aim"))
    for figure in outcome.figures:
        value = _NOT_MEASURED if figure.value is None else f"{_short(figure.value)} {figure.unit}"
        bound = figure.bound
        limits = ("", "")
        if bound is not None:
            limits = f"{'>=' if bound.at_least else '<='} {_short(bound.bound)}", _short(bound.aim)
        shown.add_row(figure.name, value, *limits, _verdict(figure.met))
    return shown


def _verdict(met: bool | None) -> Styled:
    if met is None:
        return styled("", "")
    return styled("met", "green") if met else styled("not met", "red")


def _loops(outcome: Outcome) -> Table:
    """Nanoseconds of what every loop repeats, by whose loop it is."""
    whose = ("this core", "interpreted", "C", "QEMU", "replayed")
    shown = table("in a loop, ns net of an empty one", *whose, right=whose)
    for name in (MIX, *(loop.name for loop in LOOPS)):
        here = IN_CORE + name
        shown.add_row(
            name,
            *(_time(outcome, key) for key in (here, INTERPRETED + here, C + name, QEMU + name, REPLAYED + name)),
        )
    return shown


def _called(outcome: Outcome) -> Table:
    """What calls from Python take."""
    columns = ("ns", "empty method calls", "interpreted, ns", "times")
    shown = table("called from Python", *columns, right=columns)
    empty = outcome.measured[EMPTY]
    for name in outcome.called:
        here, there = outcome.measured[name], outcome.measured.get(INTERPRETED + name)
        times = "-" if there is None else f"{there / here:.1f}"
        shown.add_row(name, f"{here:,.0f}", f"{here / empty:,.1f}", _time(outcome, INTERPRETED + name), times)
    return shown


def _worst(outcome: Outcome) -> Table:
    """What the longest accesses of a guest on purpose take, by profile."""
    names = [profile.name for profile in PROFILES]
    shown = table("the longest guest accesses, in SGI cycles", *names, right=tuple(names))
    cycle = outcome.measured[SGI_CYCLE]
    found: dict[str, dict[str, float]] = {}
    for profile in PROFILES:
        prefix = f"{worst_of(profile)}: "
        for name, time in outcome.measured.items():
            if name.startswith(prefix):
                found.setdefault(name.removeprefix(prefix), {})[profile.name] = time / cycle
    longest = sorted(found.items(), key=lambda item: -max(item[1].values()))
    for name, times in longest[:_LONGEST]:
        # Some things a guest does in one profile alone.
        shown.add_row(name, *(f"{times[known]:,.0f}" if known in times else "-" for known in names))
    return shown


def _time(outcome: Outcome, name: str) -> str:
    return f"{outcome.measured[name]:,.1f}" if name in outcome.measured else "-"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:,.3g}"
