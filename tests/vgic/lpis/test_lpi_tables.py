"""What a VM has of LPIs: their registers, EnableLPIs, and the pending table."""

import pytest

import vgic
from guest import Guest
from lpi_guest import PTZ, RAM, LpiGuest, booted
from offsets import GICD, GICR
from vgic import ARCH, KVM, QEMU, Topology

LPI = 8192 + 5
ALL = (1 << 64) - 1
EVERY = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)


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
