"""LPIs in the Redistributor and the CPU interface; an ITS is not needed for any of it."""

import tracemalloc

import pytest

import vgic
from guest import SPURIOUS, Guest
from lpi_guest import ENABLE_LPIS, RAM, LpiGuest, booted, group1
from offsets import BANK, GICD, GICR
from vgic import ARCH, KVM, QEMU, Topology

LPI = 8192 + 5
EVERY = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)


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
    if profile is KVM:
        # It overlooks what was pending (STATE-17).
        assert not guest.irq()
        assert guest.arrive(LPI)
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
def test_pieces_without_a_pending_lpi_are_given_back() -> None:
    gic = vgic.Gic(vgic.Config(Topology([0]), lpis=True), memory=vgic.Ram.zeroed(RAM, 0x2_0000))
    base = gic.redistributor_bases[0]
    gic.write(base + GICR.PROPBASER, 8, RAM | 15)
    gic.write(base + GICR.PENDBASER, 8, RAM + 0x1_0000)
    gic.write(base, 4, ENABLE_LPIS)
    bank = gic.lpis(0)
    for intid in range(8192, 65_536, 4096):
        assert bank.make_pending(intid)
        assert bank.clear_pending(intid)
        assert not bank.pieces
        assert not bank.is_pending(intid)
    # What is kept of one is nothing to another.
    assert bank.make_pending(9000)
    assert bank.pending == {9000: bank.configuration_of(9000)}


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
    # Still by the configuration that was read when it became pending.
    assert (view.enabled, view.priority) == (True, 0x80)
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
