"""The model beside a judge whose PEs go from place to place, and have NMIs."""

from dataclasses import replace
from typing import Final

from vgic.cpu_interface.pe_state import PeState
from vgic_tools.judges.nmi_model import SCTLR_EL1, SCTLR_NMI
from vgic_tools.judges.pe_places import state_of
from vgic_tools.judges.placed_model import PlacedModel
from vgic_tools.judges.protocol import Machine, Mrs, Msr, Operation

__all__ = ["SCTLR_BEGINS", "PlacedNmiModel"]

SCTLR_BEGINS: Final = 0x30D0_0800
"""What the resident guest has in SCTLR_EL1 where it begins at a higher Exception level."""
_EL1: Final = 1


class PlacedNmiModel(PlacedModel):
    """One that is told SCTLR_EL1.NMI of its PEs; at EL2 and EL3 that of SCTLR_ELx stays 0."""

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        super().start(machine)
        self._sctlr = [SCTLR_BEGINS] * machine.cpus

    def _state(self, cpu: int, place: int) -> PeState:
        state = state_of(place)
        return replace(state, sctlr_nmi=state.el == _EL1 and self._sctlr[cpu] & SCTLR_NMI != 0)

    def _act(self, operation: Operation) -> tuple[int, bool]:
        match operation:
            case Mrs(cpu, register) if register == SCTLR_EL1:
                return self._sctlr[cpu], False
            case Msr(cpu, register, value) if register == SCTLR_EL1:
                self._sctlr[cpu] = value
                return 0, False
        return super()._act(operation)
