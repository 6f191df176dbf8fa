"""Replays many traces, each in a process of its own, and keeps what came out so that it can go on later."""

import json
import multiprocessing
import os
import signal
import traceback
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from pathlib import Path
from time import monotonic
from typing import Final, Literal, TypeAlias

from mmio import MapError
from mmio.trace import TraceError
from vgic import __version__
from vgic_tools.errors import UsageError
from vgic_tools.inputs import opened_trace
from vgic_tools.processes import end_with_the_parent
from vgic_tools.replay.corpus import machine_beside
from vgic_tools.replay.engine import ReplayError, replay
from vgic_tools.replay.report import as_json
from vgic_tools.replay.versions import recorded_machine
from vgic_tools.signals import held_back

__all__ = ["FILES", "Kept", "Row", "Task", "Verdict", "replay_all", "replay_one", "task_of"]

Verdict: TypeAlias = Literal["no divergence", "diverged", "no verdict", "unusable"]
_VERDICTS: Final = ("no divergence", "diverged", "no verdict", "unusable")

FILES: Final = ("machine", "qemu_cmdline", "dtb")
"""The options that name a file which says what machine it is."""

_SOURCES: Final = (*FILES, "cpus", "affinities")
"""All options that say which machine it is."""


@dataclass(frozen=True)
class Task:
    """A trace to replay."""

    trace: str
    options: Mapping[str, object]
    """Of the machine."""
    keep_going: bool
    key: str
    """What the outcome depends on; another run with the same key has the same outcome."""


@dataclass
class Row:
    """What came of a trace."""

    trace: str
    key: str
    verdict: Verdict
    why: str = ""
    """The first divergence, or why there is no verdict; "" where nothing differs."""
    machine: str = ""
    events: int = 0
    compared: int = 0
    different: int = 0
    seconds: float = 0.0
    details: dict[str, object] = field(default_factory=dict)
    """The result as `vgic replay --json` prints it, empty where there is none."""


def task_of(trace: Path, options: Mapping[str, object], keep_going: bool) -> Task:
    """The task for a trace; where the options say no machine, it is that of a file beside the trace."""
    given = dict(options)
    if not any(given[name] for name in _SOURCES):
        given["machine"] = machine_beside(trace)
    files = [trace, *(Path(str(given[name])) for name in FILES if given[name])]
    stamps = [[str(file.resolve()), *_stamp(file)] for file in files]
    shown = {name: str(value) for name, value in given.items() if value}
    key = json.dumps([__version__, keep_going, stamps, shown], sort_keys=True)
    return Task(str(trace), given, keep_going, key)


def _stamp(file: Path) -> list[int]:
    try:
        status = file.stat()
    except OSError:
        return []  # Reading it says why.
    return [status.st_size, status.st_mtime_ns]


class Kept:
    """The rows in a file of JSON lines; one is appended as soon as it is there.

    Raises UsageError where the file cannot be read or written, or is something else. A last line without its end,
    from a run that was stopped while writing it, is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, Row] = {}
        try:
            content = path.read_bytes() if path.exists() else b""
            whole = content[: content.rfind(b"\n") + 1]
            lines = [_row(line) for line in whole.splitlines()]
            if None in lines or (content and not lines):
                raise UsageError(f"{path}: is no file of a replay's results; name another for --results")
            if whole != content:
                os.truncate(path, len(whole))
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from error
        self._rows = {row.key: row for row in lines if row is not None}

    def find(self, task: Task) -> Row | None:
        """The row of an earlier run."""
        return self._rows.get(task.key)

    def append(self, row: Row) -> None:
        """Add a row, in one write."""
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            try:
                os.write(descriptor, json.dumps(asdict(row)).encode() + b"\n")
            finally:
                os.close(descriptor)
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be written: {error.strerror}") from error


def _row(line: bytes) -> Row | None:
    """The row of a line, None where it is none."""
    try:
        row = Row(**json.loads(line))
    except (ValueError, TypeError, RecursionError):
        return None
    numbers = (row.events, row.compared, row.different, row.seconds)
    texts = (row.trace, row.key, row.why, row.machine)
    fits = all(type(number) in (int, float) for number in numbers) and all(isinstance(text, str) for text in texts)
    return row if fits and row.verdict in _VERDICTS and isinstance(row.details, dict) else None


def replay_all(tasks: Iterable[Task], jobs: int) -> Generator[Row]:
    """The row of each task as it comes, up to `jobs` at a time. Close it: that ends the processes.

    A process that is killed, or ends otherwise than it should, costs its own row alone.
    """
    waiting = iter(tasks)
    running: dict[Connection, tuple[Task, SpawnProcess]] = {}
    # Started with the first process, it would let signals through that are held back below.
    ensure_running()
    try:
        _start(waiting, running, jobs)
        while running:
            for ready in wait(list(running)):
                assert isinstance(ready, Connection)
                task, process = running.pop(ready)
                yield _received(ready, task, process)
            _start(waiting, running, jobs)
    finally:
        for _, process in running.values():
            process.kill()
        for _, process in running.values():
            process.join()


def _start(waiting: Iterator[Task], running: dict[Connection, tuple[Task, SpawnProcess]], jobs: int) -> None:
    context = multiprocessing.get_context("spawn")
    while len(running) < jobs and (task := next(waiting, None)) is not None:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_replay_for, args=(task, theirs), daemon=True)
        # A Ctrl-C on a terminal goes to every process; only the first is to hear it.
        with held_back(signal.SIGINT):
            process.start()
            running[ours] = task, process
        theirs.close()


def _received(connection: Connection, task: Task, process: SpawnProcess) -> Row:
    try:
        row = connection.recv()
    except EOFError:
        process.join()
        status = process.exitcode or 0
        how = f"was killed (signal {-status})" if status < 0 else f"ended with {status}"
        return Row(task.trace, task.key, "unusable", f"its process {how} before the replay was done")
    finally:
        connection.close()
    process.join()
    assert isinstance(row, Row)
    return row


# In the other processes.


def _replay_for(task: Task, connection: Connection) -> None:
    end_with_the_parent()
    connection.send(replay_one(task))


def replay_one(task: Task) -> Row:
    """Replay a trace. Never raises: what goes wrong is the row's."""
    start = monotonic()
    try:
        row = _replayed(task)
    except (UsageError, TraceError, ReplayError, MapError) as error:
        row = Row(task.trace, task.key, "unusable", str(error).removeprefix(f"{task.trace}: "))
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.lineno}"
        row = Row(task.trace, task.key, "unusable", f"a defect of vgic: {type(error).__name__} in {place}: {error}")
    row.seconds = round(monotonic() - start, 3)
    return row


def _replayed(task: Task) -> Row:
    with opened_trace(task.trace) as reader:
        result = replay(reader, reader.path, recorded_machine(reader, dict(task.options)), task.keep_going)
    result.notes.extend(reader.warnings)
    verdict: Verdict = "no verdict" if result.undecided else "diverged" if result.diverged else "no divergence"
    first = result.first
    told = "" if first is None else f"line {first.event.line}, {first.what}: {first.expected} expected, {first.got}"
    return Row(
        task.trace,
        task.key,
        verdict,
        result.undecided or told,
        result.machine,
        result.events,
        result.compared.total(),
        result.divergences.total(),
        details=as_json(result),
    )
