"""The model beside a QEMU whose PEs have NMIs: with the system registers of a PE that NMIs depend on."""

from dataclasses import replace
from typing import Final

from vgic import PeState
from vgic.layouts.icc import sysreg
from vgic_tools.judges.model import IRQ, ModelJudge
from vgic_tools.judges.pe_places import interrupted_to, state_of
from vgic_tools.judges.placed_model import PlacedModel
from vgic_tools.judges.protocol import Machine, Mrs, Msr, Operation

__all__ = [
    "ALLINT",
    "ALL_MASKED",
    "SCTLRS",
    "SCTLR_EL1",
    "SCTLR_NMI",
    "SCTLR_RESET",
    "NmiModel",
    "PlacedNmiModel",
]

SCTLR_EL1: Final = sysreg(3, 0, 1, 0, 0)
SCTLRS: Final = {SCTLR_EL1: 1, sysreg(3, 4, 1, 0, 0): 2, sysreg(3, 6, 1, 0, 0): 3}
"""SCTLR_ELx: x by encoding."""
SCTLR_NMI: Final = 1 << 61
SCTLR_RESET: Final = 0xC5_0838
"""What QEMU's `max` begins with."""
ALLINT: Final = sysreg(3, 0, 4, 3, 0)
ALL_MASKED: Final = 1 << 13
"""PSTATE.ALLINT: not even NMIs are taken."""

_IS: Final = 1 << 10
"""ISR_EL1.IS: the IRQ has superpriority."""


class NmiModel(ModelJudge):
    """A model that is told SCTLR_EL1.NMI of its PEs, and tells of superpriority in their signals."""

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        super().start(machine)
        self._registers = [{SCTLR_EL1: SCTLR_RESET, ALLINT: 0} for _ in range(machine.cpus)]

    def _act(self, operation: Operation) -> tuple[int, bool]:
        match operation:
            case Mrs(cpu, register) if register in self._registers[cpu]:
                return self._registers[cpu][register], False
            case Msr(cpu, register, value) if register in self._registers[cpu]:
                self._registers[cpu][register] = value
                if register == SCTLR_EL1:
                    self.gic.set_pe_state(cpu, PeState(sctlr_nmi=value & SCTLR_NMI != 0))
                return 0, False
        return super()._act(operation)

    def _signals(self, cpu: int) -> int:
        return super()._signals(cpu) | self.gic.nmi(cpu) * _IS


class PlacedNmiModel(PlacedModel):
    """The same of PEs that go from place to place, with SCTLR_ELx.NMI of each Exception level."""

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        super().start(machine)
        self._sctlr_nmi: list[dict[int, bool]] = [{} for _ in self._cpus]

    def _state(self, cpu: int, place: int) -> PeState:
        state = super()._state(cpu, place)
        return replace(state, sctlr_nmi=self._sctlr_nmi[cpu].get(state.el, False))

    def _act(self, operation: Operation) -> tuple[int, bool]:
        match operation:
            case Msr(cpu, register, value) if register in SCTLRS:
                self._sctlr_nmi[cpu][SCTLRS[register]] = value & SCTLR_NMI != 0
                return 0, False
        return super()._act(operation)

    def _signals(self, cpu: int) -> int:
        shown, place = super()._signals(cpu), self._places[cpu]
        irq, _ = self.gic.outputs(cpu)
        state = state_of(place)
        # What a PE takes at once ISR_EL1 does not tell, nor what is EL2's at EL1.
        if interrupted_to(place, irq * IRQ) or (state.hcr_imo and state.el == 1):
            return shown
        return shown | self.gic.nmi(cpu) * _IS
