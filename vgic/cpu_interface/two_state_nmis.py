"""The CPU interface of a VM with NMIs and two Security states (rules NMI-10 to NMI-15).

Interrupts of either Group 1 may have superpriority. It counts as the best priority of their Security state, so that
what has a priority of Secure comes before a Non-secure NMI. Once GICD_CTLR.DS is 1 it counts as the best of all.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1, GroupState
from vgic.cpu_interface.interface import LineSink
from vgic.cpu_interface.nmi import NONSECURE_BEST, NmiGroupState, NmiOutput
from vgic.cpu_interface.two_states import TwoStateInterface
from vgic.profiles import Profile

__all__ = ["TwoStateNmiInterface"]

_ALL_BITS: Final = 0xFF


class TwoStateNmiInterface(TwoStateInterface):
    """A CPU interface that differs by the state of its PE, and can be signalled interrupts with superpriority."""

    __slots__ = ("_by_group_priority", "_nmi_output", "_nonsecure", "_secure")

    def __init__(
        self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None, aarch32: bool
    ) -> None:
        super().__init__(cpu, profile, priority_bits, lines, aarch32)
        bits, hides = min(priority_bits, 7), profile.disabled_group_hides
        self._by_group_priority = profile.nmi_preempts_by_group_priority
        self._nmi_output = NmiOutput(lines)
        self._nonsecure = NmiGroupState(GROUP1, bits, hides, False, 0)
        self._secure = NmiGroupState(SECURE_GROUP1, bits, hides, False, 1)
        for group in (self._nonsecure, self._secure):
            group.nmi_first = profile.active_nmi_is_first
        self._nonsecure.nmi_priority = NONSECURE_BEST
        self.groups = [self.groups[GROUP0], self._nonsecure, self._secure]
        self.best_in = self._nonsecure
        self.find_masks()
        self._follow()

    def set_one_state(self, one_state: bool) -> None:
        """See `CpuInterface.set_one_state`; what Non-secure superpriority counts as changes (NMI-11)."""
        self._nonsecure.set_nmi_priority(0 if one_state else NONSECURE_BEST)
        self.find_running()
        super().set_one_state(one_state)

    def superior_preempts(self, group: GroupState, key: i64) -> bool:
        """See `CpuInterface.superior_preempts`."""
        if group.number == SECURE_GROUP1:
            return not self._secure.nmi_active
        held = self._nonsecure
        if held.nmi_active or (not self.one_state and self._is_masked()):
            return False
        mask = group.mask if self._by_group_priority else _ALL_BITS
        return held.nmi_priority & mask <= self.running & mask

    def _is_masked(self) -> bool:
        """PMR masks all that is Non-secure (NMI-12)."""
        return self.pmr < NONSECURE_BEST or (self.pmr == NONSECURE_BEST and self.is_secure())

    def find_running(self) -> None:
        """See `CpuInterface.find_running`; of the same priority what has superpriority comes first (NMI-13)."""
        super().find_running()
        for group in (self._secure, self._nonsecure):
            if group.runs_nmi() and (group.nmi_first or group.running == self.running):
                self.running = group.running
                self.running_group = group.number
                return

    def update_outputs(self) -> i64:
        """See `CpuInterface.update_outputs`; whether the IRQ has superpriority is told after the level (NMI-6)."""
        displaced = super().update_outputs()
        self._nmi_output.follow(self)
        return displaced
