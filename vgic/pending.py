"""The pending queue of one PE and group: what is pending, enabled, inactive and routed there, best first.

An entry is a packed key, `priority << 24 | INTID`: the lowest key is the interrupt to take, and ties in priority
go to the lowest INTID (rule PRIO-2). Entries are removed lazily: the heap keeps a removed key until it comes to
the top or until the removed ones outnumber the others, so an update costs O(log n) and `head` nothing. The set of
removed keys is small, so that among 65,536 interrupts an update seldom waits for memory.
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

    __slots__ = ("_heap", "_removed", "head")

    def __init__(self) -> None:
        self.head = NO_KEY
        """The smallest key, NO_KEY where empty."""
        self._heap: list[int] = []
        """The keys, and those removed that have not come to the top."""
        self._removed: set[int] = set()

    def add(self, key: int) -> None:
        """Add a key that is not there. O(log n)."""
        if self._removed and key in self._removed:
            self._removed.remove(key)
        else:
            heappush(self._heap, key)
        if key < self.head:
            self.head = key

    def remove(self, key: int) -> None:
        """Remove a key that is there. O(log n), amortised."""
        heap = self._heap
        if key != self.head:
            self._removed.add(key)
            if len(self._removed) > len(heap) // 2 + _SLACK:
                self._heap = [kept for kept in heap if kept not in self._removed]
                heapify(self._heap)
                self._removed = set()
            return
        heappop(heap)
        while self._removed and heap[0] in self._removed:
            self._removed.remove(heappop(heap))
        self.head = heap[0] if heap else NO_KEY

    def __len__(self) -> int:
        return len(self._heap) - len(self._removed)

    def __contains__(self, key: int) -> bool:
        return key not in self._removed and key in self._heap

    def keys(self) -> list[int]:
        """All keys, best first. O(n log n)."""
        return sorted(key for key in self._heap if key not in self._removed)
