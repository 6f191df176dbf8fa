"""Rows in a CSV file: what is written is read again, a run that stopped goes on, and a wrong file is refused."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from vgic_tools.affinity.results import Results, about
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.errors import UsageError


@dataclass(frozen=True)
class Point:
    name: Annotated[str, "a name"]
    number: Annotated[int, "a number"]


@dataclass(frozen=True)
class Row(Point):
    truth: Annotated[bool, "yes or no"]
    ratio: Annotated[float, "a ratio"]
    maybe: Annotated[int | None, "may be empty"]


ROWS = [Row('with, comma and "quotes"', 1, True, 0.1, None), Row("plain", 2, False, 1 / 3, 7)]
HEADER = "name,number,truth,ratio,maybe\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def results(path: Path) -> Results[Row]:
    return Results(path, Row, ["name", "number"])


def test_rows_come_back_as_they_were(path):
    for row in ROWS:
        results(path).append(row)
    again = results(path)
    assert [again.find((row.name, row.number)) for row in ROWS] == ROWS
    assert again.find(("plain", 3)) is None


def test_about_lists_the_columns_in_order():
    assert list(about(Row).items())[::4] == [("name", "a name"), ("maybe", "may be empty")]


@pytest.mark.parametrize("cut", [1, 5, 9])
def test_a_torn_last_line_is_dropped_and_the_file_goes_on(path, cut):
    first = results(path)
    for row in ROWS:
        first.append(row)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = results(path)
    assert again.find(("plain", 2)) is None
    assert again.find((ROWS[0].name, 1)) == ROWS[0]
    again.append(ROWS[1])
    assert path.read_bytes() == whole


def test_a_torn_header_starts_anew(path):
    path.write_text(HEADER[:9])
    results(path)
    assert path.read_text() == HEADER


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n", "rows.csv: the columns are those of something else (a, b); remove the file"),
        (HEADER + "x,1,yes\n", "rows.csv:2: 3 values for 5 columns"),
        (HEADER + "x,one,yes,0.5,\n", "rows.csv:2: number is 'one'"),
        (HEADER + "x,1,maybe,0.5,\n", "rows.csv:2: truth is 'maybe'"),
        (HEADER + "x,1,yes,,\n", "rows.csv:2: ratio is ''"),
    ],
)
def test_a_wrong_file_is_refused_by_name(path, content, message):
    path.write_text(content)
    with pytest.raises(UsageError) as caught:
        results(path)
    assert message in str(caught.value)
    assert path.read_text() == content


class Stop(BaseException):
    """As a Ctrl-C."""


def study(measured: list[int], stop_at: int | None = None) -> Study[Point, Row]:
    def measure(point: Point) -> Row:
        if point.number == stop_at:
            raise Stop
        measured.append(point.number)
        return Row(point.name, point.number, True, 0.5, None)

    points = [Point("p", number) for number in range(6)]
    return Study("some", "Some study", "", Row, points, measure, lambda rows: Summary((), ()))


def test_an_interrupted_study_goes_on_where_it_was(tmp_path):
    measured: list[int] = []
    advanced: list[None] = []
    with pytest.raises(Stop):
        study(measured, stop_at=4).run(tmp_path, 1, lambda: advanced.append(None))
    assert measured == [0, 1, 2, 3]
    assert len(advanced) == 4
    rows, fresh = study(measured).run(tmp_path, 1, lambda: advanced.append(None))
    assert measured == [0, 1, 2, 3, 4, 5]
    assert len(advanced) == 4 + 6
    assert fresh == 2
    assert [row.number for row in rows] == list(range(6))
    study(measured).run(tmp_path, 1, lambda: None)
    assert len(measured) == 6
