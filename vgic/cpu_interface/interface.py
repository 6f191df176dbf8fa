"""The CPU interface of one PE: choosing, acknowledging, priority drop, deactivation, and the IRQ and FIQ outputs.

What there is once for each group is in group.py beside it, and how many groups there are is nothing to this file: a
register names the one that it is of. Registers are in sysregs.py; this is the state behind them and what it does.
"""

from typing import Final, Protocol

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState, groups_of_one_state
from vgic.cpu_interface.pe_state import PeState
from vgic.cpu_interface.pending import IDLE_KEY, IDLE_PRIORITY, INTID_MASK, NO_KEY, PRIORITY_LSB, is_superior
from vgic.cpu_interface.reach import face_of
from vgic.intids import SPURIOUS
from vgic.profiles import Profile

__all__ = [
    "ANYWHERE",
    "CANDIDATES",
    "NOT_ACTIVE",
    "NO_GROUP",
    "PREEMPTION",
    "SELECTABLE",
    "ActivationBank",
    "CpuInterface",
    "LineSink",
    "Settler",
]

NO_GROUP: Final = -1
NOT_ACTIVE: Final = -1
ANYWHERE: Final = -2

# What of a CPU interface has changed, for `Settler.settle_changed`: one bit each.
CANDIDATES: Final = 1
"""What is forwarded to it, or which of that counts: another interrupt may be its best."""
PREEMPTION: Final = 2
"""What it takes to interrupt its PE: the best interrupt stays the best, whether it is signalled may change."""
SELECTABLE: Final = 4
"""Whether its PE may be sent 1-of-N interrupts."""


class LineSink(Protocol):
    """Where a PE's interrupt outputs go."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The outputs of vCPU `cpu` have changed to these levels."""


class WakeSink(Protocol):
    """Who is told that an interrupt waits for a PE that sleeps."""

    def wake_request(self, cpu: int) -> None:
        """An interrupt waits for vCPU `cpu`."""


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
        """The group of an interrupt, by its number."""
        raise NotImplementedError

    def active_priority(self, index: i64, cpu: i64) -> i64:
        """The priority (8 bits) of an interrupt that is active at vCPU `cpu`, or ANYWHERE; else NOT_ACTIVE."""
        raise NotImplementedError

    def acknowledge(self, index: i64) -> None:
        """Pending to active; the CPU interface settles what follows (CPU-4, CPU-5, PRIO-8)."""
        raise NotImplementedError

    def deactivate(self, index: i64) -> None:
        """Active to inactive; the CPU interface settles what follows."""
        raise NotImplementedError


class Settler:
    """What brings CPU interfaces up to date after a change; see `vgic.interrupts.delivery`."""

    def settle(self) -> None:
        """Bring up to date every CPU interface of which something has changed, and what depends on it."""
        raise NotImplementedError

    def settle_changed(self, interface: "CpuInterface", what: i64) -> None:
        """The same, where of this one CANDIDATES, PREEMPTION or SELECTABLE have changed (their bits in `what`)."""
        raise NotImplementedError


class CpuInterface:
    """State of one PE's CPU interface. `connect` gives it the interrupts that it can see.

    Whatever changes its state ends with `settle`, so that its outputs follow.
    """

    __slots__ = (
        "_banks",
        "_eoi_checks_group",
        "_lines",
        "_own",
        "_settler",
        "asleep",
        "best_in",
        "best_key",
        "candidates",
        "changed",
        "cpu",
        "el",
        "eoi_mode",
        "fiq",
        "groups",
        "hides_idle",
        "irq",
        "one_state",
        "pe",
        "pmr",
        "priority_mask",
        "running",
        "running_group",
        "several_active",
        "signalled_key",
        "silent",
        "view",
        "virtual",
        "wake_requested",
        "wake_sink",
    )

    def __init__(self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None) -> None:
        self.cpu = cpu
        self._eoi_checks_group = profile.eoi_checks_group
        self.hides_idle = profile.lowest_priority_is_idle
        """An interrupt of the idle priority is never the highest priority pending one."""
        self._lines = lines
        self._banks: list[ActivationBank] = []
        self._own = ActivationBank(0, 0)
        self._settler: Settler
        # Group priorities are the top 7 bits at most (IHI 0069, "Priority grouping").
        preemption_bits = min(priority_bits, 7)
        self.groups = groups_of_one_state(preemption_bits, profile.disabled_group_hides)
        """What the interface holds for each group, by its number."""
        self.candidates: i64 = 0
        """How many keys are forwarded to it, of whatever group. Mostly none, and there is nothing to look for."""
        self.asleep = False
        """The Redistributor sends nothing to this PE."""
        self.silent = False
        """Nothing is signalled: so a hypervisor can have a virtual CPU interface."""
        self.wake_sink: WakeSink | None = None
        self.wake_requested = False
        """The sink has heard of an interrupt that waits, since the PE went to sleep."""
        self.changed: i64 = 0
        """What has changed since the interface was last settled; the Settler's."""

        self.pe = PeState()
        """The state of the PE, as the embedder told it."""
        self.el: i64 = self.pe.el
        """The Exception level that it is at."""
        self.view: i64 = 0
        """Which of the tables of system registers the PE sees in that state (`SystemRegisters`)."""
        self.virtual: CpuInterface | None = None
        """The PE's virtual CPU interface, where it has one."""
        self.one_state = True
        """GICD_CTLR.DS: there is one Security state, or software has chosen so."""

        self.priority_mask: i64 = 0xFF00 >> priority_bits & 0xFF
        self.pmr: i64 = 0
        self.eoi_mode = False
        """EOIR drops the priority only, DIR deactivates."""

        self.running: i64 = IDLE_PRIORITY
        """The highest group priority that is active and not dropped, IDLE_PRIORITY where none is (rule CPU-7)."""
        self.running_group: i64 = NO_GROUP
        """The group that it is of, NO_GROUP where none is."""
        self.several_active = False
        """More than one group has active priorities: it takes a look at all of them to find it."""
        self.irq = False
        self.fiq = False
        self.signalled_key: i64 = NO_KEY
        """The interrupt that the outputs signal."""
        self.best_key: i64 = NO_KEY
        """The highest priority pending interrupt, NO_KEY where there is none."""
        self.best_in = self.groups[GROUP1]
        """The group that it is of."""
        self.find_masks()

    def connect(self, banks: list[ActivationBank], settler: Settler) -> None:
        """Give the interface the banks whose INTIDs its PE can see, its own first, and who settles it."""
        self._banks = banks
        self._own = banks[0]
        self._settler = settler

    def reset(self) -> None:
        """Reset the PE's registers (PSCI CPU_ON); what the Redistributor holds stays as it is (rule CPU-14)."""
        self.pmr = 0
        self.eoi_mode = False
        for group in self.groups:
            group.reset()
        self.find_derived()
        self.settle(CANDIDATES | PREEMPTION | SELECTABLE)

    # The PE.

    def set_pe_state(self, state: PeState) -> None:
        """The PE is in this state from now on (rule PE-1)."""
        self.pe = state
        self.el = state.el
        self.view = self.face()

    def face(self) -> i64:
        """Which groups' registers are the virtual CPU interface's in the state that the PE is in (rule VCPU-19)."""
        return 0 if self.virtual is None else face_of(self.pe)

    def set_one_state(self, one_state: bool) -> None:
        """GICD_CTLR.DS changes, where there are two Security states. Settles nothing."""

    def irq_group(self) -> i64:
        """The group that is signalled as IRQ in the state that the PE is in, the others being FIQ (rule CPU-1)."""
        return GROUP1

    # 1-of-N.

    def selectable(self, group: i64) -> bool:
        """True where 1-of-N interrupts of this group may be sent to this PE (ONEN-3)."""
        state = self.groups[group]
        return state.enabled and not self.asleep and not state.declines

    def would_take(self, group: i64, key: i64) -> bool:
        """True where an interrupt of this group and key, if forwarded here, would be signalled, and no other is."""
        state = self.groups[group]
        if not state.considered() or not state.enabled or not self._preempts(state, key):
            return False
        for other in self.groups:
            offer = other.offer()
            if offer < key or (other.enabled and self._preempts(other, offer)):
                return False
        return True

    def set_group_enable(self, group: i64, enable: bool) -> None:
        """Write ICC_IGRPEN0 or ICC_IGRPEN1 (CPU-18)."""
        state = self.groups[group]
        what: i64 = CANDIDATES
        if state.enabled != enable:
            what |= SELECTABLE
        state.enabled = enable
        self.settle(what)

    def set_distribution(self, asleep: bool, declines: list[bool]) -> None:
        """What the Redistributor sends here: nothing while asleep, no 1-of-N interrupts of groups it declines."""
        what: i64 = CANDIDATES
        if self.asleep != asleep:
            what |= SELECTABLE
            self.wake_requested = False
        for group, declined in zip(self.groups, declines, strict=True):
            if group.declines != declined:
                what |= SELECTABLE
        self.follow_redistributor(asleep, declines)
        self.settle(what)

    def follow_redistributor(self, asleep: bool, declines: list[bool]) -> None:
        """`set_distribution`, but for settling."""
        self.asleep = asleep
        for group, declined in zip(self.groups, declines, strict=True):
            group.declines = declined

    def wake_request(self) -> bool:
        """True where the PE sleeps and an interrupt of a group that the Distributor forwards waits for it."""
        return self.asleep and any(group.forwarded and group.head() != NO_KEY for group in self.groups)

    # Choosing.

    def select_best(self) -> bool:
        """Find the highest priority pending interrupt; True where it is a worse one than before. O(groups)."""
        before = self.best_key
        best: i64 = NO_KEY
        if self.candidates and not self.asleep:
            for group in self.groups:
                offer = group.offer()
                if offer < best:
                    best = offer
                    self.best_in = group
            if best >= IDLE_KEY and self.hides_idle:
                best = NO_KEY
        self.best_key = best
        return best > before

    def consider(self, group: GroupState, key: i64) -> None:
        """Let an interrupt that has been forwarded be the highest priority pending one, if it is. O(1)."""
        better = key < self.best_key and group.considered() and not self.asleep
        if better and (key < IDLE_KEY or not self.hides_idle):
            self.best_key = key
            self.best_in = group

    def forward_groups(self, enables: i64) -> None:
        """The Distributor forwards the groups whose bits are set in `enables`, and no others."""
        for group in self.groups:
            group.forwarded = enables >> group.number & 1 != 0

    def update_outputs(self) -> i64:
        """Set the outputs; the key that they signalled until now, NO_KEY where they still do or signalled none."""
        if self.best_key == NO_KEY and self.signalled_key == NO_KEY:
            if self.asleep:
                self._request_wake()
            return NO_KEY
        # The best interrupt is signalled where it can preempt what is running (rule CPU-1).
        signalled: i64 = NO_KEY
        irq = fiq = False
        if self.can_preempt():
            signalled = self.best_key
            irq = self.best_in.irq
            fiq = not irq
        displaced = self.signalled_key
        if displaced == signalled:
            displaced = NO_KEY
        self.signalled_key = signalled
        if irq != self.irq or fiq != self.fiq:
            self.irq = irq
            self.fiq = fiq
            if self._lines is not None:
                self._lines.set_lines(self.cpu, irq, fiq)
        if self.asleep:
            self._request_wake()
        return displaced

    def _request_wake(self) -> None:
        """Tell, once while the PE sleeps, that an interrupt waits (rule RED-21)."""
        if self.wake_sink is not None and not self.wake_requested and self.wake_request():
            self.wake_requested = True
            self.wake_sink.wake_request(self.cpu)

    def settle(self, what: i64) -> None:
        """Bring the interface, and what depends on it, up to date after `what` of it has changed."""
        self._settler.settle_changed(self, what)

    def highest_pending(self, group: i64) -> i64:
        """INTID that HPPIR of `group` shows: regardless of PMR and what is running, SPURIOUS where none (CPU-6)."""
        best = self.best_in
        if self.best_key == NO_KEY or best.number != group or not best.enabled:
            return SPURIOUS
        return self.best_key & INTID_MASK

    def can_preempt(self) -> bool:
        """True where there is a highest priority pending interrupt, and it may interrupt the PE."""
        if self.best_key == NO_KEY or self.silent or not self.best_in.enabled:
            return False
        return self._preempts(self.best_in, self.best_key)

    def _preempts(self, group: GroupState, key: i64) -> bool:
        """True where an interrupt of this group and key would interrupt the PE."""
        if is_superior(key):
            return self.superior_preempts(group, key)
        priority = key >> PRIORITY_LSB
        if priority >= self.pmr:
            return False
        running = self.running
        mask = group.mask
        return running == IDLE_PRIORITY or priority & mask < running & mask

    def superior_preempts(self, group: GroupState, key: i64) -> bool:
        """`_preempts` for one with superpriority, which only VMs with NMIs have."""
        raise NotImplementedError

    # Taking and finishing interrupts.

    def acknowledge(self, group: i64) -> i64:
        """Read IAR of `group`: take the best interrupt and return its INTID, or SPURIOUS and change nothing.

        Rule CPU-4.
        """
        best = self.best_in
        if best.number != group or not self.can_preempt():
            return SPURIOUS
        intid = self.best_key & INTID_MASK
        best.take(self.best_key)
        if self.running_group == group or self.running_group == NO_GROUP:
            self.running = best.running
            self.running_group = group
        else:
            self.find_running()
        bank = self._bank(intid)
        if bank is not None:
            bank.acknowledge(intid - bank.first)
        self._settler.settle_changed(self, PREEMPTION)
        return intid

    def end_of_interrupt(self, group: i64, intid: i64) -> None:
        """Write EOIR of `group`: priority drop, and deactivation unless EOImode splits the two.

        Ignored for special INTIDs, for INTIDs that do not exist, and where the highest active priority belongs
        to the other group (rules CPU-9 and CPU-10). An LPI has no active state: only the priority drops.
        """
        bank = self._bank(intid)
        if bank is None or self.running_group != group:
            return
        state = self.groups[group]
        state.drop()
        if self.several_active:
            self.find_running()
        else:
            self.running = state.running
            if state.running == IDLE_PRIORITY:
                self.running_group = NO_GROUP
        self._settler.settle_changed(self, PREEMPTION)
        if not self.eoi_mode:
            index = intid - bank.first
            if not self._eoi_checks_group or bank.group(index) == group:
                bank.deactivate(index)
                self._settler.settle()

    def deactivate(self, intid: i64) -> None:
        """Write DIR: deactivate; ignored unless EOImode is 1 (rule CPU-11)."""
        bank = self._bank(intid)
        if self.eoi_mode and bank is not None:
            bank.deactivate(intid - bank.first)
            self._settler.settle()

    def finish(self, intid: i64) -> None:
        """Deactivate, whatever EOImode is: a virtual interrupt that stands for it has ended (rule VCPU-12)."""
        bank = self._bank(intid)
        if bank is not None:
            bank.deactivate(intid - bank.first)
            self._settler.settle()

    def find_derived(self) -> None:
        """Find what follows from registers that were stored without anything else: masks, and what is running."""
        self.find_masks()
        self.find_running()

    def find_masks(self) -> None:
        """Find by which bits each group preempts, after binary points or CBPR changed (PRIO-3, PRIO-4, PRIO-6)."""
        common = self.groups[GROUP0].split()
        for group in self.groups:
            group.split_at(common if group.cbpr else group.split())

    def find_running(self) -> None:
        """Find the highest active interrupt that is not dropped, after active priorities changed. O(groups)."""
        running: i64 = IDLE_PRIORITY
        highest: i64 = NO_GROUP
        active: i64 = 0
        for group in self.groups:
            if group.running != IDLE_PRIORITY:
                active += 1
            # Of those that are the same the first, but Secure Group 1 before Non-secure Group 1.
            if group.running < running or (highest == GROUP1 and group.running == running):
                running = group.running
                highest = group.number
        self.running = running
        self.running_group = highest
        self.several_active = active > 1

    def _bank(self, intid: i64) -> ActivationBank | None:
        # The PE's own interrupts are the likeliest, and an attribute is found sooner than an item of a list.
        own = self._own
        if own.has(intid):
            return own
        for bank in self._banks:
            if bank.has(intid):
                return bank
        return None
