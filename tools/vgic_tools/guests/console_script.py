"""What somebody, or a script, says to a guest's console, and waits to hear."""

from collections.abc import Callable, Sequence
from typing import Final

__all__ = ["Script"]

_KEPT: Final = 1 << 20
"""Bytes of the console's output in which a text is looked for."""

_ENTER: Final = "\r"
"""What that key of a keyboard sends; UEFI's shell takes nothing else for the end of a line."""


class Script:
    """Waits for texts in the guest's output, one after the other; after the nth the nth line of `lines` is sent."""

    def __init__(self, expected: Sequence[str], lines: Sequence[str], send: Callable[[bytes], None]) -> None:
        self._expected = [text.encode() for text in expected]
        self._lines = [f"{line}{_ENTER}".encode() for line in lines]
        self._send = send
        self._heard = bytearray()
        self._next = 0

    @property
    def done(self) -> bool:
        """Everything has been heard. A script without expectations never is."""
        return bool(self._expected) and self._next == len(self._expected)

    @property
    def waits_for(self) -> str | None:
        """What has not been heard yet, None where nothing is waited for."""
        return None if self._next == len(self._expected) else self._expected[self._next].decode()

    def hear(self, byte: int) -> None:
        """The guest sends a byte."""
        if self._next == len(self._expected):
            return
        self._heard.append(byte)
        wanted = self._expected[self._next]
        if self._heard.endswith(wanted):
            self._heard.clear()
            if self._next < len(self._lines):
                self._send(self._lines[self._next])
            self._next += 1
        elif len(self._heard) > _KEPT:
            del self._heard[: -len(wanted)]
