"""`vgic replay --dask`: a corpus on a Dask cluster, here of processes of this machine."""

import gzip
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import dask.config
import pytest
from click.testing import CliRunner, Result
from distributed import LocalCluster

import recorded_guests
from vgic_tools.cli import main
from vgic_tools.errors import UsageError
from vgic_tools.replay import cluster
from vgic_tools.replay.batch import Row, Task, replay_one, task_of
from vgic_tools.replay.cluster import replay_on

RECORDING = recorded_guests.TRACES / "linux_smp1_icount"
OPTIONS = ("machine", "qemu_cmdline", "dtb", "cpus", "affinities", "profile", "spis", "priority_bits", "gicd_base")
NOTHING: dict[str, object] = {**dict.fromkeys(OPTIONS), "redistributors": (), "its": ()}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


@contextmanager
def started(workers: int) -> Iterator[LocalCluster]:
    # A task is given up where one worker dies: each takes a second to start.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        LocalCluster(n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=":0") as made,
    ):
        yield made


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with started(1) as made:
        yield made.scheduler_address


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Traces of each verdict, in the working directory."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "corpus"
    folder.mkdir()
    shutil.copy(RECORDING / "cmd.txt", folder)
    log = gzip.decompress((RECORDING / "trace.core.log.gz").read_bytes()).splitlines(keepends=True)[:1000]
    read = next(number for number, line in enumerate(log) if b"gicv3_dist_read" in line and b"offset 0x4 " in line)
    (folder / "good.log").write_bytes(b"".join(log))
    (folder / "short.log").write_bytes(gzip.compress(b"".join(log))[:-20])
    log[read] = log[read].replace(b"data 0x", b"data 0x1")
    (folder / "other.log").write_bytes(b"".join(log))
    return Path("corpus")


@pytest.mark.usefixtures("own_process")
def test_rows_are_those_of_own_processes(scheduler: str, corpus: Path) -> None:
    told = []
    for where in (("--dask", scheduler), ("--jobs", 2)):
        name = where[0].strip("-")
        outcome = run(corpus, *where, "--json", "--junit", f"{name}.xml", "--results", f"{name}.jsonl")
        assert (outcome.exit_code, outcome.stderr) == (1, "")
        rows = sorted(Path(f"{name}.jsonl").read_text().splitlines(), key=lambda line: json.loads(line)["trace"])
        suite = ElementTree.parse(f"{name}.xml").getroot()[0]
        told.append(
            (
                json.loads(outcome.stdout),
                [{**json.loads(row), "seconds": 0} for row in rows],
                [(case.get("name"), [element.tag for element in case]) for case in suite],
            )
        )
    assert told[0] == told[1]
    assert [row["verdict"] for row in told[0][0]] == ["no divergence", "diverged", "unusable"]


@pytest.mark.usefixtures("own_process")
def test_what_is_in_the_results_is_not_done_again(scheduler: str, corpus: Path) -> None:
    arguments = (corpus, "--json", "--results", "results.jsonl")
    first = run(*arguments, "--jobs", 1)
    lines = Path("results.jsonl").read_text().splitlines(keepends=True)
    Path("results.jsonl").write_text("".join(lines[1:]))
    assert run(*arguments, "--dask", scheduler).stdout == first.stdout
    assert len(Path("results.jsonl").read_text().splitlines()) == len(lines)
    # All is there: nobody is asked.
    assert run(*arguments, "--dask", "tcp://127.0.0.1:1").stdout == first.stdout


@pytest.fixture
def own_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What --jobs does, without the seconds that processes take to start."""

    def one_by_one(tasks: list[Task], jobs: int) -> Iterator[Row]:
        yield from map(replay_one, tasks)

    monkeypatch.setattr("vgic_tools.replay.batch_command.replay_all", one_by_one)


class _Deadly:
    """Kills the worker that unpickles it; the scheduler, which lives here, is to go on."""

    def __reduce__(self) -> tuple[Callable[[int], "_Deadly"], tuple[int]]:
        return _die_elsewhere, (os.getpid(),)


def _die_elsewhere(here: int) -> _Deadly:
    if os.getpid() != here:
        os.kill(os.getpid(), signal.SIGKILL)
    return _Deadly()


def test_a_worker_that_dies_costs_its_own_trace(scheduler: str, corpus: Path) -> None:
    good = task_of(corpus / "good.log", NOTHING, False)
    deadly = Task("trace.log", {"cpus": _Deadly()}, False, "deadly")
    # One after the other: of two tasks that a worker holds, Dask cannot know which one killed it.
    [lost], [row] = list(replay_on(scheduler, [deadly])), list(replay_on(scheduler, [good]))
    assert (lost.trace, lost.key, lost.verdict) == ("trace.log", "deadly", "unusable")
    assert lost.why == "the worker that replayed it died, and so did those that tried again"
    assert (row.trace, row.verdict) == ("corpus/good.log", "no divergence")


def test_a_task_that_fails_otherwise() -> None:
    row = cluster._lost(Task("trace.log", {}, False, "key"), MemoryError("no room"))
    assert (row.trace, row.key, row.verdict) == ("trace.log", "key", "unusable")
    assert row.why == "a worker could not replay it: MemoryError: no room"


def test_another_version(scheduler: str, corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "__version__", "9.9.9")
    outcome = run(corpus, "--dask", scheduler)
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        f"vgic: --dask: the scheduler at {scheduler} has vgic 0.1.0, and this is 9.9.9\n",
    )
    # One that has come later.
    row = cluster._replayed_there(task_of(corpus / "good.log", NOTHING, False), "0.0.9")
    assert (row.verdict, row.why) == ("unusable", "its worker has vgic 9.9.9, and this is 0.0.9")


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("tcp://127.0.0.1:1", "Timed out trying to connect to tcp://127.0.0.1:1 after 1 s"),
        ("127.0.0.1", "missing port number in address '127.0.0.1'"),
        ("foo://127.0.0.1:1", "unknown address scheme 'foo' (known schemes: ["),
        ("tls://127.0.0.1:1", "TLS expects a `ssl_context` argument"),
    ],
)
def test_a_scheduler_that_cannot_be_reached(
    corpus: Path, address: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PATIENCE", 1)
    outcome = run(corpus, "--dask", address)
    assert outcome.exit_code == 2
    assert outcome.stderr.startswith(f"vgic: --dask {address}: {why}")
    assert outcome.stderr.count("\n") == 1


def test_dask_is_not_installed(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    outcome = run(corpus, "--dask", "tcp://127.0.0.1:1")
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        "vgic: --dask needs Dask's scheduler: pip install 'vgic[dask]'\n",
    )


def test_one_place_to_replay(corpus: Path) -> None:
    outcome = run(corpus, "--dask", "tcp://127.0.0.1:1", "--jobs", 2)
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        "vgic: --jobs and --dask both say where traces are replayed; give one\n",
    )


@pytest.mark.slow
def test_workers_come_and_the_scheduler_goes(
    corpus: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_LOOK", 0.1)
    told: list[str] = []
    with started(0) as made:
        address = made.scheduler_address

        def complain(text: str) -> None:
            told.append(text)
            made.scale(1)

        monkeypatch.setattr(cluster, "complain", complain)
        good = task_of(corpus / "good.log", NOTHING, False)
        coming = replay_on(address, [good, replace(good, key="again")])
        assert next(coming).verdict == "no divergence"
        assert told == [f"the Dask scheduler at {address} has no worker: waiting for one"]
    with pytest.raises(UsageError, match=rf"the Dask scheduler at {address} has gone away; --results keeps what"):
        list(coming)
    assert capsys.readouterr().err == ""
