"""What must hold between any two operations, checked from first principles.

The model keeps derived state: which interrupts are queued where, which is the best, what the outputs are. `check`
computes all of it again from the interrupt state alone and compares. It is slow and meant for tests.
"""

from collections.abc import Sequence
from typing import Final

from vgic.assembly import Machine
from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi import NmiGroupState
from vgic.cpu_interface.pending import IDLE_KEY, IDLE_PRIORITY, INTID_MASK, NO_KEY
from vgic.distributor.placement import SpiPlacement
from vgic.distributor.spis import SharedInterrupts
from vgic.errors import InvariantError
from vgic.interrupts.banks import InterruptBank, PrivateInterrupts
from vgic.interrupts.delivery import Forwarder
from vgic.interrupts.words import FullWord
from vgic.intids import FIRST_LPI
from vgic.its.state import check_its
from vgic.layouts import gicd
from vgic.lpis.bank import LpiBank
from vgic.lpis.tables import ALWAYS_ONE, ENABLED
from vgic.state.virtual_invariants import check_virtual_interface
from vgic.topology import NO_VCPU

__all__ = ["check"]

_DS: Final = gicd.CTLR_OF_TWO_STATES.mask("DS")
_ENABLE_GRP1S: Final = gicd.CTLR_OF_TWO_STATES.mask("EnableGrp1S")

_CACHEABLE: Final = bytes([0, *(byte for byte in range(256) if byte & ALWAYS_ONE)])


def check(machine: Machine) -> None:
    """Raise InvariantError naming the first contradiction."""
    interfaces, private = machine.interfaces, machine.private
    expected: list[list[set[int]]] = [[set() for _ in interface.groups] for interface in interfaces]
    _check_security(machine)
    for bank in machine.banks():
        _check_bank(bank, machine.forwarder)
        if not isinstance(bank, PrivateInterrupts):
            _expect_queued(bank, expected)
    for lpi_bank in machine.lpis:
        if lpi_bank is not None:
            _check_lpis(lpi_bank, expected)
    _check_placement(machine.shared.placement, machine.spis, interfaces)
    for interface, groups, own in zip(interfaces, expected, private, strict=True):
        _check_private_heads(interface, own)
        _check_interface(interface, groups)
        _check_counts(interface, own)
    for control, own in zip(machine.controls, private, strict=False):
        check_virtual_interface(control, own, machine.config.maintenance_intid)
    for its in machine.itses:
        check_its(its)


def _check_security(machine: Machine) -> None:
    control = machine.distributor.control
    joined = control & _DS != 0
    if machine.security.two != (machine.config.two_states and not joined):
        raise InvariantError(f"two Security states: {machine.security.two}, and GICD_CTLR is {control:#x}")
    if joined and control & _ENABLE_GRP1S:
        raise InvariantError(f"GICD_CTLR is {control:#x}: DS and EnableGrp1S are 1")
    for lpis in machine.lpis:
        if lpis is not None and lpis.priorities.lower_half != machine.security.two:
            raise InvariantError(f"LPIs have the lower half of priorities: {lpis.priorities.lower_half}")
    if not machine.security.two:
        for bank in machine.banks():
            if any(isinstance(word, FullWord) and word.modifier for word in bank.words):
                raise InvariantError(f"INTIDs {bank.first}..: there is no Secure Group 1, and some are in it")


def _check_bank(bank: InterruptBank, forwarder: Forwarder) -> None:
    for number, word in enumerate(bank.words):
        words = [
            word.enabled,
            word.latch,
            word.line,
            word.message,
            word.active,
            word.group1,
            word.edge,
            word.any_pe,
            word.queued,
        ]
        if isinstance(word, FullWord):
            words += [word.modifier, word.nmi, word.access_low, word.access_high]
        if any(bits & ~word.implemented for bits in words):
            raise InvariantError(f"word {number} of INTIDs {bank.first}.. has bits beyond its last interrupt")
        difference = word.queued ^ word.pending() & word.enabled & ~word.active & ~word.overlooked
        if difference and not forwarder.is_deferred(bank, number):
            raise InvariantError(f"INTIDs {bank.first + 32 * number}..: bits {difference:#x} are queued wrongly")
    for index in range(bank.count):
        if bank.priorities[index] & ~bank.priority_mask:
            raise InvariantError(f"INTID {bank.first + index} has priority {bank.priorities[index]:#x}")


def _expect_queued(bank: InterruptBank, expected: list[list[set[int]]]) -> None:
    """Add what is forwarded to a PE to the keys that are to be in its queues."""
    for index in range(bank.count):
        target = bank.target(index)
        if bank.is_queued(index) and target != NO_VCPU:
            expected[target][bank.group(index)].add(bank.key(index))


def _check_private_heads(interface: CpuInterface, private: PrivateInterrupts) -> None:
    for group in range(len(interface.groups)):
        keys = (private.key(i) for i in range(private.count) if private.is_queued(i) and private.group(i) == group)
        best = min(keys, default=NO_KEY)
        told = interface.groups[group].own_head
        if told != best:
            raise InvariantError(
                f"vCPU {interface.cpu}: best private interrupt of Group {group} is {told:#x}, should be {best:#x}"
            )


def _check_lpis(bank: LpiBank, expected: list[list[set[int]]]) -> None:
    name = f"vCPU {bank.cpu}"
    if not bank.enabled and any(piece.count for piece in bank.pieces.values()):
        raise InvariantError(f"{name}: LPIs are pending although GICR_CTLR.EnableLPIs is 0")
    for piece in bank.pieces.values():
        pending = [(place, byte) for place, byte in enumerate(piece.data) if byte]
        for place, byte in pending:
            if not FIRST_LPI <= piece.first + place <= INTID_MASK:
                raise InvariantError(f"{name}: INTID {piece.first + place} is pending as an LPI")
            if not byte & ALWAYS_ONE:
                raise InvariantError(f"{name}: LPI {piece.first + place} is pending by configuration {byte:#x}")
        best = min((piece.key(place) for place, byte in pending if byte & ENABLED), default=NO_KEY)
        if piece.head != best or piece.count != len(pending):
            raise InvariantError(
                f"{name}: of LPIs {piece.first}.. {piece.count} are pending, the best {piece.head:#x},"
                f" should be {len(pending)}, {best:#x}"
            )
        if best != NO_KEY:
            expected[bank.cpu][GROUP1].add(bank.priorities.queue_key(best))
    for cached in bank.configuration.cached.values():
        impossible = cached.translate(None, _CACHEABLE)
        if impossible:
            raise InvariantError(f"LPI configuration {impossible[0]:#x} is cached")


def _check_placement(
    placement: SpiPlacement, banks: Sequence[SharedInterrupts], interfaces: Sequence[CpuInterface]
) -> None:
    chosen, unplaced = placement.held, placement.unplaced
    waiting = {
        int(bank.first) + index: (int(bank.group(index)), int(bank.key(index)))
        for bank in banks
        for index in range(bank.count)
        if bank.is_queued(index) and bank.is_one_of_n(index)
    }
    if chosen.keys() | unplaced != waiting.keys() or chosen.keys() & unplaced:
        raise InvariantError(f"1-of-N SPIs are placed {chosen} or not {unplaced}, but forwarded are {set(waiting)}")
    for intid in unplaced:
        group, _ = waiting[intid]
        if any(placement.one_of_n.may_hold(interface.cpu, group) for interface in interfaces):
            raise InvariantError(f"INTID {intid} waits although there is a PE for it")
    for intid, cpu in chosen.items():
        group, key = waiting[intid]
        selectable = [interface for interface in interfaces if interface.selectable(group)]
        if interfaces[cpu] not in selectable and (selectable or not placement.one_of_n.may_hold(cpu, group)):
            raise InvariantError(f"INTID {intid} is at vCPU {cpu}, which is not selectable")
        free = [interface.cpu for interface in selectable if interface.would_take(group, key)]
        if free and free != [cpu] and interfaces[cpu].signalled_key != key:
            raise InvariantError(f"INTID {intid} waits at vCPU {cpu} while vCPU {free[0]} would take it")


def _best(interface: CpuInterface) -> tuple[int, int]:
    """Key and group of the highest priority pending interrupt."""
    offers = [(group.offer(), number) for number, group in enumerate(interface.groups)]
    best, group = min(offers)
    if interface.asleep or (interface.hides_idle and best >= IDLE_KEY):
        best = NO_KEY
    return best, group


def _check_counts(interface: CpuInterface, private: PrivateInterrupts) -> None:
    """What tells a CPU interface that there is nothing to look for."""
    name = f"vCPU {interface.cpu}"
    queued = sum(len(group.queue) for group in interface.groups) + int(private.word.queued).bit_count()
    if interface.candidates != queued:
        raise InvariantError(f"{name}: has {interface.candidates} candidates, should have {queued}")
    several = sum(group.running != IDLE_PRIORITY for group in interface.groups) > 1
    if interface.several_active != several:
        raise InvariantError(
            f"{name}: active priorities of several groups: {interface.several_active}, not {several}"
        )


def _check_interface(interface: CpuInterface, groups: list[set[int]]) -> None:
    name = f"vCPU {interface.cpu}"
    for group, keys in enumerate(groups):
        queue = interface.groups[group].queue
        if set(queue.keys()) != keys:
            raise InvariantError(f"{name}: Group {group} queue holds {queue.keys()}, should hold {sorted(keys)}")
        if {queue.head, interface.groups[group].queue_head} != {min(keys, default=NO_KEY)}:
            raise InvariantError(f"{name}: Group {group} head is {queue.head:#x}")
    best, best_group = _best(interface)
    if interface.best_key != best or (best != NO_KEY and interface.best_in.number != best_group):
        raise InvariantError(f"{name}: chose {interface.best_key:#x}, should have {best:#x}")
    signals = interface.can_preempt()
    is_irq = best_group == interface.irq_group()
    outputs = signals and is_irq, signals and not is_irq
    if (interface.irq, interface.fiq) != outputs:
        raise InvariantError(f"{name}: IRQ and FIQ are {interface.irq, interface.fiq}, not {outputs}")
    if interface.signalled_key != (interface.best_key if interface.irq or interface.fiq else NO_KEY):
        raise InvariantError(f"{name}: signals {interface.signalled_key:#x}, the best is {interface.best_key:#x}")
    if interface.irq and interface.fiq:
        raise InvariantError(f"{name}: signals IRQ and FIQ at once")
    if interface.pmr & ~interface.priority_mask:
        raise InvariantError(f"{name}: PMR {interface.pmr:#x} has unimplemented bits")
    # Of equal ones Group 0 is first, then Secure Group 1.
    lowest = min(
        (held.running, not _has_active_nmi(held), held.number == GROUP1, held.number) for held in interface.groups
    )
    if interface.running != lowest[0] or (lowest[0] != IDLE_PRIORITY and interface.running_group != lowest[3]):
        raise InvariantError(f"{name}: runs at {interface.running:#x}, should at {lowest[0]:#x}")
    for group, held in enumerate(interface.groups):
        if held.number != group:
            raise InvariantError(f"{name}: Group {group} is numbered {held.number}")
        _check_preemption(name, held, interface.groups[GROUP0])
        active = held.all()
        if active >> held.levels:
            raise InvariantError(f"{name}: active priorities {active:#x}")
        highest = (active & -active).bit_length() - 1
        running = highest * (256 // held.levels) if active else IDLE_PRIORITY
        if _has_active_nmi(held):
            running = 0
        if held.running != running:
            raise InvariantError(
                f"{name}: Group {group} runs at {held.running:#x}, active priorities are {active:#x}"
            )


def _has_active_nmi(group: GroupState) -> bool:
    return isinstance(group, NmiGroupState) and group.nmi_active


def _check_preemption(name: str, group: GroupState, first: GroupState) -> None:
    """By which bits of a priority a group preempts: those above its binary point, or with CBPR that of Group 0."""
    if group.binary_point < group.min_binary_point:
        raise InvariantError(
            f"{name}: BPR{group.number} is {group.binary_point}, below the minimum {group.min_binary_point}"
        )
    source = first if group.cbpr else group
    split = source.binary_point if source.number == GROUP1 else source.binary_point + 1
    mask = 0xFF << split & 0xFF
    if group.mask != mask:
        raise InvariantError(f"{name}: Group {group.number} preempts by {group.mask:#x}, should by {mask:#x}")
