"""What a run comes to: report.json for scripts, report.txt for people."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mutants.equivalents import Change
from mutants.mutations import Mutation
from mutants.trial import Outcome, Verdict

__all__ = ["Judged", "rate", "summary", "write"]


@dataclass(frozen=True)
class Judged:
    """A mutant with its verdict, or with the reason why it can have no effect."""

    mutation: Mutation
    change: Change
    verdict: Verdict | None
    equivalent: str = ""

    @property
    def outcome(self) -> str:
        """Killed, timeout, survived or equivalent."""
        return "equivalent" if self.verdict is None else self.verdict.outcome


def rate(judged: Sequence[Judged]) -> float:
    """The share that the tests notice of those that have an effect; 1 where there are none."""
    effective = [one for one in judged if one.verdict is not None]
    noticed = sum(one.outcome != Outcome.SURVIVED for one in effective)
    return noticed / len(effective) if effective else 1.0


def summary(judged: Sequence[Judged]) -> str:
    """One line: how many mutants, and what became of them."""
    counts = Counter(one.outcome for one in judged)
    names = (*Outcome, "equivalent")
    text = ", ".join(f"{counts[name]} {name}" for name in names)
    return f"{len(judged)} mutants: {text}. Noticed of those that have an effect: {100 * rate(judged):.1f} %"


def write(folder: Path, judged: Sequence[Judged], settings: dict[str, object]) -> None:
    """Write both reports."""
    folder.mkdir(parents=True, exist_ok=True)
    document = {"settings": settings, "summary": summary(judged), "mutants": [_entry(one) for one in judged]}
    (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    order = {Outcome.SURVIVED: 0, "equivalent": 1, Outcome.TIMEOUT: 2, Outcome.KILLED: 3}
    ranked = sorted(judged, key=lambda one: (order[one.outcome], one.mutation.file, one.mutation.line))
    lines = [summary(judged), "", *(line for one in ranked for line in described(one))]
    (folder / "report.txt").write_text("\n".join(lines) + "\n")


def described(one: Judged) -> list[str]:
    """A mutant for people: where it is, what became of it, and the line before and after."""
    mutation = one.mutation
    because = one.equivalent
    if one.verdict is not None:
        because = f"by {one.verdict.test}" if one.verdict.test else f"{one.verdict.tests} tests passed"
    where = f"{mutation.file}:{mutation.line}" + (f" {mutation.function}" if mutation.function else "")
    return [
        f"{one.outcome}: {where} ({mutation.operator}): {because}",
        f"    - {one.change.line}",
        f"    + {one.change.becomes}",
    ]


def _entry(one: Judged) -> dict[str, object]:
    entry: dict[str, object] = {
        "file": one.mutation.file,
        "line": one.mutation.line,
        "function": one.mutation.function,
        "operator": one.mutation.operator,
        "was": one.change.line,
        "becomes": one.change.becomes,
        "outcome": one.outcome,
    }
    if one.verdict is None:
        return entry | {"why": one.equivalent}
    more = {"test": one.verdict.test, "tests": one.verdict.tests, "seconds": round(one.verdict.seconds, 1)}
    return entry | more
