"""Signals that end a command: they are to unwind it, so that what it has started ends with it."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

__all__ = ["SIGNALLED", "ended_by_signals", "held_back"]

SIGNALLED: Final = 128
"""Exit status of a command that a signal ended: this and the signal's number, as a shell counts."""

_ENDING: Final = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise SystemExit in here, as Ctrl-C raises KeyboardInterrupt. Main thread only.

    A signal that is ignored (as SIGHUP is under nohup) stays ignored.
    """
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, _leave)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back(number: signal.Signals) -> Iterator[None]:
    """Hold a signal back until the end of this; processes that are started in here never get it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [number])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _leave(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(SIGNALLED + number)
