"""A VM moves from a live KVM into the model, runs on there, and moves to a KVM of another version.

Reading it out of either, and writing it into either, is the same code (`vgic.kvm.save_sequence`, `restore`). After
each move all registers, and guest RAM as far as a GIC writes it, are compared with those of before; in the end the
last KVM and the model give their guests the same interrupts until none is left.
"""

from collections.abc import Iterator
from itertools import permutations

import pytest

from kvm_round_trips import PENDING_LPI, TAKES, LiveMachine, restore_pending_lpi, round_trip
from live_hosts import kernel_at_hand
from vgic_tools.judges.kernels import SUITES
from vgic_tools.judges.kvm_host import KvmHost

ROADS = [
    pytest.param(road, id="-to-".join(road), marks=[] if road == ("6.12", "newest") else pytest.mark.slow)
    for road in permutations(SUITES, 2)
]

Hosts = tuple[KvmHost, KvmHost]


@pytest.fixture(scope="module", params=ROADS)
def hosts(request: pytest.FixtureRequest) -> Iterator[Hosts]:
    source, target = map(kernel_at_hand, request.param)
    with KvmHost(source) as first, KvmHost(target) as second:
        yield first, second


@pytest.mark.rule("KVM-36", "KVM-55", "KVM-65")
def test_a_guest_goes_on_in_the_model_and_on_another_kvm(hosts: Hosts) -> None:
    taken = sum(round_trip(*hosts, seed).taken for seed in range(3))
    assert taken, "no guest had an interrupt left to take"


@pytest.mark.slow
@pytest.mark.rule("KVM-36", "KVM-55", "KVM-65")
def test_many_guests_go_on(hosts: Hosts) -> None:
    """5 for each way from one kernel to another."""
    for seed in range(100, 105):
        round_trip(*hosts, seed)


@pytest.mark.rule("KVM-65")
@pytest.mark.parametrize(("enabled_first", "taken"), [(True, 8192), (False, 1023)])
def test_lpis_restored_before_the_distributor_is_enabled_never_arrive(
    host: KvmHost, enabled_first: bool, taken: int
) -> None:
    machine = LiveMachine(host)
    for address, data in PENDING_LPI:
        machine.vm.write(address, data)
    restore_pending_lpi(machine.devices, enabled_first=enabled_first)
    machine.start()
    assert machine.do(0, TAKES)[-1] == taken
