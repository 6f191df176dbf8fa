"""The virtual CPU interface of a VM with NMIs: list registers whose interrupts may have superpriority.

To the guest they are what NMIs of the physical interface are (nmi.py beside it), and they end as virtual interrupts
do. Rules VCPU-29 to VCPU-32.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.interface import ActivationBank, LineSink
from vgic.cpu_interface.list_register_interface import ListRegisterInterface
from vgic.cpu_interface.list_registers import ListRegister, ListRegisters
from vgic.cpu_interface.nmi import NmiGroupState, NmiOutput
from vgic.cpu_interface.pending import IDLE_PRIORITY, is_superior, priority_of, superior_key
from vgic.profiles import Profile

__all__ = ["NmiListRegister", "NmiListRegisterInterface"]

_NMI_OF_GROUP_1: Final = 1 << 60 | 1 << 59


class NmiListRegister(ListRegister):
    """One whose interrupt has superpriority where its NMI bit is 1, and it is in Group 1 (rule VCPU-29)."""

    __slots__ = ()

    def set_value(self, value: int) -> None:
        """See `ListRegister.set_value`."""
        super().set_value(value)
        if value & _NMI_OF_GROUP_1 == _NMI_OF_GROUP_1:
            self.key = superior_key(self.key)


class NmiListRegisterInterface(ListRegisterInterface):
    """A virtual CPU interface that can be signalled interrupts with superpriority."""

    __slots__ = ("_drops_nmi", "_nmi_group", "_nmi_output")

    def __init__(
        self,
        cpu: i64,
        profile: Profile,
        priority_bits: i64,
        lines: LineSink | None,
        list_registers: ListRegisters,
    ) -> None:
        super().__init__(cpu, profile, priority_bits, lines, list_registers)
        self._drops_nmi = False
        """What ends now had superpriority."""
        self._nmi_group = NmiGroupState(GROUP1, min(priority_bits, 7), False, True, 0)
        self._nmi_group.forwarded = True
        self.groups = [self.groups[GROUP0], self._nmi_group]
        self.best_in = self._nmi_group
        self._nmi_output = NmiOutput(lines)
        self.find_masks()

    def superior_preempts(self, group: GroupState, key: i64) -> bool:
        """See `CpuInterface.superior_preempts`."""
        running, mask = self.running, group.mask
        # Mostly 0: it has another where the profile lets it (rule VCPU-33).
        priority = priority_of(key)
        unblocked = running == IDLE_PRIORITY or priority & mask <= running & mask
        return unblocked and not self._nmi_group.nmi_active

    def find_running(self) -> None:
        """See `CpuInterface.find_running`; what has superpriority comes before Group 0 of the best priority."""
        super().find_running()
        if self._nmi_group.nmi_active:
            self.running_group = GROUP1

    def end_of_interrupt(self, group: i64, intid: i64) -> None:
        """Write ICV_EOIR of `group`; superpriority drops before all else (rule VCPU-31)."""
        self._drops_nmi = self._nmi_group.nmi_active
        super().end_of_interrupt(group, intid)

    def end_in(self, bank: ActivationBank, index: i64, group: i64, dropped: i64) -> None:
        """See `VirtualCpuInterface.end_in`; where superpriority dropped, what ends has it."""
        if not self._drops_nmi:
            super().end_in(bank, index, group, dropped)
        elif group == GROUP1 and is_superior(self.list_registers.registers[index].key):
            bank.deactivate(index)
            self._settler.settle()

    def update_outputs(self) -> i64:
        """See `CpuInterface.update_outputs`; whether the virtual IRQ has superpriority is told after the level."""
        displaced = super().update_outputs()
        self._nmi_output.follow(self)
        return displaced
