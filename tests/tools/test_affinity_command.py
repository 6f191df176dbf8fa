"""`vgic affinity`: what it writes, what it says, how it stops and goes on."""

import base64
import builtins
import csv
import html
import platform
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import vgic
from vgic_tools.affinity import command, layout_study
from vgic_tools.affinity.layout_plots import LAYOUT_PLOTS
from vgic_tools.affinity.plots import Drawn, save
from vgic_tools.cli import main

LAYOUTS = ("layouts", "--layout", "kvm", "--layout", "sparse-aff3", "--vcpus", "4,20")


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than all the rest."""
    monkeypatch.setattr(command, "save", lambda *_: Drawn("a figure", "<svg/>"))


def run(output: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["affinity", *arguments, "--output", str(output), "--jobs", "1"])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize(
    ("arguments", "figures"),
    [
        (LAYOUTS, ["layouts_sgi_writes", "layouts_walk"]),
        (("routing", "--vcpus", "1,16", "--rounds", "1", "--calls", "2"), ["routing"]),
        (
            ("fairness", "--vcpus", "2,4", "--loads", "0.5", "--arrivals", "60", "--seeds", "2"),
            ["fairness", "fairness_shares"],
        ),
    ],
)
def test_an_experiment_writes_rows_figures_and_a_report(output, arguments, figures):
    pytest.importorskip("matplotlib")
    result = run(output, *arguments)
    assert result.exit_code == 0, result.output
    name = arguments[0]
    page = (output / f"{name}.html").read_text()
    assert page.count("<figure>") == len(figures)
    assert 'src="http' not in page
    # The very rows, and where they come from.
    link = re.search(rf'download="{name}.csv" href="data:text/csv;charset=utf-8;base64,([^"]+)"', page)
    assert link is not None
    assert base64.b64decode(link[1]).decode() == (output / f"{name}.csv").read_text()
    told = dict(re.findall(r"<tr><td>(\w+)</td><td>([^<]+)</td></tr>", page))
    assert html.unescape(told["command"]) == shlex.join(
        ["vgic", "affinity", *arguments, "--output", str(output), "--jobs", "1"]
    )
    assert told["version"].startswith(f"vgic {vgic.__version__}, ")
    assert told["machine"].endswith(f"{platform.system()} {platform.release()}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", told["date"])
    assert re.fullmatch(r"\d+ measured by this command, 0 by earlier ones", told["rows"])
    for figure in figures:
        svg = (output / f"{figure}.svg").read_text()
        assert svg.startswith("<?xml")
        assert (output / f"{figure}.png").read_bytes().startswith(b"\x89PNG")
    assert rows(output / f"{name}.csv")


def test_traps_of_a_recording(output):
    pytest.importorskip("matplotlib")
    trace = Path(__file__).parents[1] / "traces" / "linux_smp1_icount" / "trace.core.log.gz"
    result = run(output, "traps", str(trace))
    assert result.exit_code == 0, result.output
    assert "linux_smp1_icount" in result.output
    added = {(row["guest_a3v"], row["host_a3v"]): row["added"] for row in rows(output / "traps.csv")}
    assert added == {("yes", "no"): "9", ("no", "yes"): "9", ("yes", "yes"): "0"}


def test_the_same_rows_give_the_same_figure(tmp_path):
    pytest.importorskip("matplotlib")
    row = layout_study.measure_layout(layout_study.LayoutPoint("kvm", 2))
    first, second = (save(LAYOUT_PLOTS[0], [row], tmp_path) for _ in range(2))
    assert first == second


def test_without_matplotlib_the_rows_are_kept_and_the_extra_is_named(output, monkeypatch):
    real = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", refuse)
    result = run(output, *LAYOUTS)
    assert result.exit_code == 2
    assert "pip install 'vgic[experiments]'" in result.output
    assert len(rows(output / "layouts.csv")) == 4
    assert "<figure>" not in (output / "layouts.html").read_text()


@pytest.mark.usefixtures("no_figures")
def test_an_interrupted_experiment_says_so_and_goes_on(output, monkeypatch):
    real = layout_study.measure_layout
    seen = []

    def interrupted(point: layout_study.LayoutPoint, custom: object = None) -> layout_study.LayoutRow:
        seen.append(point)
        if len(seen) == 2:
            raise KeyboardInterrupt
        return real(point)

    monkeypatch.setattr(layout_study, "measure_layout", interrupted)
    result = run(output, *LAYOUTS)
    assert result.exit_code == 130
    assert "interrupted" in result.output
    assert len(rows(output / "layouts.csv")) == 1
    run(output, *LAYOUTS)
    assert len(rows(output / "layouts.csv")) == 4
    assert len(seen) == 2 + 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("layouts", "--vcpus", "4,0"), "'0' is no number of vCPUs, 1 to 65536"),
        (("layouts", "--vcpus", "65537"), "'65537' is no number of vCPUs"),
        (("layouts", "--layout", "mine"), "'mine'"),
        (("layouts", "--layout-file", "none.txt"), "none.txt: No such file"),
        (("fairness", "--vcpus", "961"), "'961' is no number of vCPUs, 1 to 960"),
        (("fairness", "--loads", "0.5,1"), "'1' is no load"),
        (("fairness", "--loads", "much"), "'much' is no load"),
        (("traps", "none.gz"), "none.gz: no such file"),
        (("traps",), "TRACE"),
    ],
)
def test_what_cannot_be_is_named(output, arguments, message):
    result = run(output, *arguments)
    assert result.exit_code == 2
    assert message in result.output
    assert not output.exists()


def test_results_of_something_else_are_not_touched(output):
    output.mkdir()
    (output / "layouts.csv").write_text("a,b\n1,2\n")
    result = run(output, *LAYOUTS)
    assert result.exit_code == 2
    assert "layouts.csv: the columns are those of something else" in result.output
    assert (output / "layouts.csv").read_text() == "a,b\n1,2\n"


@pytest.mark.usefixtures("no_figures")
def test_two_processes_measure_what_one_does(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    run(one, *LAYOUTS)
    CliRunner().invoke(main, ["affinity", *LAYOUTS, "--output", str(two), "--jobs", "2"])
    key = "typer_reads", "sgi_writes", "vcpus", "layout"
    counts = [sorted(tuple(row[name] for name in key) for row in rows(path / "layouts.csv")) for path in (one, two)]
    assert counts[0] == counts[1]
    assert len(counts[0]) == 4
