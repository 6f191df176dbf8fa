"""The user's terminal as the guest's serial line: every key goes to the guest, until Ctrl-A x."""

import os
import select
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

__all__ = ["Keyboard", "raw_terminal"]

_ESCAPE: Final = 0x01
"""Ctrl-A; twice, it goes to the guest."""
_AT_ONCE: Final = 256


class Keyboard:
    """Passes keys on to `received`. `left` once the user has typed Ctrl-A x, or there is no more input."""

    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received
        self._escaped = False
        self._ended = False
        self.left = False

    def look(self, seconds: float | None = 0) -> None:
        """Take what has been typed, or wait so long for something; None: until there is something."""
        if self._ended or not select.select([sys.stdin], [], [], seconds)[0]:
            return
        try:
            typed = os.read(sys.stdin.fileno(), _AT_ONCE)
        except OSError:
            typed = b""  # The terminal has been closed.
        if not typed:
            self._ended = self.left = True
        keys = bytearray()
        for key in typed:
            if self._escaped:
                self._escaped = False
                if key in b"xX":
                    self.left = True
                    continue
                if key != _ESCAPE:
                    keys.append(_ESCAPE)
            elif key == _ESCAPE:
                self._escaped = True
                continue
            keys.append(key)
        if keys:
            self._received(bytes(keys))


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Standard input gives each key at once, and shows none; afterwards it is as before, whatever the end."""
    import termios
    import tty

    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        # A terminal that has been closed needs nothing.
        with suppress(termios.error):
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
