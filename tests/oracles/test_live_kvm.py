"""`vgic.kvm` answers as a live KVM does: the same calls on both, and every result and errno compared.

KVM is that of Debian's arm64 kernels, which QEMU's TCG runs (`vgic_tools.judges`). Where QEMU, the cross compiler
or a kernel is not there, these tests are skipped; `python -m vgic_tools.judges.fetch` fetches the kernels.
"""

import signal

import pytest

import kvm_walk
from kvm_beside import compare_its_life, compare_life, facade
from kvm_life import Life, Scenario
from kvm_scenarios import SCENARIOS
from kvm_subjects import Facade, Live
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.kvm_host import KvmHost


def lived(scenario: Scenario, subject: Live | Facade) -> list[tuple[str, str]]:
    life = Life(subject)
    scenario.live(life)
    return life.log


@pytest.mark.rule("KVM-3", "KVM-5", "KVM-10", "KVM-27", "KVM-29", "KVM-34", "KVM-54", "KVM-57")
@pytest.mark.rule("KVM-33", "KVM-35", "KVM-43", "KVM-46", "KVM-52", "KVM-53", "KVM-60")
@pytest.mark.rule("KVM-61", "KVM-62", "KVM-63", "KVM-64", "ITS-33")
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_same_as_kvm(host: KvmHost, name: str) -> None:
    scenario = SCENARIOS[name]
    told = lived(scenario, Live(host, ram=scenario.ram))
    assert lived(scenario, facade(host, scenario.ram)) == told


def test_random_lives(host: KvmHost) -> None:
    for seed in range(20):
        compare_life(host, seed)


@pytest.mark.slow
def test_many_random_lives(host: KvmHost) -> None:
    """A tenth of the 100,000 calls of `make judged`."""
    for seed in range(1000, 1067):
        compare_life(host, seed)


@pytest.mark.rule("KVM-3", "KVM-34", "KVM-53", "KVM-55", "KVM-57", "KVM-59", "ITS-33", "ITS-36")
def test_random_lives_of_an_its(host: KvmHost) -> None:
    for seed in range(10):
        compare_its_life(host, seed)


@pytest.mark.slow
@pytest.mark.rule("KVM-3", "KVM-34", "KVM-53", "KVM-55", "KVM-57", "KVM-59", "ITS-33", "ITS-36")
def test_many_random_lives_of_an_its(host: KvmHost) -> None:
    for seed in range(1000, 1100):
        compare_its_life(host, seed)


@pytest.mark.rule("KVM-19", "DIST-23")
@pytest.mark.parametrize("shape", kvm_walk.SHAPES)
def test_every_offset(host: KvmHost, shape: str) -> None:
    assert kvm_walk.walk(Live(host), shape, kvm_walk.INHABITED) == kvm_walk.recorded(shape, kvm_walk.INHABITED)


@pytest.mark.slow
@pytest.mark.rule("KVM-19")
@pytest.mark.parametrize("shape", kvm_walk.SHAPES)
def test_really_every_offset(host: KvmHost, shape: str) -> None:
    assert kvm_walk.walk(Live(host), shape) == kvm_walk.recorded(shape)


def test_a_host_that_dies_is_told_apart(host: KvmHost) -> None:
    """And leaves nothing behind."""
    with KvmHost(host.kernel) as other:
        other.agent.process.kill()
        with pytest.raises(JudgeError, match="the KVM host has ended"):
            other.agent.ask("reset")
    assert other.agent.process.returncode == -signal.SIGKILL
    assert host.agent.ask("reset").errno == 0
