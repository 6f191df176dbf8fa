"""The state of an interrupt: pending, enabled, active, level and edge."""

import pytest

import vgic
from guest import Guest
from offsets import BANK
from vgic import ARCH, ICC_SGI1R_EL1, KVM, QEMU

KINDS = pytest.mark.parametrize("intid", [27, 32, 95], ids=["ppi", "first-spi", "last-spi"])


@pytest.mark.rule("STATE-1")
@KINDS
def test_a_level_is_pending_while_the_line_is_high(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid)
    guest.line(intid, True)
    assert guest.bit(BANK.ISPENDR, intid) == guest.bit(BANK.ICPENDR, intid) == 1
    assert guest.irq()
    guest.line(intid, False)
    assert guest.bit(BANK.ISPENDR, intid) == guest.bit(BANK.ICPENDR, intid) == 0
    assert not guest.irq()
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("STATE-4")
@KINDS
def test_an_edge_stays_pending_when_the_line_falls(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid, edge=True)
    guest.pulse(intid)
    assert guest.bit(BANK.ISPENDR, intid) == 1
    guest.take(intid)
    guest.eoi(intid)
    assert guest.bit(BANK.ISPENDR, intid) == 0
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("STATE-4")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_only_a_rise_is_an_edge(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile).boot()
    guest.setup(40, edge=True)
    guest.line(40, True)
    guest.take(40)
    guest.eoi(40)
    guest.line(40, True)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    guest.line(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    guest.line(40, True)
    guest.take(40)


@pytest.mark.rule("STATE-4")
def test_edges_coalesce() -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    for _ in range(3):
        guest.pulse(40)
    guest.take(40)
    guest.eoi(40)
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("STATE-2", "STATE-10")
@KINDS
def test_a_disabled_interrupt_is_pending_but_not_forwarded(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid)
    guest.set_bit(BANK.ICENABLER, intid)
    guest.line(intid, True)
    assert guest.bit(BANK.ISPENDR, intid) == 1
    assert not guest.irq()
    assert guest.ack() == vgic.SPURIOUS
    guest.set_bit(BANK.ISENABLER, intid)
    assert guest.irq()
    guest.set_bit(BANK.ICENABLER, intid)
    assert not guest.irq()
    assert guest.bit(BANK.ISPENDR, intid) == 1


@pytest.mark.rule("STATE-10")
def test_disabling_leaves_an_active_interrupt_active() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.line(40, True)
    guest.take(40)
    guest.set_bit(BANK.ICENABLER, 40)
    assert guest.bit(BANK.ISACTIVER, 40) == 1
    guest.eoi(40)
    assert guest.bit(BANK.ISACTIVER, 40) == 0
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("STATE-3")
@pytest.mark.parametrize("edge", [False, True], ids=["level", "edge"])
def test_a_written_pending_bit_lasts_until_it_is_acknowledged(edge: bool) -> None:
    guest = Guest().boot()
    guest.setup(40, edge=edge)
    guest.set_bit(BANK.ISPENDR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.take(40)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    guest.eoi(40)
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("STATE-3")
def test_a_bit_written_while_the_line_is_high_outlives_the_line() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.line(40, True)
    guest.set_bit(BANK.ISPENDR, 40)
    guest.line(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.take(40)


@pytest.mark.rule("STATE-3")
def test_a_clear_cannot_lower_a_line() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.line(40, True)
    guest.set_bit(BANK.ISPENDR, 40)
    guest.set_bit(BANK.ICPENDR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.line(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 0


@pytest.mark.rule("STATE-3")
def test_a_clear_removes_an_edge() -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.line(40, True)
    guest.set_bit(BANK.ICPENDR, 40)
    assert guest.bit(BANK.ISPENDR, 40) == 0
    assert not guest.irq()


@pytest.mark.rule("STATE-2", "STATE-5")
@KINDS
def test_a_level_that_stays_high_is_active_and_pending_and_comes_again(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid)
    guest.line(intid, True)
    guest.take(intid)
    assert guest.bit(BANK.ISACTIVER, intid) == guest.bit(BANK.ICACTIVER, intid) == 1
    assert guest.bit(BANK.ISPENDR, intid) == 1
    assert not guest.irq()
    assert guest.ack() == vgic.SPURIOUS
    guest.eoi(intid)
    assert guest.bit(BANK.ISACTIVER, intid) == 0
    assert guest.irq()
    guest.take(intid)


@pytest.mark.rule("STATE-2", "STATE-6")
@KINDS
def test_an_edge_while_active_waits_for_deactivation(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid, edge=True)
    guest.pulse(intid)
    guest.take(intid)
    assert guest.bit(BANK.ISPENDR, intid) == 0
    guest.pulse(intid)
    assert guest.bit(BANK.ISPENDR, intid) == 1
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == vgic.SPURIOUS
    assert guest.ack() == vgic.SPURIOUS
    guest.eoi(intid)
    guest.take(intid)


@pytest.mark.rule("STATE-2", "STATE-11")
@KINDS
def test_a_written_active_bit_holds_the_interrupt_back(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid)
    guest.line(intid, True)
    guest.set_bit(BANK.ISACTIVER, intid)
    assert guest.bit(BANK.ICACTIVER, intid) == 1
    assert not guest.irq()
    assert guest.mrs(vgic.ICC_AP1R0_EL1) == 0
    guest.set_bit(BANK.ICACTIVER, intid)
    assert guest.bit(BANK.ISACTIVER, intid) == 0
    assert guest.irq()


@pytest.mark.rule("STATE-11")
def test_clearing_an_active_bit_leaves_the_active_priority() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.line(40, True)
    guest.take(40)
    guest.set_bit(BANK.ICACTIVER, 40)
    assert guest.mrs(vgic.ICC_AP1R0_EL1) == 1 << (0xA0 >> 3)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == 40
    assert guest.ack() == vgic.SPURIOUS


@pytest.mark.rule("STATE-7", "DIST-12")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_the_line_is_remembered_across_a_change_of_trigger(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile).boot()
    guest.setup(40, edge=True)
    guest.line(40, True)
    guest.set_bit(BANK.ICPENDR, 40)
    guest.set_edge(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.set_edge(40, True)
    assert guest.bit(BANK.ISPENDR, 40) == 0


@pytest.mark.rule("STATE-7")
def test_a_latch_outlives_a_change_of_trigger() -> None:
    guest = Guest().boot()
    guest.setup(40, edge=True)
    guest.pulse(40)
    guest.set_edge(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.take(40)


@pytest.mark.rule("STATE-7")
def test_a_change_of_trigger_takes_effect_at_once() -> None:
    guest = Guest().boot()
    guest.setup(40)
    guest.line(40, True)
    assert guest.irq()
    guest.set_edge(40, True)
    assert not guest.irq()
    guest.set_edge(40, False)
    assert guest.irq()


@pytest.mark.rule("STATE-8")
def test_qemu_leaves_a_change_of_trigger_until_it_next_looks() -> None:
    guest = Guest(profile=QEMU).boot()
    guest.setup(40, 41, edge=True)
    guest.line(40, True)
    guest.set_bit(BANK.ICPENDR, 40)
    guest.set_edge(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    assert not guest.irq()
    # Losing the best interrupt makes it look at all of them.
    guest.pulse(41)
    guest.set_bit(BANK.ICPENDR, 41)
    assert guest.irq()
    guest.take(40)


def deferring() -> Guest:
    """Two vCPUs, and SPI 40 to vCPU 0 at priority 0x40, pending since its trigger changed and not looked at yet.

    The other SPIs are in another word: a write of a register has all 32 of a word looked at.
    """
    guest = Guest(2, profile=QEMU).boot()
    guest.setup(40, priority=0x40, edge=True)
    guest.setup(66, 67, 68, priority=0x80, edge=True)
    guest.setup(64, priority=0xC0, edge=True)
    guest.setup(65, priority=0x60, edge=True)
    guest.route(67, 1)
    guest.line(40, True)
    guest.set_bit(BANK.ICPENDR, 40)
    guest.set_edge(40, False)
    assert not guest.irq()
    return guest


@pytest.mark.rule("STATE-8")
@pytest.mark.parametrize("cpu", [0, 1])
def test_qemu_does_not_look_when_a_pe_gains_an_interrupt_or_loses_another_than_its_best(cpu: int) -> None:
    guest = deferring()
    best = 66 + cpu
    guest.pulse(best)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, cpu) == best
    guest.route(64, cpu)
    guest.pulse(64)
    guest.set_bit(BANK.ICPENDR, 64)
    # A better one takes the place of the best, which loses nothing.
    guest.route(65, cpu)
    guest.pulse(65)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, cpu) == 65
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, 0) == (65 if cpu == 0 else vgic.SPURIOUS)


@pytest.mark.rule("STATE-8")
@pytest.mark.parametrize("change", ["priority", "route"])
def test_qemu_does_not_look_when_what_goes_away_would_have_become_the_best(change: str) -> None:
    guest = deferring()
    guest.setup(69, priority=0xC0)
    guest.route(69, 1)
    guest.pulse(67)
    guest.line(69, True)
    # It is pending no longer, which shows when it is looked at.
    guest.set_edge(69, True)
    if change == "priority":
        guest.set_priority(69, 0x20)
    else:
        guest.route(69, 0)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, 1) == 67
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, 0) == vgic.SPURIOUS


@pytest.mark.rule("STATE-8")
@pytest.mark.parametrize("cpu", [0, 1])
@pytest.mark.parametrize("loss", ["taken", "cleared", "disabled"])
def test_qemu_looks_when_a_pe_loses_its_best_interrupt(cpu: int, loss: str) -> None:
    """Whichever PE, and whether or not it has another one left."""
    guest = deferring()
    best = 66 + cpu
    guest.route(68, cpu)
    guest.pulse(best)
    guest.pulse(68)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, 0) == (best if cpu == 0 else vgic.SPURIOUS)
    match loss:
        case "taken":
            guest.take(best, cpu)
        case "cleared":
            guest.set_bit(BANK.ICPENDR, best)
        case "disabled":
            guest.set_bit(BANK.ICENABLER, best)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, 0) == 40


@pytest.mark.rule("STATE-8")
def test_qemu_does_not_look_when_a_line_keeps_its_level() -> None:
    guest = Guest(profile=QEMU).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.set_edge(40, True)
    guest.line(40, True)
    assert guest.irq()
    guest.line(40, False)
    assert not guest.irq()


@pytest.mark.rule("STATE-8")
def test_qemu_looks_when_the_distributor_is_enabled() -> None:
    guest = Guest(profile=QEMU).boot()
    guest.setup(40, edge=True)
    guest.line(40, True)
    guest.set_bit(BANK.ICPENDR, 40)
    guest.set_edge(40, False)
    guest.set_gicd(0, 0b11)
    assert guest.irq()


@pytest.mark.rule("STATE-9")
def test_kvm_does_not_record_a_line_while_edge_triggered() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(40, edge=True)
    guest.line(40, True)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.set_bit(BANK.ICPENDR, 40)
    guest.set_edge(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 0


@pytest.mark.rule("STATE-9")
def test_kvm_takes_every_high_for_an_edge() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.set_edge(40, True)
    for _ in range(2):
        guest.line(40, True)
        guest.take(40)
        guest.eoi(40)
    guest.line(40, False)
    guest.set_edge(40, False)
    assert guest.bit(BANK.ISPENDR, 40) == 1


@pytest.mark.rule("STATE-16")
def test_kvm_keeps_the_latch_of_a_level_until_it_is_deactivated() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(40)
    guest.set_bit(BANK.ISPENDR, 40)
    guest.take(40)
    assert guest.bit(BANK.ISPENDR, 40) == 1
    guest.set_bit(BANK.ICACTIVER, 40)
    assert not guest.irq()
    guest.eoi(40)
    guest.take(40)
    guest.set_bit(BANK.ISPENDR, 40)
    guest.eoi(40)
    assert (guest.irq(), guest.bit(BANK.ISPENDR, 40)) == (False, 0)
    # A line that is high is another matter, and so is an edge.
    guest.line(40, True)
    guest.take(40)
    guest.eoi(40)
    assert guest.irq()
    guest.setup(41, edge=True, priority=0x40)
    guest.set_bit(BANK.ISPENDR, 41)
    guest.take(41)
    assert guest.bit(BANK.ISPENDR, 41) == 0
    guest.set_bit(BANK.ISPENDR, 41)
    guest.eoi(41)
    guest.take(41)


@pytest.mark.rule("STATE-17")
def test_kvm_overlooks_what_is_pending_when_the_distributor_is_enabled() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(20, 40, 41)
    guest.line(40, True)
    guest.set_gicd(0, 0)
    guest.line(20, True)
    guest.line(41, True)
    guest.set_gicd(0, 0b10)
    assert not guest.irq()
    assert [guest.bit(BANK.ISPENDR, intid) for intid in (20, 40, 41)] == [1, 1, 1]
    # A write of 0s reaches nothing.
    guest.write(guest.bank(40) + BANK.ISENABLER + 4, 0)
    guest.set_bit(BANK.ICPENDR, 40)
    guest.set_priority(40, 0)
    assert not guest.irq()
    guest.set_gicd(0, 0b10)
    assert not guest.irq()


@pytest.mark.rule("STATE-17")
@pytest.mark.parametrize("array", [BANK.ISENABLER, BANK.ISPENDR, BANK.IGROUPR, BANK.ISACTIVER])
@pytest.mark.parametrize("intid", [20, 40])
def test_kvm_notices_what_happens_to_an_interrupt(intid: int, array: int) -> None:
    guest = Guest(profile=KVM)
    guest.setup(intid)
    guest.line(intid, True)
    guest.boot()
    assert not guest.irq()
    guest.set_bit(array, intid)
    if array == BANK.ISACTIVER:
        guest.set_bit(BANK.ICACTIVER, intid)
    assert guest.irq()
    # One of its neighbours is not meant, but by IGROUPR.
    guest.set_gicd(0, 0)
    guest.set_gicd(0, 0b10)
    guest.set_bit(array, intid + 1)
    assert any(guest.gic.outputs(0)) == (array == BANK.IGROUPR)


@pytest.mark.rule("STATE-17")
@pytest.mark.parametrize("edge", [False, True])
def test_kvm_notices_a_change_of_the_line_and_an_sgi(edge: bool) -> None:
    guest = Guest(profile=KVM)
    guest.setup(40, edge=edge)
    guest.set_bit(BANK.ISPENDR, 40)
    guest.boot()
    guest.line(40, False)
    assert not guest.irq()
    guest.line(40, True)
    guest.take(40)
    guest.eoi(40)
    guest.set_bit(BANK.ISPENDR, 3)
    guest.set_gicd(0, 0)
    guest.set_gicd(0, 0b10)
    guest.line(40, False)
    assert not guest.irq()
    guest.msr(ICC_SGI1R_EL1, 3 << 24 | 1)
    guest.take(3)


@pytest.mark.rule("STATE-17")
def test_kvm_does_not_overlook_what_was_active() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(40)
    guest.line(40, True)
    guest.take(40)
    guest.set_gicd(0, 0)
    guest.set_gicd(0, 0b10)
    guest.eoi(40)
    assert guest.irq()


@pytest.mark.rule("STATE-17")
def test_kvm_overlooks_a_route_and_a_trigger() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(40, 41)
    guest.route(40, 7)
    guest.line(40, True)
    guest.route(40, 0)
    assert not guest.irq()
    guest.set_bit(BANK.ISENABLER, 40)
    guest.take(40)
    guest.line(41, True)
    guest.eoi(40)
    guest.line(40, False)
    guest.set_edge(41, True)
    assert not guest.irq()
    guest.set_edge(41, False)
    assert (guest.irq(), guest.bit(BANK.ISPENDR, 41)) == (False, 1)
    guest.set_bit(BANK.ISENABLER, 41)
    assert guest.irq()


@pytest.mark.rule("STATE-17")
def test_what_kvm_overlooks_is_saved() -> None:
    guest = Guest(profile=KVM)
    guest.setup(20, 40, 41)
    for intid in (20, 40, 41):
        guest.line(intid, True)
    guest.boot()
    guest.set_bit(BANK.ISENABLER, 41)
    other = Guest(profile=KVM)
    other.gic.restore(guest.gic.save())
    other.take(41)
    other.eoi(41)
    other.take(41)
    other.line(41, False)
    other.eoi(41)
    assert not other.irq()
    # The Distributor of a saved VM may be disabled.
    guest.set_gicd(0, 0)
    other.gic.restore(guest.gic.save())
    other.set_bit(BANK.ISENABLER, 40)
    other.set_gicd(0, 0b10)
    assert not other.irq()


@pytest.mark.rule("STATE-12")
def test_a_new_priority_reorders_what_is_pending() -> None:
    guest = Guest().boot()
    guest.setup(40, 41, priority=0x80)
    guest.line(40, True)
    guest.line(41, True)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == 40
    guest.set_priority(41, 0x40)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1) == 41
    guest.set_priority(41, 0x90)
    guest.take(40)


@pytest.mark.rule("STATE-12")
def test_a_new_priority_does_not_change_the_running_priority() -> None:
    guest = Guest().boot()
    guest.setup(40, priority=0x80)
    guest.line(40, True)
    guest.take(40)
    guest.set_priority(40, 0x20)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0x80
    guest.eoi(40)
    assert guest.mrs(vgic.ICC_RPR_EL1) == 0xFF


@pytest.mark.rule("STATE-13")
@KINDS
def test_a_pending_interrupt_follows_a_change_of_group(intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid)
    guest.line(intid, True)
    assert guest.gic.outputs(0) == (True, False)
    guest.set_group(intid, 0)
    assert guest.gic.outputs(0) == (False, True)
    assert guest.ack() == vgic.SPURIOUS
    guest.take(intid, group=0)


@pytest.mark.rule("ACC-8")
@KINDS
@pytest.mark.parametrize(
    ("set_register", "clear_register"),
    [
        (BANK.ISENABLER, BANK.ICENABLER),
        (BANK.ISPENDR, BANK.ICPENDR),
        (BANK.ISACTIVER, BANK.ICACTIVER),
    ],
    ids=["enable", "pending", "active"],
)
def test_set_and_clear_registers_show_the_same_bits(intid: int, set_register: int, clear_register: int) -> None:
    guest = Guest()
    address = guest.bank(intid) + intid // 32 * 4
    guest.write(address + set_register, 0x5000_0101)
    assert guest.read(address + set_register) == guest.read(address + clear_register) == 0x5000_0101
    guest.write(address + set_register, 0x0000_0010)
    guest.write(address + clear_register, 0x4000_0001)
    assert guest.read(address + set_register) == guest.read(address + clear_register) == 0x1000_0110
    guest.write(address + set_register, 0)
    guest.write(address + clear_register, 0)
    assert guest.read(address + set_register) == 0x1000_0110


@pytest.mark.rule("STATE-5")
@KINDS
@pytest.mark.parametrize("latched", ["edge", "ISPENDR of an edge", "ISPENDR of a level"])
def test_acknowledging_clears_the_latch(latched: str, intid: int) -> None:
    guest = Guest().boot()
    guest.setup(intid, edge="edge" in latched)
    if latched == "edge":
        guest.pulse(intid)
    else:
        guest.set_bit(BANK.ISPENDR, intid)
    guest.take(intid)
    assert (guest.bit(BANK.ISPENDR, intid), guest.bit(BANK.ISACTIVER, intid)) == (0, 1)
    guest.eoi(intid)
    assert (guest.bit(BANK.ISPENDR, intid), guest.bit(BANK.ISACTIVER, intid)) == (0, 0)
    assert guest.ack() == vgic.SPURIOUS
