"""Interrupt state: a bank of INTIDs, 32 to a word, and what makes an interrupt a candidate for delivery.

A Redistributor has a bank of the 32 INTIDs private to its PE, the Distributor one of the SPIs, and either may have
another of the extended range. An interrupt is
*pending* when its latch is set or, where level-sensitive, its line is high; it is *forwarded* to its PE while it is
pending, enabled and not active (rules STATE-1 to STATE-6 in specs/distributor.md).

Unless it says otherwise, a method that changes state ends by bringing the CPU interfaces up to date.
"""

from mypy_extensions import i64

from vgic.bits import bit, lowest, shifted
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.interface import ANYWHERE, NOT_ACTIVE, ActivationBank
from vgic.cpu_interface.pending import NO_KEY, PRIORITY_LSB
from vgic.interrupts.delivery import Forwarder
from vgic.interrupts.words import ALL_BITS, FullWord, InterruptWord, full
from vgic.intids import FIRST_EXTENDED_PPI
from vgic.topology import NO_VCPU

__all__ = ["ExtendedPpis", "InterruptBank", "PrivateInterrupts"]


class InterruptBank(ActivationBank):
    """The state of INTIDs `first` to `first + count - 1`; `index` counts from 0 within the bank.

    Bit n of word w stands for index 32 * w + n. Subclasses say where an interrupt goes (`target`).
    """

    __slots__ = (
        "best_of_group1",
        "forwarder",
        "idle",
        "lasting_latch",
        "priorities",
        "priority_mask",
        "records_line",
        "words",
    )

    def __init__(self, first: i64, count: i64, config: Config, priority_mask: i64, forwarder: Forwarder) -> None:
        super().__init__(first, count)
        self.priority_mask = priority_mask
        self.records_line = config.profile.edge_records_line
        self.forwarder = forwarder
        self.idle = False
        """What happens is not noticed."""
        self.lasting_latch: i64 = 0
        """All ones where the latch of a level-sensitive interrupt lasts until it is deactivated (STATE-16)."""
        self.best_of_group1: i64 = 0
        """The priority as which superpriority counts in Group 1: the best, or the best of Non-secure (NMI-11)."""
        beyond = -count % 32
        # What few VMs have takes no memory in the others.
        kind = FullWord if config.two_states or config.nmi else InterruptWord
        self.words = [kind(start, ALL_BITS) for start in range(0, count, 32)]
        if beyond:
            self.words[-1].implemented >>= beyond
        self.priorities = bytes(count)
        """Of each interrupt, 8 bits."""

    def target(self, index: i64) -> i64:
        """The vCPU that the interrupt goes to, NO_VCPU where there is none."""
        raise NotImplementedError

    def group(self, index: i64) -> i64:
        """The group of an interrupt, by its number."""
        return self.words[index >> 5].group(index & 31)

    def is_reached(self, index: i64, level: i64) -> bool:
        """True where Non-secure accesses that need this `level` of GICD_NSACR reach the interrupt."""
        return full(self.words[index >> 5]).reached(level) >> (index & 31) & 1 != 0

    def is_active(self, index: i64) -> bool:
        """True where the interrupt is active, at whichever PE."""
        return self.words[index >> 5].active >> (index & 31) & 1 != 0

    def active_priority(self, index: i64, cpu: i64) -> i64:
        """The priority of an interrupt that is active at vCPU `cpu`, or ANYWHERE; else NOT_ACTIVE."""
        if self.is_active(index) and (cpu == ANYWHERE or self.place(index) == cpu):
            return self.priorities[index]
        return NOT_ACTIVE

    def place(self, index: i64) -> i64:
        """The vCPU at which an active interrupt is; by itself, the one that it goes to."""
        return self.target(index)

    def forget_inactive(self) -> None:
        """Some may be active no longer: where they were is of no interest any more. Settles nothing."""

    def key(self, index: i64) -> i64:
        """What interrupts are sorted by: priority, then INTID (PRIO-2)."""
        return shifted(self.priorities[index], PRIORITY_LSB) | self.first + index

    def is_queued(self, index: i64) -> bool:
        """True where the interrupt is forwarded, or waits for a target."""
        return self.words[index >> 5].queued >> (index & 31) & 1 != 0

    def store_priorities(self, start: int, priorities: bytes) -> None:
        """Keep the priorities of some interrupts, which are not forwarded, from index `start` on. O(count)."""
        self.priorities = self.priorities[:start] + priorities + self.priorities[start + len(priorities) :]

    # What follows changes state. A word or index must be one of the bank's.

    def requeue(self, number: i64, mask: i64) -> None:
        """Forward and withdraw the interrupts of `mask` in word `number`; the CPU interfaces follow later."""
        self._requeue(self.words[number], mask)

    def _requeue(self, word: InterruptWord, mask: i64) -> None:
        due = word.due()
        changed = (due ^ word.queued) & mask
        word.queued ^= changed
        leaving = changed & ~due
        while leaving:
            self.withdraw(word.start + lowest(leaving))
            leaving &= leaving - 1
        self._forward_all(word, changed & due)

    def _requeue_one(self, word: InterruptWord, index: i64) -> None:
        """`requeue` for one interrupt."""
        if (word.due() ^ word.queued) >> (index & 31) & 1:
            self._requeue_other(word, index)

    def _requeue_other(self, word: InterruptWord, index: i64) -> None:
        """`requeue` for one that is forwarded and should not be, or the other way round."""
        mask = bit(index & 31)
        word.queued ^= mask
        if word.queued & mask:
            self.forward(index)
        else:
            self.withdraw(index)

    def update(self, number: i64, mask: i64) -> None:
        """`requeue`, then bring the CPU interfaces up to date."""
        self._update(self.words[number], mask)

    def _update(self, word: InterruptWord, mask: i64) -> None:
        self._requeue(word, mask)
        self.forwarder.settle()

    def notice(self, number: i64, mask: i64) -> None:
        """Something happens to interrupts of word `number`: they are overlooked no longer. Settles nothing."""
        word = self.words[number]
        if word.overlooked:
            self._notice(word, mask)

    def _notice(self, word: InterruptWord, mask: i64) -> None:
        if not self.idle:
            word.overlooked &= ~mask

    def set_idle(self, idle: bool) -> None:
        """Overlook all that happens, and what is pending; or notice what happens from now on. Settles nothing."""
        self.idle = idle
        for word in self.words:
            # What is active stays where it is, and is not overlooked when it becomes pending again.
            word.overlooked = word.implemented if idle else word.overlooked & ~word.active
            self._requeue(word, ALL_BITS)

    def forward_queued(self, number: i64) -> None:
        """Forward the interrupts of `queued` in word `number`, which their PEs do not have."""
        self._forward_all(self.words[number], self.words[number].queued)

    def _forward_all(self, word: InterruptWord, bits: i64) -> None:
        """`forward` each of several that are due."""
        while bits:
            self.forward(word.start + lowest(bits))
            bits &= bits - 1

    def forward(self, index: i64) -> None:
        """Give an interrupt that is due to the PE that it goes to. Settles nothing."""
        target = self.target(index)
        if target != NO_VCPU:
            self.forwarder.forward(target, self.group(index), self.key(index))

    def withdraw(self, index: i64) -> None:
        """Take back one that is queued no longer. Settles nothing."""
        target = self.target(index)
        if target != NO_VCPU:
            self.forwarder.withdraw(target, self.group(index), self.key(index))

    def set_groups(self, number: i64, group1: i64) -> None:
        """Put these interrupts of word `number` into Group 1, and no others (STATE-13)."""
        word = self.words[number]
        self._withdraw_some(word, word.group1 ^ group1)
        word.group1 = group1
        # Evaluated before it is forwarded: what is due no longer must not be the best for a moment (STATE-8).
        self._update(word, ALL_BITS)

    def set_modifiers(self, number: i64, modifier: i64) -> None:
        """Put these interrupts of word `number` into Secure Group 1 unless they are in Group 1 (SEC-2)."""
        word = full(self.words[number])
        self._withdraw_some(word, (word.modifier ^ modifier) & ~word.group1)
        word.modifier = modifier
        # As in `set_groups`.
        self._update(word, ALL_BITS)

    def set_nmis(self, number: i64, nmis: i64) -> None:
        """Give those interrupts of word `number` superpriority, and no others (NMI-2)."""
        word = full(self.words[number])
        self._withdraw_some(word, word.nmi ^ nmis)
        word.nmi = nmis
        # As in `set_groups`.
        self._update(word, ALL_BITS)

    def set_best_of_group1(self, best: i64) -> None:
        """Change what superpriority counts as in Group 1. Settles nothing."""
        concerned = [word.superior() & word.group1 & word.queued for word in self.words]
        for word, bits in zip(self.words, concerned, strict=True):
            self._withdraw_some(word, bits)
        self.best_of_group1 = best
        for word, bits in zip(self.words, concerned, strict=True):
            self._requeue(word, bits)

    def _withdraw_some(self, word: InterruptWord, bits: i64) -> None:
        """`withdraw` those of some interrupts that are queued, and queue them no longer."""
        bits &= word.queued
        word.queued ^= bits
        while bits:
            self.withdraw(word.start + lowest(bits))
            bits &= bits - 1

    def set_priority(self, index: i64, priority: i64) -> None:
        """Give an interrupt a priority, 8 bits of which the implemented ones are kept (STATE-12, DIST-18)."""
        priority &= self.priority_mask
        word, mask = self.words[index >> 5], bit(index & 31)
        if priority != self.priorities[index]:
            if word.queued & mask:
                word.queued ^= mask
                self.withdraw(index)
            self.store_priorities(index, bytes((int(priority),)))
        # As in `set_group`.
        self._requeue_one(word, index)
        self.forwarder.settle()

    def set_line(self, index: i64, level: bool) -> None:
        """Drive the input line of an interrupt; a rising edge sets the latch of an edge-triggered one.

        Rules STATE-4, STATE-9.
        """
        word, mask = self.words[index >> 5], bit(index & 31)
        edge = word.edge & mask != 0
        if self.records_line or not edge:
            line = word.line | mask if level else word.line & ~mask
            if line == word.line:
                # No event, so not even a reason to evaluate what was left for later (rule STATE-8).
                return
            word.line = line
        if edge and level:
            word.latch |= mask
        if word.overlooked and (level or not edge):
            self._notice(word, mask)
        self._requeue_one(word, index)
        self.forwarder.settle()

    def set_message(self, index: i64, level: bool) -> None:
        """GICD_SETSPI (True) or GICD_CLRSPI (False): an edge, or the level of a virtual line (DIST-13, DIST-14)."""
        word, mask = self.words[index >> 5], bit(index & 31)
        if not word.edge & mask:
            word.message = word.message | mask if level else word.message & ~mask
        elif level:
            word.latch |= mask
        else:
            # A level raised while the interrupt was level-sensitive is gone too.
            word.latch &= ~mask
            word.message &= ~mask
        self._requeue_one(word, index)
        self.forwarder.settle()

    def acknowledge(self, index: i64) -> None:
        """Pending to active; a level that is still high leaves it active and pending. Settles nothing (STATE-5)."""
        self._acknowledge(self.words[index >> 5], index)

    def _acknowledge(self, word: InterruptWord, index: i64) -> None:
        mask = bit(index & 31)
        word.active |= mask
        word.latch &= ~mask | self.lasting_latch & ~word.edge
        self._requeue_one(word, index)

    def deactivate(self, index: i64) -> None:
        """Active to inactive, or active and pending to pending. Settles nothing (STATE-6)."""
        self._deactivate(self.words[index >> 5], index)

    def _deactivate(self, word: InterruptWord, index: i64) -> None:
        mask = bit(index & 31)
        word.active &= ~mask
        word.latch &= ~(mask & self.lasting_latch & ~word.edge)
        self._requeue_one(word, index)


class PrivateInterrupts(InterruptBank):
    """SGIs and PPIs of one PE: INTIDs 0 to 31, a single word.

    They need no queue: the best of so few is found by looking at those that are forwarded. Their word, and what the
    CPU interface holds for Group 1, where most are, are at hand: found sooner than an item of a list.
    """

    __slots__ = ("_group1", "interface", "nsacr", "word")

    def __init__(self, cpu: i64, config: Config, priority_mask: i64, forwarder: Forwarder) -> None:
        super().__init__(0, 32, config, priority_mask, forwarder)
        self.word = self.words[0]
        self.interface = forwarder.cpus[cpu]
        self._group1 = self.interface.groups[GROUP1]
        self.nsacr: i64 = 0
        """GICR_NSACR: two bits for each SGI, by which Non-secure PEs may generate it where it is Secure (SEC-9)."""

    def target(self, index: i64) -> i64:
        """The PE that they are private to."""
        return self.interface.cpu

    def lets_nonsecure(self, intid: i64, group: i64) -> bool:
        """True where Non-secure PEs may generate this SGI, which is in a Secure group, by GICR_NSACR (PE-12)."""
        access = self.nsacr >> 2 * intid & 3
        return access >= 2 or (access == 1 and group == GROUP0)

    def set_pending(self, intid: i64) -> None:
        """An SGI arrives. Settles nothing."""
        self.word.latch |= bit(intid)
        if self.word.overlooked:
            self._notice(self.word, bit(intid))
        self._requeue_one(self.word, intid)

    def forward(self, index: i64) -> None:
        """Let the CPU interface know of an interrupt that is due. Settles nothing."""
        group, key = self._state(index), self.key(index)
        if key < group.own_head:
            group.own_head = key
        self.forwarder.forwarded(self.interface, group, key)

    def withdraw(self, index: i64) -> None:
        """Let the CPU interface know of one that is queued no longer. Settles nothing."""
        group, key = self._state(index), self.key(index)
        if group.own_head == key:
            bits = self.word.queued
            if bits:
                bits &= self.word.members(group.number)
            group.own_head = self._best(bits)
        self.forwarder.withdrawn(self.interface, key)

    def acknowledge(self, index: i64) -> None:
        """See `InterruptBank.acknowledge`."""
        self._acknowledge(self.word, index)

    def deactivate(self, index: i64) -> None:
        """See `InterruptBank.deactivate`."""
        self._deactivate(self.word, index)

    def _state(self, index: i64) -> GroupState:
        """What the CPU interface holds for the group of an interrupt."""
        if self.word.group1 >> index & 1:
            return self._group1
        return self.interface.groups[self.word.other_group(index)]

    def _best(self, bits: i64) -> i64:
        """The best key of some interrupts, NO_KEY where there are none."""
        best: i64 = NO_KEY
        while bits:
            key = self.key(lowest(bits))
            bits &= bits - 1
            if key < best:
                best = key
        return best


class ExtendedPpis(InterruptBank):
    """PPIs of one PE in the extended range. Like SPIs they are in its queues, which any number can be."""

    __slots__ = ("_cpu",)

    def __init__(self, cpu: i64, config: Config, priority_mask: i64, forwarder: Forwarder) -> None:
        super().__init__(FIRST_EXTENDED_PPI, config.extended_ppis, config, priority_mask, forwarder)
        self._cpu = cpu

    def target(self, index: i64) -> i64:
        """The PE that they are private to."""
        return self._cpu
