"""The system registers of the virtual CPU interface of a VM with NMIs: those that show superpriority.

Bit 63 is the sign of an integer of the machine: it is so in what these registers compute with.
"""

from typing import Final

from mypy_extensions import i64

from vgic.bits import bit, signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi_list_registers import NmiListRegisterInterface
from vgic.cpu_interface.registers import ActivePriorityWord, Register
from vgic.cpu_interface.virtual_registers import VirtualRegisters
from vgic.layouts import nmi

__all__ = ["NmiVirtualRegisters"]

_BITS_OF_PRIORITIES: Final = 0xFFFF_FFFF


def _with_nmi(value: i64, interface: CpuInterface) -> i64:
    """A register of which bit 63 says that what is active has superpriority."""
    return value - bit(62) - bit(62) if _of_nmis(interface).nmi_active() else value


def _of_nmis(interface: CpuInterface) -> NmiListRegisterInterface:
    """The virtual CPU interface, as what those of a VM with NMIs are."""
    assert isinstance(interface, NmiListRegisterInterface)
    return interface


class _ActivePriorityWord(ActivePriorityWord):
    """ICV_AP1R0_EL1 (rule VCPU-31)."""

    def view(self, interface: CpuInterface) -> i64:
        return _with_nmi(super().view(interface), interface)

    def keep(self, interface: CpuInterface, value: i64) -> None:
        _of_nmis(interface).set_nmi_active(value < 0)
        super().keep(interface, value & _BITS_OF_PRIORITIES)


class _RunningPriority(Register):
    """ICV_RPR_EL1 (rule VCPU-31)."""

    def view(self, interface: CpuInterface) -> i64:
        return _with_nmi(interface.running, interface)


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
        self._add("ICC_AP1R0_EL1", _ActivePriorityWord(_BITS_OF_PRIORITIES, GROUP1, 0))
        self._add("ICC_NMIAR1_EL1", _AcknowledgeNmi())

    def write(self, interface: CpuInterface, encoding: int, value: int) -> bool:
        """See `VirtualRegisters.write`."""
        return super().write(interface, encoding, signed(value))
