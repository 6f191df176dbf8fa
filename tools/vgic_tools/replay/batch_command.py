"""`vgic replay` of many traces: a table by trace, and files for CI and for going on later."""

import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from vgic_tools.console import stdout, styled, table
from vgic_tools.errors import UsageError
from vgic_tools.inputs import STANDARD_INPUT
from vgic_tools.machines.options import machine_files
from vgic_tools.progress import progress
from vgic_tools.replay.batch import Kept, Row, Task, replay_all, task_of
from vgic_tools.replay.corpus import traces_in
from vgic_tools.replay.junit import write_junit
from vgic_tools.signals import ended_by_signals
from vgic_tools.terminal import BAD_INPUT, DIFFERENT, fail, print_json

__all__ = ["replay_many"]

_STYLES = {"no divergence": "green", "diverged": "bold red", "no verdict": "yellow", "unusable": "red"}


def replay_many(
    names: Sequence[str],
    options: Mapping[str, object],
    *,
    keep_going: bool,
    jobs: int | None,
    dask: str | None,
    junit: str | None,
    results: Path | None,
    as_data: bool,
) -> None:
    """Replay the traces of these names and in these folders; ends the command.

    With 1 where one diverged, else with 2 where one has no verdict or cannot be used.
    """
    try:
        if STANDARD_INPUT in [*names, *map(str, machine_files(options))]:
            raise UsageError("several traces are replayed in processes of their own, which share no standard input")
        if jobs is not None and dask is not None:
            raise UsageError("--jobs and --dask both say where traces are replayed; give one")
        with ended_by_signals():
            rows = _rows(names, options, keep_going, results, _where(jobs, dask))
        if junit is not None:
            _write_junit(junit, rows)
    except UsageError as error:
        fail(error)
    if as_data:
        print_json([{"verdict": row.verdict, "why": row.why, "trace": row.trace, **row.details} for row in rows])
    else:
        _print(rows)
    verdicts = {row.verdict for row in rows}
    sys.exit(DIFFERENT if "diverged" in verdicts else BAD_INPUT if verdicts != {"no divergence"} else 0)


def _where(jobs: int | None, dask: str | None) -> Callable[[list[Task]], Generator[Row]]:
    """What replays tasks: processes of our own, or a cluster's."""
    if dask is None:
        return partial(replay_all, jobs=jobs or os.cpu_count() or 1)
    from vgic_tools.replay.cluster import replay_on

    return partial(replay_on, dask)


def _rows(
    names: Sequence[str],
    options: Mapping[str, object],
    keep_going: bool,
    results: Path | None,
    replayed: Callable[[list[Task]], Generator[Row]],
) -> list[Row]:
    """The rows in the order of the names."""
    tasks = [task_of(trace, options, keep_going) for trace in traces_in(names)]
    kept = None if results is None else Kept(results)
    rows = {task.key: row for task in tasks if kept is not None and (row := kept.find(task)) is not None}
    left = [task for task in tasks if task.key not in rows]
    with (
        progress("traces", len(tasks), lambda: len(rows)) as advance,
        closing(replayed(left)) as coming,
    ):
        for row in coming:
            rows[row.key] = row
            if kept is not None:
                kept.append(row)
            advance()
    return [rows[task.key] for task in tasks]


def _write_junit(path: str, rows: Sequence[Row]) -> None:
    try:
        write_junit(path, rows)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def _print(rows: Sequence[Row]) -> None:
    console = stdout()
    numbers = ("events", "compared", "different", "seconds")
    shown = table("trace", "verdict", *numbers, "why", right=numbers)
    for row in rows:
        counts = [f"{number:,}" if number else "" for number in (row.events, row.compared, row.different)]
        shown.add_row(row.trace, styled(row.verdict, _STYLES[row.verdict]), *counts, f"{row.seconds:.1f}", row.why)
    console.print(shown)
    console.print()
    found = {verdict: sum(row.verdict == verdict for row in rows) for verdict in _STYLES}
    told = ", ".join(f"{count:,} {verdict}" for verdict, count in found.items() if count)
    console.print(f"{len(rows):,} traces: {told}")
