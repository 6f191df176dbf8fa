"""The CPU interface of a VM with NMIs (GICv3.3): interrupts with superpriority (rules NMI-1 to NMI-7).

What has superpriority is half a priority better than what has the best priority, 0x00: one comparison of keys still
decides which interrupt is the highest priority pending one. PMR does not mask it, and it preempts whatever runs but
for another such.
"""

from typing import Final

from mypy_extensions import i64

from vgic.bits import bit
from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.interface import NO_GROUP, CpuInterface, LineSink
from vgic.cpu_interface.pending import INTID_BITS
from vgic.intids import NMI_WAITS
from vgic.observer import NmiSink
from vgic.profiles import Profile

__all__ = ["NmiGroupState", "NmiInterface", "is_superior", "superior_key"]

_SUPERPRIORITY: Final = bit(INTID_BITS)
"""Half a priority, of which none but NO_KEY has a whole one above the worst."""

_BEST: Final = 0
"""The priority of an interrupt with superpriority, and of what runs with it."""


def superior_key(intid: i64) -> i64:
    """The key of an interrupt with superpriority: better than any without."""
    return intid - _SUPERPRIORITY


def is_superior(key: i64) -> bool:
    """True for the key of an interrupt with superpriority."""
    return key & _SUPERPRIORITY != 0


class NmiGroupState(GroupState):
    """Group 1, of which an interrupt with superpriority may be active."""

    __slots__ = ("nmi_active",)

    def __init__(self, number: i64, preemption_bits: i64, hides: bool, irq: bool, split_offset: i64) -> None:
        self.nmi_active = False
        """ICC_AP1R0_EL1.NMI."""
        super().__init__(number, preemption_bits, hides, irq, split_offset)

    def take(self, key: i64) -> None:
        """See `GroupState.take`."""
        if is_superior(key):
            self.nmi_active = True
            self.running = _BEST
        else:
            super().take(key)

    def clear(self) -> None:
        """None is active."""
        self.nmi_active = False
        super().clear()

    def drop(self) -> None:
        """The highest is active no longer: before all others what has superpriority."""
        if self.nmi_active:
            self.nmi_active = False
            self._find_running()
        else:
            super().drop()

    def _find_running(self) -> None:
        super()._find_running()
        if self.nmi_active:
            self.running = _BEST


class NmiInterface(CpuInterface):
    """A CPU interface that can be signalled interrupts with superpriority."""

    __slots__ = ("_nmi_group", "_nmi_sink", "nmi")

    def __init__(self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None) -> None:
        super().__init__(cpu, profile, priority_bits, lines)
        self._nmi_group = NmiGroupState(GROUP1, min(priority_bits, 7), profile.disabled_group_hides, True, 0)
        self.groups = [self.groups[GROUP0], self._nmi_group]
        self.best_in = self._nmi_group
        self.nmi = False
        """What the IRQ output stands for has superpriority."""
        self._nmi_sink = lines if isinstance(lines, NmiSink) else None
        self.find_masks()

    def nmi_active(self) -> bool:
        """An interrupt with superpriority is active and not dropped."""
        return self._nmi_group.nmi_active

    def set_nmi_active(self, active: bool) -> None:
        """Write ICC_AP1R0_EL1.NMI; what follows is found when the rest of the register is written."""
        self._nmi_group.nmi_active = active

    def _preempts(self, group: GroupState, key: i64) -> bool:
        if is_superior(key):
            return not self._nmi_group.nmi_active
        return super()._preempts(group, key)

    def find_running(self) -> None:
        """See `CpuInterface.find_running`; what has superpriority comes before Group 0 of the best priority."""
        super().find_running()
        if self._nmi_group.nmi_active:
            self.running_group = GROUP1

    def acknowledge(self, group: i64) -> i64:
        """See `CpuInterface.acknowledge`; with SCTLR_ELx.NMI it is ICC_NMIAR1_EL1 that takes NMIs (NMI-5)."""
        if self.pe.sctlr_nmi and is_superior(self.best_key) and self.best_in.number == group and self.can_preempt():
            return NMI_WAITS
        return super().acknowledge(group)

    def acknowledge_nmi(self) -> i64:
        """Read ICC_NMIAR1_EL1: take the best interrupt if it has superpriority (NMI-5)."""
        # Of what has not, no group: nothing is taken.
        return super().acknowledge(GROUP1 if is_superior(self.best_key) else NO_GROUP)

    def update_outputs(self) -> i64:
        """See `CpuInterface.update_outputs`; whether the IRQ has superpriority is told after the level (NMI-6)."""
        displaced = super().update_outputs()
        nmi = self.irq and is_superior(self.signalled_key)
        if nmi != self.nmi:
            self.nmi = nmi
            if self._nmi_sink is not None:
                self._nmi_sink.set_nmi(self.cpu, nmi)
        return displaced
