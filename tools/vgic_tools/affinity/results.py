"""Rows of results in a CSV file that survives an interruption.

A row is a frozen dataclass; its fields are the file's columns, each annotated with its type (int, float, str,
bool, or one of them or None) and what it holds: `vcpus: Annotated[int, "vCPUs"]`. The first ones, those of the
point class that the row class is derived from, say what was measured, and so whether it is to be measured again.
"""

import csv
import io
import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final, Generic, TypeVar, get_args, get_type_hints

from vgic_tools.errors import UsageError

__all__ = ["Results", "about", "as_csv"]

RowT = TypeVar("RowT")

_TRUTHS: Final = {"yes": True, "no": False}


def about(row_type: type) -> dict[str, str]:
    """What each column of a row class holds, in order."""
    hints = get_type_hints(row_type, include_extras=True)
    return {item.name: str(hints[item.name].__metadata__[0]) for item in fields(row_type)}


def as_csv(row_type: type[RowT], rows: Sequence[RowT]) -> str:
    """These rows as the file would have them, below the names of the columns."""
    columns = list(about(row_type))
    return _line(columns) + "".join(_line(_cells(row, columns)) for row in rows)


class Results(Generic[RowT]):
    """The rows of a CSV file. `key` names the columns that identify one.

    Raises UsageError, naming the file, where it is no file of such rows. A last line without its end, from a run
    that was stopped while writing it, is dropped.
    """

    def __init__(self, path: Path, row_type: type[RowT], key: Sequence[str]) -> None:
        self.path = path
        self._make: Callable[..., RowT] = row_type
        self._columns = list(about(row_type))
        self._key = key
        self._kinds = {name: kind for name, kind in get_type_hints(row_type).items() if name in self._columns}
        self._rows: dict[tuple[object, ...], RowT] = {}
        self._load()

    def find(self, key: tuple[object, ...]) -> RowT | None:
        """The row with these values in the key's columns."""
        return self._rows.get(key)

    def append(self, row: RowT) -> None:
        """Add a row to the file, in one write."""
        self._write(_cells(row, self._columns))
        self._keep(row)

    def _keep(self, row: RowT) -> None:
        self._rows[tuple(getattr(row, name) for name in self._key)] = row

    def _write(self, cells: list[str]) -> None:
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(descriptor, _line(cells).encode())
        finally:
            os.close(descriptor)

    def _load(self) -> None:
        content = self.path.read_bytes() if self.path.exists() else b""
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(self.path, len(whole))
        if not whole:
            self._write(self._columns)
            return
        try:
            lines = list(csv.reader(io.StringIO(whole.decode(), newline="")))
        except (UnicodeDecodeError, csv.Error) as error:
            raise UsageError(f"{self.path}: not a file of results: {error}") from error
        if lines[0] != self._columns:
            raise UsageError(
                f"{self.path}: the columns are those of something else ({', '.join(lines[0])}); "
                "remove the file or choose another --output"
            )
        for number, cells in enumerate(lines[1:], 2):
            self._keep(self._row(number, cells))

    def _row(self, number: int, cells: list[str]) -> RowT:
        if len(cells) != len(self._columns):
            raise UsageError(f"{self.path}:{number}: {len(cells)} values for {len(self._columns)} columns")
        values: dict[str, object] = {}
        for name, cell in zip(self._columns, cells, strict=True):
            try:
                values[name] = _value(self._kinds[name], cell)
            except (ValueError, KeyError):
                raise UsageError(f"{self.path}:{number}: {name} is {cell!r}") from None
        return self._make(**values)


def _cells(row: object, columns: Sequence[str]) -> list[str]:
    return [_text(getattr(row, name)) for name in columns]


def _line(cells: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return repr(value) if isinstance(value, float) else str(value)


def _value(kind: object, cell: str) -> object:
    options = get_args(kind)
    if options:
        if not cell:
            return None
        kind = options[0]
    if kind is bool:
        return _TRUTHS[cell]
    if kind is int:
        return int(cell)
    return float(cell) if kind is float else cell
