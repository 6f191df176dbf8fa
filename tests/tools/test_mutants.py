"""What becomes of mutants of a tiny package: one survives, one is killed, one never ends; and what a run keeps."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("mutants", reason="a tool of the source, not of the package")

from mutants import __main__ as command
from mutants import order
from mutants.campaign import copies_of, judged
from mutants.equivalents import LISTED, change_of, equivalents
from mutants.errors import MutantsError
from mutants.mutations import Mutation, Source
from mutants.operators import mutations
from mutants.reach import Reach, measured
from mutants.report import Judged, rate, summary, write
from mutants.results import Kept, Results
from mutants.sample import modules_below
from mutants.trial import Outcome, Verdict

ROOT = Path(__file__).parents[2]

CODE = """\
def count(limit):
    total = 0
    while total < limit:
        total += 1
    return total


def unused_result(limit):
    return limit > 3
"""

TESTS = """\
from vgic.tiny import count, unused_result


def test_count():
    assert count(3) == 3


def test_nothing():
    unused_result(5)
"""

FILES = {
    "vgic/__init__.py": "",
    "vgic/tiny.py": CODE,
    "mmio/__init__.py": "",
    "tests/vgic/test_tiny.py": TESTS,
    "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = ['slow: x']\n",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for folder in ("mmio", "properties", "recordings"):
        (tmp_path / "root/tests" / folder).mkdir()
    (tmp_path / "root/tools").symlink_to(ROOT / "tools")
    return tmp_path / "root"


def reach_of(root: Path, kept: Path) -> Reach:
    with copies_of(root, 1) as [copy]:
        return measured(copy, kept, 1)


def mutant(source: Source, line: int, becomes: str) -> Mutation:
    [found] = (one for one in mutations(source) if one.line == line and source.lines(one)[1] == becomes)
    return found


def run(
    root: Path, chosen: list[tuple[int, str]], results: Path, listed: dict[str, str] | None = None
) -> list[Judged]:
    source = Source("vgic/tiny.py", (root / "vgic/tiny.py").read_bytes())
    drawn = [mutant(source, line, becomes) for line, becomes in chosen]
    reasons = {change_of(source, one): why for one in drawn if (why := (listed or {}).get(source.lines(one)[1]))}
    reach = reach_of(root, results / "reach")
    with copies_of(root, 2) as copies:
        return judged(copies, drawn, reach, Results(results / "results"), reasons, lambda one: None)


def test_survivors_kills_and_timeouts_are_told_apart(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order, "GRACE", 1.0)
    chosen = [
        (3, "while total <= limit:"),
        (4, "total -= 1"),
        (9, "return limit >= 3"),
        (2, "total = (-1)"),
        (9, "return limit > 4"),
    ]
    found = run(root, chosen, tmp_path / "results", {"return limit > 4": "nobody looks"})
    assert [(one.outcome, one.verdict and one.verdict.test) for one in found] == [
        ("killed", "tests/vgic/test_tiny.py::test_count"),
        ("timeout", "tests/vgic/test_tiny.py::test_count"),
        ("survived", ""),
        ("survived", ""),
        ("equivalent", None),
    ]
    assert rate(found) == 0.5
    assert summary(found) == (
        "5 mutants: 1 killed, 1 timeout, 2 survived, 1 equivalent. Noticed of those that have an effect: 50.0 %"
    )
    assert (root / "vgic/tiny.py").read_text() == CODE


@pytest.mark.slow
def test_reports_say_what_became_of_each(root: Path, tmp_path: Path) -> None:
    found = run(root, [(9, "return limit >= 3"), (5, "return None")], tmp_path / "results")
    write(tmp_path / "results", found, {"seed": 1})
    text = (tmp_path / "results/report.txt").read_text()
    assert (
        "survived: vgic/tiny.py:9 unused_result (boundary): 1 tests passed\n"
        "    - return limit > 3\n"
        "    + return limit >= 3\n"
        "killed: vgic/tiny.py:5 count (result): by tests/vgic/test_tiny.py::test_count\n"
    ) in text
    document = json.loads((tmp_path / "results/report.json").read_text())
    assert [entry["outcome"] for entry in document["mutants"]] == ["survived", "killed"]
    assert document["settings"] == {"seed": 1}


def test_only_tests_that_execute_a_line_are_run(root: Path, tmp_path: Path) -> None:
    reach = reach_of(root, tmp_path / "reach")
    assert reach.executing("vgic/tiny.py", 4, 4) == ["tests/vgic/test_tiny.py::test_count"]
    assert reach.executing("vgic/tiny.py", 9, 9) == ["tests/vgic/test_tiny.py::test_nothing"]
    assert len(reach.touching("vgic/tiny.py")) == 2


@pytest.mark.slow
def test_a_new_test_is_measured_and_finds_the_survivor(root: Path, tmp_path: Path) -> None:
    chosen = [(9, "return limit >= 3")]
    [before] = run(root, chosen, tmp_path / "results")
    assert before.outcome == "survived"
    more = "from vgic.tiny import unused_result\ndef test_it(): assert not unused_result(3)\n"
    (root / "tests/vgic/test_more.py").write_text(more)
    [after] = run(root, chosen, tmp_path / "results")
    assert after.verdict is not None
    assert (after.outcome, after.verdict.test) == ("killed", "tests/vgic/test_more.py::test_it")


@pytest.mark.slow
def test_a_suite_that_fails_anyway_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "tests/vgic/test_bad.py").write_text("def test_bad(): assert False\n")
    with pytest.raises(MutantsError, match="fails without any mutation: one of tests/vgic/test_bad"):
        reach_of(root, tmp_path / "reach")


def test_what_was_noticed_is_kept_and_what_survived_tried_again(tmp_path: Path) -> None:
    path = tmp_path / "results"
    results = Results(path)
    killed, survived = Verdict(Outcome.KILLED, "test", 3, 1.5), Verdict(Outcome.SURVIVED)
    results.add("a", Kept(killed, "file", "all"))
    results.add("b", Kept(survived, "file", "all"))
    path.write_text(path.read_text() + '{"mutant": "cut')
    again = Results(path)
    assert again.known("a", "file", "changed") == killed
    assert again.known("a", "changed", "all") is None
    assert again.known("b", "file", "all") == survived
    assert again.known("b", "file", "changed") is None
    assert again.known("c", "file", "all") is None


def test_every_equivalent_mutant_listed_is_still_there() -> None:
    listed = equivalents()
    assert all(listed.values())
    sources = {change.file: Source(change.file, (ROOT / change.file).read_bytes()) for change in listed}
    offered = {change_of(source, one) for source in sources.values() for one in mutations(source)}
    assert [change for change in listed if change not in offered] == []
    assert LISTED.name == "equivalent.toml"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[equivalent]]\nfile = 'a'\n", "equivalent.toml: an entry has no 'line'"),
        ("[[equivalent]\n", "equivalent.toml: "),
        ("[[equivalent]]\nfile = ''\nline = ''\nbecomes = ''\nwhy = ''\n" * 2, "1 entries are there twice"),
    ],
)
def test_a_damaged_list_is_told(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "equivalent.toml"
    path.write_text(text)
    with pytest.raises(MutantsError, match=message):
        equivalents(path)


@pytest.mark.parametrize("name", ["tools", "/etc", "vgic/none.py", "vgic/../tools", "vgic/py.typed"])
def test_what_is_no_module_is_told(name: str) -> None:
    with pytest.raises(MutantsError, match=name):
        modules_below(ROOT, [name])


def test_modules_are_files_and_folders() -> None:
    assert modules_below(ROOT, ["vgic/bits.py"]) == ["vgic/bits.py"]
    assert "vgic/its/tables.py" in modules_below(ROOT, ["vgic"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--sample", "0"], "'0' is neither a number from 1 nor 'all'"),
        (["--sample", "many"], "'many' is neither"),
        (["--jobs", "0"], "0 is not in the range"),
        (["--seed", "-1"], "-1 is not in the range"),
        (["vgic/none.py"], "Error: vgic/none.py: no Python file"),
    ],
)
def test_bad_arguments_are_one_error_and_status_2(
    arguments: list[str], message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["mutants", *arguments])
    with pytest.raises(SystemExit) as end:
        command.run()
    assert end.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_leaves_nobody_behind(root: Path, tmp_path: Path, number: signal.Signals) -> None:
    pids = tmp_path / "pids"
    forever = f"import os, time\ndef test_it():\n    open({str(pids)!r}, 'w').write(str(os.getpid()))\n"
    (root / "tests/vgic/test_forever.py").write_text(forever + "    time.sleep(100)\n")
    script = f"""
from pathlib import Path
from mutants import __main__ as command
command.ROOT = Path({str(root)!r})
command.run()
"""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", script, "--jobs", "1", "--results", str(tmp_path / "results")],
        env=os.environ | {"PYTHONPATH": str(ROOT / "tools"), "TMPDIR": str(scratch)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as run:
        while not (pids.exists() and pids.read_text()):
            time.sleep(0.05)
            assert run.poll() is None
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
    assert run.returncode == 128 + number
    assert b"Traceback" not in errors
    with pytest.raises(ProcessLookupError):
        os.kill(int(pids.read_text()), 0)
    assert list(scratch.iterdir()) == []
