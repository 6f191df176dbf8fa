"""What an agent answers, wherever it performs its commands."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = ["Answer", "Asked"]


class Answer(NamedTuple):
    """What a command came to."""

    value: int
    """What the call returned; -1 where it failed."""
    errno: int
    """0 unless it failed."""
    data: bytes = b""
    more: bytes = b""


class Asked(Protocol):
    """Who performs commands, see agent.c."""

    def ask(self, command: str) -> Answer:
        """What one command comes to."""

    def ask_all(self, commands: Iterable[str]) -> list[Answer]:
        """What each of the commands comes to, in their order."""

    def pin(self, cpus: Iterable[int]) -> None:
        """Have what is asked from now on run on these CPUs of its machine."""

    def close(self) -> None:
        """End what was begun."""
