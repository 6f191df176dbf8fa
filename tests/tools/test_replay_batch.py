"""`vgic replay` of many traces."""

import gzip
import json
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

import recorded_guests
from sessions import HAVE_SESSIONS, Session, until
from vgic_tools.cli import main
from vgic_tools.replay import batch
from vgic_tools.replay.batch import Kept, Row, Task, replay_all, replay_one, task_of
from vgic_tools.replay.corpus import machine_beside, traces_in

RECORDING = recorded_guests.TRACES / "linux_smp1_icount"
CMDLINE = RECORDING / "cmd.txt"
OPTIONS = ("machine", "qemu_cmdline", "dtb", "cpus", "affinities", "profile", "spis", "priority_bits", "gicd_base")
NOTHING: dict[str, object] = {**dict.fromkeys(OPTIONS), "redistributors": (), "its": ()}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


@pytest.fixture(scope="module")
def log() -> bytes:
    return b"".join(
        gzip.decompress((RECORDING / "trace.core.log.gz").read_bytes()).splitlines(keepends=True)[:1500]
    )


@pytest.fixture
def corpus(tmp_path: Path, log: bytes) -> Path:
    """Traces of each verdict, and files that are none."""
    folder = tmp_path / "corpus"
    (folder / "deep").mkdir(parents=True)
    shutil.copy(CMDLINE, folder / "cmd.txt")
    (folder / "notes.txt").write_text("nothing of interest\n")
    (folder / "picture.bin").write_bytes(bytes(1000))
    (folder / "good.log").write_bytes(log)
    (folder / "good.log.gz").write_bytes(gzip.compress(log))
    shutil.copy(RECORDING / "virt.dtb", folder / "deep" / "tree")
    read = next(line for line in log.splitlines() if b"gicv3_dist_read" in line and b"offset 0x4 " in line)
    wrong = read.replace(b"data 0x", b"data 0x1")
    (folder / "deep" / "other.log").write_bytes(log.replace(read, wrong))
    (folder / "deep" / "short.log").write_bytes(gzip.compress(log)[:-20])
    (folder / "deep" / "strange.log").write_bytes(b"gicv5_irs_read GICv5 IRS read: offset 0x4\n" * 3)
    return folder


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The traces that have been replayed; here, and not in processes that take a second to start."""
    names: list[str] = []

    def one_by_one(tasks: list[Task], jobs: int) -> Iterator[Row]:
        for task in tasks:
            names.append(Path(task.trace).name)
            yield replay_one(task)

    monkeypatch.setattr("vgic_tools.replay.batch_command.replay_all", one_by_one)
    return names


def rows(outcome: Result) -> dict[str, tuple[str, str]]:
    """Verdict and reason by the name of the trace."""
    return {Path(row["trace"]).name: (row["verdict"], row["why"]) for row in json.loads(outcome.stdout)}


def test_a_folder(corpus: Path, tmp_path: Path) -> None:
    xml = tmp_path / "out.xml"
    outcome = run(corpus, "--jobs", 2, "--junit", xml, "--json")
    assert outcome.exit_code == 1
    told = rows(outcome)
    assert list(told) == ["good.log", "good.log.gz", "other.log", "short.log", "strange.log"]
    assert told["good.log"] == told["good.log.gz"] == ("no divergence", "")
    verdict, why = told["other.log"]
    assert verdict == "diverged"
    assert re.fullmatch(r"line \d+, GICD_TYPER: 0x1\w+ expected, 0x\w+", why)
    assert told["short.log"][0] == "unusable"
    assert told["short.log"][1].endswith("the gzip data ends early: the file is truncated")
    assert told["strange.log"] == (
        "no verdict",
        "nothing could be compared: gicv5_irs_read is an event of a GICv5, and the model is a GICv3",
    )
    suite = ElementTree.parse(xml).getroot()[0]
    assert {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
    }
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases["good.log"] == ["system-out"]
    assert cases["other.log"] == ["failure", "system-out"]
    assert cases["short.log"] == ["error"]
    assert cases["strange.log"] == ["skipped", "system-out"]


@pytest.mark.usefixtures("done")
def test_a_table(corpus: Path) -> None:
    outcome = run(corpus / "good.log", corpus / "deep" / "strange.log", "--jobs", 2)
    assert outcome.exit_code == 2
    assert re.search(r"good\.log +no divergence +1,500 +\d+ +\d+\.\d", outcome.stdout)
    assert outcome.stdout.endswith("2 traces: 1 no divergence, 1 no verdict\n")
    assert run(corpus / "good.log", corpus / "good.log.gz").exit_code == 0


def test_the_machine_of_a_trace(corpus: Path) -> None:
    assert machine_beside(corpus / "good.log") == corpus / "cmd.txt"
    assert machine_beside(corpus / "deep" / "other.log") == corpus / "deep" / "tree"
    # What is called as the trace is comes first, and of several kinds the command line.
    shutil.copy(CMDLINE, corpus / "deep" / "cmd.txt")
    assert machine_beside(corpus / "deep" / "other.log") == corpus / "deep" / "cmd.txt"
    shutil.copy(RECORDING / "virt.dtb", corpus / "deep" / "other.dtb")
    assert machine_beside(corpus / "deep" / "other.log") == corpus / "deep" / "other.dtb"
    for name in ("cmd.txt", "other.dtb", "tree"):
        (corpus / "deep" / name).unlink()
    assert machine_beside(corpus / "deep" / "other.log") is None
    row = replay_one(task_of(corpus / "deep" / "other.log", NOTHING, False))
    assert (row.verdict, row.why[:24]) == ("unusable", "say which machine it is:")


@pytest.mark.usefixtures("done")
def test_the_machine_of_the_options(corpus: Path) -> None:
    outcome = run(corpus / "good.log", "--jobs", 1, "--cpus", 1, "--json")
    [row] = json.loads(outcome.stdout)
    assert row["machine"].endswith("from --cpus")


@pytest.mark.usefixtures("done")
def test_what_cannot_be_a_corpus(tmp_path: Path) -> None:
    assert run(tmp_path).stderr == f"vgic: {tmp_path}: there is no trace in this folder\n"
    assert run(tmp_path / "none", "--jobs", 1, "--cpus", 1).exit_code == 2
    said = "vgic: several traces are replayed in processes of their own, which share no standard input\n"
    assert run("-", CMDLINE).stderr == said
    assert run(CMDLINE, CMDLINE, "--machine", "-").stderr == said
    assert run(tmp_path, "--host-a3v", "1").stderr == "vgic: --host-a3v counts the exits of one trace\n"
    shutil.copy(RECORDING / "trace.core.log.gz", tmp_path / "t.log")
    outcome = run(tmp_path, "--cpus", 1, "--junit", tmp_path / "no" / "out.xml")
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        f"vgic: {tmp_path}/no/out.xml: cannot be written: No such file or directory\n",
    )


def test_a_trace_that_is_named_twice_is_one(corpus: Path) -> None:
    good = corpus / "good.log"
    assert [path.name for path in traces_in([str(good), str(corpus), str(good)])][:2] == ["good.log", "good.log.gz"]
    assert len(traces_in([str(good), str(corpus), str(good)])) == 5


def test_results_are_kept(corpus: Path, tmp_path: Path, done: list[str]) -> None:
    results = tmp_path / "results.jsonl"
    arguments = (corpus, "--jobs", 2, "--results", results, "--json")
    first = rows(run(*arguments))
    lines = results.read_bytes().splitlines(keepends=True)
    assert len(lines) == len(first) == 5
    # Stopped while it wrote the last.
    results.write_bytes(b"".join(lines[:4]) + lines[4][:20])
    done.clear()
    assert rows(run(*arguments)) == first
    assert len(done) == 1
    assert rows(run(*arguments)) == first
    assert len(done) == 1
    # Another trace under the old name, and other options, are replayed.
    os.utime(corpus / "good.log", ns=(1, 1))
    run(*arguments)
    assert done[1:] == ["good.log"]
    run(*arguments, "--keep-going")
    assert len(done) == 7


@pytest.mark.parametrize(
    "contents", [b"something else\n", b"{}\n", b'{"trace": 1}\n', b"[1]\n", b"unfinished", b"\xff\n"]
)
def test_a_file_that_holds_no_results(corpus: Path, tmp_path: Path, contents: bytes) -> None:
    results = tmp_path / "results.jsonl"
    results.write_bytes(contents)
    outcome = run(corpus, "--results", results)
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        f"vgic: {results}: is no file of a replay's results; name another for --results\n",
    )
    assert results.read_bytes() == contents


def test_a_process_that_is_killed_costs_its_own_trace(corpus: Path) -> None:
    good = task_of(corpus / "good.log", NOTHING, False)
    coming = replay_all([good, Task("trace.log", {"cpus": _Deadly()}, False, "deadly"), good], 2)
    told = sorted((row.verdict, row.why) for row in coming)
    assert told == [
        ("no divergence", ""),
        ("no divergence", ""),
        ("unusable", "its process was killed (signal 9) before the replay was done"),
    ]


class _Deadly:
    """Kills the process that unpickles it."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _die, ()


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_defect_is_the_row_of_its_trace(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "replay", lambda *_: 1 // 0)
    row = replay_one(task_of(corpus / "good.log", NOTHING, False))
    assert row.verdict == "unusable"
    assert re.fullmatch(r"a defect of vgic: ZeroDivisionError in test_replay_batch.py:\d+: .*", row.why)


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    row = Row("t", "k", "diverged", "why\n\x1b", "machine", 1, 2, 3, 0.5, {"a": [1]})
    Kept(tmp_path / "r").append(row)
    assert Kept(tmp_path / "r").find(Task("t", {}, False, "k")) == row
    assert Kept(tmp_path / "r").find(Task("t", {}, False, "other")) is None


@pytest.mark.skipif(not HAVE_SESSIONS, reason="processes are looked up in /proc")
@pytest.mark.parametrize(
    ("stop", "status"),
    [
        (lambda pid: os.killpg(pid, signal.SIGINT), 130),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), 143, marks=pytest.mark.slow),
        pytest.param(lambda pid: os.kill(pid, signal.SIGKILL), -9, marks=pytest.mark.slow),
    ],
    ids=["Ctrl-C", "SIGTERM", "SIGKILL"],
)
def test_a_stopped_replay_leaves_nobody_behind(tmp_path: Path, stop: Callable[[int], None], status: int) -> None:
    # One is done at once, two take long.
    shutil.copy(RECORDING / "cmd.txt", tmp_path / "cmd.txt")
    contents = gzip.decompress((RECORDING / "trace.core.log.gz").read_bytes())
    (tmp_path / "a.log").write_bytes(contents)
    for name in ("b.log", "c.log"):
        # The rest of its lines says nothing.
        (tmp_path / name).write_bytes(contents + b"x\n" * 30_000_000)
    results = tmp_path / "results"
    session = Session("replay", str(tmp_path), "--jobs", "2", "--results", str(results))
    try:
        # The file is there before the first row is.
        until(lambda: results.exists() and results.read_bytes().endswith(b"\n"))
        until(lambda: len(session.members()) >= 3)
        stop(session.pid)
        session.end()
        assert session.process.returncode == status
        until(lambda: not session.members())
    finally:
        session.kill()
    assert len(results.read_bytes().splitlines()) == 1
