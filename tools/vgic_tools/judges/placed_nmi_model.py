"""The model beside a judge whose PEs go from place to place, and have NMIs."""

from dataclasses import replace
from typing import Final

from vgic.cpu_interface.pe_state import PeState
from vgic.layouts.icc import sysreg
from vgic_tools.judges.nmi_model import SCTLR_EL1, SCTLR_NMI
from vgic_tools.judges.pe_places import state_of
from vgic_tools.judges.placed_model import PlacedModel
from vgic_tools.judges.protocol import Machine, Mrs, Msr, Operation

__all__ = ["SCTLRS", "SCTLR_BEGINS", "PlacedNmiModel"]

SCTLRS: Final = {SCTLR_EL1: 1, sysreg(3, 4, 1, 0, 0): 2, sysreg(3, 6, 1, 0, 0): 3}
"""SCTLR_ELx: x by encoding."""
SCTLR_BEGINS: Final = 0x30D0_0800
"""What the resident guest has in SCTLR_EL1 where it begins at a higher Exception level."""


class PlacedNmiModel(PlacedModel):
    """One that is told SCTLR_ELx.NMI of its PEs. Those of EL2 and EL3 are never read."""

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        super().start(machine)
        self._sctlr = [dict.fromkeys(SCTLRS.values(), SCTLR_BEGINS) for _ in self._cpus]

    def _state(self, cpu: int, place: int) -> PeState:
        state = state_of(place)
        return replace(state, sctlr_nmi=self._sctlr[cpu].get(state.el, 0) & SCTLR_NMI != 0)

    def _act(self, operation: Operation) -> tuple[int, bool]:
        match operation:
            case Mrs(cpu, register) if register in SCTLRS:
                return self._sctlr[cpu][SCTLRS[register]], False
            case Msr(cpu, register, value) if register in SCTLRS:
                self._sctlr[cpu][SCTLRS[register]] = value
                return 0, False
        return super()._act(operation)
