"""What must hold between any two operations, checked from first principles.

The model keeps derived state: which interrupts are queued where, which is the best, what the outputs are. `check`
computes all of it again from the interrupt state alone and compares. It is slow and meant for tests.
"""

from collections.abc import Sequence

from vgic.cpu_interface import GROUP0, GROUP1, CpuInterface
from vgic.distributor import SharedInterrupts
from vgic.errors import InvariantError
from vgic.forwarding import Forwarder
from vgic.interrupts import InterruptBank
from vgic.pending import NO_KEY
from vgic.topology import NO_VCPU

__all__ = ["check"]


def check(
    interfaces: Sequence[CpuInterface],
    shared: SharedInterrupts,
    private: Sequence[InterruptBank],
    forwarder: Forwarder,
) -> None:
    """Raise InvariantError naming the first contradiction."""
    expected: list[list[set[int]]] = [[set(), set()] for _ in interfaces]
    for bank in (shared, *private):
        _check_bank(bank, forwarder, expected)
    _check_placement(shared, interfaces)
    for interface, groups in zip(interfaces, expected, strict=True):
        _check_interface(interface, groups)


def _check_bank(bank: InterruptBank, forwarder: Forwarder, expected: list[list[set[int]]]) -> None:
    for word in range(len(bank.enabled)):
        implemented = bank.implemented(word)
        arrays = (
            bank.enabled,
            bank.latch,
            bank.line,
            bank.message,
            bank.active,
            bank.group1,
            bank.edge,
            bank.queued,
        )
        for words in arrays:
            if words[word] & ~implemented:
                raise InvariantError(f"word {word} of INTIDs {bank.first}.. has bits beyond its last interrupt")
        wanted = bank.pending(word) & bank.enabled[word] & ~bank.active[word]
        if bank.queued[word] != wanted and not forwarder.is_deferred(bank, word):
            difference = bank.queued[word] ^ wanted
            raise InvariantError(f"INTIDs {bank.first + 32 * word}..: bits {difference:#x} are queued wrongly")
    for index in range(bank.count):
        if bank.priority[index] & ~bank.priority_mask:
            raise InvariantError(f"INTID {bank.first + index} has priority {bank.priority[index]:#x}")
        target = bank.target(index)
        if bank.is_queued(index) and target != NO_VCPU:
            expected[target][bank.group(index)].add(bank.key(index))


def _check_placement(shared: SharedInterrupts, interfaces: Sequence[CpuInterface]) -> None:
    chosen, unplaced = shared.placement()
    waiting = {index for index in range(shared.count) if shared.is_queued(index) and shared.is_one_of_n(index)}
    if chosen.keys() | unplaced != waiting or chosen.keys() & unplaced:
        raise InvariantError(f"1-of-N SPIs are placed {chosen} or not {unplaced}, but forwarded are {waiting}")
    for index in unplaced:
        group = shared.group(index)
        if any(interface.selectable(group) for interface in interfaces):
            raise InvariantError(f"INTID {shared.first + index} waits although a PE is selectable")
    for index, cpu in chosen.items():
        interface, group = interfaces[cpu], shared.group(index)
        if not interface.selectable(group) and (not interface.asleep or interface.declines[group]):
            raise InvariantError(f"INTID {shared.first + index} is at vCPU {cpu}, which is not selectable")


def _check_interface(interface: CpuInterface, groups: list[set[int]]) -> None:
    name = f"vCPU {interface.cpu}"
    for group, keys in enumerate(groups):
        queue = interface.queues[group]
        if set(queue.keys()) != keys:
            raise InvariantError(f"{name}: Group {group} queue holds {queue.keys()}, should hold {sorted(keys)}")
        if queue.head != min(keys, default=NO_KEY):
            raise InvariantError(f"{name}: Group {group} head is {queue.head:#x}")
    before = interface.best_key, interface.best_group, interface.irq, interface.fiq
    interface.choose()
    interface.drive()
    after = interface.best_key, interface.best_group, interface.irq, interface.fiq
    if before != after:
        raise InvariantError(f"{name}: was not settled, {before} should be {after}")
    if interface.irq and interface.fiq:
        raise InvariantError(f"{name}: signals IRQ and FIQ at once")
    if interface.pmr & ~interface.priority_mask:
        raise InvariantError(f"{name}: PMR {interface.pmr:#x} has unimplemented bits")
    if interface.bpr0 < interface.min_bpr0 or interface.bpr1 < interface.min_bpr1:
        raise InvariantError(f"{name}: BPR0 {interface.bpr0}, BPR1 {interface.bpr1} are below the minimum")
    for group in (GROUP0, GROUP1):
        if interface.active_priorities[group] >> interface.levels:
            raise InvariantError(f"{name}: active priorities {interface.active_priorities[group]:#x}")
