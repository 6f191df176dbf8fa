"""Comparing what the recorder says of virtual CPU interfaces: the best virtual interrupt, its outputs, maintenance.

All that changes these is logged before they are evaluated, and nothing else changes them in between: unlike the
evaluations of the physical interface (evaluations.py beside it), each shows the present state.
"""

from typing import Final

from mypy_extensions import i64

from vgic import Gic
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY
from vgic.cpu_interface.virtual_control import VirtualControl

__all__ = ["MAINTENANCE", "VIRTUAL_OFFERS", "VIRTUAL_OUTCOMES", "VIRTUAL_OUTPUTS", "VirtualOutcomes"]

VIRTUAL_OFFERS: Final = "highest pending virtual interrupts"
VIRTUAL_OUTPUTS: Final = "virtual IRQ and FIQ outputs"
MAINTENANCE: Final = "maintenance interrupts"
VIRTUAL_OUTCOMES: Final = frozenset((VIRTUAL_OFFERS, VIRTUAL_OUTPUTS, MAINTENANCE))

_NONE: Final = -1


class VirtualOutcomes:
    """What the model shows of each vCPU; where it has no list registers, never anything."""

    def __init__(self, gic: Gic) -> None:
        self._controls: list[VirtualControl] = []
        self.same_offers: i64 = 0
        self.same_outputs: i64 = 0
        self.same_maintenance: i64 = 0
        self.follow(gic)

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        cpus = range(len(gic.config.topology)) if gic.config.list_registers else range(0)
        self._controls = [gic.virtual_control(cpu) for cpu in cpus]

    def candidate(self, cpu: i64) -> i64:
        """The list register that has the best virtual interrupt of vCPU `cpu`, -1 where none has."""
        if not self._controls:
            return _NONE
        key = self._controls[cpu].interface.best_key
        return _NONE if key == NO_KEY else key & INTID_MASK

    def outputs(self, cpu: i64) -> i64:
        """The virtual IRQ (bit 1) and FIQ (bit 0)."""
        if not self._controls:
            return 0
        interface = self._controls[cpu].interface
        return (2 if interface.irq else 0) | (1 if interface.fiq else 0)

    def maintenance(self, cpu: i64) -> bool:
        """The level of the maintenance interrupt."""
        return bool(self._controls) and self._controls[cpu].maintenance
