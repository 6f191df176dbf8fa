"""Random guests of two Security states see on the model what they see on the reference."""

import pytest

from random_guest import run, run_through
from random_two_states import RandomTwoStatesGuest

HAPPENINGS = (
    *("signalled", "Group 0 taken", "Group 1 taken", "preempted", "finished", "one state"),
    *(f"EL{el} {state}" for el in range(4) for state in ("Secure", "Non-secure")),
)


def test_model_and_reference_agree() -> None:
    run_through(RandomTwoStatesGuest, 100, HAPPENINGS)


@pytest.mark.slow
@pytest.mark.heavy
def test_model_and_reference_agree_for_long() -> None:
    run(RandomTwoStatesGuest, 2_000)
