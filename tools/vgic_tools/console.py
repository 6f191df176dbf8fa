"""What commands show: lines, styles and tables, on a terminal or in a file or pipe.

A string that is printed, or put into a table, is data: what no terminal should get is made visible. Styles come
from `styled` alone. On a terminal Rich draws all of it (`vgic_tools.drawing`); elsewhere there is nothing to draw,
and nobody waits until Rich is loaded.
"""

import os
import sys
from typing import Final, NamedTuple, TextIO, TypeAlias

from vgic_tools.terminal import visible, written

__all__ = ["Output", "Shown", "Styled", "Table", "stderr", "stdout", "styled", "table"]

_ASKED_FOR: Final = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""What in the environment can make Rich take a pipe for a terminal."""

_GAP: Final = "  "


class Styled(NamedTuple):
    """A text in a style, such as "bold red"."""

    text: str
    style: str


class Table:
    """Rows of cells under headings; the columns under the headings `right` are flush right."""

    def __init__(self, headings: tuple[str, ...], right: tuple[str, ...]) -> None:
        self.headings = headings
        self.right = right
        self.rows: list[tuple[str | Styled, ...]] = []
        self.headed = True
        """Whether the headings are shown."""
        self.least: dict[str, int] = {}
        """By heading, the characters in a line that a column has at least, where there is little room."""
        self.most: dict[str, int] = {}
        """By heading, the characters after which the cells of a column go on in the next line of a terminal."""

    def add_row(self, *cells: str | Styled) -> None:
        """Add a row; cells that are left out at its end are empty."""
        assert len(cells) <= len(self.headings)
        self.rows.append((*cells, *[""] * (len(self.headings) - len(cells))))

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return len(self.rows)


Shown: TypeAlias = str | Styled | Table


class Output:
    """A file or a pipe: plain text, lines as long as they are, columns filled up with blanks."""

    width = 100_000
    """The characters that fit on a line."""

    def __init__(self, file: TextIO | None) -> None:
        self._file = file

    def print(self, *objects: Shown, sep: str = " ") -> None:
        """Print texts on a line, or a table. Raises OutputError where that cannot be written."""
        if self._file is None:
            return
        lines = [_aligned(each) if isinstance(each, Table) else _text(each) for each in objects]
        with written():
            self._file.write(sep.join(lines) + "\n")
            self._file.flush()


def _text(cell: str | Styled) -> str:
    return visible(cell.text if isinstance(cell, Styled) else cell)


def _aligned(shown: Table) -> str:
    rows = [[_text(cell) for cell in row] for row in (*([shown.headings] if shown.headed else []), *shown.rows)]
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    flush_right = [heading in shown.right for heading in shown.headings]
    return "\n".join(
        _GAP.join(
            " " * (width - _width(cell)) + cell if right else cell + " " * (width - _width(cell))
            for cell, width, right in zip(row, widths, flush_right, strict=True)
        )
        for row in rows
    )


def _width(text: str) -> int:
    """Columns of a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def stdout() -> Output:
    """Standard output."""
    return _output(sys.stdout)


def stderr() -> Output:
    """Standard error."""
    return _output(sys.stderr)


def _output(file: TextIO | None) -> Output:
    if file is not None and (file.isatty() or any(name in os.environ for name in _ASKED_FOR)):
        from vgic_tools.drawing import Drawn

        drawn = Drawn(file)
        if drawn.is_terminal:
            return drawn
    return Output(file)


def styled(text: str, style: str) -> Styled:
    """A text in a style, such as "bold red"."""
    return Styled(text, style)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns under the headings `right` are flush right."""
    return Table(headings, right)
