"""Random guests of a live KVM, and the model with the profile of that version: every operation compared.

Where QEMU, the cross compiler or a kernel is not there, these tests are skipped.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import kvm_lists
import vgic
from kvm_guests import IRQS, RandomGuest, config
from live_hosts import KERNELS, kernel_at_hand
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.freedoms import LINGERS, LIST_REGISTERS, LISTED, MOVES, TIES, Difference, Follower, perform
from vgic_tools.judges.kvm_guest import KvmGuest, Step
from vgic_tools.judges.kvm_host import KvmHost

BATCH = 400


def live_guest(host: KvmHost, seed: int, batches: int) -> Follower:
    """A guest on KVM and on the model, until its end or until KVM cannot be followed. Raises Difference."""
    old = host.release.startswith("6.")
    machine = config(1 + seed % 4, vgic.KVM if old else vgic.KVM_7_2)
    kvm = KvmGuest(host, len(machine.topology), IRQS)
    # One model performs operations as they are drawn, the other when KVM has performed them.
    ahead = vgic.Gic(machine)
    follower = Follower(vgic.Gic(machine), active_first=old)
    guest = RandomGuest(seed, ahead, ties=seed % 3 == 0, disables=old)
    drawn = guest.preparation()
    for _ in range(1 + batches):
        steps: list[Step] = []
        for step in drawn:
            steps.append(step)
            perform(ahead, step)
        if not follower.follow(steps, kvm.perform(steps)):
            break
        follower.gic.check()
        ahead.restore(follower.gic.save())
        drawn = guest.steps(BATCH)
    return follower


class Hosts:
    """A live KVM of a kernel, and another one after one that hangs."""

    def __init__(self, kernel: Path) -> None:
        self._kernel = kernel
        self.live = KvmHost(kernel)

    def renew(self) -> None:
        self.live.agent.close()
        self.live = KvmHost(self._kernel)


@pytest.fixture(scope="module", params=KERNELS)
def hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    found = Hosts(kernel_at_hand(request.param))
    yield found
    found.live.agent.close()


def judged(hosts: Hosts, seed: int) -> Follower:
    """A guest; once more where the host gives no judgement: now and then Linux 7.2 in QEMU stays in KVM_RUN."""
    try:
        return live_guest(hosts.live, seed, batches=3)
    except JudgeError as error:
        print(f"Linux {hosts.live.release}, seed {seed}: {error}")
        hosts.renew()
        return live_guest(hosts.live, seed, batches=3)


def compare(hosts: Hosts, seed: int, operations: int) -> Counter[str]:
    """As many guests as it takes; how often each rule allowed something."""
    allowed: Counter[str] = Counter()
    compared = 0
    while compared < operations:
        try:
            followed = judged(hosts, seed)
        except Difference as difference:
            raise Difference(f"Linux {hosts.live.release}, seed {seed}: {difference}") from None
        compared += followed.compared
        allowed += followed.freedoms
        seed += 1
    print(f"{compared} operations on Linux {hosts.live.release}; allowed: {dict(allowed)}")
    return allowed


@pytest.mark.rule("CPU-23", "CPU-24", "CPU-25", "STATE-16", "STATE-17", "ROUTE-14")
@pytest.mark.rule("KVM-70", "KVM-71", "KVM-72", "KVM-73", "PRIO-10")
def test_random_guests(hosts: Hosts) -> None:
    """Ten seconds a kernel on an idle machine."""
    assert compare(hosts, 0, 2000).keys() <= {LIST_REGISTERS, TIES, MOVES, LINGERS, LISTED}


@pytest.mark.rule("KVM-73")
@pytest.mark.parametrize(("steps", "listed"), kvm_lists.PROGRAMS.values(), ids=kvm_lists.PROGRAMS)
def test_what_a_vcpu_still_has_is_not_overlooked(hosts: Hosts, steps: list[Step], listed: bool) -> None:
    kvm = KvmGuest(hosts.live, 2, IRQS)
    *_, first, second = kvm.perform([*kvm_lists.PREPARATION, *steps, *kvm_lists.LOOKS, *kvm_lists.LOOKS])
    assert first is not None
    assert second is not None
    assert (first.irq or second.irq) == listed


@pytest.mark.slow
def test_many_random_guests(hosts: Hosts) -> None:
    """100,000 operations on three kernels, two to three minutes each; each common freedom is taken."""
    taken = compare(hosts, 10_000, 34_000).keys()
    assert taken - {LISTED} == {LIST_REGISTERS, TIES, MOVES, LINGERS}


def test_a_host_that_gives_no_judgement_is_started_anew(hosts: Hosts) -> None:
    before = hosts.live
    before.agent.process.kill()
    assert judged(hosts, 1).compared
    assert hosts.live is not before
