"""The table as a page: Markdown for specs/, HTML for a browser."""

from collections.abc import Iterator
from html import escape
from itertools import groupby
from typing import Final

from vgic_tools.rules.engine import Answer, Verdict
from vgic_tools.rules.table import WORDS, Difference, Row, Table

__all__ = ["COMMAND", "html_page", "markdown_page"]

COMMAND: Final = "make rules-table"

TITLE: Final = "Which GIC obeys which rule"
_INTRODUCTION: Final = (
    "Each rule of specs/ that can be asked from outside was asked of every judge: a short program of accesses, each"
    " with what the rule says it must come to, on a machine that was just reset. It has one Security state,"
    " and neither EL2 nor NMIs: of those `vgic compare qemu` asks, by random operations."
)
_LEGEND: Final = (
    "A rule marked *choice* is one legal outcome of several: to differ there is no fault. Rules marked with an"
    " implementation say what that one does instead, and are asked of it alone. *not asked*: the rule says nothing"
    " of this machine, or there is no way to ask."
)
_HEADINGS: Final = {
    Verdict.DIFFERS: "How they differ",
    Verdict.NOT_ASKED: "What cannot be asked",
    Verdict.NO_ANSWER: "No answer",
}
_NO_PAGE: Final = "rules"


def _kind(row: Row) -> str:
    return row.of or ("choice" if row.rule.is_choice else "")


def _pages(table: Table) -> Iterator[tuple[str, list[Row]]]:
    """The rows by the page of their rules, in the order of the pages' first rules."""
    order = {row.rule.page: number for number, row in reversed([*enumerate(table.rows)])}
    rows = sorted(table.rows, key=lambda row: order[row.rule.page])
    for page, group in groupby(rows, key=lambda row: row.rule.page):
        yield page or _NO_PAGE, list(group)


def _literal(text: str) -> str:
    """A text that Markdown shows as it is."""
    for special in r"\|<>*_[]`~#":
        text = text.replace(special, "\\" + special)
    return text


def markdown_page(table: Table) -> str:
    """A page of specs/, as GitHub shows it."""
    lines = [f"# {TITLE}", "", f"Made by `{COMMAND}`; do not edit.", "", _INTRODUCTION, _LEGEND, ""]
    lines += _rule_line("judge", "version", "asked", *(WORDS[verdict] for verdict in Verdict))
    for column in table.columns:
        counts = [column.count(verdict) for verdict in Verdict]
        asked = column.count(Verdict.OBEYS) + column.count(Verdict.DIFFERS)
        lines.append(_line(_literal(column.name), _literal(column.version), str(asked), *map(str, counts)))
    for page, rows in _pages(table):
        lines += ["", f"## [{page}]({page})" if page != _NO_PAGE else f"## {page}", ""]
        lines += _rule_line("rule", "", *(_literal(column.title) for column in table.columns))
        for row in rows:
            name = f"{row.rule.id} {_literal(row.rule.title)}".strip()
            lines.append(_line(name, _kind(row), *(_markdown_cell(answer) for answer in row.answers)))
    for verdict, heading in _HEADINGS.items():
        told = table.said(verdict)
        if told:
            lines += ["", f"## {heading}", ""]
            lines += [
                f"* **{rule.id}** {_literal(', '.join(titles))}: {_literal(how)}" for rule, titles, how in told
            ]
    return "\n".join(lines) + "\n"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _rule_line(*headings: str) -> list[str]:
    return [_line(*headings), "|" + "---|" * len(headings)]


def _markdown_cell(answer: Answer | None) -> str:
    if answer is None:
        return ""
    word = WORDS[answer.verdict]
    return f"**{word}**" if answer.verdict in (Verdict.DIFFERS, Verdict.NO_ANSWER) else word


_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --good: #1a7f37; --bad: #cf222e; --dim: #777; }
@media (prefers-color-scheme: dark) { :root { --good: #3fb950; --bad: #ff7b72; --dim: #999; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 80em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; width: 100%; margin: 1em 0; }
th, td { text-align: left; vertical-align: top; padding: .25em .6em; border-bottom: 1px solid var(--line); }
thead th { position: sticky; top: 0; background: Canvas; }
td.obeys { color: var(--good); } td.differs, td.no-answer { color: var(--bad); font-weight: 600; }
td.not-asked, .kind { color: var(--dim); } td[title] { cursor: help; text-decoration: underline dotted; }
code { font-size: .95em; white-space: nowrap; }
"""


def html_page(table: Table) -> str:
    """A page of its own, which shows on each cell how it differs."""
    parts = [
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{TITLE}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{TITLE}</h1><p>{escape(_INTRODUCTION)} {escape(_LEGEND.replace('*', ''))}</p>",
        _html_table(
            ("judge", "version", "asked", *(WORDS[verdict] for verdict in Verdict)),
            [
                "".join(
                    f"<td>{escape(str(value))}</td>"
                    for value in (
                        column.name,
                        column.version,
                        column.count(Verdict.OBEYS) + column.count(Verdict.DIFFERS),
                        *(column.count(verdict) for verdict in Verdict),
                    )
                )
                for column in table.columns
            ],
        ),
    ]
    for page, rows in _pages(table):
        parts.append(f"<h2>{escape(page)}</h2>")
        headings = ("rule", "", *(column.title for column in table.columns))
        parts.append(_html_table(headings, [_html_row(row) for row in rows]))
    for verdict, heading in _HEADINGS.items():
        parts += _html_list(heading, table.said(verdict))
    return "\n".join([*parts, "</body></html>"]) + "\n"


def _html_table(headings: tuple[str, ...], rows: list[str]) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _html_row(row: Row) -> str:
    name = f"<td><b>{escape(row.rule.id)}</b> {escape(row.rule.title)}</td>"
    return f'{name}<td class="kind">{escape(_kind(row))}</td>' + "".join(map(_html_cell, row.answers))


def _html_cell(answer: Answer | None) -> str:
    if answer is None:
        return "<td></td>"
    word = WORDS[answer.verdict]
    told = f' title="{escape(answer.how)}"' if answer.how else ""
    return f'<td class="{word.replace(" ", "-")}"{told}>{word}</td>'


def _html_list(heading: str, told: list[Difference]) -> list[str]:
    if not told:
        return []
    items = "\n".join(
        f"<li><b>{escape(rule.id)}</b> {escape(', '.join(titles))}: {escape(how)}</li>"
        for rule, titles, how in told
    )
    return [f"<h2>{heading}</h2>", f"<ul>\n{items}\n</ul>"]
