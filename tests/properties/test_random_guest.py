"""Random guests see on the model what they see on the reference."""

import pytest

from random_guest import RandomGuest, RandomKvmGuest, RandomQemuGuest, run, run_through


@pytest.mark.parametrize(("guest", "examples"), [(RandomGuest, 140), (RandomKvmGuest, 150), (RandomQemuGuest, 60)])
def test_model_and_reference_agree(guest: type[RandomGuest], examples: int) -> None:
    # Agreement of machines on which nothing happens would be worth little.
    run_through(guest, examples, ("signalled", "Group 0 taken", "Group 1 taken", "preempted", "finished"))


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("guest", [RandomGuest, RandomKvmGuest, RandomQemuGuest])
def test_model_and_reference_agree_for_long(guest: type[RandomGuest]) -> None:
    run(guest, 2_000)
