"""What Rich draws on a terminal: styles, tables that fit, progress."""

import errno
import os
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from vgic_tools.console import Output, Shown, Styled
from vgic_tools.terminal import visible, written

__all__ = ["Canvas", "Drawn"]


class Canvas(Console):
    """A Rich console for which every string is data: markup means nothing in it. Without a file, standard error."""

    def __init__(self, file: TextIO | None = None) -> None:
        super().__init__(file=file, stderr=file is None, highlight=False, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """What Rich asks of every string before it measures or shows it."""
        return super().render_str(visible(text), **{**options, "markup": False, "emoji": False})

    def on_broken_pipe(self) -> None:
        """Let the command decide, as for any output that cannot be written."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class Drawn(Output):
    """A terminal."""

    def __init__(self, file: TextIO) -> None:
        super().__init__(file)
        self._canvas = Canvas(file)
        self.width = self._canvas.width

    @property
    def is_terminal(self) -> bool:
        """Whether it is one, as the environment has it."""
        return self._canvas.is_terminal

    def print(self, *objects: Shown, sep: str = " ") -> None:
        """Print as `Output` does, in style."""
        with written():
            self._canvas.print(*map(_drawn, objects), sep=sep)


def _drawn(shown: Shown) -> str | Text | RichTable:
    if isinstance(shown, str):
        return shown
    if isinstance(shown, Styled):
        return Text(visible(shown.text), shown.style)
    made = RichTable(box=None, pad_edge=False, header_style="bold", show_header=shown.headed)
    for heading in shown.headings:
        made.add_column(
            heading,
            justify="right" if heading in shown.right else "left",
            min_width=shown.least.get(heading),
            max_width=shown.most.get(heading),
        )
    for row in shown.rows:
        made.add_row(*map(_drawn, row))
    return made
