"""A stopped experiment: who is left behind (nobody), and what is kept. Real processes, and real signals."""

import csv
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sessions import HAVE_SESSIONS, STARTED, Session, until

pytestmark = pytest.mark.skipif(not HAVE_SESSIONS, reason="processes are looked up in /proc")

ENDLESS = ("--vcpus", "2,3", "--loads", "0.5", "--arrivals", "100000000")
QUICK = ("--vcpus", "2,3", "--loads", "0.5", "--arrivals", "3000")


class Experiment(Session):
    """`vgic affinity fairness`."""

    def __init__(self, output: Path, *arguments: str) -> None:
        super().__init__("affinity", "fairness", *arguments, "--output", str(output))
        self._csv = output / "fairness.csv"

    def rows(self) -> list[list[str]]:
        """Whole rows in the file."""
        if not self._csv.exists():
            return []
        return list(csv.reader(self._csv.read_text().rpartition("\n")[0].splitlines()))[1:]

    def wait_until_busy(self, jobs: int) -> None:
        """Until so many processes measure. One measures by itself."""

        def busy() -> int:
            return sum(seconds > STARTED for pid, seconds in self.members().items() if pid != self.pid or jobs == 1)

        until(lambda: busy() == jobs)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Experiment]]:
    started: list[Experiment] = []

    def start(*arguments: str) -> Experiment:
        started.append(Experiment(tmp_path / "results", *arguments))
        return started[-1]

    yield start
    for experiment in started:
        experiment.kill()


def to_the_group(pid: int) -> None:
    """As Ctrl-C on a terminal does."""
    os.killpg(pid, signal.SIGINT)


def to_one(number: signal.Signals) -> Callable[[int], None]:
    return lambda pid: os.kill(pid, number)


STOPS = {
    "Ctrl-C": (to_the_group, 130),
    "SIGINT": (to_one(signal.SIGINT), 130),
    "SIGTERM": (to_one(signal.SIGTERM), 143),
    "SIGHUP": (to_one(signal.SIGHUP), 129),
    "SIGKILL": (to_one(signal.SIGKILL), -9),
}


@pytest.mark.parametrize(("how", "jobs"), [*((how, 2) for how in STOPS), ("Ctrl-C", 1), ("SIGTERM", 1)])
def test_a_stopped_experiment_leaves_nobody_behind(how, jobs, start):
    stop, status = STOPS[how]
    experiment = start(*ENDLESS, "--jobs", str(jobs))
    experiment.wait_until_busy(jobs)
    stop(experiment.pid)
    output, errors = experiment.end()
    assert experiment.process.returncode == status, errors
    until(lambda: not experiment.members())
    if how != "SIGKILL":
        assert errors.count("\n") == 1
        assert "interrupted; the same command goes on from" in errors
    assert "Traceback" not in output + errors


def test_ctrl_c_while_the_workers_start(start):
    experiment = start(*ENDLESS, "--jobs", "2")
    until(lambda: len(experiment.members()) > 2)
    to_the_group(experiment.pid)
    _, errors = experiment.end()
    assert experiment.process.returncode == 130, errors
    assert errors.count("\n") == 1
    until(lambda: not experiment.members())


def test_a_stopped_experiment_goes_on_with_the_rows_that_it_has(start):
    first = start(*QUICK, "--jobs", "2")
    until(lambda: len(first.rows()) > 1)
    os.kill(first.pid, signal.SIGTERM)
    first.end()
    kept = first.rows()
    again = start(*QUICK, "--jobs", "2")
    _, errors = again.end()
    assert again.process.returncode == 0, errors
    assert again.rows()[: len(kept)] == kept
    assert len(again.rows()) > len(kept)
    until(lambda: not again.members())


def test_a_killed_worker_ends_the_experiment_with_a_sentence(start):
    experiment = start(*ENDLESS, "--jobs", "2")
    experiment.wait_until_busy(2)
    worker = max(pid for pid, seconds in experiment.members().items() if seconds > STARTED)
    os.kill(worker, signal.SIGKILL)
    _, errors = experiment.end()
    assert experiment.process.returncode == 2
    assert errors == "vgic: a process that measured was killed; is there memory for so many?\n"
    until(lambda: not experiment.members())
