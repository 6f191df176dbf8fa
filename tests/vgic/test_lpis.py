"""LPIs in the Redistributor and the CPU interface; an ITS is not needed for any of it."""

import tracemalloc

import pytest

import vgic
from guest import SPURIOUS, Guest
from lpi_guest import ENABLE_LPIS, PTZ, RAM, LpiGuest, group1
from offsets import BANK, GICD, GICR
from vgic import ARCH, KVM, QEMU, Topology

LPI = 8192 + 5
ALL = (1 << 64) - 1
EVERY = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)


def booted(profile: vgic.Profile = ARCH, cpus: int = 1, **configured: int) -> LpiGuest:
    """A guest whose LPIs are enabled, with some of them configured: lpi0=0xA0 is INTID 8192, enabled."""
    guest = LpiGuest(cpus, profile)
    for name, priority in configured.items():
        guest.configure(8192 + int(name.removeprefix("lpi")), priority)
    return guest.boot_lpis()


# What a VM has.


@pytest.mark.rule("LPI-1", "LPI-2", "LPI-3")
@pytest.mark.parametrize(
    ("profile", "typer", "ctlr"), [(ARCH, 0b1001, 0b110), (KVM, 0b0001, 0b110), (QEMU, 0b0001, 0b010)]
)
def test_every_view_of_lpis_agrees(profile: vgic.Profile, typer: int, ctlr: int) -> None:
    guest = Guest(profile=profile, lpis=True)
    assert guest.gicd(GICD.TYPER) >> 17 & 1 == 1
    assert guest.gicd(GICD.TYPER) >> 19 & 0x1F == 15
    assert guest.gicr(GICR.TYPER, 8) & 0b1001 == typer
    assert guest.gicr(GICR.CTLR) == ctlr


@pytest.mark.rule("LPI-1")
@EVERY
def test_a_vm_with_an_its_has_lpis(profile: vgic.Profile) -> None:
    def typer(its: tuple[int, ...]) -> int:
        return vgic.Gic(vgic.Config(Topology([0]), profile=profile, its=its)).read(0x0800_0004, 4)

    assert typer((0x0808_0000,)) >> 17 & 1 == 1
    assert typer(()) >> 17 & 1 == (profile is QEMU)
    assert typer(()) >> 19 & 0x1F == (15 if profile is QEMU else 9)


@pytest.mark.rule("LPI-1")
@pytest.mark.parametrize(("bits", "interface"), [(14, 0), (16, 0), (17, 1), (24, 1)])
def test_intids_have_the_bits_that_the_config_says(bits: int, interface: int) -> None:
    guest = LpiGuest(id_bits=bits, lpi_id_bits=bits)
    assert guest.gicd(GICD.TYPER) >> 19 & 0x1F == bits - 1
    assert guest.mrs(vgic.ICC_CTLR_EL1) >> 11 & 0b111 == interface
    last = (1 << bits) - 1
    guest.configure(last)
    guest.boot_lpis()
    guest.set_gicr(GICR.SETLPIR, last, 8)
    guest.take(last)
    assert not guest.arrive(last + 1)


@pytest.mark.rule("LPI-1")
def test_lpis_that_cannot_be_are_refused() -> None:
    for bits in (13, 25):
        with pytest.raises(vgic.ConfigError, match=f"lpi_id_bits is 14 to 24, not {bits}"):
            vgic.Config(Topology([0]), lpi_id_bits=bits)
    with pytest.raises(vgic.ConfigError, match="0x8080000 needs LPIs"):
        vgic.Config(Topology([0]), its=(0x0808_0000,), lpis=False)


@pytest.mark.rule("RED-14", "LPI-2")
@pytest.mark.parametrize(
    ("profile", "lpis", "there"),
    [
        (ARCH, True, {GICR.SETLPIR, GICR.CLRLPIR, GICR.INVLPIR, GICR.INVALLR, GICR.SYNCR}),
        (ARCH, False, {GICR.SYNCR}),
        (KVM, True, {GICR.INVLPIR, GICR.INVALLR, GICR.SYNCR}),
        (KVM, False, {GICR.SYNCR}),
        (QEMU, True, set()),
        (QEMU, False, set()),
    ],
)
def test_which_registers_there_are(profile: vgic.Profile, lpis: bool, there: set[int]) -> None:
    guest = Guest(profile=profile, lpis=lpis)
    registers = {GICR.SETLPIR, GICR.CLRLPIR, GICR.INVLPIR, GICR.INVALLR, GICR.SYNCR}
    for offset in registers:
        guest.set_gicr(offset, 0) if offset != GICR.SYNCR else guest.gicr(offset)
    assert len(guest.heard.accesses) == len(registers - there)


# The table registers.


@pytest.mark.rule("LPI-4", "LPI-6", "LPI-8")
@pytest.mark.parametrize(
    ("profile", "propbaser", "pendbaser"),
    [(ARCH, 0x070F_FFFF_FFFF_FF9F, 0x070F_FFFF_FFFF_0F80), (QEMU, ALL, ALL)],
)
def test_the_table_registers_keep_the_bits_that_they_have(
    profile: vgic.Profile, propbaser: int, pendbaser: int
) -> None:
    guest = Guest(profile=profile, lpis=True)
    for offset, kept in ((GICR.PROPBASER, propbaser), (GICR.PENDBASER, pendbaser)):
        guest.set_gicr(offset, ALL, 8)
        assert guest.gicr(offset, 8) == kept
        guest.set_gicr(offset + 4, 0)
        assert guest.gicr(offset, 8) == kept & 0xFFFF_FFFF
        guest.set_gicr(offset, 0)
        guest.set_gicr(offset + 4, ALL & 0xFFFF_FFFF)
        assert guest.gicr(offset, 8) == kept & ~0xFFFF_FFFF
        assert guest.gicr(offset + 4) == kept >> 32


@pytest.mark.rule("LPI-4", "LPI-7")
@pytest.mark.parametrize(("profile", "other"), [(ARCH, 0), (KVM, RAM | 15 | 0x780), (QEMU, 0)])
def test_whether_redistributors_share_propbaser(profile: vgic.Profile, other: int) -> None:
    guest = Guest(2, profile=profile, lpis=True)
    guest.set_gicr(GICR.PROPBASER, RAM | 15 | 0x780, 8, cpu=1)
    assert guest.gicr(GICR.PROPBASER, 8, cpu=0) == other


@pytest.mark.rule("LPI-7")
@pytest.mark.parametrize("offset", [GICR.PROPBASER, GICR.PENDBASER])
@pytest.mark.parametrize(
    ("outer", "shareability", "inner", "stored"),
    [(0, 1, 3, (0, 1, 3)), (1, 2, 0, (1, 1, 3)), (2, 0, 1, (0, 0, 3)), (7, 3, 7, (0, 3, 7))],
)
def test_kvm_stores_the_attributes_that_it_has(
    offset: int, outer: int, shareability: int, inner: int, stored: tuple[int, int, int]
) -> None:
    guest = Guest(profile=KVM, lpis=True)
    guest.set_gicr(offset, ALL & ~(7 << 56 | 3 << 10 | 7 << 7) | outer << 56 | shareability << 10 | inner << 7, 8)
    value = guest.gicr(offset, 8)
    assert (value >> 56 & 7, value >> 10 & 3, value >> 7 & 7) == stored
    assert value & RAM == RAM


@pytest.mark.rule("LPI-7")
def test_kvm_resets_pendbaser_to_attributes() -> None:
    assert Guest(profile=KVM, lpis=True).gicr(GICR.PENDBASER, 8) == 0x580
    assert Guest(profile=ARCH, lpis=True).gicr(GICR.PENDBASER, 8) == 0


@pytest.mark.rule("LPI-5", "LPI-8")
@EVERY
def test_whether_tables_can_be_moved_while_lpis_are_enabled(profile: vgic.Profile) -> None:
    guest = booted(profile)
    before = guest.gicr(GICR.PROPBASER, 8), guest.gicr(GICR.PENDBASER, 8)
    guest.set_gicr(GICR.PROPBASER, RAM + 0x10_0000, 8)
    guest.set_gicr(GICR.PENDBASER, RAM + 0x10_0000, 8)
    after = guest.gicr(GICR.PROPBASER, 8), guest.gicr(GICR.PENDBASER, 8)
    assert after == ((RAM + 0x10_0000, RAM + 0x10_0000) if profile is QEMU else before)
    guest.enable_lpis(enabled=False)
    guest.set_gicr(GICR.PENDBASER, RAM + 0x20_0000 | 0x580, 8)
    assert guest.gicr(GICR.PENDBASER, 8) == RAM + 0x20_0000 | 0x580


@pytest.mark.rule("LPI-7")
def test_one_of_kvms_vcpus_may_shrink_the_table_of_another() -> None:
    guest = LpiGuest(2, KVM, id_bits=16)
    guest.configure(60_000)
    guest.boot()
    guest.place_tables()
    guest.enable_lpis()
    assert guest.arrive(60_000)
    guest.set_gicr(GICR.PROPBASER, RAM | 13, 8, cpu=1)
    assert not guest.arrive(60_001)
    guest.gic.lpis(0).flush()
    guest.take(60_000)


@pytest.mark.rule("LPI-6", "LPI-8")
@EVERY
def test_ptz_is_not_shown(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile, lpis=True)
    guest.set_gicr(GICR.PENDBASER, PTZ | RAM | 0x580, 8)
    assert guest.gicr(GICR.PENDBASER, 8) == RAM | 0x580 | (PTZ if profile is QEMU else 0)


# EnableLPIs and the pending table.


@pytest.mark.rule("LPI-12", "LPI-13", "LPI-14", "LPI-15")
@EVERY
def test_what_the_guest_set_pending_in_the_table_arrives(profile: vgic.Profile) -> None:
    guest = LpiGuest(2, profile)
    for intid in (8192, LPI, 16_383):
        guest.configure(intid)
        guest.set_table_bit(intid, cpu=1)
    guest.set_table_bit(8191, cpu=1)
    guest.boot_lpis()
    assert (guest.irq(0), guest.irq(1)) == (False, True)
    consumed = [guest.table_bit(intid, cpu=1) for intid in (8191, 8192, LPI, 16_383)]
    assert consumed == ([1, 0, 0, 0] if profile is KVM else [1, 1, 1, 1])
    assert guest.drain(1) == [8192, LPI, 16_383]
    assert guest.drain(0) == []


@pytest.mark.rule("LPI-12", "LPI-8")
@EVERY
def test_with_ptz_the_table_is_not_read(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile)
    guest.configure(LPI)
    guest.set_table_bit(LPI)
    guest.boot_lpis(PTZ)
    assert guest.drain() == ([LPI] if profile is QEMU else [])


@pytest.mark.rule("LPI-14", "LPI-15")
@EVERY
def test_what_is_pending_when_lpis_are_disabled(profile: vgic.Profile) -> None:
    guest = booted(profile, lpi0=0xA0, lpi5=0xA0, lpi9=0xA0)
    for intid in (8192, LPI, 8201):
        guest.arrive(intid)
    guest.take(8192)
    guest.eoi(8192)
    assert [guest.table_bit(intid) for intid in (8192, LPI, 8201)] == ([0, 1, 1] if profile is QEMU else [0, 0, 0])
    guest.enable_lpis(enabled=False)
    assert not guest.irq()
    assert [guest.table_bit(intid) for intid in (8192, LPI, 8201)] == ([0, 0, 0] if profile is KVM else [0, 1, 1])
    guest.enable_lpis()
    assert guest.drain() == ([] if profile is KVM else [LPI, 8201])


@pytest.mark.rule("LPI-14")
def test_what_ptz_said_does_not_hold_for_a_table_that_was_written_since() -> None:
    guest = LpiGuest()
    guest.configure(LPI)
    guest.boot_lpis(PTZ)
    guest.arrive(LPI)
    guest.enable_lpis(enabled=False)
    guest.enable_lpis()
    assert guest.drain() == [LPI]


@pytest.mark.rule("LPI-14")
def test_bits_that_were_taken_are_gone_from_the_table() -> None:
    guest = LpiGuest()
    guest.configure(LPI)
    guest.set_table_bit(LPI)
    guest.set_table_bit(100)
    guest.boot_lpis()
    guest.drain()
    guest.enable_lpis(enabled=False)
    assert (guest.table_bit(LPI), guest.table_bit(100)) == (0, 1)


@pytest.mark.rule("LPI-14")
@EVERY
def test_the_pending_table_can_be_brought_up_to_date(profile: vgic.Profile) -> None:
    guest = booted(profile, lpi5=0xA0)
    guest.arrive(LPI)
    guest.gic.lpis(0).flush()
    assert guest.table_bit(LPI) == 1
    guest.take(LPI)
    guest.gic.lpis(0).flush()
    assert guest.table_bit(LPI) == 0


@pytest.mark.rule("LPI-3")
@EVERY
def test_enabling_takes_effect_at_once_and_can_be_taken_back(profile: vgic.Profile) -> None:
    guest = booted(profile)
    assert guest.gicr(GICR.CTLR) & 0b1011 == 0b0011
    guest.enable_lpis(enabled=False)
    assert guest.gicr(GICR.CTLR) & 0b1011 == 0b0010


@pytest.mark.rule("LPI-16")
@EVERY
def test_what_arrives_while_lpis_are_disabled_is_lost(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile)
    guest.configure(LPI)
    guest.boot()
    guest.place_tables()
    assert not guest.arrive(LPI)
    assert not guest.gic.lpis(0).clear_pending(LPI)
    assert not guest.gic.lpis(0).take_from_table(LPI)
    guest.enable_lpis(enabled=False)
    guest.gic.lpis(0).flush()
    assert guest.table_bit(LPI) == 0
    guest.invalidate(LPI)
    guest.invalidate_all()
    guest.enable_lpis()
    assert guest.drain() == []
    assert guest.heard.lines == []


@pytest.mark.rule("LPI-9")
@pytest.mark.parametrize(
    ("id_bits", "last"), [(13, 8191), (14, 16_383), (15, 32_767), (16, 65_535), (17, 65_535), (32, 65_535)]
)
def test_intids_beyond_the_table_do_not_exist(id_bits: int, last: int) -> None:
    guest = LpiGuest(id_bits=16)
    guest.configure(max(8192, last))
    guest.boot()
    guest.set_gicr(GICR.PROPBASER, RAM | id_bits - 1, 8)
    guest.set_gicr(GICR.PENDBASER, guest.pending_table(), 8)
    guest.set_table_bit(min(last + 1, 65_535))
    guest.enable_lpis()
    expected = [] if last < 8192 else [last]
    assert guest.arrive(last) == bool(expected)
    for intid in (last + 1, 0, 40, 1023, 8191, 1 << 24, 1 << 40, ALL):
        assert not guest.arrive(intid)
        guest.invalidate(intid)
    assert guest.drain() == expected


# Configuration.


@pytest.mark.rule("LPI-10", "LPI-17")
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


# Arriving and being taken.


@pytest.mark.rule("LPI-17")
@pytest.mark.parametrize("size", [4, 8])
def test_an_lpi_can_be_made_pending_and_taken_back_without_an_its(size: int) -> None:
    guest = booted(lpi5=0xA0)
    guest.set_gicr(GICR.SETLPIR, LPI, size)
    guest.set_gicr(GICR.SETLPIR, LPI, size)
    assert guest.irq()
    guest.set_gicr(GICR.CLRLPIR + 4, LPI)
    assert guest.irq()
    guest.set_gicr(GICR.CLRLPIR, LPI, size)
    assert not guest.irq()
    guest.set_gicr(GICR.SETLPIR + 4, LPI)
    guest.set_gicr(GICR.CLRLPIR, LPI + 1, size)
    assert guest.drain() == []
    assert guest.gicr(GICR.SETLPIR, size) == 0


@pytest.mark.rule("LPI-19")
@EVERY
@pytest.mark.parametrize("eoi_mode", [0, 2])
def test_an_lpi_is_idle_once_acknowledged(profile: vgic.Profile, eoi_mode: int) -> None:
    guest = booted(profile, lpi5=0xA0)
    guest.msr(vgic.ICC_CTLR_EL1, eoi_mode)
    guest.arrive(LPI)
    guest.take(LPI)
    assert not guest.gic.lpis(0).is_pending(LPI)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xA0
    assert guest.ack() == SPURIOUS
    guest.arrive(LPI)  # It can become pending again at once, and waits for the priority drop.
    assert guest.ack() == SPURIOUS
    guest.msr(vgic.ICC_DIR_EL1, LPI)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xA0
    guest.eoi(LPI)
    assert guest.drain() == [LPI]


@pytest.mark.rule("LPI-19")
@EVERY
def test_finishing_an_lpi_leaves_the_active_state_of_others(profile: vgic.Profile) -> None:
    guest = booted(profile, lpi5=0x40)
    guest.setup(40, priority=0xA0)
    guest.line(40, True)
    guest.take(40)
    guest.arrive(LPI)
    guest.take(LPI)
    guest.eoi(LPI)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xA0
    assert guest.bit(BANK.ISACTIVER, 40) == 1
    guest.eoi(40)
    assert guest.bit(BANK.ISACTIVER, 40) == 0


@pytest.mark.rule("LPI-20")
@EVERY
def test_lpis_take_their_turn_among_all_other_interrupts(profile: vgic.Profile) -> None:
    guest = booted(profile, lpi0=0xA0, lpi5=0xA0, lpi9=0x80)
    guest.setup(40, 27, priority=0xA0)
    guest.line(40, True)
    guest.line(27, True)
    for intid in (LPI, 8192, 8201):
        guest.arrive(intid)
    order = [8201, 27, 40, 8192, LPI]
    for intid in order:
        guest.take(intid)
        if intid < 1020:
            guest.line(intid, False)
        guest.eoi(intid)
    assert guest.ack() == SPURIOUS


@pytest.mark.rule("LPI-20")
@EVERY
def test_lpis_are_of_group_1(profile: vgic.Profile) -> None:
    guest = booted(profile, lpi5=0xA0)
    group1(guest, False) if profile is not KVM else guest.set_gicd(GICD.CTLR, 0)
    assert guest.arrive(LPI)
    assert not guest.irq()
    guest.set_gicd(GICD.CTLR, 0b10)
    assert (guest.irq(), guest.fiq()) == (True, False)
    guest.enable_group(1, False)
    assert guest.ack(group=0) == SPURIOUS
    guest.enable_group(1, True)
    guest.take(LPI)


@pytest.mark.rule("LPI-20")
def test_lpis_wait_for_a_sleeping_pe() -> None:
    guest = booted(lpi5=0xA0)
    guest.set_gicr(GICR.WAKER, 0b10)
    assert guest.arrive(LPI)
    assert not guest.irq()
    assert guest.gic.wake_request(0)
    guest.set_gicr(GICR.WAKER, 0)
    guest.take(LPI)


@pytest.mark.rule("LPI-20")
def test_masked_and_preempting_lpis() -> None:
    guest = booted(lpi5=0x80, lpi6=0x40)
    guest.msr(vgic.ICC_PMR_EL1, 0x80)
    guest.arrive(LPI)
    assert not guest.irq()
    guest.msr(vgic.ICC_PMR_EL1, 0x88)
    guest.take(LPI)
    guest.arrive(LPI + 1)
    assert guest.irq()
    guest.take(LPI + 1)
    guest.eoi(LPI + 1)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0x80


# Moving.


@pytest.mark.rule("LPI-21")
@EVERY
def test_pending_state_moves_to_another_pe(profile: vgic.Profile) -> None:
    guest = booted(profile, cpus=2, lpi5=0xA0, lpi6=0xA0, lpi7=0xA0)
    first, second = guest.gic.lpis(0), guest.gic.lpis(1)
    for intid in (LPI, LPI + 1, LPI + 2):
        guest.arrive(intid)
    first.move(LPI, second)
    first.move(8192, second)
    guest.gic.check()
    assert (first.is_pending(LPI), second.is_pending(LPI)) == (False, True)
    assert not second.is_pending(8192)
    first.move(LPI + 1, first)
    assert first.is_pending(LPI + 1)
    guest.arrive(LPI + 2, 1)
    first.move_all(second)
    guest.gic.check()
    assert (guest.drain(0), guest.drain(1)) == ([], [LPI, LPI + 1, LPI + 2])


@pytest.mark.rule("LPI-21")
@EVERY
def test_nothing_moves_to_a_pe_that_cannot_take_it(profile: vgic.Profile) -> None:
    guest = booted(profile, cpus=2, lpi5=0xA0)
    guest.enable_lpis(1, enabled=False)
    guest.arrive(LPI)
    guest.gic.lpis(0).move(LPI, guest.gic.lpis(1))
    guest.gic.lpis(0).move_all(guest.gic.lpis(1))
    guest.gic.check()
    assert guest.drain(0) == [LPI]


@pytest.mark.rule("LPI-13")
def test_a_bit_of_the_table_can_be_taken_later() -> None:
    guest = booted(KVM, lpi5=0xA0)
    bank = guest.gic.lpis(0)
    assert not bank.take_from_table(LPI)
    guest.set_table_bit(LPI)
    assert bank.take_from_table(LPI)
    assert guest.table_bit(LPI) == 0
    assert guest.drain() == [LPI]


# Whatever a guest does.


@pytest.mark.rule("LPI-22", "MEM-1")
@EVERY
@pytest.mark.parametrize("address", [0, 0x3FFF_0000, 0x4000_0000 - 0x2000, 0x4001_F000, 0xF_FFFF_FFFF_0000])
def test_tables_may_be_anywhere(profile: vgic.Profile, address: int) -> None:
    guest = LpiGuest(profile=profile)
    before = guest.ram.read(RAM, guest.ram.size)
    guest.boot()
    guest.set_gicr(GICR.PROPBASER, address | 31, 8)
    guest.set_gicr(GICR.PENDBASER, address, 8)
    guest.enable_lpis()
    for intid in (8192, 8193, 65_535):
        guest.arrive(intid)
        guest.invalidate(intid)
    guest.invalidate_all()
    guest.enable_lpis(enabled=False)
    guest.enable_lpis()
    assert guest.drain() == []
    if address + 65_536 <= RAM:
        assert guest.ram.read(RAM, guest.ram.size) == before


@pytest.mark.rule("LPI-22")
@EVERY
def test_a_table_that_ends_with_the_ram_is_read_as_far_as_it_goes(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile, id_bits=16)
    end = guest.ram.end
    guest.configure(8192 + 100)
    guest.configure(60_000)
    guest.boot()
    guest.set_gicr(GICR.PROPBASER, RAM | 15, 8)
    table = end - 0x1000 & ~0xFFFF
    guest.set_gicr(GICR.PENDBASER, table, 8)
    for intid in (8192 + 100, 60_000):
        guest.ram.write(table + intid // 8, bytes([1 << intid % 8]))
    guest.enable_lpis()
    assert guest.drain() == [8292, 60_000]


@pytest.mark.rule("LPI-22")
@EVERY
def test_a_configuration_table_that_ends_with_the_ram_is_read_as_far_as_it_goes(profile: vgic.Profile) -> None:
    ram = vgic.Ram.zeroed(RAM, 0x1_0864)
    guest = Guest(profile=profile, lpis=True, memory=ram).boot()
    ram.write(RAM + 0x1_0000, b"\xa1" * 0x864)
    ram.write(RAM + 1024 + 0x858 // 8, b"\xff" * 4)
    guest.set_gicr(GICR.PROPBASER, RAM + 0x1_0000 | 13, 8)
    guest.set_gicr(GICR.PENDBASER, RAM, 8)
    guest.set_gicr(GICR.CTLR, ENABLE_LPIS)
    taken: list[int] = []
    while (intid := guest.ack()) != SPURIOUS:
        taken.append(intid)
        guest.eoi(intid)
    assert taken == [8192 + place for place in range(0x858, 0x864)]


@pytest.mark.rule("LPI-22")
@EVERY
def test_every_lpi_pending_at_once(profile: vgic.Profile) -> None:
    guest = LpiGuest(profile=profile)
    guest.ram.write(RAM, b"\xa1" * 8192)
    guest.ram.write(guest.pending_table(), b"\xff" * 2048)
    guest.boot_lpis()
    assert all(guest.gic.lpis(0).is_pending(intid) for intid in (8192, 9000, 16_383))
    guest.take(8192)
    guest.ram.write(RAM, b"\x00" * 8192)
    guest.invalidate_all()
    assert not guest.irq()
    guest.enable_lpis(enabled=False)
    assert guest.gic.lpis(0).pending == {}


@pytest.mark.rule("LPI-23")
def test_an_lpi_takes_one_byte_once_configuration_is_needed() -> None:
    gic = vgic.Gic(vgic.Config(Topology([0]), lpis=True), memory=vgic.Ram.zeroed(RAM, 0x2_0000))
    base = gic.redistributor_bases[0]
    gic.write(base + GICR.PROPBASER, 8, RAM | 15)
    gic.write(base + GICR.PENDBASER, 8, RAM + 0x1_0000)
    bank = gic.lpis(0)
    tracemalloc.start()
    try:
        gic.write(base, 4, ENABLE_LPIS)
        nothing, _ = tracemalloc.get_traced_memory()
        for intid in range(8192, 65_536):
            bank.make_pending(intid)
            bank.clear_pending(intid)
        everything, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert nothing < 4096
    assert 57_344 <= everything - nothing < 57_344 + 8192


@pytest.mark.rule("LPI-23")
def test_a_vm_without_lpis_holds_nothing_of_them() -> None:
    gic = vgic.Gic(vgic.Config(Topology([0])))
    with pytest.raises(vgic.ConfigError, match="no LPIs"):
        gic.lpis(0)
    assert vgic.Gic(vgic.Config(Topology([0]), lpis=True)).lpis(0).configuration.cached == {}


# Views.


@pytest.mark.rule("LPI-25")
def test_a_view_shows_and_drives_an_lpi() -> None:
    guest = booted(cpus=2, lpi5=0x80)
    view = guest.gic.lpi(1, LPI)
    assert (view.intid, view.pending, view.enabled, view.group, view.priority, view.target) == (
        LPI,
        False,
        True,
        1,
        0x80,
        1,
    )
    assert str(view) == "INTID 8197: enabled; group 1, priority 0x80, LPI of vCPU 1"
    assert view.set_pending()
    assert view.pending
    assert not guest.gic.lpi(0, LPI).pending
    guest.configure(LPI, 0x40, enabled=False)
    assert (view.enabled, view.priority) == (True, 0x80)
    assert view.clear_pending()
    assert not view.pending
    other = guest.gic.lpi(1, 8192 + 6)
    guest.configure(8192 + 6, 0x40, enabled=False)
    assert (other.enabled, other.priority) == (False, 0x40)
    guest.configure(8192 + 6, 0x40)
    assert other.enabled  # Looking does not cache.
    assert not guest.gic.lpi(1, 65_535).enabled


@pytest.mark.rule("LPI-25")
@pytest.mark.parametrize(
    ("cpu", "intid", "message"),
    [(0, 8191, "no LPI 8191"), (0, 65_536, "8192 to 65535"), (2, 8192, "no vCPU 2"), (0, -1, "no LPI -1")],
)
def test_an_lpi_that_cannot_be_is_refused(cpu: int, intid: int, message: str) -> None:
    with pytest.raises(vgic.ConfigError, match=message):
        booted(cpus=2).gic.lpi(cpu, intid)
