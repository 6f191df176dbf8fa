"""The table on a terminal, and as plain data."""

from typing import Final

from vgic_tools.console import Output, Styled, styled, table
from vgic_tools.rules.engine import Answer, Verdict
from vgic_tools.rules.table import WORDS, Difference, Table

__all__ = ["as_json", "print_table"]

_STYLES: Final = {
    Verdict.OBEYS: "green",
    Verdict.DIFFERS: "bold red",
    Verdict.NOT_ASKED: "dim",
    Verdict.NO_ANSWER: "bold magenta",
}


def print_table(console: Output, asked: Table) -> None:
    """The rules by judge, how they differ, and what cannot be asked."""
    shown = table("rule", *(column.title for column in asked.columns), "", "title")
    for row in asked.rows:
        kind = f"of {row.of}" if row.of else "choice" if row.rule.is_choice else ""
        shown.add_row(row.rule.id, *map(_cell, row.answers), styled(kind, "dim"), row.rule.title)
    console.print(shown)
    _list(console, "How they differ", asked.said(Verdict.DIFFERS))
    _list(console, "What cannot be asked", asked.said(Verdict.NOT_ASKED))
    _list(console, "No answer", asked.said(Verdict.NO_ANSWER))
    console.print()
    counts = table("judge", "asked", *(WORDS[verdict] for verdict in Verdict), right=("asked", *WORDS.values()))
    for column in asked.columns:
        numbers = [column.count(verdict) for verdict in Verdict]
        told = column.count(Verdict.OBEYS) + column.count(Verdict.DIFFERS)
        counts.add_row(f"{column.name} {column.version}", str(told), *map(str, numbers))
    console.print(counts)


def _cell(answer: Answer | None) -> Styled:
    return styled("", "dim") if answer is None else styled(WORDS[answer.verdict], _STYLES[answer.verdict])


def _list(console: Output, heading: str, told: list[Difference]) -> None:
    if not told:
        return
    console.print()
    console.print(styled(heading, "bold"))
    for rule, titles, how in told:
        console.print(f"  {rule.id}  {', '.join(titles)}: {how}")


def as_json(asked: Table) -> dict[str, object]:
    """The table as plain data."""
    return {
        "judges": [{"name": column.name, "version": column.version} for column in asked.columns],
        "rules": [
            {
                "id": row.rule.id,
                "title": row.rule.title,
                "status": row.rule.status,
                "of": row.of or None,
                "answers": [_answer(answer) for answer in row.answers],
            }
            for row in asked.rows
        ],
    }


def _answer(answer: Answer | None) -> dict[str, object] | None:
    if answer is None:
        return None
    return {"verdict": answer.verdict.value, "how": answer.how, "operations": list(answer.operations)}
