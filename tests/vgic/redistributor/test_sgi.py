"""SGIs: whom ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1 name, and who accepts."""

import pytest

import vgic
from guest import Guest
from offsets import BANK, GICD, GICR
from vgic import ARCH, ICC_ASGI1R_EL1, ICC_PMR_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1, KVM, QEMU, Topology

IRM = 1 << 40
REGISTERS = (ICC_SGI1R_EL1, ICC_ASGI1R_EL1, ICC_SGI0R_EL1)


def value(intid: int, *, cluster: tuple[int, int, int] = (0, 0, 0), targets: int = 0, other: int = 0) -> int:
    """A Generate-SGI value: cluster is (Aff3, Aff2, Aff1)."""
    aff3, aff2, aff1 = cluster
    return aff3 << 48 | aff2 << 32 | intid << 24 | aff1 << 16 | targets | other


def having(guest: Guest, intid: int) -> list[int]:
    """The vCPUs at which an SGI is pending."""
    return [cpu for cpu in guest.cpus if guest.bit(BANK.ISPENDR, intid, cpu)]


@pytest.mark.rule("SGI-1")
@pytest.mark.parametrize("intid", [0, 7, 15])
def test_a_list_names_vcpus_of_one_cluster(intid: int) -> None:
    guest = Guest(40).boot()
    guest.msr(ICC_SGI1R_EL1, value(intid, cluster=(0, 0, 1), targets=0b1000_0000_0000_0101), cpu=3)
    assert having(guest, intid) == [16, 18, 31]
    others = [other for other in range(16) if other != intid]
    assert all(having(guest, other) == [] for other in others)


@pytest.mark.rule("SGI-1", "AFF-4", "AFF-9")
@pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=["arch", "kvm", "qemu"])
@pytest.mark.parametrize("cluster", [(0, 0, 0), (0, 0, 9), (0, 9, 0), (9, 0, 0), (255, 254, 253)])
def test_all_three_levels_of_the_cluster_count(profile: vgic.Profile, cluster: tuple[int, int, int]) -> None:
    clusters = [(0, 0, 0), (0, 0, 9), (0, 9, 0), (9, 0, 0), (255, 254, 253)]
    topology = Topology([vgic.affinity.pack(*levels, 2) for levels in clusters])
    guest = Guest(topology, profile=profile)
    for cpu in guest.cpus:
        guest.set_group(3, 1, cpu)
    guest.msr(ICC_SGI1R_EL1, value(3, cluster=cluster, targets=0xFFFF))
    assert having(guest, 3) == [clusters.index(cluster)]


@pytest.mark.rule("SGI-2")
def test_targets_that_do_not_exist_are_ignored() -> None:
    guest = Guest(3).boot()
    guest.msr(ICC_SGI1R_EL1, value(1, targets=0b1100))
    assert having(guest, 1) == [2]
    guest.msr(ICC_SGI1R_EL1, value(2, cluster=(0, 0, 7), targets=0xFFFF))
    guest.msr(ICC_SGI1R_EL1, value(2, targets=0))
    assert having(guest, 2) == []


@pytest.mark.rule("SGI-3")
@pytest.mark.parametrize("sender", [0, 3, 39])
def test_a_broadcast_reaches_all_but_its_sender(sender: int) -> None:
    guest = Guest(40).boot()
    guest.msr(ICC_SGI1R_EL1, value(4, cluster=(1, 2, 3), targets=0xFFFF, other=IRM), cpu=sender)
    assert having(guest, 4) == [cpu for cpu in range(40) if cpu != sender]


@pytest.mark.rule("SGI-4")
@pytest.mark.parametrize("range_selector", [1, 15])
def test_without_rss_the_range_selector_is_ignored(range_selector: int) -> None:
    guest = Guest(Topology.clusters(256, 256), spis=0, rss=False)
    guest.msr(ICC_SGI1R_EL1, value(5, targets=0b11, other=range_selector << 44))
    assert having(guest, 5) == [0, 1]
    assert guest.gicd(GICD.TYPER) >> 26 & 1 == 0
    assert guest.mrs(vgic.ICC_CTLR_EL1) >> 18 & 1 == 0


@pytest.mark.rule("SGI-5")
def test_a_list_may_name_its_sender() -> None:
    guest = Guest(2).boot()
    guest.setup(6, cpu=1)
    guest.msr(ICC_SGI1R_EL1, value(6, targets=0b10), cpu=1)
    assert having(guest, 6) == [1]
    guest.take(6, 1)


@pytest.mark.rule("SGI-6", "SGI-7", "SGI-9")
@pytest.mark.parametrize(
    ("profile", "secure", "accepted"),
    [
        (ARCH, False, {ICC_SGI1R_EL1: {0, 1}, ICC_ASGI1R_EL1: {0}, ICC_SGI0R_EL1: {0}}),
        (KVM, False, {ICC_SGI1R_EL1: {0, 1}, ICC_ASGI1R_EL1: {0}, ICC_SGI0R_EL1: {0}}),
        (QEMU, False, {ICC_SGI1R_EL1: {1}, ICC_ASGI1R_EL1: {0}, ICC_SGI0R_EL1: {0}}),
        (ARCH, True, {ICC_SGI1R_EL1: {0}, ICC_ASGI1R_EL1: {1}, ICC_SGI0R_EL1: {0}}),
    ],
    ids=["arch", "kvm", "qemu", "secure-writer"],
)
@pytest.mark.parametrize("register", REGISTERS)
@pytest.mark.parametrize("group", [0, 1])
def test_the_group_at_the_target_decides(
    profile: vgic.Profile, secure: bool, accepted: dict[int, set[int]], register: int, group: int
) -> None:
    guest = Guest(3, profile=profile)
    for cpu in guest.cpus:
        guest.set_group(8, group if cpu == 2 else 1 - group, cpu)
    guest.msr(register, value(8, targets=0b100), secure=secure)
    assert having(guest, 8) == ([2] if group in accepted[register] else [])


@pytest.mark.rule("API-8")
def test_the_targets_of_a_value_can_be_asked_for() -> None:
    guest = Guest(20).boot()
    for cpu in (0, 17):
        guest.set_group(1, 1, cpu)
    broadcast = value(1, other=IRM)
    assert guest.gic.sgi_targets(3, ICC_SGI1R_EL1, broadcast) == [cpu for cpu in range(20) if cpu != 3]
    assert guest.gic.sgi_targets(0, ICC_ASGI1R_EL1, broadcast, secure=True) == [17]
    assert guest.gic.sgi_targets(3, ICC_SGI0R_EL1, value(1, cluster=(0, 0, 1), targets=0b1011)) == [16, 19]
    assert having(guest, 1) == []
    # As a write does, it ignores bits that the register does not have.
    assert guest.gic.sgi_targets(3, ICC_SGI0R_EL1, -1 << 60 | value(1, targets=0b10)) == [1]


@pytest.mark.rule("API-8")
@pytest.mark.parametrize("register", [0, ICC_PMR_EL1, 1 << 70 | ICC_SGI1R_EL1])
def test_only_three_registers_generate_sgis(register: int) -> None:
    with pytest.raises(vgic.ConfigError, match=f"^register {register:#x} generates no SGIs"):
        Guest(2).gic.sgi_targets(0, register, 1)


@pytest.mark.rule("SGI-8")
def test_an_sgi_is_latched_while_nothing_would_deliver_it() -> None:
    guest = Guest(2)
    guest.set_group(9, 1, 1)
    guest.msr(ICC_SGI1R_EL1, value(9, targets=0b10))
    assert having(guest, 9) == [1]
    assert guest.gicr(GICR.WAKER, cpu=1) == 0b110
    guest.boot()
    assert not guest.irq(1)
    guest.set_bit(BANK.ISENABLER, 9, 1)
    guest.take(9, 1)


@pytest.mark.rule("SGI-8")
def test_sgis_coalesce() -> None:
    guest = Guest(2).boot()
    guest.setup(9, cpu=1)
    for sender in (0, 1, 0):
        guest.msr(ICC_SGI1R_EL1, value(9, targets=0b10), cpu=sender)
    guest.take(9, 1)
    guest.eoi(9, 1)
    assert guest.ack(1) == vgic.SPURIOUS


@pytest.mark.rule("SGI-8")
def test_an_sgi_while_active_comes_again() -> None:
    guest = Guest(2).boot()
    guest.setup(9, cpu=1)
    guest.msr(ICC_SGI1R_EL1, value(9, targets=0b10))
    guest.take(9, 1)
    assert having(guest, 9) == []
    guest.msr(ICC_SGI1R_EL1, value(9, targets=0b10))
    assert guest.ack(1) == vgic.SPURIOUS
    guest.eoi(9, 1)
    guest.take(9, 1)


@pytest.mark.rule("SGI-8")
def test_a_pending_sgi_can_be_set_and_cleared_by_register() -> None:
    guest = Guest(2).boot()
    guest.setup(9, cpu=1)
    guest.set_bit(BANK.ISPENDR, 9, 1)
    assert guest.irq(1)
    guest.set_bit(BANK.ICPENDR, 9, 1)
    assert not guest.irq(1)
