"""The system registers of a VM with NMIs (GICv3.3): those that show superpriority, and ICC_NMIAR1_EL1.

Bit 63 is the sign of an integer of the machine: it is so in what these registers compute with.
"""

from typing import Final

from mypy_extensions import i64

from vgic.bits import bit, signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi import NmiInterface
from vgic.cpu_interface.registers import ActivePriorityWord, Register
from vgic.cpu_interface.sysregs import SystemRegisters
from vgic.layouts import nmi
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["NmiSystemRegisters"]

_BITS_OF_PRIORITIES: Final = 0xFFFF_FFFF


def _with_nmi(value: i64, active: bool) -> i64:
    """A register of which bit 63 says that what is active has superpriority."""
    return value - bit(62) - bit(62) if active else value


def _interface(interface: CpuInterface) -> NmiInterface:
    """The CPU interface, as what those of a VM with NMIs are."""
    assert isinstance(interface, NmiInterface)
    return interface


class _ActivePriorityWord(ActivePriorityWord):
    """ICC_AP1R0_EL1 (NMI-4)."""

    def view(self, interface: CpuInterface) -> i64:
        return _with_nmi(super().view(interface), _interface(interface).nmi_active())

    def keep(self, interface: CpuInterface, value: i64) -> None:
        _interface(interface).set_nmi_active(value < 0)
        super().keep(interface, value & _BITS_OF_PRIORITIES)


class _RunningPriority(Register):
    """ICC_RPR_EL1 (NMI-4)."""

    def __init__(self, as_nonsecure: bool) -> None:
        self.as_nonsecure = as_nonsecure

    def view(self, interface: CpuInterface) -> i64:
        active = _interface(interface).nmi_active()
        if self.as_nonsecure:
            return interface.running | bit(62) if active else interface.running
        return _with_nmi(interface.running, active)


class _AcknowledgeNmi(Register):
    """ICC_NMIAR1_EL1: reading takes the interrupt (NMI-5)."""

    def view(self, interface: CpuInterface) -> i64:
        return _interface(interface).acknowledge_nmi()


class NmiSystemRegisters(SystemRegisters):
    """The ICC_*_EL1 registers of a VM with NMIs, shared by its vCPUs' CPU interfaces."""

    def _fill(self, config: Config, sgis: SgiGenerator) -> None:
        self._layouts = {**self._layouts, **{layout.name: layout for layout in nmi.ICC_NMI}}
        super()._fill(config, sgis)
        self._add("ICC_RPR_EL1", _RunningPriority(config.profile.nmi_runs_as_nonsecure))
        self._add("ICC_NMIAR1_EL1", _AcknowledgeNmi())

    def _hold_active(self, group: int, number: int) -> None:
        if group == GROUP1 and number == 0:
            word = _ActivePriorityWord(self._active_bits, group, number)
            word.kept |= nmi.AP1R0.mask("NMI")
            self._hold("ICC_AP1R0_EL1", word)
        else:
            super()._hold_active(group, number)

    def write(self, interface: CpuInterface, encoding: int, value: int, secure: bool) -> bool:
        """See `SystemRegisters.write`."""
        return super().write(interface, encoding, signed(value), secure)
