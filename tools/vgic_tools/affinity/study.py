"""An experiment: points to measure, the measurement, and the rows that matter most."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from vgic_tools.affinity.results import Results
from vgic_tools.affinity.workers import measure_beside

__all__ = ["Measured", "Study", "Summary"]

PointT = TypeVar("PointT")
RowT = TypeVar("RowT")


@dataclass(frozen=True)
class Summary:
    """A table for people: a few columns of the rows that matter most."""

    headings: tuple[str, ...]
    lines: Sequence[tuple[str, ...]]


class Measured(NamedTuple, Generic[RowT]):
    """The rows of a study, and how many of them were measured just now: the others were in the file."""

    rows: list[RowT]
    fresh: int


@dataclass(frozen=True)
class Study(Generic[PointT, RowT]):
    """`measure` makes the row of a point; the row class is derived from the point class.

    `measure` must be a function of a module, or a partial of one: it runs in other processes.
    """

    name: str
    title: str
    text: str
    """What is measured and how, for the report: paragraphs, separated by empty lines."""
    row_type: type[RowT]
    points: Sequence[PointT]
    measure: Callable[[PointT], RowT]
    summary: Callable[[Sequence[RowT]], Summary]

    def csv_path(self, output: Path) -> Path:
        """The file of the rows."""
        return output / f"{self.name}.csv"

    def run(self, output: Path, jobs: int, advance: Callable[[], None]) -> Measured[RowT]:
        """The rows of every point, in the order of the points: from the CSV file in `output`, else measured.

        `jobs` processes measure, or this one alone where `jobs` is 1. Each row is in the file before `advance` is
        called. Raises UsageError where the file holds something else.
        """
        output.mkdir(parents=True, exist_ok=True)
        key = [item.name for item in fields(self.points[0])] if self.points else []  # type: ignore[arg-type]
        results = Results(self.csv_path(output), self.row_type, key)
        keys = [tuple(getattr(point, name) for name in key) for point in self.points]
        missing = [point for point, values in zip(self.points, keys, strict=True) if results.find(values) is None]
        for _ in range(len(keys) - len(missing)):
            advance()
        if jobs == 1 or len(missing) < 2:
            self._keep(map(self.measure, missing), results, advance)
        else:
            with closing(measure_beside(self.measure, missing, jobs)) as rows:
                self._keep(rows, results, advance)
        return Measured([row for row in map(results.find, keys) if row is not None], len(missing))

    @staticmethod
    def _keep(rows: Iterable[RowT], results: Results[RowT], advance: Callable[[], None]) -> None:
        for row in rows:
            results.append(row)
            advance()
