"""What a mutation is, and how it gets into a file."""

import ast
from typing import Final, NamedTuple

__all__ = ["Mutation", "Source"]


class Mutation(NamedTuple):
    """One small change to a file, between two offsets in bytes."""

    file: str
    line: int
    function: str
    """The qualified name of the function around it; empty in a module or class body."""
    operator: str
    start: int
    end: int
    before: str
    after: str

    @property
    def name(self) -> str:
        """What tells it apart from every other of the same tree."""
        return f"{self.file}:{self.line}:{self.start}:{self.end}:{self.after}"


class Source:
    """The text of one file, with the places that a syntax tree gives turned into offsets."""

    def __init__(self, file: str, text: bytes) -> None:
        self.file: Final = file
        self.text: Final = text
        self.tree: Final = ast.parse(text)
        self._starts = [0]
        for line in text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))

    def start(self, node: ast.expr | ast.stmt) -> int:
        """The offset of a node's first byte."""
        return self._starts[node.lineno - 1] + node.col_offset

    def end(self, node: ast.expr | ast.stmt) -> int:
        """The offset behind a node's last byte."""
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._starts[node.end_lineno - 1] + node.end_col_offset

    def between(self, start: int, end: int) -> str:
        """The text between two offsets."""
        return self.text[start:end].decode()

    def line_at(self, offset: int) -> int:
        """The number of the line that an offset is in, from 1."""
        return self.text.count(b"\n", 0, offset) + 1

    def mutated(self, mutation: Mutation) -> bytes:
        """The text with a mutation in it."""
        assert self.between(mutation.start, mutation.end) == mutation.before
        return self.text[: mutation.start] + mutation.after.encode() + self.text[mutation.end :]

    def lines(self, mutation: Mutation) -> tuple[str, str]:
        """The line that a mutation changes and what it becomes, without indentation; of several lines, as one."""
        first = self.text.rfind(b"\n", 0, mutation.start) + 1
        last = self.text.find(b"\n", mutation.end)
        last = len(self.text) if last < 0 else last
        changed = self.between(first, mutation.start) + mutation.after + self.between(mutation.end, last)
        return _in_one_line(self.between(first, last)), _in_one_line(changed)


def _in_one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())
