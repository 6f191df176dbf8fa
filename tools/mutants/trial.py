"""One mutant on trial: its tests are run in a private copy of the tree until one of them notices it."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from mutants.copies import environment, put
from mutants.errors import MutantsError
from mutants.mentions import Mentions
from mutants.mutations import Mutation, Source
from mutants.order import limit, stages
from mutants.plugin import NOTES, PLAN, TIMED_OUT, Note, Plan
from mutants.reach import Reach, pytest_arguments
from mutants.server import Job

__all__ = ["Outcome", "Runner", "Verdict", "runner", "tried"]

START: Final = 300.0
"""The seconds that a run may take beside its tests, and ASLEEP times what they may: a test may wait, too."""

ASLEEP: Final = 5

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


class Runner:
    """Runs pytest in one copy of the tree, by a server that is there for all runs."""

    def __init__(self, copy: Path, server: asyncio.subprocess.Process) -> None:
        self.copy: Final = copy
        self._server = server

    async def run(self, arguments: Sequence[str], variables: dict[str, str], seconds: float) -> int:
        """pytest's exit status; TimeoutError after so many seconds."""
        assert self._server.stdin is not None
        job: Job = {"arguments": list(arguments), "environment": variables, "log": str(self.copy / "log")}
        self._server.stdin.write(json.dumps(job).encode() + b"\n")
        group = await self._answer()
        answer = asyncio.create_task(self._answer())
        try:
            return await asyncio.wait_for(asyncio.shield(answer), seconds)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            await answer
            raise

    async def _answer(self) -> int:
        assert self._server.stdout is not None
        line = await self._server.stdout.readline()
        if not line:
            raise MutantsError("the process that runs the tests has ended")
        return int(line)


@asynccontextmanager
async def runner(copy: Path) -> AsyncIterator[Runner]:
    """A Runner for a copy of the tree."""
    server = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "mutants.server",
        cwd=copy,
        env=environment(copy),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        yield Runner(copy, server)
    finally:
        with contextlib.suppress(ProcessLookupError):
            server.terminate()
        await server.wait()


async def tried(run: Runner, mutation: Mutation, reach: Reach, mentions: Mentions) -> Verdict:
    """Put a mutation into a copy of the tree, run the tests that execute it, and take it out again."""
    path = run.copy / mutation.file
    source = Source(mutation.file, path.read_bytes())
    lines = mutation.line, source.line_at(mutation.end)
    text, _ = source.lines(mutation)
    put(path, source.mutated(mutation))
    start = time.monotonic()
    met = 0
    try:
        for stage in stages(mutation, lines, text, reach, mentions):
            met += len(stage)
            outcome, test = await _run(run, stage, reach)
            if outcome != Outcome.SURVIVED:
                return Verdict(outcome, test, met, time.monotonic() - start)
        return Verdict(Outcome.SURVIVED, "", met, time.monotonic() - start)
    finally:
        put(path, source.text)


async def _run(run: Runner, tests: Sequence[str], reach: Reach) -> tuple[Outcome, str]:
    limits = {name: limit(reach.tests[name]) for name in tests}
    plan: Plan = {"limits": limits, "root": str(run.copy)}
    plan_path, notes = run.copy / "plan.json", run.copy / "notes"
    plan_path.write_text(json.dumps(plan))
    notes.unlink(missing_ok=True)
    files = dict.fromkeys(name.partition("::")[0] for name in tests)
    variables = {PLAN: str(plan_path), NOTES: str(notes)}
    try:
        status = await run.run(pytest_arguments("-x", *files), variables, START + ASLEEP * sum(limits.values()))
    except TimeoutError:
        return Outcome.TIMEOUT, "outside of tests"
    noticed = _noticed_by(notes)
    if status == TIMED_OUT:
        return Outcome.TIMEOUT, noticed
    if status == 0:
        return Outcome.SURVIVED, ""
    if status in _NOTICED or status < 0:
        return Outcome.KILLED, noticed or f"pytest's exit status {status}"
    raise MutantsError(f"pytest could not run: exit status {status}; see {run.copy / 'log'}")


def _noticed_by(notes: Path) -> str:
    """The last test that did not pass."""
    lines = notes.read_text().splitlines() if notes.exists() else []
    for line in reversed(lines):
        note: Note = json.loads(line)
        if note["outcome"] in ("failed", "timed out"):
            return note["test"]
    return ""
