"""Asks a judge for what rules say of it: it obeys, it differs, or it cannot be asked."""

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, NamedTuple

import vgic
from vgic_tools.compare.describe import describe
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.protocol import Judge, Load, Machine, Mrs
from vgic_tools.machines.qemu_cmdline import virt_config
from vgic_tools.rules.difference import how
from vgic_tools.rules.judges import implementation_of
from vgic_tools.rules.scenario import Check, Step

__all__ = ["Answer", "Verdict", "ask", "ask_all", "is_about", "merged"]


class Verdict(Enum):
    """What a judge's answer to a rule comes to."""

    OBEYS = "obeys"
    DIFFERS = "differs"
    NOT_ASKED = "cannot be asked"
    NO_ANSWER = "no answer"
    """The judge hangs, ends, or answers nonsense."""


class Answer(NamedTuple):
    """A judge's answer to a rule."""

    verdict: Verdict
    how: str = ""
    """It differs so; why it cannot be asked; how it fails."""
    operations: tuple[str, ...] = ()
    """What was done, where it differs, up to where it does."""


OBEYS: Final = Answer(Verdict.OBEYS)


def ask(judge: Judge, check: Check) -> Answer:
    """A judge's answer to a check, on a machine that was just reset."""
    try:
        judge.start(Machine(check.cpus, check.its))
        outcomes = judge.perform([step.operation for step in check.steps])
    except JudgeError as error:
        return Answer(Verdict.NO_ANSWER, str(error))
    for number, (step, outcome) in enumerate(zip(check.steps, outcomes, strict=True)):
        if step.fits(outcome):
            continue
        if step.unless:
            return Answer(Verdict.NOT_ASKED, step.unless)
        gic = vgic.Gic(virt_config(check.cpus, vgic.ARCH, its=check.its))
        done = [describe(step.operation, gic) for step in check.steps[: number + 1]]
        after = _last_deed(check.steps[:number])
        since = "" if after is None else f", after {done[after]}"
        return Answer(Verdict.DIFFERS, how(step, outcome, gic) + since, tuple(done))
    return OBEYS


def _last_deed(before: tuple[Step, ...]) -> int | None:
    """The last step that did something."""
    deeds = [number for number, step in enumerate(before) if not isinstance(step.operation, Load | Mrs)]
    return deeds[-1] if deeds else None


def is_about(check: Check, judge: Judge) -> bool:
    """Whether the rule of a check says something of this judge: it is about all, or about this implementation."""
    return f"{implementation_of(judge)}.".startswith((f"{check.of} ", f"{check.of}.")) if check.of else True


def merged(answers: Iterable[Answer]) -> Answer:
    """The answer to a rule with several checks."""
    order = (Verdict.NO_ANSWER, Verdict.DIFFERS, Verdict.OBEYS, Verdict.NOT_ASKED)
    return min(answers, key=lambda answer: order.index(answer.verdict))


def ask_all(judge: Judge, checks: Iterable[Check], tick: Callable[[], None] = lambda: None) -> dict[str, Answer]:
    """A judge's answer to every rule that is about it."""
    answers: dict[str, list[Answer]] = {}
    for check in checks:
        if is_about(check, judge):
            answers.setdefault(check.rule, []).append(ask(judge, check))
        tick()
    return {rule: merged(told) for rule, told in answers.items()}
