"""Output without a terminal is what Rich would draw on one that is wide enough, without its styles."""

from io import StringIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic_tools import console
from vgic_tools.console import Output, Shown, Styled, Table, styled, table
from vgic_tools.drawing import Canvas, Drawn


def plain(*objects: Shown, sep: str = " ") -> str:
    text = StringIO()
    Output(text).print(*objects, sep=sep)
    return text.getvalue()


def drawn(*objects: Shown, sep: str = " ") -> str:
    text = StringIO()
    terminal = Drawn(text)
    terminal._canvas.width = terminal.width = 100_000
    terminal.print(*objects, sep=sep)
    return text.getvalue()


WORDS = st.text(st.sampled_from("ab 1.\x1b[é漢\u0301"), max_size=6).map(str.strip)
CELLS = WORDS | st.builds(Styled, WORDS, st.sampled_from(["", "red", "bold"]))


@st.composite
def tables(draw: st.DrawFn) -> Table:
    headings = draw(st.lists(st.sampled_from("abcdef"), min_size=1, unique=True))
    made = table(*headings, right=tuple(draw(st.lists(st.sampled_from(headings)))))
    made.headed = draw(st.booleans())
    # Rich gives some empty columns a width.
    made.add_row(*"x" * len(headings))
    for row in draw(st.lists(st.lists(CELLS, max_size=len(headings)), max_size=4)):
        made.add_row(*row)
    return made


@given(tables())
def test_a_table(made: Table) -> None:
    assert plain(made) == drawn(made)


@given(st.lists(CELLS, max_size=3), st.sampled_from(["", " "]))
def test_a_line(words: list[str | Styled], sep: str) -> None:
    assert plain(*words, sep=sep) == drawn(*words, sep=sep)


def test_a_table_without_rows_has_headings() -> None:
    assert plain(table("one", "two", right=("one",))) == drawn(table("one", "two", right=("one",))) == "one  two\n"


def test_a_terminal_has_styles(monkeypatch: pytest.MonkeyPatch) -> None:
    text = StringIO()
    assert type(console._output(text)) is Output
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    terminal = console._output(text)
    assert isinstance(terminal, Drawn)
    terminal.print(styled("no", "bold red"), "[red]yes[/red]")
    assert text.getvalue() == "\x1b[1;31mno\x1b[0m [red]yes[/red]\n"
    assert Canvas(text).is_terminal


def test_nobody_reads_it() -> None:
    Output(None).print("anything")
