"""1-of-N against directed routing: the indices by hand, and the workload against queueing theory."""

import pytest

from vgic_tools.affinity.fairness_study import FairnessPoint, common_queue_wait, measure_fairness
from vgic_tools.affinity.workload import CHOICES, jain, run_workload


@pytest.mark.parametrize(
    ("shares", "index"), [([5, 5], 1.0), ([1, 0, 0, 0], 0.25), ([2, 1, 1], 16 / 18), ([0, 0], 1.0)]
)
def test_jains_index(shares, index):
    assert jain(shares) == pytest.approx(index)


@pytest.mark.parametrize(("servers", "load", "wait"), [(1, 0.9, 9.0), (2, 0.5, 1 / 3), (2, 0.9, 0.81 / 0.19)])
def test_the_common_queue(servers, load, wait):
    assert common_queue_wait(servers, load) == pytest.approx(wait)


@pytest.mark.parametrize("choice", CHOICES)
def test_every_interrupt_is_taken_once(choice):
    outcome = run_workload(choice, 4, 0.8, 600, seed=7)
    assert sum(outcome.taken) + outcome.merged == 600
    assert len(outcome.waits) == sum(outcome.taken)
    assert min(outcome.waits) >= 0


def test_a_seed_gives_the_same_run_and_another_a_different_one():
    one, same, other = (run_workload("rotate", 4, 0.8, 300, seed=seed) for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_one_vcpu_is_a_plain_queue_whatever_the_choice():
    waits = {choice: run_workload(choice, 1, 0.5, 2000, seed=3).waits for choice in CHOICES}
    assert waits["first"] == waits["rotate"] == waits["directed"]
    assert sum(waits["first"]) / 2000 == pytest.approx(common_queue_wait(1, 0.5), rel=0.25)


def test_first_favours_the_first_and_rotate_nobody():
    first, rotate = (run_workload(choice, 8, 0.2, 2000, seed=1).taken for choice in ("first", "rotate"))
    assert first == sorted(first, reverse=True)
    assert jain(first) < 0.5
    assert jain(rotate) > 0.99


def test_a_row():
    row = measure_fairness(FairnessPoint("directed", 2, 0.5, 400, 1))
    taken = [int(number) for number in row.taken.split()]
    assert (row.most, row.fewest, sum(taken)) == (max(taken), min(taken), 400)
    assert row.wait_99 > row.mean_wait > row.ideal_wait > 0
