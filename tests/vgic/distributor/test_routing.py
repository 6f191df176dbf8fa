"""Routing of SPIs by GICD_IROUTER<n>."""

import pytest

import vgic
from guest import Guest
from offsets import BANK, GICD
from vgic import ARCH, KVM, QEMU, Topology, affinity

SPARSE = Topology([0x0000_0000, 0x0000_0001, 0x0000_0100, 0x0001_0000, 0x0100_0000, 0xFFFF_FFFF])
ALL_64 = (1 << 64) - 1


@pytest.mark.rule("ROUTE-1", "AFF-9")
@pytest.mark.parametrize("cpu", range(len(SPARSE)))
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_an_spi_goes_to_the_pe_that_its_route_names(profile: vgic.Profile, cpu: int) -> None:
    guest = Guest(SPARSE, profile=profile).boot()
    guest.setup(40)
    guest.route(40, affinity.to_irouter(SPARSE.affinities[cpu]))
    guest.line(40, True)
    assert [guest.irq(other) for other in guest.cpus] == [other == cpu for other in guest.cpus]
    assert guest.gic.spi(40).target == cpu
    guest.take(40, cpu)


@pytest.mark.rule("ROUTE-1")
def test_each_spi_has_a_route_of_its_own() -> None:
    guest = Guest(4, spis=988).boot()
    routes = {32: 3, 33: 1, 63: 2, 64: 3, 1019: 1}
    for intid, cpu in routes.items():
        guest.setup(intid)
        guest.route(intid, cpu)
    for intid, cpu in routes.items():
        assert guest.gicd(GICD.IROUTER + 8 * intid, 8) == cpu
        guest.pulse(intid)
        guest.line(intid, True)
        guest.take(intid, cpu)
        guest.eoi(intid, cpu)
        guest.line(intid, False)


@pytest.mark.rule("ROUTE-2", "ACC-4")
@pytest.mark.parametrize("writes", [("low",), ("high",), ("low", "high"), ("high", "low")])
@pytest.mark.parametrize("before", [0, 0x12_0034_5678, 0xFF_00FF_FFFF])
def test_a_half_of_a_route_leaves_the_other_half(writes: tuple[str, ...], before: int) -> None:
    guest = Guest()
    guest.route(40, before)
    expected = before
    for half in writes:
        if half == "low":
            guest.set_gicd(GICD.IROUTER + 8 * 40, 0x00AB_CDEF)
            expected = expected & ~0xFFFF_FFFF | 0x00AB_CDEF
        else:
            guest.set_gicd(GICD.IROUTER + 8 * 40 + 4, 0x9A)
            expected = expected & 0xFFFF_FFFF | 0x9A << 32
        assert guest.gicd(GICD.IROUTER + 8 * 40, 8) == expected
        assert guest.gicd(GICD.IROUTER + 8 * 40) == expected & 0xFFFF_FFFF
        assert guest.gicd(GICD.IROUTER + 8 * 40 + 4) == expected >> 32
    assert guest.gicd(GICD.IROUTER + 8 * 39, 8) == guest.gicd(GICD.IROUTER + 8 * 41, 8) == 0


@pytest.mark.rule("ROUTE-2")
def test_a_half_takes_effect_on_its_own() -> None:
    guest = Guest(Topology([0, 1, 0x0100_0001])).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.set_gicd(GICD.IROUTER + 8 * 40, 1)
    assert [guest.irq(cpu) for cpu in guest.cpus] == [False, True, False]
    guest.set_gicd(GICD.IROUTER + 8 * 40 + 4, 1)
    assert [guest.irq(cpu) for cpu in guest.cpus] == [False, False, True]


@pytest.mark.rule("ROUTE-3")
def test_an_spi_that_names_nobody_waits_and_is_delivered_when_re_routed() -> None:
    guest = Guest(2).boot()
    guest.setup(40, edge=True)
    guest.route(40, 0x55)
    guest.pulse(40)
    assert not guest.irq(0)
    assert not guest.irq(1)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    assert guest.gicd(GICD.IROUTER + 8 * 40, 8) == 0x55
    assert guest.gic.spi(40).target is None
    guest.set_priority(40, 0x80)
    guest.route(40, 1)
    assert guest.gic.highest_pending(1) == (40, 1, 0x80)
    guest.take(40, 1)


@pytest.mark.rule("ROUTE-3")
def test_a_pending_spi_can_be_routed_to_nobody() -> None:
    guest = Guest(2).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.route(40, 0x01_0000_0000)
    assert not guest.irq(0)
    guest.line(40, False)
    guest.route(40, 0)
    assert not guest.irq(0)


@pytest.mark.rule("ROUTE-4")
def test_re_routing_moves_what_is_pending() -> None:
    guest = Guest(3).boot()
    guest.setup(40)
    guest.line(40, True)
    assert guest.irq(0)
    guest.route(40, 2)
    assert [guest.irq(cpu) for cpu in guest.cpus] == [False, False, True]
    assert guest.ack(0) == vgic.SPURIOUS
    guest.take(40, 2)


@pytest.mark.rule("ROUTE-4")
def test_re_routing_leaves_what_is_active_where_it_was_taken() -> None:
    guest = Guest(2).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.take(40, 0)
    guest.route(40, 1)
    assert not guest.irq(1)
    assert guest.mrs(vgic.ICC_RPR_EL1, 0) == 0xA0
    assert guest.mrs(vgic.ICC_RPR_EL1, 1) == 0xFF
    guest.eoi(40, 0)
    assert not guest.irq(0)
    guest.take(40, 1)


@pytest.mark.rule("ROUTE-5", "ROUTE-6", "ROUTE-8", "ROUTE-9")
@pytest.mark.parametrize(
    ("profile", "kept"),
    [(ARCH, 0xFF_00FF_FFFF), (KVM, 0x00FF_FFFF), (QEMU, ALL_64)],
    ids=["arch", "kvm", "qemu"],
)
def test_bits_of_a_route_that_are_kept(profile: vgic.Profile, kept: int) -> None:
    guest = Guest(profile=profile, one_of_n=False)
    guest.route(40, ALL_64)
    assert guest.gicd(GICD.IROUTER + 8 * 40, 8) == kept
    guest.set_gicd(GICD.IROUTER + 8 * 40, 0)
    guest.set_gicd(GICD.IROUTER + 8 * 40 + 4, 0)
    assert guest.gicd(GICD.IROUTER + 8 * 40, 8) == 0


@pytest.mark.rule("ROUTE-5", "ROUTE-9")
@pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=["arch", "kvm", "qemu"])
def test_without_one_of_n_the_routing_mode_is_ignored(profile: vgic.Profile) -> None:
    guest = Guest(2, profile=profile, one_of_n=False).boot()
    guest.setup(40)
    guest.route(40, 1 << 31 | 1)
    guest.line(40, True)
    assert (guest.irq(0), guest.irq(1)) == (False, True)


@pytest.mark.rule("ROUTE-8")
def test_kvm_cannot_route_to_a_pe_with_aff3() -> None:
    guest = Guest(Topology([0, 0x0100_0000]), profile=KVM).boot()
    guest.setup(40)
    guest.route(40, 0x01_0000_0000)
    guest.line(40, True)
    assert (guest.irq(0), guest.irq(1)) == (True, False)


@pytest.mark.rule("ROUTE-7")
def test_private_interrupts_have_no_route() -> None:
    guest = Guest()
    for intid in (0, 31):
        guest.set_gicd(GICD.IROUTER + 8 * intid, ALL_64, 8)
        assert guest.gicd(GICD.IROUTER + 8 * intid, 8) == 0
    assert len(guest.heard.accesses) == 4


@pytest.mark.rule("ROUTE-10")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_at_reset_an_spi_goes_to_affinity_zero_where_there_is_one(profile: vgic.Profile) -> None:
    for topology, target in ((Topology([5, 0]), 1), (Topology([5, 6]), None)):
        guest = Guest(topology, profile=profile).boot()
        guest.setup(40)
        guest.line(40, True)
        assert guest.gic.spi(40).target == target
        assert [guest.irq(cpu) for cpu in guest.cpus] == [cpu == target for cpu in guest.cpus]


def kvm_guest(affinities: list[int], *pending: int) -> Guest:
    guest = Guest(Topology(affinities), profile=KVM).boot()
    for intid in pending:
        guest.setup(intid)
        guest.line(intid, True)
    return guest


@pytest.mark.rule("ROUTE-11")
@pytest.mark.parametrize(("affinities", "named"), [([5, 0], 1), ([5, 6], None)])
def test_kvms_spis_go_to_vcpu_0_until_they_are_routed(affinities: list[int], named: int | None) -> None:
    """As KVM 6.12 and 7.2 did, asked live: GICD_IROUTER<n> reads 0 meanwhile, whoever has that affinity."""
    guest = kvm_guest(affinities, 40, 41, 42)
    for intid in (40, 41, 42):
        assert guest.gic.spi(intid).target == 0
        assert guest.gicd(GICD.IROUTER + 8 * intid, 8) == 0
    assert [guest.irq(cpu) for cpu in guest.cpus] == [True, False]
    # A write of 0 is a route like any other, and moves what is pending; an upper half has no bits in KVM.
    guest.route(40, 0)
    guest.set_gicd(GICD.IROUTER + 8 * 41, 0)
    guest.set_gicd(GICD.IROUTER + 8 * 42 + 4, 0)
    assert [guest.gic.spi(intid).target for intid in (40, 41, 42)] == [named, named, 0]
    guest.take(42, cpu=0)
    assert [guest.ack(cpu) for cpu in guest.cpus] == [1023, 40 if named == 1 else 1023]
    guest.route(42, 6)
    assert guest.gic.spi(42).target == (1 if 6 in affinities else None)


@pytest.mark.rule("ROUTE-11")
def test_which_spis_were_routed_is_saved_and_restored() -> None:
    guest = kvm_guest([5, 0])
    guest.route(40, 0)
    saved = guest.gic.save()
    unrouted = {name: value for name, value in saved["registers"].items() if "unrouted" in name}
    assert unrouted == {"GICD.unrouted1": 0xFFFF_FEFF, "GICD.unrouted2": 0xFFFF_FFFF}
    other = kvm_guest([5, 0])
    other.route(41, 0)
    other.gic.restore(saved)
    assert other.gic.save() == saved
    assert [other.gic.spi(intid).target for intid in (40, 41)] == [1, 0]
    # A state that says nothing of it is one in which every SPI was routed.
    for name in unrouted:
        del saved["registers"][name]
    other.gic.restore(saved)
    assert other.gic.spi(41).target == 1


@pytest.mark.rule("ROUTE-11")
def test_an_mpidr_does_not_move_an_spi_that_was_not_routed() -> None:
    guest = kvm_guest([5, 6], 40)
    guest.gic.write_mpidrs({0: 0x8000_0006, 1: 0x8000_0000})
    guest.gic.check()
    guest.take(40, cpu=0)
