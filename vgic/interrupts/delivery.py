"""Forwarding: from the interrupt banks to the CPU interfaces.

Banks forward and withdraw interrupts here, one by one. `settle` then lets every CPU interface that was touched
choose its highest priority pending interrupt and drive its outputs, and lets interrupts that may go to any PE find
theirs.
"""

from typing import Protocol

from mypy_extensions import i64

from vgic.cpu_interface.interface import ActivationBank, CpuInterface, Settler
from vgic.cpu_interface.pending import NO_KEY
from vgic.topology import NO_VCPU

__all__ = ["DeferredBank", "Forwarder"]


class DeferredBank(Protocol):
    """A bank whose words can be evaluated later."""

    def collect(self, number: i64, mask: i64) -> None:
        """Bring the pending queues in line with the interrupts of `mask` in word `number`."""


class Forwarder(Settler):
    """Connects the banks of a VM with the CPU interfaces of its vCPUs."""

    def __init__(self, cpus: list[CpuInterface]) -> None:
        self.cpus = cpus
        self._shared: ActivationBank
        self.roams = False
        """Some interrupts could be at another PE than they are."""
        self._alone: i64 = NO_VCPU
        """The only vCPU that is touched, NO_VCPU where none is, or several."""
        self._several = False
        """More than one are touched, and all of them are in the list."""
        self._touched: list[CpuInterface] = []
        self.deferred: list[tuple[DeferredBank, int]] = []
        """Words that `defer` left as they were forwarded, in the order in which they will be evaluated."""

    def connect(self, shared: ActivationBank) -> None:
        """Give it the bank of SPIs."""
        self._shared = shared

    def forward(self, cpu: i64, group: i64, key: i64) -> None:
        """Put an interrupt in a PE's pending queue."""
        interface = self.cpus[cpu]
        interface.group(group).forward(key)
        self.touch(interface)

    def withdraw(self, cpu: i64, group: i64, key: i64) -> None:
        """Take an interrupt out of a PE's pending queue."""
        interface = self.cpus[cpu]
        interface.group(group).withdraw(key)
        self.touch(interface)

    def clear(self) -> None:
        """Empty the pending queues and forget what was deferred: the state of the VM is being replaced."""
        self.deferred = []
        for interface in self.cpus:
            interface.group0.forget()
            interface.group1.forget()

    def touch(self, interface: CpuInterface) -> None:
        """Have `settle` look at this CPU interface."""
        if not interface.touched:
            self._touch(interface)

    def _touch(self, interface: CpuInterface) -> None:
        interface.touched = True
        if self._alone == NO_VCPU and not self._several:
            self._alone = interface.cpu
        else:
            self._gather()
            self._touched.append(interface)

    def _gather(self) -> None:
        """Have all that are touched in the list."""
        self._several = True
        if self._alone != NO_VCPU:
            self._touched.append(self.cpus[self._alone])
            self._alone = NO_VCPU

    def defer(self, bank: DeferredBank, word: int) -> None:
        """Leave a word of a bank as it is forwarded now, until something makes a PE choose anew.

        Only for profiles in which a change of trigger does not take effect at once (rule STATE-8).
        """
        if not self.is_deferred(bank, word):
            self.deferred.append((bank, word))

    def is_deferred(self, bank: DeferredBank, word: int) -> bool:
        """True where the word is yet to be evaluated."""
        return any(waiting is bank and number == word for waiting, number in self.deferred)

    def catch_up(self) -> None:
        """Evaluate what was deferred."""
        deferred, self.deferred = self.deferred, []
        for bank, word in deferred:
            bank.collect(word, 0xFFFF_FFFF)

    def settle_with(self, interface: CpuInterface) -> None:
        """`touch` and `settle`."""
        self.touch(interface)
        self.settle()

    def settle_outputs(self, interface: CpuInterface) -> None:
        """`settle`, where of this CPU interface only what it takes to interrupt its PE has changed."""
        # Where interrupts roam, that concerns the others too.
        if self.roams or self._several or self._alone != NO_VCPU:
            self.settle_with(interface)
        else:
            interface.drive()

    def settle_driven(self, interface: CpuInterface) -> None:
        """`settle_outputs`, where the outputs have followed already."""
        if self.roams:
            self.touch(interface)
        self.settle()

    def settle(self) -> None:
        """Let the touched CPU interfaces choose, then drive their outputs, until nothing moves any more."""
        while True:
            if self._several:
                self._settle_touched()
                continue
            if self._alone == NO_VCPU:
                return
            alone = self.cpus[self._alone]
            if alone.selection_changed or self.roams or self.deferred:
                self._gather()
            else:
                # Nearly always: one PE, and nothing that concerns others or was left for later.
                self._alone = NO_VCPU
                alone.touched = False
                alone.choose()
                alone.drive()

    def _settle_touched(self) -> None:
        # Placing 1-of-N interrupts touches more interfaces: the list grows while it is walked.
        for interface in self._touched:
            if interface.selection_changed:
                interface.selection_changed = False
                self._shared.selection_changed(interface.cpu)
        # A PE that lost its best interrupt looks at all of them again, and so finds what was deferred.
        if self.deferred and any(interface.choose() for interface in self._touched):
            self.catch_up()
        # The callback behind `drive` may come back with a new line level: leave nothing half done before it.
        touched, self._touched = self._touched, []
        self._several = False
        for interface in touched:
            interface.touched = False
            interface.choose()
        if not self.roams:
            for interface in touched:
                interface.drive()
            return
        displaced = [interface.drive() for interface in touched]
        for interface, key in zip(touched, displaced, strict=True):
            if key != NO_KEY:
                self._shared.displaced(interface.cpu, key)
            if interface.signalled_key == NO_KEY:
                self._shared.pe_free(interface.cpu)

    def settle_anew(self) -> None:
        """Let every CPU interface choose and drive, whatever it chose before; what is deferred stays so."""
        self._alone = NO_VCPU
        self._several = False
        self._touched = []
        for interface in self.cpus:
            interface.touched = False
            interface.choose()
        # The callback behind `drive` may look at any of them.
        for interface in self.cpus:
            interface.drive()

    def set_group_enables(self, enables: i64) -> None:
        """Forward the groups whose bits are set in `enables`, and no others, to every CPU interface."""
        self.catch_up()
        for interface in self.cpus:
            interface.forward_groups(enables)
            self.touch(interface)
        self.settle()
