"""What a hypervisor controls of one PE's virtual CPU interface (ICH_*_EL2), and what it is told in turn.

The registers are in hypervisor_registers.py beside it; this is the state behind them that is not the virtual CPU
interface's own, and the maintenance interrupt.
"""

from typing import Final

from mypy_extensions import i64

from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1
from vgic.cpu_interface.interface import CpuInterface, LineSink, Settler
from vgic.cpu_interface.list_register_interface import ListRegisterInterface
from vgic.cpu_interface.list_registers import ListRegister, ListRegisters
from vgic.cpu_interface.nmi_list_registers import NmiListRegister, NmiListRegisterInterface
from vgic.interrupts.banks import PrivateInterrupts
from vgic.layouts.ich import HCR, MISR
from vgic.observer import VirtualLineSink, VirtualNmiSink
from vgic.profiles import Profile

__all__ = ["VirtualControl"]

_UIE: Final = HCR.mask("UIE")
_LRENPIE: Final = HCR.mask("LRENPIE")
_NPIE: Final = HCR.mask("NPIE")
_EOI: Final = MISR.mask("EOI")
_U: Final = MISR.mask("U")
_LRENP: Final = MISR.mask("LRENP")
_NP: Final = MISR.mask("NP")
_OF_GROUPS: Final = sum(HCR.mask(name) for name in ("VGrp0EIE", "VGrp0DIE", "VGrp1EIE", "VGrp1DIE"))


def _group_conditions(profile: Profile) -> tuple[tuple[int, bool, int, int], ...]:
    """A group, whether it is to be enabled, what of ICH_HCR_EL2 asks for that, and what of ICH_MISR_EL2 says so."""
    looked_at = GROUP1 if profile.vgrp0d_looks_at_group_1 else GROUP0
    return (
        (GROUP0, True, HCR.mask("VGrp0EIE"), MISR.mask("VGrp0E")),
        (looked_at, False, HCR.mask("VGrp0DIE"), MISR.mask("VGrp0D")),
        (GROUP1, True, HCR.mask("VGrp1EIE"), MISR.mask("VGrp1E")),
        (GROUP1, False, HCR.mask("VGrp1DIE"), MISR.mask("VGrp1D")),
    )


class _VirtualLines:
    """Where the outputs of virtual CPU interfaces go."""

    def __init__(self, sink: VirtualLineSink) -> None:
        self._sink = sink

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """Pass them on."""
        self._sink.set_virtual_lines(cpu, irq, fiq)


class _VirtualNmiLines:
    """The same, with whether the virtual IRQ has superpriority."""

    def __init__(self, sink: VirtualNmiSink) -> None:
        self._sink = sink

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """Pass them on."""
        self._sink.set_virtual_lines(cpu, irq, fiq)

    def set_nmi(self, cpu: int, nmi: bool) -> None:
        """Pass it on."""
        self._sink.set_virtual_nmi(cpu, nmi)


def _virtual_lines(sink: LineSink | None) -> LineSink | None:
    """What hears of virtual interrupts, where the sink does."""
    if isinstance(sink, VirtualNmiSink):
        return _VirtualNmiLines(sink)
    return _VirtualLines(sink) if isinstance(sink, VirtualLineSink) else None


def _list_registers(config: Config, physical: CpuInterface) -> ListRegisters:
    """Those of one PE, of the kind that the VM has."""
    kind = NmiListRegister if config.nmi else ListRegister
    return ListRegisters([kind(number) for number in range(config.list_registers)], physical)


def _interface(
    config: Config, lines: LineSink | None, registers: ListRegisters, physical: CpuInterface
) -> ListRegisterInterface:
    """The virtual CPU interface behind them."""
    cpu, profile, bits = physical.cpu, config.profile, config.priority_bits
    if config.nmi:
        return NmiListRegisterInterface(cpu, profile, bits, lines, registers, physical)
    return ListRegisterInterface(cpu, profile, bits, lines, registers)


class VirtualControl(Settler):
    """The list registers of one PE, the virtual CPU interface behind them, and the maintenance interrupt."""

    def __init__(
        self, config: Config, physical: CpuInterface, private: PrivateInterrupts, lines: LineSink | None
    ) -> None:
        self.list_registers = _list_registers(config, physical)
        self.interface = _interface(config, _virtual_lines(lines), self.list_registers, physical)
        self.interface.connect([self.list_registers], self)
        physical.virtual = self.interface
        self.conditions: i64 = 0
        """The bits of ICH_HCR_EL2 other than En and EOIcount."""
        self.maintenance = False
        """The level of the maintenance interrupt."""
        self._group_conditions = _group_conditions(config.profile)
        self._private = private
        self._intid: i64 = config.maintenance_intid

    def settle(self) -> None:
        """Let the virtual CPU interface choose and set its outputs, and the maintenance interrupt follow."""
        self.interface.select_best()
        self.interface.update_outputs()
        asserted = self.asserts()
        if asserted != self.maintenance:
            self.maintenance = asserted
            self._private.set_line(self._intid, asserted)

    def settle_changed(self, interface: CpuInterface, what: i64) -> None:
        """The same, whatever has changed."""
        self.settle()

    def asserts(self) -> bool:
        """What the level of the maintenance interrupt has to be (rule VCPU-15)."""
        return not self.interface.silent and self.status() != 0

    def status(self) -> i64:
        """ICH_MISR_EL2: the conditions that are met (rule VCPU-14)."""
        registers, conditions = self.list_registers, self.conditions
        status: i64 = 0
        if registers.ended():
            status |= _EOI
        if not conditions:
            return status
        if conditions & _UIE and registers.in_use() <= 1:
            status |= _U
        if conditions & _LRENPIE and self.interface.unlisted_ends:
            status |= _LRENP
        if conditions & _NPIE and not registers.pending():
            status |= _NP
        if conditions & _OF_GROUPS:
            for group, enabled, condition, bit in self._group_conditions:
                if conditions & condition and self.interface.groups[group].enabled == enabled:
                    status |= bit
        return status

    def reset(self) -> None:
        """Reset the registers, as those of the PE's physical interface are (rule VCPU-3)."""
        self.conditions = 0
        for register in self.list_registers.registers:
            register.set_value(0)
        self.interface.silent = True
        self.interface.unlisted_ends = 0
        self.interface.reset()

    def follow(self) -> None:
        """Find what follows from registers that were stored without anything else, but for the outputs."""
        self.interface.find_derived()
        self.interface.select_best()
        self.maintenance = self.asserts()
