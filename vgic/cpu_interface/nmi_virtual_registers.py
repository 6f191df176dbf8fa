"""The system registers of the virtual CPU interface of a VM with NMIs: those that show superpriority.

Bit 63 is the sign of an integer of the machine: it is so in what these registers compute with.
"""

from mypy_extensions import i64

from vgic.bits import signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi_list_registers import NmiListRegisterInterface
from vgic.cpu_interface.nmi_registers import nmi_active, with_nmis
from vgic.cpu_interface.registers import ActivePriorityWord, Register
from vgic.cpu_interface.virtual_registers import VirtualRegisters
from vgic.layouts import nmi

__all__ = ["NmiVirtualRegisters"]


def _of_nmis(interface: CpuInterface) -> NmiListRegisterInterface:
    """The virtual CPU interface, as what those of a VM with NMIs are."""
    assert isinstance(interface, NmiListRegisterInterface)
    return interface


class _RunningPriority(Register):
    """ICV_RPR_EL1 (rule VCPU-31)."""

    def view(self, interface: CpuInterface) -> i64:
        return with_nmis(interface.running, nmi_active(interface, GROUP1), False)


class _AcknowledgeNmi(Register):
    """ICV_NMIAR1_EL1: reading takes the interrupt (rule VCPU-30)."""

    def view(self, interface: CpuInterface) -> i64:
        return _of_nmis(interface).acknowledge_nmi()


class NmiVirtualRegisters(VirtualRegisters):
    """The ICV_*_EL1 registers of a VM with NMIs, shared by its vCPUs' virtual CPU interfaces."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self._layouts.update({layout.name: layout for layout in nmi.ICC_NMI})
        self._add("ICC_RPR_EL1", _RunningPriority())
        self._add("ICC_AP1R0_EL1", ActivePriorityWord(nmi.AP1R0.writable, GROUP1, 0))
        self._add("ICC_NMIAR1_EL1", _AcknowledgeNmi())

    def write(self, interface: CpuInterface, encoding: int, value: int) -> bool:
        """See `VirtualRegisters.write`."""
        return super().write(interface, encoding, signed(value))
