"""The virtual CPU interface that a guest of KVM has: how interrupts end."""

import pytest

import vgic
from guest import BANK, Guest
from vgic import (
    ICC_AP0R0_EL1,
    ICC_AP1R0_EL1,
    ICC_BPR1_EL1,
    ICC_CTLR_EL1,
    ICC_DIR_EL1,
    ICC_EOIR1_EL1,
    ICC_RPR_EL1,
    KVM,
    KVM_7_2,
)

EOI_MODE = 0b10


def booted(cpus: int = 1, profile: vgic.Profile = KVM) -> Guest:
    guest = Guest(cpus, profile=profile).boot()
    guest.setup(40, 41, priority=0x80, edge=True)
    return guest


def active(guest: Guest, intid: int) -> int:
    return guest.bit(BANK.ISACTIVER, intid)


@pytest.mark.rule("CPU-23")
def test_eoir_drops_the_highest_priority_of_either_group() -> None:
    guest = booted()
    guest.setup(42, priority=0x40, group=0, edge=True)
    guest.pulse(40)
    guest.take(40)
    guest.pulse(42)
    guest.take(42, group=0)
    guest.eoi(40)
    assert (guest.mrs(ICC_AP0R0_EL1), guest.mrs(ICC_AP1R0_EL1)) == (0, 1 << 16)
    assert (active(guest, 40), active(guest, 42)) == (1, 1)


@pytest.mark.rule("CPU-23")
@pytest.mark.parametrize(
    ("priority", "binary_point", "left"), [(0x80, 3, 0), (0x90, 3, 1), (0x90, 5, 0), (0x40, 7, 1)]
)
def test_eoir_deactivates_what_has_the_priority_that_drops(priority: int, binary_point: int, left: int) -> None:
    guest = booted()
    guest.msr(ICC_BPR1_EL1, binary_point)
    guest.pulse(40)
    guest.take(40)
    guest.set_priority(41, priority)
    guest.set_bit(BANK.ISACTIVER, 41)
    guest.eoi(41)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert (active(guest, 40), active(guest, 41)) == (1, left)
    # And of its own group alone.
    guest.set_group(40, 0)
    guest.msr(ICC_AP1R0_EL1, 1 << 16)
    guest.eoi(40)
    assert (guest.mrs(ICC_RPR_EL1), active(guest, 40)) == (0xFF, 1)


@pytest.mark.rule("CPU-23")
@pytest.mark.parametrize(
    ("intid", "running"), [(500, 0xFF), (1019, 0xFF), (1020, 0x80), (1023, 0x80), (1024, 0xFF), (8192, 0xFF)]
)
def test_eoir_drops_for_what_does_not_exist_but_not_for_special_intids(intid: int, running: int) -> None:
    guest = booted()
    guest.pulse(40)
    guest.take(40)
    guest.msr(ICC_EOIR1_EL1, intid)
    assert (guest.mrs(ICC_RPR_EL1), active(guest, 40)) == (running, 1)


@pytest.mark.rule("CPU-24", "CPU-25")
@pytest.mark.parametrize(("profile", "left"), [(KVM, 1), (KVM_7_2, 0)], ids=["kvm", "kvm-7.2"])
def test_dir_and_an_spi_that_is_active_at_another_pe(profile: vgic.Profile, left: int) -> None:
    guest = booted(2, profile)
    guest.pulse(40)
    guest.take(40)
    guest.msr(ICC_DIR_EL1, 40, cpu=1)
    assert active(guest, 40) == 1
    guest.msr(ICC_CTLR_EL1, EOI_MODE, cpu=1)
    # What is not active is left alone, also the latch of a level.
    guest.setup(20, cpu=1)
    guest.set_bit(BANK.ISPENDR, 20, cpu=1)
    guest.msr(ICC_DIR_EL1, 20, cpu=1)
    assert guest.bit(BANK.ISPENDR, 20, cpu=1) == 1
    guest.msr(ICC_DIR_EL1, 40, cpu=1)
    assert active(guest, 40) == left
    guest.msr(ICC_CTLR_EL1, EOI_MODE)
    guest.msr(ICC_DIR_EL1, 40)
    assert active(guest, 40) == 0


@pytest.mark.rule("ROUTE-14")
def test_an_active_spi_is_finished_where_it_became_active() -> None:
    guest = booted(2)
    guest.pulse(40)
    guest.take(40)
    guest.route(40, 1)
    guest.msr(ICC_AP1R0_EL1, 1 << 16, cpu=1)
    guest.eoi(40, cpu=1)
    assert active(guest, 40) == 1
    guest.pulse(40)
    guest.eoi(40)
    assert active(guest, 40) == 0
    guest.take(40, cpu=1)
    guest.eoi(40, cpu=1)
    assert active(guest, 40) == 0
    # A write can make it active too, and another inactive.
    guest.set_bit(BANK.ISACTIVER, 40)
    guest.route(40, 0)
    guest.set_bit(BANK.ICACTIVER, 40)
    guest.set_bit(BANK.ISACTIVER, 40)
    guest.msr(ICC_AP1R0_EL1, 1 << 16)
    guest.eoi(40)
    assert active(guest, 40) == 0


@pytest.mark.rule("ROUTE-14")
@pytest.mark.parametrize("disabled", [False, True])
def test_an_spi_that_is_active_nowhere_is_at_its_target_when_something_happens(disabled: bool) -> None:
    guest = booted()
    guest.route(40, 7)
    guest.set_bit(BANK.ISACTIVER, 40)
    guest.route(40, 0)
    if disabled:
        guest.set_gicd(0, 0)
        guest.set_gicd(0, 0b10)
        guest.set_gicd(0, 0)
    guest.msr(ICC_AP1R0_EL1, 1 << 16)
    guest.eoi(40)
    assert active(guest, 40) == 1
    guest.line(40, True)
    guest.msr(ICC_AP1R0_EL1, 1 << 16)
    guest.eoi(40)
    assert active(guest, 40) == 0


@pytest.mark.rule("ROUTE-14")
@pytest.mark.parametrize("first", [0, 7])
def test_where_an_spi_is_active_is_saved(first: int) -> None:
    guest = booted(2)
    guest.route(40, first)
    guest.set_bit(BANK.ISACTIVER, 40)
    guest.route(40, 1)
    other = booted(2)
    other.gic.restore(guest.gic.save())
    for cpu in (1, 0):
        other.msr(ICC_AP1R0_EL1, 1 << 16, cpu=cpu)
        other.eoi(40, cpu=cpu)
        assert active(other, 40) == (cpu == 1 or first == 7)
