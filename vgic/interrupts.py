"""Interrupt state: a bank of INTIDs, 32 to a word, and what makes an interrupt a candidate for delivery.

A Redistributor has a bank of the 32 INTIDs private to its PE, the Distributor one of the SPIs. An interrupt is
*pending* when its latch is set or, where level-sensitive, its line is high; it is *forwarded* to its PE while it is
pending, enabled and not active (rules STATE-1 to STATE-6 in specs/distributor.md).

Unless it says otherwise, a method that changes state ends by bringing the CPU interfaces up to date.
"""

from typing import Final

from vgic.cpu_interface import ActivationBank
from vgic.forwarding import Forwarder
from vgic.pending import INTID_BITS, NO_KEY
from vgic.topology import NO_VCPU

__all__ = ["ALL_BITS", "InterruptBank", "InterruptWord", "PrivateInterrupts"]

ALL_BITS: Final = 0xFFFF_FFFF


class InterruptWord:
    """The state of 32 interrupts, a bit for each."""

    __slots__ = (
        "active",
        "any_pe",
        "edge",
        "enabled",
        "group1",
        "implemented",
        "latch",
        "line",
        "message",
        "queued",
        "start",
    )

    def __init__(self, start: int, implemented: int) -> None:
        self.start = start
        """The index of the first."""
        self.implemented = implemented
        """The bits that stand for interrupts of the bank."""
        self.enabled = 0
        self.latch = 0
        """Set by an edge, ISPENDR or an SGI, cleared by acknowledgement or ICPENDR."""
        self.line = 0
        """The levels of the input lines."""
        self.message = 0
        """Levels raised by GICD_SETSPI and lowered by GICD_CLRSPI."""
        self.active = 0
        self.group1 = 0
        self.edge = 0
        """1: edge-triggered, 0: level-sensitive."""
        self.any_pe = 0
        """1: routed to any one of the participating PEs; always 0 for private interrupts."""
        self.queued = 0
        """1: forwarded, with the group, priority and target that the interrupt has."""

    def pending(self) -> int:
        """The latches, and the levels of level-sensitive interrupts."""
        return self.latch | (self.line | self.message) & ~self.edge

    def due(self) -> int:
        """The interrupts that should be forwarded: pending, enabled and not active."""
        return self.pending() & self.enabled & ~self.active


class InterruptBank(ActivationBank):
    """The state of INTIDs `first` to `first + count - 1`; `index` counts from 0 within the bank.

    Bit n of word w stands for index 32 * w + n. Subclasses say where an interrupt goes (`target`).
    """

    __slots__ = ("forwarder", "priority", "priority_mask", "records_line", "words")

    def __init__(
        self, first: int, count: int, priority_mask: int, records_line: bool, forwarder: Forwarder
    ) -> None:
        self.first = first
        self.count = count
        self.priority_mask = priority_mask
        self.records_line = records_line
        self.forwarder = forwarder
        beyond = -count % 32
        self.words = [InterruptWord(start, ALL_BITS) for start in range(0, count, 32)]
        if beyond:
            self.words[-1].implemented >>= beyond
        self.priority = bytearray(count)

    def target(self, index: int) -> int:
        """The vCPU that the interrupt goes to, NO_VCPU where there is none."""
        raise NotImplementedError

    def group(self, index: int) -> int:
        """0 or 1."""
        return self.words[index >> 5].group1 >> (index & 31) & 1

    def key(self, index: int) -> int:
        """What interrupts are sorted by: priority, then INTID."""
        return self.priority[index] << INTID_BITS | self.first + index

    def is_queued(self, index: int) -> bool:
        """True where the interrupt is forwarded, or waits for a target."""
        return self.words[index >> 5].queued >> (index & 31) & 1 != 0

    # What follows changes state. A word or index must be one of the bank's.

    def collect(self, number: int, mask: int) -> None:
        """Forward and withdraw the interrupts of `mask` in word `number`; the CPU interfaces follow later."""
        self._collect(self.words[number], mask)

    def _collect(self, word: InterruptWord, mask: int) -> None:
        due = word.due()
        changed = (due ^ word.queued) & mask
        word.queued ^= changed
        while changed:
            lowest = changed & -changed
            changed ^= lowest
            index = word.start + lowest.bit_length() - 1
            if due & lowest:
                self._forward(index)
            else:
                self._withdraw(index)

    def update(self, number: int, mask: int) -> None:
        """`collect`, then bring the CPU interfaces up to date."""
        self._update(self.words[number], mask)

    def _update(self, word: InterruptWord, mask: int) -> None:
        self._collect(word, mask)
        self.forwarder.settle()

    def forward_queued(self, number: int) -> None:
        """Forward the interrupts of `queued` in word `number`, which their PEs do not have."""
        for index in range(32 * number, min(32 * number + 32, self.count)):
            if self.is_queued(index):
                self._forward(index)

    def _forward(self, index: int) -> None:
        target = self.target(index)
        if target != NO_VCPU:
            self.forwarder.forward(target, self.group(index), self.key(index))

    def _withdraw(self, index: int) -> None:
        target = self.target(index)
        if target != NO_VCPU:
            self.forwarder.withdraw(target, self.group(index), self.key(index))

    def set_group(self, number: int, groups: int) -> None:
        """Give the interrupts of word `number` the groups in the bits of `groups`."""
        word = self.words[number]
        changed = (word.group1 ^ groups) & word.queued
        moved = [32 * number + bit for bit in range(32) if changed >> bit & 1]
        for index in moved:
            self._withdraw(index)
        word.group1 = groups
        for index in moved:
            self._forward(index)
        self.update(number, ALL_BITS)

    def set_priority(self, index: int, priority: int) -> None:
        """Give an interrupt a priority, 8 bits of which the implemented ones are kept."""
        priority &= self.priority_mask
        word, bit = self.words[index >> 5], 1 << (index & 31)
        moved = word.queued & bit != 0 and priority != self.priority[index]
        if moved:
            self._withdraw(index)
        self.priority[index] = priority
        if moved:
            self._forward(index)
        self._update(word, bit)

    def set_line(self, index: int, level: bool) -> None:
        """Drive the input line of an interrupt; a rising edge sets the latch of an edge-triggered one."""
        word, bit = self.words[index >> 5], 1 << (index & 31)
        edge = word.edge & bit != 0
        if self.records_line or not edge:
            line = word.line | bit if level else word.line & ~bit
            if line == word.line:
                # No event, so not even a reason to evaluate what was left for later (rule STATE-8).
                return
            word.line = line
        if edge and level:
            word.latch |= bit
        self._update(word, bit)

    def set_message(self, index: int, level: bool) -> None:
        """GICD_SETSPI (True) or GICD_CLRSPI (False): an edge, or the level of a virtual line."""
        word, bit = self.words[index >> 5], 1 << (index & 31)
        if not word.edge & bit:
            word.message = word.message | bit if level else word.message & ~bit
        elif level:
            word.latch |= bit
        else:
            # A level raised while the interrupt was level-sensitive is gone too.
            word.latch &= ~bit
            word.message &= ~bit
        self._update(word, bit)

    def set_pending(self, index: int) -> None:
        """Set the latch of an interrupt: an SGI has arrived. Settles nothing."""
        word, bit = self.words[index >> 5], 1 << (index & 31)
        word.latch |= bit
        self._collect(word, bit)

    def acknowledge(self, index: int) -> None:
        """Pending to active; a level that is still high leaves it active and pending. Settles nothing."""
        word, bit = self.words[index >> 5], 1 << (index & 31)
        word.active |= bit
        word.latch &= ~bit
        self._collect(word, bit)

    def deactivate(self, index: int) -> None:
        """Active to inactive, or active and pending to pending. Settles nothing."""
        word, bit = self.words[index >> 5], 1 << (index & 31)
        word.active &= ~bit
        self._collect(word, bit)


class PrivateInterrupts(InterruptBank):
    """SGIs and PPIs of one PE: INTIDs 0 to 31, a single word.

    They need no queue: the best of so few is found by looking at those that are forwarded.
    """

    __slots__ = ("interface",)

    def __init__(self, cpu: int, priority_mask: int, records_line: bool, forwarder: Forwarder) -> None:
        super().__init__(0, 32, priority_mask, records_line, forwarder)
        self.interface = forwarder.cpus[cpu]

    def target(self, index: int) -> int:
        """The PE that they are private to."""
        return self.interface.cpu

    def _collect(self, word: InterruptWord, mask: int) -> None:
        changed = (word.due() ^ word.queued) & mask
        if changed:
            word.queued ^= changed
            self._offer()

    def _forward(self, index: int) -> None:
        self._offer()

    def _withdraw(self, index: int) -> None:
        self._offer()

    def _offer(self) -> None:
        """Tell the CPU interface the best of each group that is forwarded."""
        word, interface = self.words[0], self.interface
        interface.group0.private_head = self._best(word.queued & ~word.group1)
        interface.group1.private_head = self._best(word.queued & word.group1)
        self.forwarder.touch(interface)

    def _best(self, bits: int) -> int:
        """The key of the best of some interrupts, NO_KEY where there are none."""
        best = NO_KEY
        while bits:
            lowest = bits & -bits
            bits ^= lowest
            key = self.key(lowest.bit_length() - 1)
            if key < best:
                best = key
        return best
