"""Comparing what the recorder says of virtual CPU interfaces: the best virtual interrupt, its outputs, maintenance.

All that changes these is logged before they are evaluated, and nothing else changes them in between: unlike the
evaluations of the physical interface (evaluations.py beside it), each shows the present state.
"""

from typing import Final

from mypy_extensions import i64

from vgic import Gic
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, is_superior
from vgic.cpu_interface.virtual_control import VirtualControl
from vgic_tools.replay.evaluations import levels_text
from vgic_tools.replay.findings import Findings
from vgic_tools.replay.outcomes import MAINTENANCE, VIRTUAL_OFFERS, VIRTUAL_OUTPUTS
from vgic_tools.replay.result import Result

__all__ = ["VirtualOutcomes"]

_NONE: Final = -1
_MOST_LIST_REGISTERS: Final = 16


class VirtualOutcomes:
    """What the model shows of each vCPU; where it has no list registers, never anything."""

    def __init__(self, gic: Gic, findings: Findings, result: Result) -> None:
        self._findings = findings
        self._result = result
        self._controls: list[VirtualControl] = []
        self.maintenance_intid: i64 = gic.config.maintenance_intid if gic.config.list_registers else _NONE
        """The PPI that the model drives itself."""
        self._offered_lpi: i64 = _NONE
        """The vCPU that was just offered a virtual LPI: its outputs follow from that."""
        self.same_offers: i64 = 0
        """Offers that are as recorded."""
        self.same_outputs: i64 = 0
        self.same_maintenance: i64 = 0
        self.follow(gic)

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        cpus = range(len(gic.config.topology)) if gic.config.list_registers else range(0)
        self._controls = [gic.virtual_control(cpu) for cpu in cpus]

    def offered(self, cpu: i64, place: i64, index: i64) -> None:
        """Event `index` says which list register of vCPU `cpu` has the best virtual interrupt: one more than its
        number, 0 where none has.
        """
        self._offered_lpi = _NONE
        if place > _MOST_LIST_REGISTERS:
            self._offered_lpi = cpu
            self._result.accepted["evaluations that offer a virtual LPI"] += 1
            return
        shown = self._candidate(cpu) + 1
        if place == shown:
            self.same_offers += 1
        else:
            self._differs(VIRTUAL_OFFERS, cpu, _list_register_text(place), _list_register_text(shown), index)

    def put_out(self, cpu: i64, outputs: i64, index: i64) -> None:
        """Event `index` says the virtual IRQ (bit 1) and FIQ (bit 0) of vCPU `cpu`."""
        if cpu == self._offered_lpi:
            return
        shown = self._outputs(cpu)
        if outputs == shown:
            self.same_outputs += 1
        else:
            self._differs(VIRTUAL_OUTPUTS, cpu, levels_text(outputs), levels_text(shown), index)

    def maintained(self, cpu: i64, level: bool, index: i64) -> None:
        """Event `index` says the level of the maintenance interrupt of vCPU `cpu`."""
        shown = bool(self._controls) and self._controls[cpu].maintenance
        if level == shown:
            self.same_maintenance += 1
        else:
            self._differs(MAINTENANCE, cpu, _level_text(level), _level_text(shown), index)

    def _candidate(self, cpu: i64) -> i64:
        if not self._controls:
            return _NONE
        key = self._controls[cpu].interface.best_key
        return _NONE if key == NO_KEY else key & INTID_MASK

    def _outputs(self, cpu: i64) -> i64:
        if not self._controls:
            return 0
        interface = self._controls[cpu].interface
        # QEMU has another output for what has superpriority, which its traces do not show (rule NMI-9).
        irq = interface.irq and not is_superior(interface.signalled_key)
        return (2 if irq else 0) | (1 if interface.fiq else 0)

    def _differs(self, what: str, cpu: i64, expected: str, got: str, index: i64) -> None:
        self._result.compared[what] += 1
        self._findings.outcome(index, what, cpu, expected, got)


def _list_register_text(place: i64) -> str:
    return f"list register {place - 1}" if place else "no list register"


def _level_text(level: bool) -> str:
    return "high" if level else "low"
