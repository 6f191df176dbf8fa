"""1-of-N: which PE an SPI goes to that may go to any (rules ONEN-1 to ONEN-9 in specs/features.md).

A PE is *selectable* for a group while it is awake, its CPU interface enables the group, and its Redistributor does
not keep 1-of-N interrupts of the group away (GICR_CTLR.DPG*). Among the selectable ones the architecture leaves the
choice open. Here: the first in vCPU order that would be interrupted at once and is not about to be by another
interrupt, else the first; or, with the choice `rotate`, the search starts behind the PE chosen last. Where none is
selectable and GICD_CTLR.E1NWF is set, the first sleeping PE that is not kept away is chosen, and asks to be woken.
"""

from mypy_extensions import i64

from vgic.cpu_interface.interface import CpuInterface
from vgic.topology import NO_VCPU

__all__ = ["OneOfN", "Search"]


class OneOfN:
    """Chooses PEs. The order of its choices depends on nothing but the state of the VM."""

    def __init__(self, interfaces: list[CpuInterface], rotate: bool) -> None:
        self._interfaces = interfaces
        self._rotate = rotate
        self.groups = len(interfaces[0].groups)
        """How many groups there are; they are numbered from 0."""
        self.start = 0
        """Where the search starts: behind the PE chosen last, or always at vCPU 0."""
        self.wakes = False
        """GICD_CTLR.E1NWF."""

    def search(self, group: i64) -> "Search":
        """A search for the PEs of several interrupts of a group, to be asked for the best of them first."""
        return Search(self, self._interfaces, group)

    def may_hold(self, cpu: i64, group: i64) -> bool:
        """True where an interrupt may wait at this PE as long as no PE that is awake may be chosen.

        Rules ONEN-7, ONEN-8.
        """
        interface = self._interfaces[cpu]
        return interface.selectable(group) or (
            self.wakes and interface.asleep and not interface.groups[group].declines
        )

    def is_forwarded(self, group: i64) -> bool:
        """True where the Distributor forwards the group, to whatever PE."""
        return self._interfaces[0].groups[group].forwarded

    def is_selectable(self, cpu: i64, group: i64) -> bool:
        """True where an interrupt may be sent to this PE (ONEN-3)."""
        return self._interfaces[cpu].selectable(group)

    def taker(self, group: i64, key: i64) -> int:
        """The first PE, in the order of a search, that would be interrupted at once; NO_VCPU where none.

        Rule ONEN-10.
        """
        count = len(self._interfaces)
        order = ((self.start + step) % count for step in range(count))
        return next((cpu for cpu in order if self.takes(cpu, group, key)), NO_VCPU)

    def takes(self, cpu: i64, group: i64, key: i64) -> bool:
        """True where this PE may be sent the interrupt and would be interrupted at once (ONEN-4)."""
        interface = self._interfaces[cpu]
        return interface.selectable(group) and interface.would_take(group, key)

    def signalled(self, cpu: i64, key: i64) -> bool:
        """True where this PE is signalled the interrupt of this key."""
        return self._interfaces[cpu].signalled_key == key

    def chosen(self, cpu: i64) -> None:
        """A PE was chosen: the next search starts behind it, where the choice rotates (ONEN-5)."""
        if self._rotate:
            self.start = (cpu + 1) % len(self._interfaces)


class Search:
    """Looks at each PE once, however many interrupts it is asked for: O(vCPUs + interrupts).

    A PE that would not take an interrupt takes no worse one of the same group either: the search never goes back.
    """

    def __init__(self, choice: OneOfN, interfaces: list[CpuInterface], group: i64) -> None:
        self._choice = choice
        self._interfaces = interfaces
        self._group = group
        self._first = choice.start
        self._step = 0
        self._selectable: list[int] = []
        self._sleeping = NO_VCPU

    def next(self, key: i64) -> int:
        """The PE for an interrupt no better than the one asked for before, NO_VCPU where there is none now.

        Rules ONEN-4, ONEN-5.
        """
        group, count = self._group, len(self._interfaces)
        while self._step < count:
            cpu = (self._first + self._step) % count
            self._step += 1
            interface = self._interfaces[cpu]
            if interface.selectable(group):
                self._selectable.append(cpu)
                if interface.would_take(group, key):
                    self._choice.chosen(cpu)
                    return cpu
            elif self._sleeping == NO_VCPU and self._choice.may_hold(cpu, group):
                self._sleeping = cpu
        if not self._selectable:
            return self._sleeping
        # Nobody would take it now: the first that may be sent it, or, where the choice rotates, one after another.
        start = self._choice.start
        cpu = next((item for item in self._selectable if item >= start), self._selectable[0])
        self._choice.chosen(cpu)
        return cpu
