"""No sequence of Non-secure operations changes Secure state or what Secure software reads, nor shows any of it."""

import pytest

from isolation_twins import run_beside_a_twin, run_with_other_secrets


@pytest.mark.rule("SEC-13")
@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_the_secure_state_is_that_of_a_twin_without_the_non_secure_one(seed: int, opened: bool) -> None:
    run_beside_a_twin(f"{seed} {opened}", 4_000, opened)


@pytest.mark.rule("SEC-13")
@pytest.mark.slow
@pytest.mark.parametrize("opened", [False, True])
def test_the_secure_state_is_that_of_a_twin_at_length(opened: bool) -> None:
    for seed in range(50):
        run_beside_a_twin(f"long {seed} {opened}", 4_000, opened)


@pytest.mark.rule("SEC-14")
@pytest.mark.parametrize("seed", range(4))
def test_non_secure_reads_do_not_depend_on_what_is_secure(seed: int) -> None:
    run_with_other_secrets(str(seed), 4_000)


@pytest.mark.rule("SEC-14")
@pytest.mark.slow
def test_non_secure_reads_do_not_depend_on_what_is_secure_at_length() -> None:
    for seed in range(50):
        run_with_other_secrets(f"long {seed}", 4_000)
