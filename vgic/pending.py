"""The pending queue of one PE and group: what is pending, enabled, inactive and routed there, best first.

An entry is a packed key, `priority << 24 | INTID`: the lowest key is the interrupt to take, and ties in priority
go to the lowest INTID (rule PRIO-2). Entries are removed lazily: the heap keeps a removed key until it comes to
the top or until stale keys outnumber live ones, so an update costs O(log n) and `head` nothing.
"""

from heapq import heapify, heappop, heappush
from typing import Final

__all__ = ["INTID_BITS", "INTID_MASK", "NO_KEY", "PendingQueue"]

INTID_BITS: Final = 24
"""The widest INTID that GICv3 has."""

INTID_MASK: Final = (1 << INTID_BITS) - 1

NO_KEY: Final = 1 << 32
"""The head of an empty queue: worse than any key."""

_SLACK: Final = 32


class PendingQueue:
    """A set of keys that knows its smallest."""

    __slots__ = ("_heap", "_live", "head")

    def __init__(self) -> None:
        self.head = NO_KEY
        """The smallest key, NO_KEY where empty."""
        self._heap: list[int] = []
        self._live: set[int] = set()

    def add(self, key: int) -> None:
        """Add a key that is not there. O(log n)."""
        self._live.add(key)
        heappush(self._heap, key)
        if key < self.head:
            self.head = key

    def remove(self, key: int) -> None:
        """Remove a key that is there. O(log n), amortised."""
        self._live.remove(key)
        heap = self._heap
        if key == self.head:
            while heap and heap[0] not in self._live:
                heappop(heap)
            self.head = heap[0] if heap else NO_KEY
        elif len(heap) > 2 * len(self._live) + _SLACK:
            self._heap = list(self._live)
            heapify(self._heap)

    def __len__(self) -> int:
        return len(self._live)

    def __contains__(self, key: int) -> bool:
        return key in self._live

    def keys(self) -> list[int]:
        """All keys, best first. O(n log n)."""
        return sorted(self._live)
