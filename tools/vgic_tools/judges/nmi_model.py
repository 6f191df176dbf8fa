"""The model beside a QEMU whose PEs have NMIs: with the two system registers of a PE that NMIs depend on."""

from typing import Final

from vgic import PeState
from vgic.layouts.icc import sysreg
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import Machine, Mrs, Msr, Operation

__all__ = ["ALLINT", "ALL_MASKED", "SCTLR_EL1", "SCTLR_NMI", "SCTLR_RESET", "NmiModel"]

SCTLR_EL1: Final = sysreg(3, 0, 1, 0, 0)
SCTLR_NMI: Final = 1 << 61
SCTLR_RESET: Final = 0xC5_0838
"""What QEMU's `max` begins with."""
ALLINT: Final = sysreg(3, 0, 4, 3, 0)
ALL_MASKED: Final = 1 << 13
"""PSTATE.ALLINT: not even NMIs are taken."""


class NmiModel(ModelJudge):
    """A model that is told SCTLR_EL1.NMI of its PEs."""

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
