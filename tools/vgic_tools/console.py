"""Tables and styles on a terminal.

A string that is printed, or put into a table, is data: markup means nothing in it, and what no terminal should get
is made visible. Styles come from `styled` alone.
"""

import errno
import os
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from vgic_tools.terminal import visible, written

__all__ = ["Output", "stderr", "stdout", "styled", "table"]

_WIDE: Final = 100_000


class Output(Console):
    """A Rich console for which every string is data."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """What Rich asks of every string before it measures or shows it."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as Rich does. Raises OutputError where it cannot."""
        with written():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> None:
        """Let the command decide, as for any output that cannot be written."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def stdout() -> Output:
    """Standard output. Elsewhere than on a terminal, nobody wants lines broken."""
    terminal = Output()
    return terminal if terminal.is_terminal else Output(width=_WIDE)


def stderr() -> Output:
    """Standard error."""
    return Output(stderr=True)


def styled(text: str, style: str) -> Text:
    """A text in a style, such as "bold red"."""
    return Text(visible(text), style)


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """An empty table; the columns under the headings `right` are flush right."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, justify="right" if heading in right else "left")
    return made
