"""The system registers of the virtual CPU interface of a VM with NMIs: those that show superpriority, and one more.

What they do is in nmi_registers.py, and the same for both interfaces (rules VCPU-30 and VCPU-31).
"""

from vgic.bits import bit, signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi_registers import AcknowledgeNmi, AcknowledgeUnlessNmi, RunningNmi
from vgic.cpu_interface.registers import Acknowledge, ActivePriorityWord
from vgic.cpu_interface.virtual_registers import VirtualRegisters
from vgic.layouts import nmi

__all__ = ["NmiVirtualRegisters"]


class NmiVirtualRegisters(VirtualRegisters):
    """The ICV_*_EL1 registers of a VM with NMIs, shared by its vCPUs' virtual CPU interfaces."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._layouts.update({layout.name: layout for layout in nmi.ICC_NMI})
        taking = Acknowledge(GROUP1)
        self._add("ICC_RPR_EL1", RunningNmi(False))
        self._add("ICC_AP1R0_EL1", ActivePriorityWord(nmi.AP1R0.writable, GROUP1, 0))
        self._add("ICC_IAR1_EL1", AcknowledgeUnlessNmi(taking, bit(GROUP1)))
        self._add("ICC_NMIAR1_EL1", AcknowledgeNmi(taking))

    def write(self, interface: CpuInterface, encoding: int, value: int) -> bool:
        """See `VirtualRegisters.write`."""
        return super().write(interface, encoding, signed(value))
