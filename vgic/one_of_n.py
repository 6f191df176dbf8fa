"""1-of-N: which PE an SPI goes to that may go to any (rules ONEN-1 to ONEN-9 in specs/features.md).

A PE is *selectable* for a group while it is awake, its CPU interface enables the group, and its Redistributor does
not keep 1-of-N interrupts of the group away (GICR_CTLR.DPG*). Among the selectable ones the architecture leaves the
choice open. Here: the first in vCPU order that would be interrupted at once and is not about to be by another
interrupt, else the first; or, with the choice `rotate`, the search starts behind the PE chosen last. Where none is
selectable and GICD_CTLR.E1NWF is set, the first sleeping PE that is not kept away is chosen, and asks to be woken.
"""

from collections.abc import Sequence

from vgic.cpu_interface import CpuInterface
from vgic.topology import NO_VCPU

__all__ = ["OneOfN"]


class OneOfN:
    """Chooses PEs. The order of its choices depends on nothing but the state of the VM."""

    def __init__(self, interfaces: Sequence[CpuInterface], rotate: bool) -> None:
        self._interfaces = interfaces
        self._rotate = rotate
        self.start = 0
        """Where the search starts: behind the PE chosen last, or always at vCPU 0."""
        self.wakes = False
        """GICD_CTLR.E1NWF."""

    def choose(self, group: int, key: int) -> int:
        """The PE for an interrupt, NO_VCPU where there is none now. O(vCPUs) at worst."""
        interfaces = self._interfaces
        count = len(interfaces)
        selectable = sleeping = NO_VCPU
        for step in range(count):
            cpu = (self.start + step) % count
            interface = interfaces[cpu]
            if interface.selectable(group):
                if interface.would_take(group, key):
                    return self._chosen(cpu)
                if selectable == NO_VCPU:
                    selectable = cpu
            elif sleeping == NO_VCPU and self.wakes and interface.asleep and not interface.declines[group]:
                sleeping = cpu
        return self._chosen(selectable if selectable != NO_VCPU else sleeping)

    def takes(self, cpu: int, group: int, key: int) -> bool:
        """True where this PE may be sent the interrupt and would be interrupted at once."""
        interface = self._interfaces[cpu]
        return interface.selectable(group) and interface.would_take(group, key)

    def signalled(self, cpu: int, key: int) -> bool:
        """True where this PE is signalled the interrupt of this key."""
        return self._interfaces[cpu].signals(key)

    def keeps(self, cpu: int, group: int) -> bool:
        """True where an interrupt that waits at this PE may stay there."""
        interface = self._interfaces[cpu]
        if interface.selectable(group):
            return True
        return self.wakes and interface.asleep and not interface.declines[group]

    def _chosen(self, cpu: int) -> int:
        if self._rotate and cpu != NO_VCPU:
            self.start = (cpu + 1) % len(self._interfaces)
        return cpu
