"""Interrupt state: a bank of INTIDs as 32-bit words, and what makes an interrupt a candidate for delivery.

A Redistributor has a bank of the 32 INTIDs private to its PE, the Distributor one of the SPIs. An interrupt is
*pending* when its latch is set or, where level-sensitive, its line is high; it is *forwarded* to the pending
queue of a PE while it is pending, enabled and not active (rules STATE-1 to STATE-6 in specs/distributor.md).

Every method that changes state ends by bringing queues and CPU interfaces up to date.
"""

from typing import Final

from vgic.cpu_interface import ActivationBank
from vgic.forwarding import Forwarder
from vgic.pending import INTID_BITS
from vgic.topology import NO_VCPU

__all__ = ["ALL_BITS", "InterruptBank", "PrivateInterrupts"]

ALL_BITS: Final = 0xFFFF_FFFF


class InterruptBank(ActivationBank):
    """The state of INTIDs `first` to `first + count - 1`; `index` counts from 0 within the bank.

    Words hold 32 interrupts each, bit n of word w for index 32 * w + n. Subclasses say where an interrupt goes
    (`target`).
    """

    __slots__ = (
        "active",
        "edge",
        "enabled",
        "forwarder",
        "group1",
        "latch",
        "line",
        "message",
        "priority",
        "priority_mask",
        "queued",
        "records_line",
    )

    def __init__(
        self, first: int, count: int, priority_mask: int, records_line: bool, forwarder: Forwarder
    ) -> None:
        words = (count + 31) // 32
        self.first = first
        self.count = count
        self.priority_mask = priority_mask
        self.records_line = records_line
        self.forwarder = forwarder
        self.enabled = [0] * words
        self.latch = [0] * words
        """Set by an edge, ISPENDR or an SGI, cleared by acknowledgement or ICPENDR."""
        self.line = [0] * words
        """The level of the input lines."""
        self.message = [0] * words
        """A level raised by GICD_SETSPI and lowered by GICD_CLRSPI."""
        self.active = [0] * words
        self.group1 = [0] * words
        self.edge = [0] * words
        """1: edge-triggered, 0: level-sensitive."""
        self.queued = [0] * words
        """1: forwarded, with the group, priority and target that the interrupt has."""
        self.priority = bytearray(count)

    def target(self, index: int) -> int:
        """The vCPU that the interrupt goes to, NO_VCPU where there is none."""
        raise NotImplementedError

    def implemented(self, word: int) -> int:
        """The bits of word `word` that stand for interrupts of the bank."""
        beyond = 32 * (word + 1) - self.count
        if beyond <= 0:
            return ALL_BITS
        return ALL_BITS >> beyond if beyond < 32 else 0

    def pending(self, word: int) -> int:
        """The pending bits of word `word`: the latches, and the levels of level-sensitive interrupts."""
        return self.latch[word] | (self.line[word] | self.message[word]) & ~self.edge[word]

    def group(self, index: int) -> int:
        """0 or 1."""
        return self.group1[index >> 5] >> (index & 31) & 1

    def key(self, index: int) -> int:
        """What the pending queues sort by: priority, then INTID."""
        return self.priority[index] << INTID_BITS | self.first + index

    # What follows changes state. A word or index must be one of the bank's.

    def collect(self, word: int, mask: int) -> None:
        """Bring the pending queues in line with the interrupts of `mask` in word `word`."""
        wanted = self.pending(word) & self.enabled[word] & ~self.active[word]
        changed = (wanted ^ self.queued[word]) & mask
        self.queued[word] ^= changed
        while changed:
            lowest = changed & -changed
            changed ^= lowest
            index = 32 * word + lowest.bit_length() - 1
            if wanted & lowest:
                self._forward(index)
            else:
                self._withdraw(index)

    def update(self, word: int, mask: int) -> None:
        """`collect`, then bring the CPU interfaces up to date."""
        self.collect(word, mask)
        self.forwarder.settle()

    def forward_queued(self, word: int) -> None:
        """Put the interrupts of `queued` in word `word` into the pending queues, which do not have them."""
        for index in range(32 * word, min(32 * word + 32, self.count)):
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

    def is_queued(self, index: int) -> bool:
        """True where the interrupt is forwarded, or waits for a target."""
        return self.queued[index >> 5] >> (index & 31) & 1 != 0

    def set_group(self, word: int, groups: int) -> None:
        """Give the interrupts of word `word` the groups in the bits of `groups`."""
        changed = (self.group1[word] ^ groups) & self.queued[word]
        moved = [32 * word + bit for bit in range(32) if changed >> bit & 1]
        for index in moved:
            self._withdraw(index)
        self.group1[word] = groups
        for index in moved:
            self._forward(index)
        self.update(word, ALL_BITS)

    def set_priority(self, index: int, priority: int) -> None:
        """Give an interrupt a priority, 8 bits of which the implemented ones are kept."""
        priority &= self.priority_mask
        moved = self.is_queued(index) and priority != self.priority[index]
        if moved:
            self._withdraw(index)
        self.priority[index] = priority
        if moved:
            self._forward(index)
        self.update(index >> 5, 1 << (index & 31))

    def set_line(self, index: int, level: bool) -> None:
        """Drive the input line of an interrupt; a rising edge sets the latch of an edge-triggered one."""
        word, bit = index >> 5, 1 << (index & 31)
        edge = self.edge[word] & bit != 0
        records = self.records_line or not edge
        if records:
            line = self.line[word] | bit if level else self.line[word] & ~bit
            if line == self.line[word]:
                # No event, so not even a reason to evaluate what was left for later (rule STATE-8).
                return
            self.line[word] = line
        if edge and level:
            self.latch[word] |= bit
        self.update(word, bit)

    def set_message(self, index: int, level: bool) -> None:
        """GICD_SETSPI (True) or GICD_CLRSPI (False): an edge, or the level of a virtual line."""
        word, bit = index >> 5, 1 << (index & 31)
        if not self.edge[word] & bit:
            self.message[word] = self.message[word] | bit if level else self.message[word] & ~bit
        elif level:
            self.latch[word] |= bit
        else:
            # A level raised while the interrupt was level-sensitive is gone too.
            self.latch[word] &= ~bit
            self.message[word] &= ~bit
        self.update(word, bit)

    def set_pending(self, index: int) -> None:
        """Set the latch of an interrupt: an SGI has arrived."""
        word, bit = index >> 5, 1 << (index & 31)
        self.latch[word] |= bit
        self.update(word, bit)

    def acknowledge(self, index: int) -> None:
        """Pending to active; a level that is still high leaves it active and pending."""
        word, bit = index >> 5, 1 << (index & 31)
        self.active[word] |= bit
        self.latch[word] &= ~bit
        self.update(word, bit)

    def deactivate(self, index: int) -> None:
        """Active to inactive, or active and pending to pending."""
        word, bit = index >> 5, 1 << (index & 31)
        self.active[word] &= ~bit
        self.update(word, bit)


class PrivateInterrupts(InterruptBank):
    """SGIs and PPIs of one PE: INTIDs 0 to 31."""

    __slots__ = ("cpu",)

    def __init__(self, cpu: int, priority_mask: int, records_line: bool, forwarder: Forwarder) -> None:
        super().__init__(0, 32, priority_mask, records_line, forwarder)
        self.cpu = cpu

    def target(self, index: int) -> int:
        """The PE that they are private to."""
        return self.cpu
