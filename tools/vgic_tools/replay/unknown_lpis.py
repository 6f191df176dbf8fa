"""LPIs of a machine whose ITS is not modelled: the trace tells that one was taken, and perhaps its priority.

The model cannot predict them. But while one is active, what it preempts and what preempts it must be right.
"""

import vgic
from vgic import Gic

__all__ = ["UnknownLpis"]


class UnknownLpis:
    """The priority of the LPI that each vCPU was offered last."""

    def __init__(self) -> None:
        self._priority: dict[int, int] = {}

    def offered(self, cpu: int, priority: int) -> None:
        """A vCPU was offered an LPI."""
        self._priority[cpu] = priority

    def activate(self, gic: Gic, cpu: int) -> None:
        """Show the model that an LPI is active, where the trace told its priority."""
        if cpu in self._priority:
            bit = 1 << (self._priority[cpu] >> 3)
            active = gic.sysreg_read(cpu, vgic.ICC_AP1R0_EL1)
            gic.sysreg_write(cpu, vgic.ICC_AP1R0_EL1, active | bit)
