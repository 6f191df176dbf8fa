"""What a replay counts on its way, as numbers; the result gets them under their names when it is over."""

from collections import Counter
from typing import Final

from mmio.trace.records import DEVICES, Tables
from vgic import Topology, affinity
from vgic.trap_plan import TrapPlan
from vgic_tools.replay.evaluations import OFFERS, OUTPUTS, Evaluations
from vgic_tools.replay.result import Result
from vgic_tools.replay.sgis import SGI1R_NAME
from vgic_tools.replay.system_registers import SystemRegister

__all__ = ["LPI", "PPI", "SGI", "SPI", "Counts"]

SGI: Final = 0
PPI: Final = 1
SPI: Final = 2
LPI: Final = 3
_TYPES: Final = ("SGI", "PPI", "SPI", "LPI")


class Counts:
    """Counts that the common events change."""

    def __init__(self) -> None:
        self.events = 0
        self.line_changes = 0
        self.legality = 0
        """Accesses that were compared as to whether they are taken or refused."""
        self.sgis = 0
        """SGIs by ICC_SGI1R."""
        self.deliveries = 0
        """Deliveries of SGIs."""
        self._accesses = [0] * (2 * len(DEVICES))
        """By device, reads and writes."""
        self._others: list[int] = []
        """Events that mean nothing to the model, by their name's place in the tables."""
        self._taken: dict[int, int] = {}
        """Interrupts taken, by vCPU and type."""

    def access(self, device: int, write: bool) -> None:
        """An access to a device of `DEVICES`."""
        self._accesses[2 * device + write] += 1

    def other(self, name: int) -> None:
        """An event of this name."""
        while name >= len(self._others):
            self._others.append(0)
        self._others[name] += 1

    def taken(self, cpu: int, kind: int) -> None:
        """A vCPU took an SGI, PPI, SPI or LPI."""
        key = cpu * len(_TYPES) + kind
        self._taken[key] = self._taken.get(key, 0) + 1

    def sum_up(
        self,
        result: Result,
        tables: Tables,
        topology: Topology,
        registers: list[SystemRegister],
        evaluations: Evaluations,
        traps: TrapPlan | None,
    ) -> None:
        """Add everything to the result."""
        inputs, compared = result.inputs, result.compared
        result.events = self.events
        for place, device in enumerate(DEVICES):
            _add(inputs, f"{device.upper()} reads", self._accesses[2 * place])
            _add(inputs, f"{device.upper()} writes", self._accesses[2 * place + 1])
        _add(inputs, "line changes", self.line_changes)
        _add(inputs, f"SGIs by {SGI1R_NAME}", self.sgis)
        _add(compared, "SGI deliveries", self.deliveries)
        _add(compared, "access taken or refused", self.legality)
        for register in registers:
            _add(inputs, "ICC reads", register.reads)
            _add(inputs, "ICC writes", register.writes)
            _add(compared, register.name, register.compared)
            if traps is not None and result.exits is not None:
                for write, count in ((False, register.reads), (True, register.writes)):
                    if traps.traps(register.name, write):
                        _add(result.exits, f"{'write' if write else 'read'} of {register.name}", count)
        _add(compared, OFFERS, evaluations.same_offers)
        _add(compared, OUTPUTS, evaluations.same_outputs)
        for name, count in enumerate(self._others):
            _add(result.accepted, f"{tables.names[name]} events", count)
        for key, count in self._taken.items():
            cpu, kind = divmod(key, len(_TYPES))
            result.acknowledged[affinity.text(topology.affinities[cpu]), _TYPES[kind]] = count


def _add(counts: Counter[str], name: str, count: int) -> None:
    """Count what was there at all."""
    if count:
        counts[name] += count
