"""Small tables for notebooks: what `_repr_html_` returns. Every text in them is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

__all__ = ["MOST_ROWS", "html_table"]

MOST_ROWS = 16
"""Rows that are shown of a longer table."""


def html_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table with a title, and as many of its rows as fit; how many more there are is said."""
    all_rows = list(rows)
    head = "".join(f"<th>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in all_rows[:MOST_ROWS]
    )
    more = len(all_rows) - MOST_ROWS
    note = f"<div>and {more:,} more</div>" if more > 0 else ""
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if all_rows else ""
    return f"<div><b>{escape(title)}</b>{table}{note}</div>"
