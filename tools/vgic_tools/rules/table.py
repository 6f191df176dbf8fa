"""Which judge obeys which rule, as data: what every form of the table is made of."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from vgic_tools.judges.protocol import Judge
from vgic_tools.rules.book import Rule
from vgic_tools.rules.engine import Answer, Verdict
from vgic_tools.rules.scenario import Check
from vgic_tools.terminal import visible

__all__ = ["WORDS", "Column", "Difference", "Row", "Table", "column_of", "table_of"]

WORDS: Final = {
    Verdict.OBEYS: "obeys",
    Verdict.DIFFERS: "differs",
    Verdict.NOT_ASKED: "not asked",
    Verdict.NO_ANSWER: "no answer",
    None: "",
}
"""A cell; empty where the rule is another implementation's."""

_NUMBERS: Final = re.compile(r"\d+(?:\.\d+)+")


class Column(NamedTuple):
    """A judge, and its answers by rule."""

    name: str
    version: str
    answers: dict[str, Answer]

    @property
    def title(self) -> str:
        """Name and version, without what a distribution adds to it."""
        numbers = _NUMBERS.match(self.version)
        return f"{self.name} {self.version if numbers is None else numbers[0]}"

    def count(self, verdict: Verdict) -> int:
        """How many rules come to a verdict."""
        return Counter(answer.verdict for answer in self.answers.values())[verdict]


class Row(NamedTuple):
    """A rule, and what each judge makes of it, in the order of the columns: None for another implementation's."""

    rule: Rule
    of: str
    """The implementation that it is about; empty for all."""
    answers: tuple[Answer | None, ...]


class Difference(NamedTuple):
    """What some judges have in common."""

    rule: Rule
    titles: tuple[str, ...]
    how: str


class Table(NamedTuple):
    """The whole of it."""

    columns: Sequence[Column]
    rows: Sequence[Row]

    def said(self, verdict: Verdict) -> list[Difference]:
        """What is said of answers of this verdict: by rule, judges together that say the same."""
        told: list[Difference] = []
        for row in self.rows:
            by_text: dict[str, list[str]] = {}
            for column, answer in zip(self.columns, row.answers, strict=True):
                if answer is not None and answer.verdict is verdict:
                    by_text.setdefault(answer.how, []).append(column.title)
            told += [Difference(row.rule, tuple(titles), how) for how, titles in by_text.items()]
        return told


def column_of(judge: Judge, answers: dict[str, Answer]) -> Column:
    """The column of a judge, whose texts may go anywhere."""
    shown = {rule: answer._replace(how=visible(answer.how)) for rule, answer in answers.items()}
    return Column(visible(judge.name), visible(judge.version), shown)


def table_of(columns: Sequence[Column], checks: Iterable[Check], rules: dict[str, Rule]) -> Table:
    """The table, its rows in the order of the checks."""
    of = {check.rule: check.of for check in checks}
    rows = [
        Row(rules.get(rule, Rule(rule)), about, tuple(column.answers.get(rule) for column in columns))
        for rule, about in of.items()
    ]
    return Table(columns, [row for row in rows if any(row.answers)])
