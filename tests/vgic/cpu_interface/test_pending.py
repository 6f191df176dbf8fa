"""The pending queue against the simplest thing that could be one: a sorted set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, PRIORITY_LSB, PendingQueue

KEYS = st.integers(0, 40).map(lambda n: (n % 7) << PRIORITY_LSB | n)


@pytest.mark.rule("PRIO-2")
def test_the_head_is_the_best_priority_then_the_lowest_intid() -> None:
    queue = PendingQueue()
    assert queue.head == NO_KEY
    for priority, intid, head in ((0x80, 50, 50), (0x80, 40, 40), (0x40, 60, 60), (0x40, 61, 60)):
        queue.add(priority << PRIORITY_LSB | intid)
        assert queue.head & INTID_MASK == head
    in_order = queue.keys()
    assert [key & INTID_MASK for key in in_order] == [60, 61, 40, 50]


@pytest.mark.rule("PRIO-2")
def test_an_empty_head_is_worse_than_the_worst_key() -> None:
    assert NO_KEY > (0xFF << PRIORITY_LSB | INTID_MASK)


@pytest.mark.rule("PRIO-2")
@given(st.lists(KEYS, max_size=200))
def test_any_sequence_of_additions_and_removals(toggled: list[int]) -> None:
    queue, model = PendingQueue(), set[int]()
    for key in toggled:
        if key in model:
            queue.remove(key)
        else:
            queue.add(key)
        model ^= {key}
        assert queue.head == min(model, default=NO_KEY)
        assert len(queue) == len(model)
        assert (key in queue) == (key in model)
    assert queue.keys() == sorted(model)


@pytest.mark.rule("PRIO-2")
def test_removed_keys_do_not_pile_up_behind_a_head_that_stays() -> None:
    queue = PendingQueue()
    queue.add(0)
    for round_ in range(1000):
        queue.add(1 + round_ % 3)
        queue.remove(1 + round_ % 3)
    assert len(queue._heap) < 40
    queue.remove(0)
    assert (queue.head, queue.keys()) == (NO_KEY, [])
