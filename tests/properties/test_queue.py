"""The pending queue against a sorted list: any sequence of additions and removals."""

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from sortedcontainers import SortedKeyList

from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, PRIORITY_LSB, PendingQueue

SLACK = 32
"""The stale keys that a queue may hold beyond as many as there are live ones."""

# Few priorities and few INTIDs, so that keys come back and ties are common.
keys = st.tuples(st.sampled_from([0, 8, 0xA0, 0xFF]), st.integers(0, 60)).map(
    lambda key: key[0] << PRIORITY_LSB | key[1]
)


class Queue(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.queue = PendingQueue()
        self.expected: SortedKeyList[int, tuple[int, int]] = SortedKeyList(
            key=lambda key: (key >> PRIORITY_LSB, key & INTID_MASK)
        )
        self.most = 0

    def add(self, key: int) -> None:
        self.queue.add(key)
        self.expected.add(key)
        self.most = max(self.most, len(self.expected))

    def remove(self, key: int) -> None:
        self.queue.remove(key)
        self.expected.remove(key)

    @rule(key=keys)
    def toggle(self, key: int) -> None:
        (self.remove if key in self.expected else self.add)(key)

    @rule(wanted=st.sets(keys, max_size=40))
    def add_many(self, wanted: set[int]) -> None:
        for key in wanted.difference(self.expected):
            self.add(key)

    @precondition(lambda self: self.expected)
    @rule(count=st.integers(1, 20))
    def take_best(self, count: int) -> None:
        for key in list(self.expected[:count]):
            self.remove(key)

    @precondition(lambda self: self.expected)
    @rule(count=st.integers(1, 40))
    def take_worst(self, count: int) -> None:
        """None of these is at the top of the heap, so every one leaves a stale key there."""
        for key in list(self.expected[-count:]):
            self.remove(key)

    @precondition(lambda self: len(self.expected) > 1)
    @rule(times=st.integers(1, 100))
    def flicker(self, times: int) -> None:
        """The line of an interrupt that is not the best goes up and down."""
        key = self.expected[-1]
        for _ in range(times):
            self.remove(key)
            self.add(key)

    @invariant()
    def same_keys(self) -> None:
        assert self.queue.keys() == list(self.expected)
        assert len(self.queue) == len(self.expected)
        assert self.queue.head == (self.expected[0] if self.expected else NO_KEY)

    @invariant()
    def same_membership(self) -> None:
        assert all(key in self.queue for key in self.expected)
        assert NO_KEY not in self.queue

    @invariant()
    def stale_keys_are_bounded(self) -> None:
        """By the most that was ever live, however long the queue is used."""
        assert len(self.queue._heap) <= 2 * self.most + SLACK


def test_queue_is_a_sorted_list() -> None:
    run_state_machine_as_test(
        Queue,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_flickering_line_does_not_fill_the_heap() -> None:
    queue = PendingQueue()
    queue.add(1)
    for _ in range(100_000):
        queue.add(2)
        queue.remove(2)
    assert len(queue._heap) <= 2 + SLACK
    assert queue.keys() == [1]
