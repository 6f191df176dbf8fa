"""The configuration of LPIs: the bytes of their table, what is cached, and what makes it be read again."""

import pytest

import vgic
from lpi_guest import RAM, LpiGuest, booted
from offsets import GICR
from vgic import ARCH, KVM, QEMU

LPI = 8192 + 5
EVERY = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)


@pytest.mark.rule("LPI-10")
@pytest.mark.parametrize(
    ("profile", "bits", "shown"),
    [(ARCH, 4, 0xF0), (ARCH, 5, 0xF8), (ARCH, 8, 0xFC), (KVM, 5, 0xFC), (QEMU, 5, 0xFC)],
)
def test_six_bits_of_priority_at_most(profile: vgic.Profile, bits: int, shown: int) -> None:
    guest = LpiGuest(profile=profile, priority_bits=bits)
    guest.configure(LPI, 0xFF)
    guest.boot_lpis()
    guest.arrive(LPI)
    assert guest.gic.highest_pending(0) == (LPI, 1, shown)
    assert guest.gic.lpi(0, LPI).priority == shown


@pytest.mark.rule("LPI-10")
@EVERY
def test_a_disabled_lpi_is_pending_and_not_forwarded(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile)
    guest.configure(LPI, enabled=False)
    guest.boot_lpis()
    assert guest.arrive(LPI)
    assert guest.gic.lpis(0).is_pending(LPI)
    assert guest.drain() == []


@pytest.mark.rule("LPI-11")
def test_a_configuration_that_is_cached_holds_until_it_is_invalidated() -> None:
    guest = booted(lpi5=0xA0, lpi6=0xA0)
    guest.arrive(LPI)
    assert guest.drain() == [LPI]
    guest.configure(LPI, enabled=False)
    guest.arrive(LPI)
    assert guest.drain() == [LPI]
    guest.configure(LPI + 1, enabled=False)
    assert guest.arrive(LPI + 1)
    assert guest.drain() == []  # It was needed for the first time, so read after it was written.


@pytest.mark.rule("LPI-11", "LPI-18")
@pytest.mark.parametrize("one", [True, False], ids=["one", "all"])
@EVERY
def test_disabled_and_invalidated_lpis_do_not_arrive_and_enabled_ones_do_again(
    profile: vgic.Profile, one: bool
) -> None:
    guest = booted(profile, lpi5=0xA0)
    guest.arrive(LPI)
    guest.configure(LPI, enabled=False)
    invalidate = guest.invalidate if one else lambda intid: guest.invalidate_all()
    assert guest.irq()
    invalidate(LPI)
    assert not guest.irq()
    assert guest.drain() == []
    assert guest.gic.lpis(0).is_pending(LPI)
    guest.configure(LPI, 0x80)
    invalidate(LPI)
    assert guest.gic.highest_pending(0) == (LPI, 1, 0x80)
    assert guest.drain() == [LPI]


@pytest.mark.rule("LPI-11", "LPI-24")
def test_qemu_reads_a_configuration_whenever_an_lpi_arrives() -> None:
    guest = booted(QEMU, lpi5=0xA0)
    guest.arrive(LPI)
    assert guest.drain() == [LPI]
    guest.configure(LPI, enabled=False)
    guest.arrive(LPI)
    assert guest.drain() == []


@pytest.mark.rule("LPI-24")
def test_qemu_reads_all_again_when_the_best_lpi_is_gone() -> None:
    guest = booted(QEMU, lpi5=0x40, lpi6=0xA0, lpi7=0xB0)
    for intid in (LPI, LPI + 1, LPI + 2):
        guest.arrive(intid)
    guest.configure(LPI + 1, enabled=False)
    guest.configure(LPI + 2, 0x80)
    guest.set_table_bit(LPI + 3)
    guest.configure(LPI + 3, 0x90)
    assert guest.gic.highest_pending(0) == (LPI, 1, 0x40)
    guest.take(LPI)
    guest.eoi(LPI)
    assert guest.gic.highest_pending(0) == (LPI + 2, 1, 0x80)
    assert guest.drain() == [LPI + 2, LPI + 3]
    guest.invalidate(LPI)
    assert guest.gic.lpis(0).is_pending(LPI + 1)


@pytest.mark.rule("LPI-24")
def test_in_qemu_what_the_table_cannot_hold_is_offered_until_the_table_is_read() -> None:
    guest = LpiGuest(profile=QEMU)
    guest.configure(LPI)
    guest.boot()
    guest.set_gicr(GICR.PROPBASER, RAM | 13, 8)
    guest.enable_lpis()
    assert guest.arrive(LPI)
    assert guest.drain() == [LPI]
    assert guest.arrive(LPI)
    assert guest.irq()
    guest.invalidate_all()
    assert guest.drain() == []


@pytest.mark.rule("LPI-24")
def test_in_qemu_losing_the_last_best_lpi_reads_all_again_even_when_it_was_disabled_since() -> None:
    guest = booted(QEMU, lpi5=0x40, lpi6=0xA0)
    guest.configure(LPI + 1, enabled=False)
    guest.arrive(LPI)
    guest.arrive(LPI + 1)
    guest.configure(LPI, enabled=False)
    guest.invalidate_all()
    assert not guest.irq()
    guest.configure(LPI + 1)
    guest.gic.lpis(0).clear_pending(LPI)
    assert guest.drain() == [LPI + 1]


@pytest.mark.rule("LPI-24")
def test_in_qemu_enabling_what_is_enabled_reads_the_table() -> None:
    guest = booted(QEMU, lpi5=0xA0)
    guest.set_table_bit(LPI)
    assert not guest.irq()
    guest.enable_lpis()
    assert guest.drain() == [LPI]


@pytest.mark.rule("LPI-3")
def test_enabling_what_is_enabled_does_nothing() -> None:
    guest = booted(lpi5=0xA0)
    guest.arrive(LPI)
    guest.set_table_bit(LPI + 1)
    guest.enable_lpis()
    guest.invalidate_all()
    assert guest.drain() == [LPI]


@pytest.mark.rule("LPI-18")
@pytest.mark.parametrize("profile", [ARCH, KVM], ids=lambda profile: profile.name)
@pytest.mark.parametrize("offset", [GICR.INVLPIR, GICR.INVALLR], ids=["INVLPIR", "INVALLR"])
@pytest.mark.parametrize("size", [4, 8])
def test_the_invalidation_registers(profile: vgic.Profile, offset: int, size: int) -> None:
    guest = booted(profile, lpi5=0xA0)
    guest.arrive(LPI)
    guest.configure(LPI, enabled=False)
    guest.set_gicr(offset + 4, LPI)
    assert guest.irq()  # The upper half does nothing.
    guest.set_gicr(offset, LPI, size)
    assert guest.gicr(GICR.SYNCR) == 0
    assert not guest.irq()
    assert guest.gicr(offset, size) == 0


@pytest.mark.rule("LPI-18")
def test_invalidating_one_lpi_leaves_the_others() -> None:
    guest = booted(lpi5=0xA0, lpi6=0xA0)
    guest.arrive(LPI)
    guest.arrive(LPI + 1)
    guest.configure(LPI, enabled=False)
    guest.configure(LPI + 1, enabled=False)
    guest.set_gicr(GICR.INVLPIR, LPI, 8)
    assert guest.drain() == [LPI + 1]


@pytest.mark.rule("LPI-18")
def test_invalidating_does_not_concern_an_lpi_that_was_acknowledged() -> None:
    guest = booted(lpi5=0xA0)
    guest.arrive(LPI)
    guest.take(LPI)
    guest.configure(LPI, 0x20)
    guest.invalidate(LPI)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xA0
    assert not guest.gic.lpis(0).is_pending(LPI)


@pytest.mark.rule("LPI-11")
def test_a_pending_lpi_keeps_its_configuration_whatever_another_vcpu_has_read_again() -> None:
    guest = booted(cpus=2, lpi5=0xA0)
    guest.arrive(LPI, 0)
    guest.arrive(LPI, 1)
    guest.configure(LPI, 0x40)
    guest.invalidate(LPI, 1)
    assert guest.gic.highest_pending(0) == (LPI, 1, 0xA0)
    assert guest.gic.highest_pending(1) == (LPI, 1, 0x40)
    assert (guest.drain(0), guest.drain(1)) == ([LPI], [LPI])


@pytest.mark.rule("LPI-11")
def test_enabling_lpis_reads_every_configuration_again() -> None:
    guest = booted(lpi5=0xA0)
    guest.arrive(LPI)
    assert guest.drain() == [LPI]
    guest.enable_lpis(enabled=False)
    guest.configure(LPI, enabled=False)
    guest.enable_lpis()
    guest.arrive(LPI)
    assert guest.drain() == []
