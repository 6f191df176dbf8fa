"""Delivery: from the interrupt banks to the CPU interfaces.

Banks forward and withdraw interrupts here, one by one, and whoever changes a CPU interface marks what of it has
changed. `settle` then lets every marked interface find its highest priority pending interrupt and set its outputs,
and lets interrupts that may go to any PE find theirs.
"""

from typing import Final, Protocol

from mypy_extensions import i64

from vgic.cpu_interface.group import GroupState
from vgic.cpu_interface.interface import CANDIDATES, PREEMPTION, SELECTABLE, CpuInterface, Settler
from vgic.cpu_interface.pending import NO_KEY
from vgic.topology import NO_VCPU

__all__ = ["DeferredBank", "Forwarder", "Placement"]


_SEVERAL: Final = -2
"""More than one CPU interface is marked."""


class DeferredBank(Protocol):
    """A bank whose words can be evaluated later."""

    def requeue(self, number: i64, mask: i64) -> None:
        """Bring the pending queues in line with the interrupts of `mask` in word `number`."""


class Placement:
    """What moves interrupts that may go to any PE; by itself, where there are none (rules ONEN-1 to ONEN-10)."""

    def selectable_changed(self, cpu: i64) -> None:
        """Whether such interrupts may be sent to vCPU `cpu` has changed."""

    def displaced(self, cpu: i64, key: i64) -> None:
        """The interrupt of this key is no longer signalled to vCPU `cpu`, where it waits: another may take it."""

    def pes_free(self, cpus: list[int]) -> None:
        """Nothing is signalled to these vCPUs: they could take interrupts that wait at others."""


class Forwarder(Settler):
    """Connects the banks of a VM with the CPU interfaces of its vCPUs."""

    def __init__(self, cpus: list[CpuInterface]) -> None:
        self.cpus = cpus
        self.placement = Placement()
        """Moves interrupts that may go to any PE."""
        self.has_one_of_n = False
        """There are such interrupts, which could be at another PE than they are."""
        self._coupled = False
        """There are such interrupts, or deferred words: what changes at one PE may concern others."""
        self._alone: i64 = NO_VCPU
        """The only vCPU that is marked, NO_VCPU where none is, _SEVERAL where all that are are in the list."""
        self._last_alone = cpus[0]
        """Its CPU interface, or that of the last that there was: found sooner than an item of a list."""
        self._marked: list[CpuInterface] = []
        self.deferred: list[tuple[DeferredBank, int]] = []
        """Words that `defer` left as they were forwarded, in the order in which they will be evaluated."""

    def forward(self, cpu: i64, group: i64, key: i64) -> None:
        """Put an interrupt in a PE's pending queue."""
        interface = self.cpus[cpu]
        state = interface.groups[group]
        state.forward(key)
        self.forwarded(interface, state, key)

    def withdraw(self, cpu: i64, group: i64, key: i64) -> None:
        """Take an interrupt out of a PE's pending queue."""
        interface = self.cpus[cpu]
        interface.groups[group].withdraw(key)
        self.withdrawn(interface, key)

    def forwarded(self, interface: CpuInterface, group: GroupState, key: i64) -> None:
        """An interrupt has been forwarded to a PE, whose CPU interface may have a better one now."""
        interface.candidates += 1
        interface.consider(group, key)
        self.mark_changed(interface, PREEMPTION)

    def withdrawn(self, interface: CpuInterface, key: i64) -> None:
        """An interrupt is forwarded to a PE no longer, whose CPU interface may have to look for another."""
        interface.candidates -= 1
        self.mark_changed(interface, CANDIDATES if key == interface.best_key else PREEMPTION)

    def clear(self) -> None:
        """Empty the pending queues and forget what was deferred: the state of the VM is being replaced."""
        self.deferred = []
        self._couple()
        for interface in self.cpus:
            interface.candidates = 0
            for group in interface.groups:
                group.forget()

    def mark_changed(self, interface: CpuInterface, what: i64) -> None:
        """Have `settle` look at this CPU interface."""
        if not interface.changed:
            self._mark(interface)
        interface.changed |= what

    def _mark(self, interface: CpuInterface) -> None:
        if self._alone == NO_VCPU:
            self._alone = interface.cpu
            if self._last_alone is not interface:
                self._last_alone = interface
            return
        if self._alone >= 0:
            self._gather()
        self._marked.append(interface)

    def _gather(self) -> None:
        """Have the one that is marked in the list."""
        self._marked.append(self._last_alone)
        self._alone = _SEVERAL

    def set_one_of_n(self, there: bool) -> None:
        """Say whether there are interrupts that could be at another PE than they are."""
        self.has_one_of_n = there
        self._couple()

    def _couple(self) -> None:
        self._coupled = self.has_one_of_n or len(self.deferred) != 0

    def defer(self, bank: DeferredBank, word: int) -> None:
        """Leave a word of a bank as it is forwarded now, until something makes a PE choose anew.

        Only for profiles in which a change of trigger does not take effect at once (rule STATE-8).
        """
        if not self.is_deferred(bank, word):
            self.deferred.append((bank, word))
            self._couple()

    def is_deferred(self, bank: DeferredBank, word: int) -> bool:
        """True where the word is yet to be evaluated."""
        return any(waiting is bank and number == word for waiting, number in self.deferred)

    def catch_up(self) -> None:
        """Evaluate what was deferred."""
        deferred, self.deferred = self.deferred, []
        self._couple()
        for bank, word in deferred:
            bank.requeue(word, 0xFFFF_FFFF)

    def settle_changed(self, interface: CpuInterface, what: i64) -> None:
        """`mark_changed` and `settle`."""
        if self._alone != NO_VCPU or self._coupled or what & SELECTABLE:
            self.mark_changed(interface, what)
            if what & SELECTABLE:
                # Placing 1-of-N interrupts marks more interfaces.
                self.placement.selectable_changed(interface.cpu)
            self.settle()
            return
        # As in `settle`, without a mark.
        if what & CANDIDATES:
            interface.select_best()
        interface.update_outputs()

    def settle(self) -> None:
        """Bring the marked CPU interfaces up to date, until nothing moves any more."""
        while self._alone != NO_VCPU:
            if self._alone == _SEVERAL:
                self._settle_marked()
                continue
            if self._coupled:
                self._gather()
            else:
                # Nearly always: one PE, and nothing that concerns others or was left for later.
                alone, self._alone = self._last_alone, NO_VCPU
                changed, alone.changed = alone.changed, 0
                if changed & CANDIDATES:
                    alone.select_best()
                alone.update_outputs()

    def _settle_marked(self) -> None:
        # A PE that lost its best interrupt looks at all again, and so finds what was deferred (rule STATE-8).
        if self.deferred and any(interface.select_best() for interface in self._marked):
            self.catch_up()
        # The callback behind the outputs may come back with a new line level: leave nothing half done before it.
        marked, self._marked = self._marked, []
        self._alone = NO_VCPU
        for interface in marked:
            changed = interface.changed
            interface.changed = 0
            if changed & CANDIDATES:
                interface.select_best()
        if not self.has_one_of_n:
            for interface in marked:
                interface.update_outputs()
            return
        displaced = [interface.update_outputs() for interface in marked]
        for interface, key in zip(marked, displaced, strict=True):
            if key != NO_KEY:
                self.placement.displaced(interface.cpu, key)
        self.placement.pes_free([int(interface.cpu) for interface in marked if interface.signalled_key == NO_KEY])

    def settle_anew(self) -> None:
        """Let every CPU interface choose and set its outputs, whatever it chose before; deferred words stay so."""
        self._alone = NO_VCPU
        self._marked = []
        for interface in self.cpus:
            interface.changed = 0
            interface.select_best()
        # The callback behind the outputs may look at any of them.
        for interface in self.cpus:
            interface.update_outputs()

    def set_group_enables(self, enables: i64) -> None:
        """Forward the groups whose bits are set in `enables`, and no others, to every CPU interface."""
        self.catch_up()
        self.forward_groups(enables)
        for interface in self.cpus:
            self.mark_changed(interface, CANDIDATES)
        self.settle()

    def set_one_state(self, one_state: bool) -> None:
        """Tell every CPU interface what GICD_CTLR.DS is, where there are two Security states. Settles nothing."""
        for interface in self.cpus:
            interface.set_one_state(one_state)
            self.mark_changed(interface, PREEMPTION)

    def forward_groups(self, enables: i64) -> None:
        """Tell every CPU interface which groups are forwarded. Settles nothing."""
        for interface in self.cpus:
            interface.forward_groups(enables)
