"""Signals that end a command: they are to unwind it, so that what it has started ends with it."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final, NoReturn

__all__ = ["SIGNALLED", "PostponedSignals", "ended_by_signals", "held_back"]

SIGNALLED: Final = 128
"""Exit status of a command that a signal ended: this and the signal's number, as a shell counts."""

_Handler = Callable[[int, FrameType | None], object]

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


class PostponedSignals:
    """Within it, signals that end a command wait for `look`, or until the command waits. Main thread only.

    For code that an exception must not pass through: callbacks of a library that would lose it.
    """

    def __init__(self) -> None:
        self._handlers: dict[int, _Handler] = {}
        self._come: list[int] = []
        self._waiting = False

    def __enter__(self) -> "PostponedSignals":
        for number in (signal.SIGINT, *_ENDING):
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, self._note)
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if failure is None:
            self.look()

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._waiting:
            self._handlers[number](number, frame)
        else:
            self._come.append(number)

    def look(self) -> None:
        """Raise what a signal that has come would have raised."""
        if self._come:
            number = self._come.pop()
            self._handlers[number](number, None)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """The command waits in here for something else: signals raise at once."""
        self._waiting = True
        try:
            self.look()
            yield
        finally:
            self._waiting = False


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
