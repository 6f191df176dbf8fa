"""A pytest plugin for the runs of one mutant: `pytest -p mutants.plugin`, told by a file what to run and how long.

It runs the tests of a plan, ends the process where one takes more of the processor than the plan allows, and
notes what every test came to.
"""

import json
import os
import resource
import signal
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Final, NoReturn, TypedDict

import pytest

__all__ = ["NOTES", "PLAN", "TIMED_OUT", "Note", "Plan"]

PLAN: Final = "VGIC_MUTANTS_PLAN"
"""Environment variable: the file with the Plan. Without it, all that is collected runs, as long as it takes."""

NOTES: Final = "VGIC_MUTANTS_NOTES"
"""Environment variable: the file to which one Note a line is written."""

TIMED_OUT: Final = 77
"""Exit status of a run that a test's limit ended."""

MEMORY: Final = 4 << 30
"""The bytes of address space that a run may take: a mutant may ask for anything."""


class Plan(TypedDict):
    """What to run: names of tests, with the seconds that each may take; and the folder that they have to import."""

    limits: dict[str, float]
    root: str


class Note(TypedDict):
    """What became of a test, or of a file that could not be imported: passed, failed, skipped or timed out."""

    test: str
    outcome: str
    seconds: float


class _Notes:
    """The notes of one session."""

    def __init__(self, path: Path, plan: Plan | None) -> None:
        self.path = path
        self.plan = plan
        self._outcomes: dict[str, Note] = {}

    def write(self, note: Note) -> None:
        with self.path.open("a") as file:
            file.write(json.dumps(note) + "\n")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.write({"test": report.nodeid, "outcome": "failed", "seconds": 0})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        note = self._outcomes.setdefault(report.nodeid, {"test": report.nodeid, "outcome": "passed", "seconds": 0})
        note["seconds"] += report.duration
        if report.outcome != "passed" and note["outcome"] != "failed":
            note["outcome"] = report.outcome
        if report.when == "teardown":
            self.write(note)

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        if self.plan is None:
            return
        _check_that_the_copy_is_tested(Path(self.plan["root"]))
        items[:] = [item for item in items if item.nodeid in self.plan["limits"]]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        if self.plan is None:
            return (yield)

        def leave(number: int, frame: FrameType | None) -> NoReturn:
            self.write({"test": item.nodeid, "outcome": "timed out", "seconds": limit})
            os._exit(TIMED_OUT)

        limit = self.plan["limits"][item.nodeid]
        signal.signal(signal.SIGPROF, leave)
        signal.setitimer(signal.ITIMER_PROF, limit)
        try:
            return (yield)
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)


def _check_that_the_copy_is_tested(root: Path) -> None:
    """A result counts only if it is the copy with the mutation in it that the tests import."""
    import mmio
    import vgic

    for package in (mmio, vgic):
        assert package.__file__ is not None
        if not Path(package.__file__).is_relative_to(root):
            raise pytest.UsageError(f"{package.__file__} is tested instead of the copy in {root}")


def pytest_configure(config: pytest.Config) -> None:
    """Take notes where the environment asks for them; with pytest-xdist in the process that hears of all tests."""
    notes = os.environ.get(NOTES)
    if notes is None or hasattr(config, "workerinput"):
        return
    plan = os.environ.get(PLAN)
    if plan is not None:
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    config.pluginmanager.register(_Notes(Path(notes), None if plan is None else json.loads(Path(plan).read_text())))
