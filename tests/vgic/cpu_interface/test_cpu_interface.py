"""The CPU interface: choosing, acknowledging, priority drop and deactivation, and its reset."""

import pytest

import vgic
from guest import Guest
from offsets import BANK, GICR
from vgic import (
    ARCH,
    ICC_AP0R0_EL1,
    ICC_AP1R0_EL1,
    ICC_BPR0_EL1,
    ICC_BPR1_EL1,
    ICC_CTLR_EL1,
    ICC_DIR_EL1,
    ICC_EOIR0_EL1,
    ICC_EOIR1_EL1,
    ICC_HPPIR0_EL1,
    ICC_HPPIR1_EL1,
    ICC_IAR0_EL1,
    ICC_IAR1_EL1,
    ICC_IGRPEN0_EL1,
    ICC_IGRPEN1_EL1,
    ICC_PMR_EL1,
    ICC_RPR_EL1,
    KVM,
    QEMU,
    SPURIOUS,
)

EOI_MODE = 1 << 1
LPI = 8192


def pending(profile: vgic.Profile = ARCH, **groups: int) -> Guest:
    """A booted guest with high lines: `group0` and `group1` say at which priority, for INTIDs 40 and 41."""
    guest = Guest(profile=profile).boot()
    for intid, group in ((40, 0), (41, 1)):
        if f"group{group}" in groups:
            guest.setup(intid, group=group, priority=groups[f"group{group}"])
            guest.line(intid, True)
    return guest


@pytest.mark.rule("CPU-1")
def test_group_0_is_fiq_and_group_1_is_irq() -> None:
    assert pending(group0=0x80).gic.outputs(0) == (False, True)
    assert pending(group1=0x80).gic.outputs(0) == (True, False)


@pytest.mark.rule("CPU-1")
@pytest.mark.parametrize(("group0", "group1"), [(0x80, 0x90), (0x90, 0x80)])
def test_only_the_best_interrupt_is_signalled(group0: int, group1: int) -> None:
    guest = pending(group0=group0, group1=group1)
    assert guest.gic.outputs(0) == (group1 < group0, group0 < group1)


@pytest.mark.rule("CPU-2", "CPU-3", "CPU-6", "CPU-18")
@pytest.mark.parametrize(
    ("profile", "hidden"), [(ARCH, False), (KVM, False), (QEMU, True)], ids=["arch", "kvm", "qemu"]
)
def test_whether_a_disabled_group_hides_the_other(profile: vgic.Profile, hidden: bool) -> None:
    guest = pending(profile, group0=0x40, group1=0x80)
    guest.enable_group(0, False)
    assert guest.gic.outputs(0) == (not hidden, False)
    assert guest.mrs(ICC_HPPIR0_EL1) == SPURIOUS
    assert guest.mrs(ICC_HPPIR1_EL1) == (SPURIOUS if hidden else 41)
    assert guest.ack(group=0) == SPURIOUS
    assert guest.ack() == (SPURIOUS if hidden else 41)


@pytest.mark.rule("CPU-2", "CPU-18")
@pytest.mark.parametrize("group", [0, 1])
def test_a_group_that_the_cpu_interface_disables_is_not_signalled(group: int) -> None:
    guest = pending(**{f"group{group}": 0x80})
    guest.enable_group(group, False)
    assert guest.gic.outputs(0) == (False, False)
    assert guest.ack(group=group) == SPURIOUS
    assert guest.mrs((ICC_HPPIR0_EL1, ICC_HPPIR1_EL1)[group]) == SPURIOUS
    assert guest.bit(BANK.ISPENDR, 40 + group) == 1
    guest.enable_group(group, True)
    assert guest.ack(group=group) == 40 + group


@pytest.mark.rule("CPU-4")
def test_acknowledging_takes_the_interrupt() -> None:
    guest = Guest().boot()
    guest.setup(41, priority=0x80, edge=True)
    guest.pulse(41)
    assert guest.ack() == 41
    assert (guest.bit(BANK.ISPENDR, 41), guest.bit(BANK.ISACTIVER, 41)) == (0, 1)
    assert guest.mrs(ICC_RPR_EL1) == 0x80
    assert guest.mrs(ICC_AP1R0_EL1) == 1 << 16
    assert guest.mrs(ICC_AP0R0_EL1) == 0
    assert not guest.irq()


@pytest.mark.rule("CPU-4")
@pytest.mark.parametrize("group", [0, 1])
def test_acknowledging_nothing_changes_nothing(group: int) -> None:
    guest = Guest().boot()
    assert guest.ack(group=group) == SPURIOUS
    assert guest.mrs(ICC_RPR_EL1) == 0xFF


@pytest.mark.rule("CPU-5")
def test_the_other_groups_register_does_not_take_the_best_interrupt() -> None:
    guest = pending(group0=0x40, group1=0x80)
    assert guest.ack(group=1) == SPURIOUS
    assert guest.mrs(ICC_HPPIR1_EL1) == SPURIOUS
    assert guest.bit(BANK.ISACTIVER, 41) == 0
    assert guest.fiq()
    assert guest.ack(group=0) == 40


@pytest.mark.rule("CPU-6")
def test_hppir_ignores_pmr_and_what_is_running() -> None:
    guest = pending(group1=0x80)
    guest.msr(ICC_PMR_EL1, 0)
    assert guest.mrs(ICC_HPPIR1_EL1) == 41
    guest.msr(ICC_PMR_EL1, 0xFF)
    guest.setup(42, priority=0xC0)
    guest.line(42, True)
    guest.take(41)
    assert guest.mrs(ICC_HPPIR1_EL1) == 42
    assert guest.gic.highest_pending(0) == (42, 1, 0xC0)


@pytest.mark.rule("CPU-6", "DIST-2")
def test_hppir_honours_the_distributors_enables() -> None:
    guest = pending(group1=0x80)
    guest.set_gicd(0, 0b01)
    assert guest.mrs(ICC_HPPIR1_EL1) == SPURIOUS
    assert guest.gic.highest_pending(0) is None
    guest.set_gicd(0, 0b10)
    guest.set_bit(BANK.ICENABLER, 41)
    assert guest.mrs(ICC_HPPIR1_EL1) == SPURIOUS


@pytest.mark.rule("CPU-7", "CPU-8")
def test_running_priority_is_that_of_the_highest_active() -> None:
    guest = Guest().boot()
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    guest.setup(40, priority=0xC0)
    guest.setup(41, priority=0x48, group=0)
    guest.line(40, True)
    guest.take(40)
    guest.line(41, True)
    guest.take(41, group=0)
    assert guest.mrs(ICC_RPR_EL1) == 0x48
    assert guest.mrs(ICC_AP0R0_EL1) == 1 << (0x48 >> 3)
    assert guest.mrs(ICC_AP1R0_EL1) == 1 << (0xC0 >> 3)
    guest.eoi(41, group=0)
    assert guest.mrs(ICC_RPR_EL1) == 0xC0
    guest.eoi(40)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF


@pytest.mark.rule("CPU-8")
def test_active_priorities_can_be_restored() -> None:
    guest = pending(group1=0x80)
    guest.msr(ICC_AP1R0_EL1, 1 << 8)
    assert guest.mrs(ICC_RPR_EL1) == 0x40
    assert not guest.irq()
    guest.msr(ICC_AP1R0_EL1, 1 << 20)
    assert guest.irq()
    guest.msr(ICC_AP0R0_EL1, 1 << 4)
    assert guest.mrs(ICC_RPR_EL1) == 0x20
    assert not guest.irq()
    guest.msr(ICC_AP0R0_EL1, 0)
    guest.msr(ICC_AP1R0_EL1, 0)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert guest.irq()


@pytest.mark.rule("CPU-9", "STATE-5")
@pytest.mark.parametrize("group", [0, 1])
def test_eoir_drops_the_priority_and_deactivates(group: int) -> None:
    guest = pending(**{f"group{group}": 0x80})
    intid = 40 + group
    guest.take(intid, group=group)
    guest.line(intid, False)
    guest.eoi(intid, group=group)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert guest.bit(BANK.ISACTIVER, intid) == 0


@pytest.mark.rule("CPU-9")
def test_eoir_drops_the_highest_active_priority_whatever_is_written() -> None:
    guest = Guest().boot()
    guest.setup(40, priority=0xC0, edge=True)
    guest.setup(41, priority=0x40, edge=True)
    for intid in (40, 41):
        guest.pulse(intid)
        guest.take(intid)
    guest.eoi(40)
    assert guest.mrs(ICC_RPR_EL1) == 0xC0
    assert (guest.bit(BANK.ISACTIVER, 40), guest.bit(BANK.ISACTIVER, 41)) == (0, 1)
    guest.eoi(41)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert guest.bit(BANK.ISACTIVER, 41) == 0


@pytest.mark.rule("CPU-9")
@pytest.mark.parametrize("eoi_mode", [False, True])
@pytest.mark.parametrize(
    "written",
    [
        pytest.param(0, id="an SGI that is idle"),
        pytest.param(27, id="a PPI that is idle"),
        pytest.param(33, id="an SPI that is disabled"),
        pytest.param(42, id="an SPI that is pending"),
        pytest.param(43, id="an SPI of the other group"),
        pytest.param(40, id="the active one of a lower priority"),
    ],
)
def test_eoir_drops_the_highest_active_priority_even_if_another_intid_is_written(
    written: int, eoi_mode: bool
) -> None:
    guest = Guest().boot()
    guest.msr(ICC_CTLR_EL1, 2 if eoi_mode else 0)
    guest.setup(43, priority=0xE0, group=0, edge=True)
    guest.setup(42, priority=0xE8, edge=True)
    for intid, priority in ((40, 0xC0), (41, 0x40)):
        guest.setup(intid, priority=priority, edge=True)
        guest.pulse(intid)
        guest.take(intid)
    guest.pulse(42)
    guest.pulse(43)
    before = guest.gicd(BANK.ISACTIVER + 4), guest.gicd(BANK.ISPENDR + 4)
    guest.eoi(written)
    assert guest.mrs(ICC_RPR_EL1) == 0xC0
    # With EOImode 0 what was named is deactivated, if it was active; nothing else is.
    named = 1 << written - 32 if written == 40 and not eoi_mode else 0
    assert (guest.gicd(BANK.ISACTIVER + 4), guest.gicd(BANK.ISPENDR + 4)) == (before[0] & ~named, before[1])
    guest.eoi(written)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF


@pytest.mark.rule("CPU-10")
@pytest.mark.parametrize("intid", [96, 1019, 1020, 1021, 1022, 1023, LPI, 0xFF_FFFF])
def test_eoir_of_an_intid_that_does_not_exist_is_ignored(intid: int) -> None:
    guest = pending(group1=0x80)
    guest.take(41)
    guest.eoi(intid)
    assert guest.mrs(ICC_RPR_EL1) == 0x80
    assert guest.bit(BANK.ISACTIVER, 41) == 1


@pytest.mark.rule("CPU-10")
@pytest.mark.parametrize("group", [0, 1])
def test_eoir_of_the_other_group_is_ignored(group: int) -> None:
    guest = pending(**{f"group{group}": 0x80})
    guest.take(40 + group, group=group)
    guest.eoi(40 + group, group=1 - group)
    assert guest.mrs(ICC_RPR_EL1) == 0x80
    assert guest.bit(BANK.ISACTIVER, 40 + group) == 1


@pytest.mark.rule("CPU-10")
def test_eoir_with_nothing_active_is_ignored() -> None:
    guest = Guest().boot()
    guest.set_group(40, 1)
    guest.set_bit(BANK.ISACTIVER, 40)
    guest.eoi(40)
    assert guest.bit(BANK.ISACTIVER, 40) == 1


@pytest.mark.rule("CPU-10")
def test_between_equal_active_priorities_group_0_is_the_highest() -> None:
    guest = Guest().boot()
    guest.msr(ICC_AP0R0_EL1, 1 << 16)
    guest.msr(ICC_AP1R0_EL1, 1 << 16)
    guest.msr(ICC_EOIR1_EL1, 40)
    assert (guest.mrs(ICC_AP0R0_EL1), guest.mrs(ICC_AP1R0_EL1)) == (1 << 16, 1 << 16)
    guest.msr(ICC_EOIR0_EL1, 40)
    assert (guest.mrs(ICC_AP0R0_EL1), guest.mrs(ICC_AP1R0_EL1)) == (0, 1 << 16)


@pytest.mark.rule("CPU-10", "CPU-19")
@pytest.mark.parametrize(("profile", "still_active"), [(ARCH, 1), (KVM, 1), (QEMU, 0)], ids=["arch", "kvm", "qemu"])
def test_whether_eoir_deactivates_an_interrupt_of_the_other_group(profile: vgic.Profile, still_active: int) -> None:
    guest = pending(profile, group1=0x80)
    guest.setup(40, group=0)
    guest.set_bit(BANK.ISACTIVER, 40)
    guest.take(41)
    guest.eoi(40)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert guest.bit(BANK.ISACTIVER, 40) == still_active


@pytest.mark.rule("CPU-10", "CPU-20")
@pytest.mark.parametrize(
    ("profile", "running"), [(ARCH, 0x80), (KVM, 0xFF), (QEMU, 0xFF)], ids=["arch", "kvm", "qemu"]
)
@pytest.mark.parametrize("eoi_mode", [0, EOI_MODE])
def test_eoir_of_an_lpi_drops_only_where_there_are_lpis(profile: vgic.Profile, running: int, eoi_mode: int) -> None:
    guest = pending(profile, group1=0x80)
    guest.msr(ICC_CTLR_EL1, eoi_mode)
    guest.take(41)
    guest.eoi(LPI)
    assert guest.mrs(ICC_RPR_EL1) == running
    assert guest.bit(BANK.ISACTIVER, 41) == 1


@pytest.mark.rule("CPU-12", "CPU-11")
@pytest.mark.parametrize("intid", [27, 41])
def test_with_eoimode_eoir_drops_and_dir_deactivates(intid: int) -> None:
    guest = Guest().boot()
    guest.msr(ICC_CTLR_EL1, EOI_MODE)
    guest.setup(intid, priority=0x80)
    guest.line(intid, True)
    guest.take(intid)
    guest.eoi(intid)
    assert guest.mrs(ICC_RPR_EL1) == 0xFF
    assert guest.bit(BANK.ISACTIVER, intid) == 1
    assert not guest.irq()
    guest.msr(ICC_DIR_EL1, intid)
    assert guest.bit(BANK.ISACTIVER, intid) == 0
    guest.take(intid)


@pytest.mark.rule("CPU-11")
def test_dir_without_eoimode_is_ignored() -> None:
    guest = pending(group1=0x80)
    guest.take(41)
    guest.msr(ICC_DIR_EL1, 41)
    assert guest.bit(BANK.ISACTIVER, 41) == 1


@pytest.mark.rule("CPU-11")
def test_dir_before_eoir_leaves_the_priority() -> None:
    guest = pending(group1=0x80)
    guest.msr(ICC_CTLR_EL1, EOI_MODE)
    guest.take(41)
    guest.msr(ICC_DIR_EL1, 41)
    assert guest.bit(BANK.ISACTIVER, 41) == 0
    assert guest.mrs(ICC_RPR_EL1) == 0x80


@pytest.mark.rule("CPU-11")
def test_dir_works_in_any_order_from_any_pe_and_on_either_group() -> None:
    guest = Guest(2).boot()
    for intid, group in ((40, 0), (41, 1)):
        guest.setup(intid, group=group, edge=True)
        guest.set_bit(BANK.ISACTIVER, intid)
    guest.msr(ICC_CTLR_EL1, EOI_MODE, cpu=1)
    for intid in (41, 40):
        guest.msr(ICC_DIR_EL1, intid, cpu=1)
        assert guest.bit(BANK.ISACTIVER, intid) == 0


@pytest.mark.rule("CPU-11")
@pytest.mark.parametrize("intid", [96, 1023, LPI])
def test_dir_of_an_intid_that_does_not_exist_is_ignored(intid: int) -> None:
    guest = pending(group1=0x80)
    guest.msr(ICC_CTLR_EL1, EOI_MODE)
    guest.take(41)
    guest.msr(ICC_DIR_EL1, intid)
    assert guest.bit(BANK.ISACTIVER, 41) == 1
    assert guest.mrs(ICC_RPR_EL1) == 0x80


@pytest.mark.rule("CPU-14")
def test_cpu_on_resets_the_cpu_interface() -> None:
    guest = Guest(2).boot()
    guest.setup(40, 41)
    guest.route(41, 1)
    for intid, cpu in ((40, 0), (41, 1)):
        guest.line(intid, True)
        guest.take(intid, cpu)
    for cpu in guest.cpus:
        guest.msr(ICC_BPR0_EL1, 5, cpu)
        guest.msr(ICC_BPR1_EL1, 6, cpu)
        guest.msr(ICC_AP0R0_EL1, 1 << 31, cpu)
        guest.msr(ICC_CTLR_EL1, EOI_MODE, cpu)
    registers = {
        ICC_PMR_EL1: 0,
        ICC_BPR0_EL1: 2,
        ICC_BPR1_EL1: 3,
        ICC_IGRPEN0_EL1: 0,
        ICC_IGRPEN1_EL1: 0,
        ICC_AP0R0_EL1: 0,
        ICC_AP1R0_EL1: 0,
        ICC_RPR_EL1: 0xFF,
        ICC_CTLR_EL1: 0x4_8400,
    }
    before = {register: guest.mrs(register, 0) for register in registers}
    assert all(before[register] != reset for register, reset in registers.items())
    guest.gic.reset_cpu(1)
    guest.gic.check()
    assert {register: guest.mrs(register, 1) for register in registers} == registers
    assert {register: guest.mrs(register, 0) for register in registers} == before
    guest.gic.reset_cpu(0)
    assert {register: guest.mrs(register, 0) for register in registers} == registers


@pytest.mark.rule("CPU-14")
def test_cpu_on_lowers_the_outputs_and_leaves_the_interrupts() -> None:
    guest = Guest(2).boot()
    guest.setup(27, cpu=1)
    guest.line(27, True, cpu=1)
    guest.set_bit(BANK.ISACTIVER, 28, cpu=1)
    assert guest.irq(1)
    guest.heard.lines.clear()
    guest.gic.reset_cpu(1)
    assert guest.heard.lines == [(1, False, False)]
    assert guest.ack(1) == SPURIOUS
    assert guest.gicr(GICR.WAKER, cpu=1) == 0
    assert (guest.bit(BANK.ISPENDR, 27, 1), guest.bit(BANK.ISACTIVER, 28, 1)) == (1, 1)
    guest.boot_interface(1)
    guest.take(27, 1)


@pytest.mark.rule("CPU-4", "CPU-5")
@pytest.mark.parametrize(("register", "group"), [(ICC_IAR0_EL1, 0), (ICC_IAR1_EL1, 1)])
def test_each_group_has_its_acknowledge_register(register: int, group: int) -> None:
    guest = pending(**{f"group{group}": 0x80})
    assert guest.mrs(register) == 40 + group


@pytest.mark.rule("CPU-4")
@pytest.mark.parametrize(("group", "register"), [(0, ICC_AP0R0_EL1), (1, ICC_AP1R0_EL1)])
def test_what_is_taken_joins_the_active_priorities_of_its_group_by_its_group_priority(
    group: int, register: int
) -> None:
    guest = Guest().boot()
    guest.msr(ICC_BPR0_EL1, 5)
    guest.msr(ICC_BPR1_EL1, 6)
    guest.setup(40, group=group, priority=0x58)
    guest.line(40, True)
    guest.take(40, group=group)
    # Bits [7:6] of 0x58 are 0x40, the eighth of 32 levels.
    assert guest.mrs(register) == 1 << 8
    assert guest.mrs(ICC_AP1R0_EL1 if group == 0 else ICC_AP0R0_EL1) == 0
    assert guest.mrs(ICC_RPR_EL1) == 0x40


@pytest.mark.rule("CPU-4")
@pytest.mark.parametrize("keeps", ["PMR", "running", "IGRPEN1", "GICD_CTLR"])
def test_iar_does_not_take_what_is_not_signalled(keeps: str) -> None:
    guest = Guest().boot()
    guest.setup(40, 41, priority=0x80, edge=True)
    if keeps == "running":
        guest.pulse(40)
        guest.take(40)
    guest.pulse(41)
    match keeps:
        case "PMR":
            guest.msr(ICC_PMR_EL1, 0x80)
        case "IGRPEN1":
            guest.msr(ICC_IGRPEN1_EL1, 0)
        case "GICD_CTLR":
            guest.set_gicd(0, 0b01)
    before = guest.mrs(ICC_RPR_EL1)
    assert guest.ack() == SPURIOUS
    assert guest.mrs(ICC_RPR_EL1) == before
    assert (guest.bit(BANK.ISPENDR, 41), guest.bit(BANK.ISACTIVER, 41)) == (1, 0)


@pytest.mark.rule("CPU-14")
def test_cpu_on_clears_cbpr() -> None:
    guest = Guest(2).boot()
    for cpu in guest.cpus:
        guest.msr(ICC_CTLR_EL1, 1, cpu)
        guest.msr(ICC_BPR0_EL1, 5, cpu)
    guest.gic.reset_cpu(1)
    assert [guest.mrs(ICC_CTLR_EL1, cpu) & 1 for cpu in guest.cpus] == [1, 0]
    assert [guest.mrs(ICC_BPR1_EL1, cpu) for cpu in guest.cpus] == [6, 3]
