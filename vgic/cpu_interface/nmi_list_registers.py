"""The virtual CPU interface of a VM with NMIs: list registers whose interrupts may have superpriority.

To the guest they are what NMIs of the physical interface are (nmi.py beside it), and they end as virtual interrupts
do. Rules VCPU-29 to VCPU-32.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.interface import NO_GROUP, ActivationBank, CpuInterface, LineSink
from vgic.cpu_interface.list_register_interface import ListRegisterInterface
from vgic.cpu_interface.list_registers import ListRegister, ListRegisters
from vgic.cpu_interface.nmi import NmiGroupState, is_superior, superior_key
from vgic.cpu_interface.pending import IDLE_PRIORITY, PRIORITY_LSB
from vgic.intids import NMI_WAITS
from vgic.observer import NmiSink
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

    __slots__ = ("_drops_nmi", "_nmi_group", "_nmi_sink", "_physical", "nmi")

    def __init__(
        self,
        cpu: i64,
        profile: Profile,
        priority_bits: i64,
        lines: LineSink | None,
        list_registers: ListRegisters,
        physical: CpuInterface,
    ) -> None:
        super().__init__(cpu, profile, priority_bits, lines, list_registers)
        self._physical = physical
        """That of the same PE."""
        self._drops_nmi = False
        """What ends now had superpriority."""
        self._nmi_group = NmiGroupState(GROUP1, min(priority_bits, 7), False, True, 0)
        self._nmi_group.forwarded = True
        self.groups = [self.groups[GROUP0], self._nmi_group]
        self.best_in = self._nmi_group
        self.nmi = False
        """What the virtual IRQ stands for has superpriority."""
        self._nmi_sink = lines if isinstance(lines, NmiSink) else None
        self.find_masks()

    def nmi_active(self) -> bool:
        """An interrupt with superpriority is active and not dropped."""
        return self._nmi_group.nmi_active

    def set_nmi_active(self, active: bool) -> None:
        """Write ICV_AP1R0_EL1.NMI; what follows is found when the rest of the register is written."""
        self._nmi_group.nmi_active = active

    def _preempts(self, group: GroupState, key: i64) -> bool:
        if not is_superior(key):
            return super()._preempts(group, key)
        running, mask = self.running, group.mask
        # Half a priority better than its own, which is 0 unless the profile keeps it (rule VCPU-33).
        priority = (key >> PRIORITY_LSB) + 1
        unblocked = running == IDLE_PRIORITY or priority & mask <= running & mask
        return unblocked and not self._nmi_group.nmi_active

    def find_running(self) -> None:
        """See `CpuInterface.find_running`; what has superpriority comes before Group 0 of the best priority."""
        super().find_running()
        if self._nmi_group.nmi_active:
            self.running_group = GROUP1

    def acknowledge(self, group: i64) -> i64:
        """Read ICV_IAR of `group`; with SCTLR_EL1.NMI it is ICV_NMIAR1_EL1 that takes NMIs (rule VCPU-30)."""
        waits = self._physical.pe.sctlr_nmi and is_superior(self.best_key) and self.best_in.number == group
        if waits and self.can_preempt():
            return NMI_WAITS
        return super().acknowledge(group)

    def acknowledge_nmi(self) -> i64:
        """Read ICV_NMIAR1_EL1: take the best interrupt if it has superpriority (rule VCPU-30)."""
        # Of what has not, no group: nothing is taken.
        return super().acknowledge(GROUP1 if is_superior(self.best_key) else NO_GROUP)

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
        nmi = self.irq and is_superior(self.signalled_key)
        if nmi != self.nmi:
            self.nmi = nmi
            if self._nmi_sink is not None:
                self._nmi_sink.set_nmi(self.cpu, nmi)
        return displaced
