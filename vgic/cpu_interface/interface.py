"""The CPU interface of one PE: choosing, acknowledging, priority drop, deactivation, and the IRQ and FIQ outputs.

One Security state: Group 0 is signalled as FIQ, Group 1 as IRQ (rule CPU-1 in specs/cpu_interface.md). Registers
are in sysregs.py beside it; this is the state behind them and what it does.
"""

from typing import Final, Protocol

from mypy_extensions import i64

from vgic.bits import shifted
from vgic.cpu_interface.group import GroupState
from vgic.cpu_interface.pending import IDLE_KEY, IDLE_PRIORITY, INTID_BITS, INTID_MASK, NO_KEY
from vgic.intids import SPURIOUS
from vgic.profiles import Profile

__all__ = ["GROUP0", "GROUP1", "ActivationBank", "CpuInterface", "LineSink"]

GROUP0: Final = 0
GROUP1: Final = 1
NO_GROUP: Final = -1


class LineSink(Protocol):
    """Where a PE's interrupt outputs go."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The outputs of vCPU `cpu` have changed to these levels."""


class ActivationBank:
    """The part of an interrupt bank that a CPU interface needs; `index` counts INTIDs from `first`."""

    __slots__ = ("count", "first")

    def __init__(self, first: i64, count: i64) -> None:
        self.first = first
        self.count = count

    def has(self, intid: i64) -> bool:
        """True where the bank holds this INTID."""
        return 0 <= intid - self.first < self.count

    def group(self, index: i64) -> i64:
        """The group of an interrupt: 0 or 1."""
        raise NotImplementedError

    def acknowledge(self, index: i64) -> None:
        """Pending to active; the CPU interface settles what follows (CPU-4, CPU-5, PRIO-8)."""
        raise NotImplementedError

    def deactivate(self, index: i64) -> None:
        """Active to inactive; the CPU interface settles what follows."""
        raise NotImplementedError

    def selection_changed(self, cpu: i64) -> None:
        """Whether interrupts of the bank that may go to any PE may be sent to vCPU `cpu` has changed."""

    def displaced(self, cpu: i64, key: i64) -> None:
        """The interrupt of this key is no longer signalled to vCPU `cpu`, where it waits: another may take it."""

    def pe_free(self, cpu: i64) -> None:
        """Nothing is signalled to vCPU `cpu`: it could take an interrupt of the bank that waits at another."""


class Settler:
    """What brings CPU interfaces up to date after a change; see `vgic.interrupts.delivery`."""

    def settle(self) -> None:
        """Bring every CPU interface up to date that something was forwarded to or withdrawn from."""
        raise NotImplementedError

    def settle_with(self, interface: "CpuInterface") -> None:
        """The same, and this one too."""
        raise NotImplementedError

    def settle_outputs(self, interface: "CpuInterface") -> None:
        """The same, where of this one nothing has changed but what it takes to interrupt its PE."""
        raise NotImplementedError

    def settle_driven(self, interface: "CpuInterface") -> None:
        """The same, where the outputs of this one have followed already."""
        raise NotImplementedError


class CpuInterface:
    """State of one PE's CPU interface. `connect` gives it the interrupts that it can see.

    Whatever changes its state ends with `settle`, so that its outputs follow.
    """

    __slots__ = (
        "_eoi_checks_group",
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
        "hides_idle",
        "irq",
        "min_bpr0",
        "min_bpr1",
        "pmr",
        "priority_mask",
        "selection_changed",
        "signalled_key",
        "touched",
    )

    def __init__(self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None) -> None:
        self.cpu = cpu
        self._eoi_checks_group = profile.eoi_checks_group
        self.hides_idle = profile.lowest_priority_is_idle
        """An interrupt of the idle priority is never the highest priority pending one."""
        self._lines = lines
        self._private: ActivationBank
        self._shared: ActivationBank
        self._lpis: ActivationBank | None = None
        self._settler: Settler
        # Group priorities are the top 7 bits at most (IHI 0069, "Priority grouping").
        preemption_bits = min(priority_bits, 7)
        self.group0 = GroupState(preemption_bits, profile.disabled_group_hides)
        self.group1 = GroupState(preemption_bits, profile.disabled_group_hides)
        self.asleep = False
        """The Redistributor sends nothing to this PE."""
        self.touched = False
        """Marked by the Forwarder: to be settled."""
        self.selection_changed = False
        """Whether 1-of-N interrupts may be sent here is no longer what it was when this was last settled."""

        self.priority_mask: i64 = 0xFF00 >> priority_bits & 0xFF
        self.min_bpr0: i64 = 7 - preemption_bits
        self.min_bpr1: i64 = 8 - preemption_bits
        self.pmr: i64 = 0
        self.bpr0 = self.min_bpr0
        self.bpr1 = self.min_bpr1
        self.cbpr = False
        """Group 1 preempts by BPR0 too."""
        self.eoi_mode = False
        """EOIR drops the priority only, DIR deactivates."""

        self.irq = False
        self.fiq = False
        self.signalled_key: i64 = NO_KEY
        """The interrupt that the outputs signal."""
        self.best_key: i64 = NO_KEY
        """The highest priority pending interrupt, NO_KEY where there is none."""
        self.best_group: i64 = GROUP1

    def connect(
        self, private: ActivationBank, shared: ActivationBank, lpis: ActivationBank | None, settler: Settler
    ) -> None:
        """Give the interface the bank of its PE's INTIDs, that of SPIs, its LPIs if any, and who settles it."""
        self._private = private
        self._shared = shared
        self._lpis = lpis
        self._settler = settler

    def reset(self) -> None:
        """Reset the PE's registers (PSCI CPU_ON); what the Redistributor holds stays as it is (rule CPU-14)."""
        self.pmr = 0
        self.bpr0 = self.min_bpr0
        self.bpr1 = self.min_bpr1
        self.cbpr = False
        self.eoi_mode = False
        self.group0.reset()
        self.group1.reset()
        self.selection_changed = True
        self.settle()

    def group(self, group: i64) -> GroupState:
        """The state of Group `group`."""
        return self.group1 if group == GROUP1 else self.group0

    # 1-of-N.

    def selectable(self, group: i64) -> bool:
        """True where 1-of-N interrupts of this group may be sent to this PE."""
        state = self.group(group)
        return state.enabled and not self.asleep and not state.declines

    def would_take(self, group: i64, key: i64) -> bool:
        """True where an interrupt of this group and key, if forwarded here, would be signalled, and no other is."""
        state = self.group(group)
        if not state.considered() or not state.enabled or not self._preempts(group, key >> INTID_BITS):
            return False
        for other in (GROUP0, GROUP1):
            state = self.group(other)
            offer = state.offer()
            if offer < key or (state.enabled and self._preempts(other, offer >> INTID_BITS)):
                return False
        return True

    def set_group_enable(self, group: i64, enable: bool) -> None:
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
        best: i64 = NO_KEY
        self.best_group = GROUP1
        if not self.asleep:
            best = self.group1.offer()
            other = self.group0.offer()
            if other < best:
                best = other
                self.best_group = GROUP0
            if best >= IDLE_KEY and self.hides_idle:
                best = NO_KEY
        self.best_key = best
        return best > before

    def forward_groups(self, enables: i64) -> None:
        """The Distributor forwards the groups whose bits are set in `enables`, and no others."""
        self.group0.forwarded = enables & 1 != 0
        self.group1.forwarded = enables & 2 != 0

    def drive(self) -> i64:
        """Set the outputs; the key that they signalled until now, NO_KEY where they still do or signalled none."""
        irq, fiq = self.signal()
        signalled: i64 = NO_KEY
        if irq or fiq:
            signalled = self.best_key
        displaced = self.signalled_key
        if displaced == signalled:
            displaced = NO_KEY
        self.signalled_key = signalled
        if irq != self.irq or fiq != self.fiq:
            self.irq = irq
            self.fiq = fiq
            if self._lines is not None:
                self._lines.set_lines(self.cpu, irq, fiq)
        return displaced

    def signal(self) -> tuple[bool, bool]:
        """IRQ and FIQ as they should be: the best interrupt is signalled where it can preempt what is running.

        Rule CPU-1.
        """
        if not self._can_preempt():
            return False, False
        return self.best_group == GROUP1, self.best_group == GROUP0

    def settle(self) -> None:
        """Bring the interface, and what depends on it, up to date after its state changed."""
        self._settler.settle_with(self)

    def settle_outputs(self) -> None:
        """The same after a change of what it takes to interrupt the PE: what is best stays the best."""
        self._settler.settle_outputs(self)

    def highest_pending(self, group: i64) -> i64:
        """INTID that HPPIR of `group` shows: regardless of PMR and what is running, SPURIOUS where none."""
        if self.best_key == NO_KEY or self.best_group != group or not self.group(group).enabled:
            return SPURIOUS
        return self.best_key & INTID_MASK

    def group_mask(self, group: i64) -> i64:
        """The bits of a priority that decide preemption by an interrupt of `group` (PRIO-3, PRIO-4, PRIO-6)."""
        # One Security state: BPR1 splits one bit further right than BPR0 would.
        split = self.bpr0 + 1 if group == GROUP0 or self.cbpr else self.bpr1
        return shifted(0xFF, split) & 0xFF

    def running_priority(self) -> i64:
        """The group priority of the highest active interrupt that is not dropped, IDLE_PRIORITY where none."""
        running0, running1 = self.group0.running, self.group1.running
        return running0 if running0 < running1 else running1

    def _can_preempt(self) -> bool:
        if self.best_key == NO_KEY or not self.group(self.best_group).enabled:
            return False
        return self._preempts(self.best_group, self.best_key >> INTID_BITS)

    def _preempts(self, group: i64, priority: i64) -> bool:
        if priority >= self.pmr:
            return False
        running = self.running_priority()
        mask = self.group_mask(group)
        return running == IDLE_PRIORITY or priority & mask < running & mask

    # Taking and finishing interrupts.

    def acknowledge(self, group: i64) -> i64:
        """Read IAR of `group`: take the best interrupt and return its INTID, or SPURIOUS and change nothing."""
        if self.best_group != group or not self._can_preempt():
            return SPURIOUS
        intid = self.best_key & INTID_MASK
        self.group(group).activate(self.best_key >> INTID_BITS & self.group_mask(group))
        bank = self._bank(intid)
        if bank is not None:
            bank.acknowledge(intid - bank.first)
        self.settle()
        return intid

    def end_of_interrupt(self, group: i64, intid: i64) -> None:
        """Write EOIR of `group`: priority drop, and deactivation unless EOImode splits the two.

        Ignored for special INTIDs, for INTIDs that do not exist, and where the highest active priority belongs
        to the other group (rules CPU-9 and CPU-10). An LPI has no active state: only the priority drops.
        """
        bank = self._bank(intid)
        if bank is None or self._highest_active_group() != group:
            return
        self.group(group).drop()
        self.drive()
        if not self.eoi_mode:
            index = intid - bank.first
            if not self._eoi_checks_group or bank.group(index) == group:
                bank.deactivate(index)
        self._settler.settle_driven(self)

    def deactivate(self, intid: i64) -> None:
        """Write DIR: deactivate; ignored unless EOImode is 1 (rule CPU-11)."""
        bank = self._bank(intid)
        if self.eoi_mode and bank is not None:
            bank.deactivate(intid - bank.first)
            self._settler.settle()

    def _highest_active_group(self) -> i64:
        """The group of the highest active interrupt that is not dropped, NO_GROUP where none."""
        running0, running1 = self.group0.running, self.group1.running
        if running1 < running0:
            return GROUP1
        # Group 0 where both are the same.
        return GROUP0 if running0 != IDLE_PRIORITY else NO_GROUP

    def _bank(self, intid: i64) -> ActivationBank | None:
        if self._private.has(intid):
            return self._private
        if self._shared.has(intid):
            return self._shared
        return self._lpis if self._lpis is not None and self._lpis.has(intid) else None
