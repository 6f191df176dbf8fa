"""No sequence of Non-secure operations changes Secure state or what Secure software reads, nor shows any of it."""

import pytest

from isolation_twins import run_beside_a_twin, run_beside_one_state, run_with_other_secrets


@pytest.mark.rule("SEC-13")
@pytest.mark.parametrize("nmi", [False, True])
@pytest.mark.parametrize("opened", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_secure_state_is_that_of_a_twin_without_the_non_secure_one(seed: int, opened: bool, nmi: bool) -> None:
    lived = run_beside_a_twin(f"{seed} {opened}", 4_000, opened, nmi)
    assert opened or min(lived.taken, lived.secure_taken) > 4


@pytest.mark.rule("SEC-13", "VCPU-34")
@pytest.mark.parametrize("nmi", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_nor_does_a_non_secure_hypervisor_change_it(seed: int, nmi: bool) -> None:
    lived = run_beside_a_twin(f"hypervisor {seed}", 6_000, False, nmi, list_registers=4)
    assert min(lived.taken, lived.secure_taken) > 4
    assert lived.virtual > 20


@pytest.mark.rule("SEC-13")
@pytest.mark.slow
@pytest.mark.parametrize("opened", [False, True])
def test_the_secure_state_is_that_of_a_twin_at_length(opened: bool) -> None:
    lives = [
        run_beside_a_twin(f"long {seed} {opened}", 4_000, opened, seed % 2 == 0, 4 * (seed % 3 == 0))
        for seed in range(50)
    ]
    assert opened or sum(life.taken for life in lives) > 500
    assert opened or sum(life.secure_taken for life in lives) > 500
    assert opened or sum(life.lpis for life in lives) > 50


@pytest.mark.rule("SEC-14")
@pytest.mark.parametrize("nmi", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_non_secure_reads_do_not_depend_on_what_is_secure(seed: int, nmi: bool) -> None:
    run_with_other_secrets(str(seed), 4_000, nmi)


@pytest.mark.rule("SEC-14")
@pytest.mark.slow
def test_non_secure_reads_do_not_depend_on_what_is_secure_at_length() -> None:
    for seed in range(50):
        run_with_other_secrets(f"long {seed}", 4_000, seed % 2 == 0)


@pytest.mark.rule("SEC-15")
@pytest.mark.parametrize("seed", range(4))
def test_once_ds_is_set_a_vm_is_one_of_one_state(seed: int) -> None:
    run_beside_one_state(str(seed), 3_000, nmi=seed % 2 == 1)
