"""The pending queue of one PE and group: what is pending, enabled, inactive and routed there, best first.

An entry is a packed key, `priority << 25 | INTID`: the lowest key is the interrupt to take, and ties in priority
go to the lowest INTID (rule PRIO-2). An interrupt with superpriority is half a priority better, which is the bit
between the two. The best is kept apart, since mostly it is the only one; the others are in a heap. They are removed
lazily: the heap keeps a removed key until it comes to the top or until the removed ones outnumber the others, so an
update costs O(log n) and `head` nothing. The set of removed keys is small, so that among 65,536 interrupts an
update seldom waits for memory.
"""

from heapq import heapify, heappop, heappush
from typing import Final

from mypy_extensions import i64

from vgic.bits import bit

__all__ = [
    "IDLE_KEY",
    "IDLE_PRIORITY",
    "INTID_BITS",
    "INTID_MASK",
    "NO_KEY",
    "PRIORITY_LSB",
    "PendingQueue",
    "is_superior",
    "priority_of",
    "superior_key",
]

INTID_BITS: Final = 24
"""The widest INTID that GICv3 has."""

INTID_MASK: Final = (1 << INTID_BITS) - 1

PRIORITY_LSB: Final = INTID_BITS + 1
"""Where the priority is in a key."""

IDLE_PRIORITY: Final = 0xFF
"""The running priority while nothing is active."""

IDLE_KEY: Final = IDLE_PRIORITY << PRIORITY_LSB
"""The best key of that priority."""

NO_KEY: Final = 0x100 << PRIORITY_LSB
"""The head of an empty queue: worse than any key."""

_SUPERPRIORITY: Final = bit(INTID_BITS)
"""Half a priority, of which none but NO_KEY has a whole one above the worst."""

_SLACK: Final = 32


def superior_key(key: i64) -> i64:
    """The key of an interrupt with superpriority, given the one that it has by what that counts as."""
    return key - _SUPERPRIORITY


def is_superior(key: i64) -> bool:
    """True for the key of an interrupt with superpriority."""
    return key & _SUPERPRIORITY != 0


def priority_of(key: i64) -> i64:
    """The priority that the interrupt of a key has or, with superpriority, counts as."""
    return key + _SUPERPRIORITY >> PRIORITY_LSB


class PendingQueue:
    """A set of keys that knows its smallest."""

    __slots__ = ("_heap", "_removed", "head")

    def __init__(self) -> None:
        self.head: i64 = NO_KEY
        """The smallest key, NO_KEY where empty."""
        self._heap: list[int] = []
        """The other keys, and those removed that have not come to the top: each once."""
        self._removed: set[int] = set()

    def add(self, key: i64) -> None:
        """Add a key that is not there. O(log n)."""
        if key >= self.head:
            self._push(key)
            return
        if self.head != NO_KEY:
            self._push(self.head)
        self.head = key

    def remove(self, key: i64) -> None:
        """Remove a key that is there. O(log n), amortised."""
        if key == self.head:
            self.head = self._pop() if self._heap else NO_KEY
            return
        self._removed.add(key)
        heap = self._heap
        if len(self._removed) > len(heap) // 2 + _SLACK:
            self._heap = [kept for kept in heap if kept not in self._removed]
            heapify(self._heap)
            self._removed = set()

    def _push(self, key: int) -> None:
        if self._removed and key in self._removed:
            self._removed.remove(key)
        else:
            heappush(self._heap, key)

    def _pop(self) -> int:
        """The smallest key of the heap that is not removed, NO_KEY where all are."""
        while self._heap:
            key = heappop(self._heap)
            if not self._removed or key not in self._removed:
                return key
            self._removed.remove(key)
        return NO_KEY

    def __len__(self) -> int:
        return (1 if self.head != NO_KEY else 0) + len(self._heap) - len(self._removed)

    def __contains__(self, key: int) -> bool:
        """O(n log n): not for the hot path."""
        return key in self.keys()

    def keys(self) -> list[int]:
        """All keys, best first. O(n log n)."""
        others: list[int] = sorted(key for key in self._heap if key not in self._removed)
        return others if self.head == NO_KEY else [self.head, *others]
