"""Delta debugging: the shortest sequence in which something still happens."""

from collections.abc import Callable, Sequence
from typing import TypeVar

__all__ = ["shrink"]

T = TypeVar("T")


def shrink(items: Sequence[T], happens: Callable[[Sequence[T]], int | None]) -> list[T]:
    """A sequence of some of the items in which it happens and from which no single one can be taken away.

    `happens` is the number of items after which it has happened, None where it does not. It happens in `items`.
    Ever smaller pieces are tried, from the end on, which takes about k log n questions for k that are left of n.
    """
    kept = list(items)
    size = max(1, len(kept) // 2)
    while True:
        start, shorter = len(kept), False
        while start > 0:
            start = max(0, start - size)
            tried = kept[:start] + kept[start + size :]
            if tried and (after := happens(tried)) is not None:
                kept, shorter = tried[:after], True
                start = min(start, len(kept))
        if size > 1:
            size = max(1, size // 2)
        elif not shorter:
            return kept
