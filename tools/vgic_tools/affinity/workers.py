"""Processes that measure points beside each other, and that never outlive the one that they measure for."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import wait
from threading import Thread
from typing import TypeVar

from vgic_tools.errors import UsageError
from vgic_tools.signals import held_back

__all__ = ["measure_beside"]

PointT = TypeVar("PointT")
RowT = TypeVar("RowT")


def measure_beside(measure: Callable[[PointT], RowT], points: Sequence[PointT], jobs: int) -> Generator[RowT]:
    """The row of each point as it comes, measured by up to `jobs` processes. Close it: that ends them.

    Whatever stops it, an exception or a signal that raises one, kills them at once; should this process itself be
    killed, they notice and end. Raises UsageError where one of them was killed.
    """
    others = set(multiprocessing.active_children())
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(points)), context, _end_with_the_parent) as pool:
        try:
            # A Ctrl-C on a terminal goes to every process; only this one is to hear it.
            with held_back(signal.SIGINT):
                futures = [pool.submit(measure, point) for point in points]
            for future in as_completed(futures):
                yield future.result()
        except BrokenProcessPool as error:
            raise UsageError("a process that measured was killed; is there memory for so many?") from error
        except BaseException:
            for process in multiprocessing.active_children():
                if process not in others:
                    process.kill()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _end_with_the_parent() -> None:
    """In a worker: it waits for its next point on a pipe that stays open when nobody is left at the other end."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        os._exit(1)

    Thread(target=watch, daemon=True).start()
