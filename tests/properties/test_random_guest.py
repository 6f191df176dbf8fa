"""Random guests see on the model what they see on the reference."""

import pytest

from random_guest import RandomGuest, RandomKvmGuest, RandomQemuGuest, run


@pytest.mark.parametrize(("guest", "examples"), [(RandomGuest, 140), (RandomKvmGuest, 150), (RandomQemuGuest, 60)])
def test_model_and_reference_agree(guest: type[RandomGuest], examples: int) -> None:
    seen = run(guest, examples)
    # Agreement of machines on which nothing happens would be worth little.
    for happening in ("signalled", "Group 0 taken", "Group 1 taken", "preempted", "finished"):
        assert seen[happening] >= 1, seen


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("guest", [RandomGuest, RandomKvmGuest, RandomQemuGuest])
def test_model_and_reference_agree_for_long(guest: type[RandomGuest]) -> None:
    run(guest, 2_000)
