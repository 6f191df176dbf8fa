"""The CPU interface of one PE: choosing, acknowledging, priority drop, deactivation, and the IRQ and FIQ outputs.

One Security state: Group 0 is signalled as FIQ, Group 1 as IRQ (rule CPU-1 in specs/cpu_interface.md). Registers
are in vgic/sysregs.py; this is the state behind them and what it does.
"""

from typing import Final, Protocol

from vgic.intids import SPURIOUS
from vgic.pending import INTID_BITS, INTID_MASK, NO_KEY, PendingQueue
from vgic.profile import Profile

__all__ = ["GROUP0", "GROUP1", "IDLE_PRIORITY", "ActivationBank", "CpuInterface", "GroupState", "LineSink"]

GROUP0: Final = 0
GROUP1: Final = 1
NO_GROUP: Final = -1

IDLE_PRIORITY: Final = 0xFF
"""The running priority while nothing is active."""

IDLE_KEY: Final = IDLE_PRIORITY << INTID_BITS


class LineSink(Protocol):
    """Where a PE's interrupt outputs go."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The outputs of vCPU `cpu` have changed to these levels."""


class ActivationBank:
    """The part of an interrupt bank that a CPU interface needs; `index` counts INTIDs from `first`."""

    __slots__ = ("count", "first")

    first: int
    count: int

    def has(self, intid: int) -> bool:
        """True where the bank holds this INTID."""
        return 0 <= intid - self.first < self.count

    def group(self, index: int) -> int:
        """The group of an interrupt: 0 or 1."""
        raise NotImplementedError

    def acknowledge(self, index: int) -> None:
        """Pending to active; the CPU interface settles what follows."""
        raise NotImplementedError

    def deactivate(self, index: int) -> None:
        """Active to inactive; the CPU interface settles what follows."""
        raise NotImplementedError

    def selection_changed(self, cpu: int) -> None:
        """Whether interrupts of the bank that may go to any PE may be sent to vCPU `cpu` has changed."""

    def displaced(self, cpu: int, key: int) -> None:
        """The interrupt of this key is no longer signalled to vCPU `cpu`, where it waits: another may take it."""

    def pe_free(self, cpu: int) -> None:
        """Nothing is signalled to vCPU `cpu`: it could take an interrupt of the bank that waits at another."""


class Settler:
    """What brings CPU interfaces up to date after a change; see `vgic.forwarding`."""

    def touch(self, interface: "CpuInterface") -> None:
        """Have `settle` look at this CPU interface."""
        raise NotImplementedError

    def settle(self) -> None:
        """Bring every touched CPU interface up to date."""
        raise NotImplementedError


class GroupState:
    """What a CPU interface holds for each of the two groups."""

    __slots__ = ("active_priorities", "declines", "enabled", "forwarded", "private_head", "queue")

    def __init__(self) -> None:
        self.queue = PendingQueue()
        """What is forwarded to the PE, but for its private interrupts."""
        self.private_head = NO_KEY
        """The best key of the PE's private interrupts, NO_KEY where there is none."""
        self.forwarded = False
        """The Distributor forwards the group."""
        self.declines = False
        """1-of-N interrupts are kept away."""
        self.enabled = False
        self.active_priorities = 0
        """Bit n is set while an interrupt of group priority n is active and not yet dropped."""

    def reset(self) -> None:
        """Reset the registers."""
        self.enabled = False
        self.active_priorities = 0

    def head(self) -> int:
        """The best key of all that is forwarded, NO_KEY where nothing is."""
        head = self.queue.head
        return self.private_head if self.private_head < head else head


class CpuInterface:
    """State of one PE's CPU interface. `connect` gives it the interrupts that it can see.

    Whatever changes its state ends with `settle`, so that its outputs follow.
    """

    __slots__ = (
        "_eoi_checks_group",
        "_hides",
        "_idle_hidden",
        "_level_shift",
        "_lines",
        "_lpis",
        "_private",
        "_settler",
        "_shared",
        "asleep",
        "best_group",
        "best_key",
        "bpr0",
        "bpr1",
        "cbpr",
        "cpu",
        "eoi_mode",
        "fiq",
        "group0",
        "group1",
        "irq",
        "levels",
        "min_bpr0",
        "min_bpr1",
        "pmr",
        "priority_mask",
        "selection_changed",
        "signalled_key",
        "touched",
    )

    def __init__(self, cpu: int, profile: Profile, priority_bits: int, lines: LineSink | None) -> None:
        self.cpu = cpu
        self._eoi_checks_group = profile.eoi_checks_group
        self._hides = profile.disabled_group_hides
        self._idle_hidden = profile.lowest_priority_is_idle
        self._lines = lines
        self._private: ActivationBank
        self._shared: ActivationBank
        self._lpis: ActivationBank | None = None
        self._settler: Settler
        self.group0 = GroupState()
        self.group1 = GroupState()
        self.asleep = False
        """The Redistributor sends nothing to this PE."""
        self.touched = False
        """Marked by the Forwarder: to be settled."""
        self.selection_changed = False
        """Whether 1-of-N interrupts may be sent here is no longer what it was when this was last settled."""

        # Group priorities are the top 7 bits at most (IHI 0069, "Priority grouping").
        preemption_bits = min(priority_bits, 7)
        self.priority_mask = 0xFF00 >> priority_bits & 0xFF
        self.min_bpr0 = 7 - preemption_bits
        self.min_bpr1 = self.min_bpr0 + 1
        self._level_shift = 8 - preemption_bits
        self.levels = 1 << preemption_bits
        """How many group priorities there are: the bits of the active priorities."""

        self.irq = False
        self.fiq = False
        self.signalled_key = NO_KEY
        """The interrupt that the outputs signal."""
        self.best_key = NO_KEY
        """The highest priority pending interrupt, NO_KEY where there is none."""
        self.best_group = GROUP1
        self._reset_registers()

    def connect(
        self, private: ActivationBank, shared: ActivationBank, lpis: ActivationBank | None, settler: Settler
    ) -> None:
        """Give the interface the bank of its PE's INTIDs, that of SPIs, its LPIs if any, and who settles it."""
        self._private = private
        self._shared = shared
        self._lpis = lpis
        self._settler = settler

    def _reset_registers(self) -> None:
        self.pmr = 0
        self.bpr0 = self.min_bpr0
        self.bpr1 = self.min_bpr1
        self.cbpr = False
        """Group 1 preempts by BPR0 too."""
        self.eoi_mode = False
        """EOIR drops the priority only, DIR deactivates."""
        self.group0.reset()
        self.group1.reset()

    def reset(self) -> None:
        """Reset the PE's registers (PSCI CPU_ON); what the Redistributor holds stays as it is (rule CPU-14)."""
        self._reset_registers()
        self.selection_changed = True
        self.settle()

    def group(self, group: int) -> GroupState:
        """The state of Group `group`."""
        return self.group1 if group == GROUP1 else self.group0

    # 1-of-N.

    def selectable(self, group: int) -> bool:
        """True where 1-of-N interrupts of this group may be sent to this PE."""
        state = self.group(group)
        return state.enabled and not self.asleep and not state.declines

    def would_take(self, group: int, key: int) -> bool:
        """True where an interrupt of this group and key, if forwarded here, would be signalled, and no other is."""
        if (
            not self._considers(self.group(group))
            or not self.group(group).enabled
            or not self._preempts(group, key >> INTID_BITS)
        ):
            return False
        for other in (GROUP0, GROUP1):
            state = self.group(other)
            head = state.head()
            if self._considers(state) and head != NO_KEY:
                taken = state.enabled and self._preempts(other, head >> INTID_BITS)
                if taken or head < key:
                    return False
        return True

    def set_group_enable(self, group: int, enable: bool) -> None:
        """Write ICC_IGRPEN0 or ICC_IGRPEN1."""
        state = self.group(group)
        self.selection_changed |= state.enabled != enable
        state.enabled = enable
        self.settle()

    def set_distribution(self, asleep: bool, declines: list[bool]) -> None:
        """What the Redistributor sends here: nothing while asleep, no 1-of-N interrupts of groups it declines."""
        before = self.asleep, self.group0.declines, self.group1.declines
        self.asleep = asleep
        self.group0.declines, self.group1.declines = declines
        self.selection_changed |= before != (asleep, *declines)
        self.settle()

    def wake_request(self) -> bool:
        """True where the PE sleeps and an interrupt of a group that the Distributor forwards waits for it."""
        waits = any(group.forwarded and group.head() != NO_KEY for group in (self.group0, self.group1))
        return self.asleep and waits

    # Choosing.

    def choose(self) -> bool:
        """Find the highest priority pending interrupt; True where it is a worse one than before. O(1)."""
        before = self.best_key
        self.best_key, self.best_group = self.candidate()
        return self.best_key > before

    def candidate(self) -> tuple[int, int]:
        """Key and group of the highest priority pending interrupt, NO_KEY where there is none.

        Candidates are forwarded interrupts of groups that the Distributor enables and, unless the profile lets a
        disabled group hide the other, that the CPU interface enables too.
        """
        if self.asleep:
            return NO_KEY, self.best_group
        group0, group1 = self.group0, self.group1
        head0 = group0.head() if self._considers(group0) else NO_KEY
        head1 = group1.head() if self._considers(group1) else NO_KEY
        best, group = (head1, GROUP1) if head1 < head0 else (head0, GROUP0)
        if best == NO_KEY:
            return NO_KEY, self.best_group
        if self._idle_hidden and best >= IDLE_KEY:
            best = NO_KEY
        return best, group

    def _considers(self, group: GroupState) -> bool:
        """True where interrupts of the group are candidates."""
        return group.forwarded and (group.enabled or self._hides)

    def forward_groups(self, enables: int) -> None:
        """The Distributor forwards the groups whose bits are set in `enables`, and no others."""
        self.group0.forwarded = enables & 1 != 0
        self.group1.forwarded = enables & 2 != 0

    def drive(self) -> int:
        """Set the outputs; the key that they signalled until now, NO_KEY where they still do or signalled none."""
        irq, fiq = self.signal()
        signalled = self.best_key if irq or fiq else NO_KEY
        before = self.signalled_key
        self.signalled_key = signalled
        if irq != self.irq or fiq != self.fiq:
            self.irq = irq
            self.fiq = fiq
            if self._lines is not None:
                self._lines.set_lines(self.cpu, irq, fiq)
        return NO_KEY if before == signalled else before

    def signal(self) -> tuple[bool, bool]:
        """IRQ and FIQ as they should be: the best interrupt is signalled where it can preempt what is running."""
        if not self._can_preempt():
            return False, False
        return self.best_group == GROUP1, self.best_group == GROUP0

    def settle(self) -> None:
        """Bring the interface, and what depends on it, up to date after its state changed."""
        self._settler.touch(self)
        self._settler.settle()

    def highest_pending(self, group: int) -> int:
        """INTID that HPPIR of `group` shows: regardless of PMR and what is running, SPURIOUS where none."""
        if self.best_key == NO_KEY or self.best_group != group or not self.group(group).enabled:
            return SPURIOUS
        return self.best_key & INTID_MASK

    def group_mask(self, group: int) -> int:
        """The bits of a priority that decide preemption by an interrupt of `group`."""
        if group == GROUP0 or self.cbpr:
            return 0xFF << (self.bpr0 + 1) & 0xFF
        # One Security state: BPR1 splits one bit further right than BPR0 would.
        return 0xFF << self.bpr1 & 0xFF

    def running_priority(self) -> int:
        """The group priority of the highest active interrupt that is not dropped, IDLE_PRIORITY where none."""
        active = self.group0.active_priorities | self.group1.active_priorities
        if not active:
            return IDLE_PRIORITY
        return ((active & -active).bit_length() - 1) << self._level_shift

    def _can_preempt(self) -> bool:
        if self.best_key == NO_KEY or not self.group(self.best_group).enabled:
            return False
        return self._preempts(self.best_group, self.best_key >> INTID_BITS)

    def _preempts(self, group: int, priority: int) -> bool:
        if priority >= self.pmr:
            return False
        running = self.running_priority()
        mask = self.group_mask(group)
        return running == IDLE_PRIORITY or priority & mask < running & mask

    # Taking and finishing interrupts.

    def acknowledge(self, group: int) -> int:
        """Read IAR of `group`: take the best interrupt and return its INTID, or SPURIOUS and change nothing."""
        if self.best_group != group or not self._can_preempt():
            return SPURIOUS
        intid = self.best_key & INTID_MASK
        priority = self.best_key >> INTID_BITS
        level = (priority & self.group_mask(group)) >> self._level_shift
        self.group(group).active_priorities |= 1 << level
        bank = self._bank(intid)
        if bank is not None:
            bank.acknowledge(intid - bank.first)
        self.settle()
        return intid

    def end_of_interrupt(self, group: int, intid: int) -> None:
        """Write EOIR of `group`: priority drop, and deactivation unless EOImode splits the two.

        Ignored for special INTIDs, for INTIDs that do not exist, and where the highest active priority belongs
        to the other group (rules CPU-9 and CPU-10). An LPI has no active state: only the priority drops.
        """
        bank = self._bank(intid)
        if bank is None or self._highest_active_group() != group:
            return
        state = self.group(group)
        state.active_priorities &= state.active_priorities - 1
        self.drive()
        if not self.eoi_mode:
            index = intid - bank.first
            if not self._eoi_checks_group or bank.group(index) == group:
                bank.deactivate(index)
        self.settle()

    def deactivate(self, intid: int) -> None:
        """Write DIR: deactivate; ignored unless EOImode is 1 (rule CPU-11)."""
        bank = self._bank(intid)
        if self.eoi_mode and bank is not None:
            bank.deactivate(intid - bank.first)
            self._settler.settle()

    def _highest_active_group(self) -> int:
        """The group of the highest active interrupt that is not dropped, NO_GROUP where none."""
        active0, active1 = self.group0.active_priorities, self.group1.active_priorities
        lowest0, lowest1 = active0 & -active0, active1 & -active1
        if not lowest0 and not lowest1:
            return NO_GROUP
        # The lower bit is the higher priority; Group 0 where both are the same.
        return GROUP1 if lowest1 and (not lowest0 or lowest1 < lowest0) else GROUP0

    def _bank(self, intid: int) -> ActivationBank | None:
        if self._private.has(intid):
            return self._private
        if self._shared.has(intid):
            return self._shared
        return self._lpis if self._lpis is not None and self._lpis.has(intid) else None
