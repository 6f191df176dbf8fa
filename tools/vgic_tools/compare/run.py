"""A whole comparison: life after life, what diverges made short, and all of it counted."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import vgic
from vgic_tools.compare.cases import Case
from vgic_tools.compare.describe import kind_of
from vgic_tools.compare.engine import LIFE, Comparison, Divergence, Life
from vgic_tools.compare.rules import rules_of
from vgic_tools.compare.shrink import shorten
from vgic_tools.compare.ways import Way
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.protocol import Machine, Operation

__all__ = ["Finding", "Result", "compare", "finding_of"]


@dataclass
class Finding:
    """A kind of divergence, and the shortest way to it that was found."""

    case: Case
    divergence: Divergence
    kind: str
    gic: vgic.Gic
    """The model afterwards, which knows the machine."""
    count: int = 1


@dataclass
class Result:
    """What a comparison came to."""

    judges: list[str] = field(default_factory=list)
    """Name, version and way of each that was asked."""
    operations: int = 0
    machines: int = 0
    changes: int = 0
    excused: dict[str, int] = field(default_factory=dict)
    """Differences that are freedoms, by the rule that says so."""
    findings: dict[str, Finding] = field(default_factory=dict)
    """By kind."""
    seconds: float = 0.0
    again: list[str] = field(default_factory=list)
    """Why a judge gave no judgement at first, and was asked again."""


def compare(
    asked: Sequence[tuple[Way, Comparison, frozenset[str]]],
    *,
    seed: int,
    most: int,
    seconds: float | None = None,
    cpus: int | None = None,
    keep_going: bool = False,
    tick: Callable[[Result], None] = lambda result: None,
) -> Result:
    """Perform random operations, life after life, the ways in turn, until a divergence, the number or the time.

    Raises JudgeError where a judge gives no judgement.
    """
    result = Result(
        [f"{comparison.judge.name} {comparison.judge.version}, {way.name}" for way, comparison, _ in asked]
    )
    began = time.monotonic()

    def goes_on() -> bool:
        result.seconds = time.monotonic() - began
        result.operations = sum(comparison.operations for _, comparison, _ in asked)
        tick(result)
        return seconds is None or result.seconds < seconds

    sources = [way.lives(seed, areas, cpus, comparison.judge.version) for way, comparison, areas in asked]
    blind: set[str] = set()
    while result.operations < most and goes_on():
        for (way, comparison, _), source in zip(asked, sources, strict=True):
            if result.operations >= most:
                break
            life = next(source)
            if way.name in blind:
                life = life._replace(sweep=lambda model: [])
            result.machines += 1
            before = comparison.operations
            performed, divergence = _lived(result, comparison, life, min(LIFE, most - result.operations), goes_on)
            if divergence is not None:
                _found(result, way, comparison, life, performed, divergence)
                if not keep_going:
                    most = 0
                elif comparison.operations == before:
                    # Machines differ before anything is done to them: a look at every register goes no further.
                    blind.add(way.name)
            goes_on()
    for _, comparison, _ in asked:
        result.changes += comparison.changes
        for rule, count in comparison.excused.items():
            result.excused[rule] = result.excused.get(rule, 0) + count
    return result


def _lived(
    result: Result, comparison: Comparison, life: Life, most: int, goes_on: Callable[[], bool]
) -> tuple[list[Operation], Divergence | None]:
    """Live a life; once more, where the judge gives no judgement: the machine that it runs on may be busy.

    Raises JudgeError where it gives none again.
    """
    before = comparison.operations, comparison.changes, dict(comparison.excused)
    try:
        return comparison.live(life, most, goes_on)
    except JudgeError as error:
        result.again.append(str(error))
        comparison.operations, comparison.changes, comparison.excused = before
        comparison.judge.renew()
        return comparison.live(life, most, goes_on)


def _found(
    result: Result,
    way: Way,
    comparison: Comparison,
    life: Life,
    performed: Sequence[Operation],
    divergence: Divergence,
) -> None:
    _, operation, told, got = divergence
    kind = kind_of(operation, comparison.model.gic, told, got)
    if kind in result.findings:
        result.findings[kind].count += 1
        return
    if _after(comparison, life.machine, performed) is not None:
        performed = shorten(performed, lambda tried: _after(comparison, life.machine, tried))
    comparison.judge.renew()
    # One that does not happen every time is told as it was.
    again = comparison.repeat(life.machine, performed)
    result.findings[kind] = finding_of(way, comparison, life.machine, performed, again or divergence, kind)


def _after(comparison: Comparison, machine: Machine, tried: Sequence[Operation]) -> int | None:
    """After how many operations there is a divergence. A judge that gives no judgement is none."""
    try:
        found = comparison.repeat(machine, tried)
    except JudgeError:
        comparison.judge.renew()
        return None
    return None if found is None else found.at + 1


def finding_of(
    way: Way,
    comparison: Comparison,
    machine: Machine,
    operations: Sequence[Operation],
    divergence: Divergence,
    kind: str = "",
) -> Finding:
    """A divergence at the end of these operations, as a case that can be repeated."""
    rules = rules_of(divergence.operation, comparison.model.gic)
    judge = comparison.judge
    case = Case(way.judge, judge.version, way.name, machine, operations, comparison.told, rules)
    return Finding(case, divergence, kind, comparison.model.gic)
