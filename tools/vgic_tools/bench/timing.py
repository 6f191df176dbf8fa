"""How everything is timed: in thread CPU time, in rounds that alternate between all that is compared.

Machines differ and are shared, so absolute times mean little and the neighbours' load comes and goes. What is
compared takes turns, and of each the median round counts.
"""

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from time import thread_time_ns
from typing import Final, TypeAlias

__all__ = [
    "ROUNDS",
    "NotMeasuredError",
    "Timed",
    "cold_caches",
    "in_turns",
    "long_enough",
    "medians",
    "quiet_heap",
    "timed",
]

ROUNDS: Final = 9

_LONG_ENOUGH: Final = 2_000_000
"""Nanoseconds, of which reading the clock takes little, and an interrupt of the machine's own not much."""

_CACHES: Final = 64 << 20
"""Bytes, more than the caches of one CPU."""

Timed: TypeAlias = Callable[[], float]
"""Does something once and returns what a unit of it took, in nanoseconds of CPU time."""


class NotMeasuredError(Exception):
    """Something cannot be measured here; the message says why."""


def timed(run: Callable[[int], None], calls: int) -> Timed:
    """`run` does something as often as it is told: here, `calls` times."""

    def once() -> float:
        begin = thread_time_ns()
        run(calls)
        return (thread_time_ns() - begin) / calls

    return once


def long_enough(ready: Callable[[], Callable[[], object]], units: int) -> Timed:
    """What `ready` gives does `units` of something: here, as often as it takes to be timed well.

    `ready` is called each time, and not timed.
    """

    def once() -> float:
        done = taken = 0
        while taken < _LONG_ENOUGH:
            run = ready()
            begin = thread_time_ns()
            run()
            taken += thread_time_ns() - begin
            done += units
        return taken / done

    return once


def cold_caches() -> None:
    """Use memory, so that the caches hold little else: a guest's next access mostly comes after other work."""
    bytearray(_CACHES)


@contextmanager
def quiet_heap() -> Iterator[None]:
    """Collect no garbage among what is there already: the machines of others are no burden to what is timed."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def medians(
    candidates: Mapping[str, Timed], rounds: int = ROUNDS, progress: Callable[[], None] | None = None
) -> dict[str, float]:
    """The median of each candidate over rounds in which all take a turn; `progress` is called after each round."""
    return {name: median(values) for name, values in in_turns(candidates, rounds, progress).items()}


def in_turns(
    candidates: Mapping[str, Timed], rounds: int = ROUNDS, progress: Callable[[], None] | None = None
) -> dict[str, list[float]]:
    """What each candidate took, round by round: `medians` of these are what most want."""
    times: dict[str, list[float]] = {name: [] for name in candidates}
    with quiet_heap():
        for _ in range(rounds):
            for name, once in candidates.items():
                times[name].append(once())
            if progress is not None:
                progress()
    return times
