"""One mutant on trial: its tests are run in a private copy of the tree until one of them notices it."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from mutants.copies import environment, put
from mutants.errors import MutantsError
from mutants.mutations import Mutation, Source
from mutants.order import limit, stages
from mutants.plugin import NOTES, PLAN, TIMED_OUT, Note, Plan
from mutants.reach import Reach, pytest_command

__all__ = ["Outcome", "Verdict", "tried"]

START: Final = 60.0
"""The seconds that pytest may take beside its tests."""

_NOTICED: Final = (1, 2, 3)
"""pytest's exit statuses for tests that fail, files that cannot be imported, and an error in a hook."""


class Outcome(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant, the test that noticed it, how many tests it met, and the seconds that it took."""

    outcome: Outcome
    test: str = ""
    tests: int = 0
    seconds: float = 0


async def tried(copy: Path, mutation: Mutation, reach: Reach) -> Verdict:
    """Put a mutation into a copy of the tree, run the tests that execute it, and take it out again."""
    path = copy / mutation.file
    source = Source(mutation.file, path.read_bytes())
    lines = mutation.line, source.line_at(mutation.end)
    put(path, source.mutated(mutation))
    start = time.monotonic()
    met = 0
    try:
        for stage in stages(mutation, lines, reach):
            met += len(stage)
            outcome, test = await _run(copy, stage, reach)
            if outcome != Outcome.SURVIVED:
                return Verdict(outcome, test, met, time.monotonic() - start)
        return Verdict(Outcome.SURVIVED, "", met, time.monotonic() - start)
    finally:
        put(path, source.text)


async def _run(copy: Path, tests: Sequence[str], reach: Reach) -> tuple[Outcome, str]:
    limits = {name: limit(reach.tests[name]) for name in tests}
    plan: Plan = {"limits": limits, "root": str(copy)}
    plan_path, notes = copy / "plan.json", copy / "notes"
    plan_path.write_text(json.dumps(plan))
    notes.unlink(missing_ok=True)
    files = dict.fromkeys(name.partition("::")[0] for name in tests)
    variables = environment(copy, **{PLAN: str(plan_path), NOTES: str(notes)})
    async with _started(pytest_command("-x", *files), copy, variables) as run:
        try:
            status = await asyncio.wait_for(run.wait(), START + 2 * sum(limits.values()))
        except TimeoutError:
            return Outcome.TIMEOUT, "outside of tests"
    noticed = _noticed_by(notes)
    if status == TIMED_OUT:
        return Outcome.TIMEOUT, noticed
    if status == 0:
        return Outcome.SURVIVED, ""
    if status in _NOTICED or status < 0:
        return Outcome.KILLED, noticed or f"pytest's exit status {status}"
    raise MutantsError(f"pytest could not run: exit status {status}; see {copy / 'log'}")


@asynccontextmanager
async def _started(
    command: Sequence[str], copy: Path, variables: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A command in a process group of its own, of which nothing is left behind."""
    with (copy / "log").open("w") as log:
        run = await asyncio.create_subprocess_exec(
            *command,
            cwd=copy,
            env=variables,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield run
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        await run.wait()


def _noticed_by(notes: Path) -> str:
    """The last test that did not pass."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    for line in reversed(lines):
        note: Note = json.loads(line)
        if note["outcome"] in ("failed", "timed out"):
            return note["test"]
    return ""
