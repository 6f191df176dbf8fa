"""`Gic.check` must notice every kind of contradiction: each is made on purpose."""

from collections.abc import Callable

import pytest

import vgic
from guest import Guest
from hypervisor import Hypervisor
from its_driver import vm
from lpi_guest import LpiGuest
from vgic import InvariantError
from vgic.cpu_interface.nmi import NmiGroupState
from vgic.cpu_interface.pending import NO_KEY
from vgic.its.device import Its


def machine() -> Guest:
    """INTIDs 40 (Group 1) and 41 (Group 0, better) pending at vCPU 0 and signalled."""
    guest = Guest(2, spis=988).boot()
    guest.setup(40, priority=0x80)
    guest.setup(41, priority=0x40, group=0)
    guest.line(40, True)
    guest.line(41, True)
    return guest


def set_bit_beyond(gic: vgic.Gic) -> None:
    gic._shared.words[30].latch |= 1 << 31


def forget_a_queued_bit(gic: vgic.Gic) -> None:
    gic._shared.words[0].queued &= ~(1 << 8)


def queue_an_idle_interrupt(gic: vgic.Gic) -> None:
    gic._private[1].words[0].queued |= 1 << 27


def give_a_priority_unimplemented_bits(gic: vgic.Gic) -> None:
    gic._private[0].store_priorities(3, b"\1")


def change_a_priority_behind_the_queue(gic: vgic.Gic) -> None:
    gic._shared.store_priorities(8, b"\x10")


def lose_a_queue_entry(gic: vgic.Gic) -> None:
    gic.interface(0).groups[1].queue.remove(0x80 << 25 | 40)


def spoil_a_head(gic: vgic.Gic) -> None:
    queue = gic.interface(0).groups[0].queue
    queue._heap.append(queue.head)
    queue.head = NO_KEY


def invent_a_private_interrupt(gic: vgic.Gic) -> None:
    gic.interface(1).groups[1].own_head = 27


def lower_an_output(gic: vgic.Gic) -> None:
    gic.interface(0).fiq = False


def raise_the_other_output(gic: vgic.Gic) -> None:
    gic.interface(0).irq = True


def mask_without_settling(gic: vgic.Gic) -> None:
    gic.interface(0).pmr = 0


def give_the_mask_unimplemented_bits(gic: vgic.Gic) -> None:
    gic.interface(0).pmr = 0xFF


def lower_a_binary_point(gic: vgic.Gic) -> None:
    gic.interface(0).groups[1].binary_point = 0


def preempt_by_other_bits(gic: vgic.Gic) -> None:
    gic.interface(0).groups[0].mask = 0xFF


def activate_a_priority_that_is_not(gic: vgic.Gic) -> None:
    gic.interface(1).groups[0]._others = 1


def forget_what_runs(gic: vgic.Gic) -> None:
    gic.interface(1).groups[0]._first = 1 << 4


def signal_something_else(gic: vgic.Gic) -> None:
    gic.interface(0).signalled_key = NO_KEY


def choose_nothing(gic: vgic.Gic) -> None:
    gic.interface(0).best_key = NO_KEY


def run_at_another_priority(gic: vgic.Gic) -> None:
    gic.interface(1).running = 0x40


@pytest.mark.rule("API-6")
@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (set_bit_beyond, "word 30 of INTIDs 32.. has bits beyond its last interrupt"),
        (forget_a_queued_bit, "INTIDs 32..: bits 0x100 are queued wrongly"),
        (queue_an_idle_interrupt, "INTIDs 0..: bits 0x8000000 are queued wrongly"),
        (give_a_priority_unimplemented_bits, "INTID 3 has priority 0x1"),
        (
            change_a_priority_behind_the_queue,
            "vCPU 0: Group 1 queue holds [4294967336], should hold [536870952]",
        ),
        (lose_a_queue_entry, "vCPU 0: Group 1 queue holds [], should hold [4294967336]"),
        (spoil_a_head, "vCPU 0: Group 0 head is 0x200000000"),
        (
            invent_a_private_interrupt,
            "vCPU 1: best private interrupt of Group 1 is 0x1b, should be 0x200000000",
        ),
        (
            lower_an_output,
            "vCPU 0: IRQ and FIQ are (False, False), not (False, True)",
        ),
        (
            raise_the_other_output,
            "vCPU 0: IRQ and FIQ are (True, True), not (False, True)",
        ),
        (
            mask_without_settling,
            "vCPU 0: IRQ and FIQ are (False, True), not (False, False)",
        ),
        (give_the_mask_unimplemented_bits, "vCPU 0: PMR 0xff has unimplemented bits"),
        (lower_a_binary_point, "vCPU 0: BPR1 is 0, below the minimum 3"),
        (preempt_by_other_bits, "vCPU 0: Group 0 preempts by 0xff, should by 0xf8"),
        (activate_a_priority_that_is_not, "vCPU 1: active priorities 0x100000000"),
        (forget_what_runs, "vCPU 1: Group 0 runs at 0xff, active priorities are 0x10"),
        (signal_something_else, "vCPU 0: signals 0x200000000, the best is 0x80000029"),
        (choose_nothing, "vCPU 0: chose 0x200000000, should have 0x80000029"),
        (run_at_another_priority, "vCPU 1: runs at 0x40, should at 0xff"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_contradiction_is_found_and_named(corrupt: Callable[[vgic.Gic], None], message: str) -> None:
    gic = machine().gic
    gic.check()
    corrupt(gic)
    with pytest.raises(InvariantError) as caught:
        gic.check()
    assert str(caught.value) == message


def place_one_twice(gic: vgic.Gic) -> None:
    gic._shared.placement.unplaced.add(40)


def place_none(gic: vgic.Gic) -> None:
    gic._shared.placement.held.clear()


def let_one_wait(gic: vgic.Gic) -> None:
    del gic._shared.placement.held[40]
    gic._shared.placement.unplaced.add(40)


def disable_its_group(gic: vgic.Gic) -> None:
    gic.interface(0).groups[1].enabled = False


def withdraw_its_signal(gic: vgic.Gic) -> None:
    gic.interface(0).signalled_key = NO_KEY


@pytest.mark.rule("API-6")
@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (place_one_twice, "1-of-N SPIs are placed {40: 0} or not {40}, but forwarded are {40}"),
        (place_none, "1-of-N SPIs are placed {} or not set(), but forwarded are {40}"),
        (let_one_wait, "INTID 40 waits although there is a PE for it"),
        (disable_its_group, "INTID 40 is at vCPU 0, which is not selectable"),
        (withdraw_its_signal, "INTID 40 waits at vCPU 0 while vCPU 1 would take it"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_contradiction_of_a_1_of_n_spi_is_found_and_named(
    corrupt: Callable[[vgic.Gic], None], message: str
) -> None:
    guest = Guest(2, spis=32).boot()
    guest.setup(40, priority=0x80)
    guest.route(40, 1 << 31)
    guest.line(40, True)
    guest.gic.check()
    assert guest.gic.spi(40).target == 0
    corrupt(guest.gic)
    with pytest.raises(InvariantError) as caught:
        guest.gic.check()
    assert str(caught.value) == message


@pytest.mark.rule("API-6")
def test_check_changes_nothing() -> None:
    guest = machine()
    guest.heard.lines.clear()
    guest.gic.check()
    assert guest.heard.lines == []
    guest.take(41, group=0)


@pytest.mark.rule("API-6")
@pytest.mark.parametrize(
    ("intid", "byte", "message"),
    [
        (8197, 0xA3, "queue holds"),
        (8197, 0xA0, "pending by configuration 0xa0"),
        (100, 0xA2, "INTID 100 is pending as an LPI"),
        (1 << 24, 0xA2, "INTID 16777216 is pending as an LPI"),
    ],
)
def test_a_contradiction_of_an_lpi_is_found(intid: int, byte: int, message: str) -> None:
    guest = LpiGuest().boot_lpis()
    guest.gic.lpis(0).restore(intid, byte)
    with pytest.raises(vgic.InvariantError, match=message):
        guest.gic.check()


@pytest.mark.rule("API-6")
@pytest.mark.parametrize(("count", "head"), [(1, 0x1_0000_2006), (2, 0x1_0000_2005)])
def test_a_contradiction_of_the_lpis_of_a_piece_is_found(count: int, head: int) -> None:
    guest = LpiGuest()
    for intid in (8197, 8198):
        guest.configure(intid, 0x80)
    guest.boot_lpis()
    for intid in (8197, 8198):
        guest.arrive(intid)
    piece = guest.gic.lpis(0).pieces[2]
    assert (piece.count, piece.head) == (2, 0x1_0000_2005)
    piece.count, piece.head = 3 - count, head
    with pytest.raises(vgic.InvariantError, match=r"of LPIs 8192\.\. . are pending"):
        guest.gic.check()


@pytest.mark.rule("API-6")
def test_contradictions_between_lpis_and_registers_are_found() -> None:
    guest = LpiGuest().boot_lpis()
    guest.arrive(8197)
    guest.gic.lpis(0).enabled = False
    with pytest.raises(vgic.InvariantError, match="EnableLPIs is 0"):
        guest.gic.check()
    guest.gic.lpis(0).enabled = True
    guest.gic.lpis(0).configuration.keep(8192, 0xA1)
    with pytest.raises(vgic.InvariantError, match="0xa1 is cached"):
        guest.gic.check()


@pytest.mark.rule("API-6", "ITS-50")
@pytest.mark.parametrize(
    ("profile", "damage"),
    [
        (vgic.ARCH, lambda its: setattr(its.queue, "waits", True)),
        (vgic.ARCH, lambda its: setattr(its.queue, "creadr", 0xF_FFE0)),
        (vgic.KVM, lambda its: its.set_baser(1, 0) or its.tables.kept.update({0: 0})),
    ],
    ids=["waits", "reader beyond", "kept without a table"],
)
def test_a_contradiction_of_an_its_is_found(profile: vgic.Profile, damage: Callable[[Its], object]) -> None:
    gic = vm(profile=profile)[0].gic
    gic.check()
    damage(gic.its())
    with pytest.raises(InvariantError, match=r"GITS\[0\]"):
        gic.check()


def forget_the_best(control: vgic.VirtualControl) -> None:
    control.interface.best_key = NO_KEY


def change_a_list_register(control: vgic.VirtualControl) -> None:
    control.list_registers.registers[1].priority = 0x10


def lower_an_output(control: vgic.VirtualControl) -> None:
    control.interface.irq = False


def raise_maintenance(control: vgic.VirtualControl) -> None:
    control.maintenance = True


def sort_otherwise(control: vgic.VirtualControl) -> None:
    control.list_registers.registers[1].key = 1


def forget_superpriority(control: vgic.VirtualControl) -> None:
    control.interface.signalled_key = 0


def activate_superpriority(control: vgic.VirtualControl) -> None:
    group = control.interface.groups[1]
    assert isinstance(group, NmiGroupState)
    group.nmi_active = True


def activate_without_running(control: vgic.VirtualControl) -> None:
    control.interface.running = 0x40


@pytest.mark.rule("API-6")
@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (forget_the_best, "virtual CPU interface 1: chose 0x200000000, should have 0x140000000"),
        (change_a_list_register, "virtual CPU interface 1: chose 0x140000000, should have 0x20000001"),
        (lower_an_output, r"virtual CPU interface 1: IRQ and FIQ are \(False, False\), not \(True, False\)"),
        (raise_maintenance, "maintenance interrupt is True, its line False; should be False"),
        (activate_without_running, "virtual CPU interface 1: runs at 0x40, should at 0xff"),
        (sort_otherwise, "virtual CPU interface 1: list register 1 is sorted by 0x1"),
        (forget_superpriority, "virtual CPU interface 1: its IRQ has superpriority: False"),
        (activate_superpriority, "virtual CPU interface 1: runs at 0xff, should at 0x0"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_contradiction_of_a_virtual_interface_is_found(
    corrupt: Callable[[vgic.VirtualControl], None], message: str
) -> None:
    hypervisor = Hypervisor(2, nmi=corrupt in (forget_superpriority, activate_superpriority))
    # Without NMIs the bit is reserved.
    hypervisor.fill(0, 27, cpu=1, nmi=1)
    hypervisor.fill(1, 28, cpu=1)
    corrupt(hypervisor.gic.virtual_control(1))
    with pytest.raises(InvariantError, match=message):
        hypervisor.gic.check()
