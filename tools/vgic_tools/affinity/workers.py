"""Processes that measure points beside each other, and that never outlive the one that they measure for."""

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from multiprocessing.resource_tracker import ensure_running
from typing import TypeVar

from vgic_tools.errors import UsageError
from vgic_tools.processes import end_with_the_parent
from vgic_tools.signals import held_back

__all__ = ["measure_beside"]

PointT = TypeVar("PointT")
RowT = TypeVar("RowT")


def measure_beside(measure: Callable[[PointT], RowT], points: Sequence[PointT], jobs: int) -> Generator[RowT]:
    """The row of each point as it comes, measured by up to `jobs` processes. Close it: that ends them.

    Whatever stops it, an exception or a signal that raises one, kills them at once; should this process itself be
    killed, they notice and end. Raises UsageError where one of them was killed, and what `measure` raises.
    """
    waiting = iter(points)
    processes: list[SpawnProcess] = []
    measuring: dict[Connection, SpawnProcess] = {}
    # Started with the first process, it would let signals through that are held back below.
    ensure_running()
    try:
        # A Ctrl-C on a terminal goes to every process; only this one is to hear it.
        with held_back(signal.SIGINT):
            for _ in range(min(jobs, len(points))):
                ours, process = _start(measure)
                processes.append(process)
                measuring[ours] = process
        for connection in list(measuring):
            _hand_out(connection, waiting, measuring)
        while measuring:
            for ready in wait(list(measuring)):
                assert isinstance(ready, Connection)
                yield _row(ready)
                _hand_out(ready, waiting, measuring)
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def _start(measure: Callable[[PointT], RowT]) -> tuple[Connection, SpawnProcess]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measure, args=(measure, theirs), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _hand_out(connection: Connection, waiting: Iterator[PointT], measuring: dict[Connection, SpawnProcess]) -> None:
    """Have a process measure the next point, if there is one."""
    for point in waiting:
        try:
            connection.send(point)
        except OSError:
            raise _killed() from None
        return
    del measuring[connection]


def _row(connection: Connection) -> RowT:  # type: ignore[type-var]
    """What a process has measured. Raises what it raised."""
    try:
        row, error = connection.recv()
    except (EOFError, OSError):
        raise _killed() from None
    if error is not None:
        raise error
    return row  # type: ignore[no-any-return]


def _killed() -> UsageError:
    return UsageError("a process that measured was killed; is there memory for so many?")


# In the other processes.


def _measure(measure: Callable[[PointT], RowT], connection: Connection) -> None:
    """Measure what comes, until nobody is left to measure for."""
    end_with_the_parent()
    while True:
        try:
            point = connection.recv()
        except EOFError:
            return
        try:
            answer: tuple[RowT | None, Exception | None] = (measure(point), None)
        except UsageError as error:
            answer = (None, error)
        except Exception as error:
            error.add_note(traceback.format_exc())
            answer = (None, error)
        connection.send(answer)
