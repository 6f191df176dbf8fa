"""A process that has what every run of pytest needs in memory, and forks for each: that saves half of the time.

Nothing of the code or of its tests is in memory. A line of standard input holds a Job; standard output tells the id
of its process group, and when it has ended, its exit status. SIGTERM ends the job with the server.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
from pathlib import Path
from typing import Final, NoReturn, TypedDict

import pytest

__all__ = ["Job"]

_PRELOADED: Final = (
    "_hypothesis_pytestplugin",
    "click",
    "construct",
    "coverage",
    "hypothesis.internal.conjecture.engine",
    "hypothesis.stateful",
    "hypothesis.strategies",
    "pytest_cov.plugin",
    "rich.progress",
    "sortedcontainers",
    "unittest.mock",
    "xdist.plugin",
)


class Job(TypedDict):
    """The arguments for pytest, variables of its environment, and the file for what it prints."""

    arguments: list[str]
    environment: dict[str, str]
    log: str


def _perform(job: Job) -> NoReturn:
    """Run pytest in this process, in a process group of its own."""
    status = 3
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.setpgid(0, 0)
        with Path(job["log"]).open("w") as log, Path(os.devnull).open() as nothing:
            os.dup2(nothing.fileno(), 0)
            os.dup2(log.fileno(), 1)
            os.dup2(log.fileno(), 2)
        os.environ.update(job["environment"])
        # Plugins that are in memory already are not rewritten, which matters to their own tests alone.
        status = int(pytest.main(["-W", "ignore::pytest.PytestAssertRewriteWarning", *job["arguments"]]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status)


def main() -> None:
    """Perform one job after the other, until standard input ends."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit())
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        job: Job = json.loads(line)
        child = os.fork()
        if not child:
            _perform(job)
        try:
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.setpgid(child, child)
            print(child, flush=True)
            _, status = os.waitpid(child, 0)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    main()
