"""What a replay counts on its way, as numbers; the result gets them under their names when it is over."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from mypy_extensions import i64

from mmio.trace.records import DEVICES, Tables
from vgic import Topology, affinity
from vgic.host.trap_plan import TrapPlan
from vgic_tools.replay.evaluations import Evaluations
from vgic_tools.replay.outcomes import (
    LEGALITY,
    MAINTENANCE,
    OFFERS,
    OUTPUTS,
    SGI_DELIVERIES,
    VIRTUAL_OFFERS,
    VIRTUAL_OUTPUTS,
)
from vgic_tools.replay.result import Result
from vgic_tools.replay.sgis import SGI1R_NAME
from vgic_tools.replay.system_registers import SystemRegister
from vgic_tools.replay.virtual_outcomes import VirtualOutcomes

__all__ = ["LPI", "PPI", "SGI", "SPI", "Counts"]

SGI: Final = 0
PPI: Final = 1
SPI: Final = 2
LPI: Final = 3
_TYPES: Final = ("SGI", "PPI", "SPI", "LPI")
_TYPE_COUNT: Final = len(_TYPES)


class _Count:
    """How often something was, perhaps at an address."""

    __slots__ = ("address", "count")

    def __init__(self, address: int = 0) -> None:
        self.address = address
        self.count: i64 = 0


class Counts:
    """Counts that the common events change."""

    def __init__(self) -> None:
        self.events: i64 = 0
        self.line_changes: i64 = 0
        self.legality: i64 = 0
        """Accesses that were compared as to whether they are taken or refused."""
        self.sgis: i64 = 0
        """SGIs by ICC_SGI1R."""
        self.deliveries: i64 = 0
        """Deliveries of SGIs."""
        self._accesses = [_Count() for _ in range(2 * len(DEVICES))]
        """By device, reads and writes."""
        self._reads: list[list[_Count | None]] = [[] for _ in DEVICES]
        """Reads that were compared, by device and offset, which tell the register; each with one such address."""
        self._others: list[_Count] = []
        """Events that mean nothing to the model, by their name's place in the tables."""
        self._taken: list[_Count] = []
        """Interrupts taken, by vCPU and type."""

    def access(self, device: i64, write: bool) -> None:
        """An access to a device of `DEVICES`."""
        place = 2 * device
        if write:
            place += 1
        self._accesses[place].count += 1

    def compared_read(self, device: i64, offset: i64, address: int) -> None:
        """A read at `offset` of a device was compared, here at `address`."""
        counts = self._reads[device]
        if offset >= len(counts):
            counts += [None] * (offset + 1 - len(counts))
        found = counts[offset]
        if found is None:
            found = counts[offset] = _Count(address)
        found.count += 1

    def compared_reads(self) -> Iterator[tuple[int, int]]:
        """An address of each register that was read and compared, and how often."""
        return ((found.address, found.count) for counts in self._reads for found in counts if found is not None)

    def other(self, name: i64) -> None:
        """An event of this name."""
        while name >= len(self._others):
            self._others.append(_Count())
        self._others[name].count += 1

    def taken(self, cpu: i64, kind: i64) -> None:
        """A vCPU took an SGI, PPI, SPI or LPI."""
        key = cpu * _TYPE_COUNT + kind
        while key >= len(self._taken):
            self._taken.append(_Count())
        self._taken[key].count += 1

    def sum_up(
        self,
        result: Result,
        tables: Tables,
        topology: Topology,
        registers: list[SystemRegister],
        evaluations: Evaluations,
        virtual: VirtualOutcomes,
        traps: TrapPlan | None,
    ) -> None:
        """Add everything to the result."""
        inputs, compared = result.inputs, result.compared
        result.events = self.events
        for place, device in enumerate(DEVICES):
            _add(inputs, f"{device.upper()} reads", self._accesses[2 * place].count)
            _add(inputs, f"{device.upper()} writes", self._accesses[2 * place + 1].count)
        _add(inputs, "line changes", self.line_changes)
        _add(inputs, f"SGIs by {SGI1R_NAME}", self.sgis)
        _add(compared, SGI_DELIVERIES, self.deliveries)
        _add(compared, LEGALITY, self.legality)
        for register in registers:
            _add(inputs, f"{register.face} reads", register.reads)
            _add(inputs, f"{register.face} writes", register.writes)
            _add(compared, register.name, register.compared)
            if traps is not None and result.exits is not None:
                for write, count in ((False, register.reads), (True, register.writes)):
                    if traps.traps(register.name, write):
                        _add(result.exits, f"{'write' if write else 'read'} of {register.name}", count)
        _add(compared, OFFERS, evaluations.same_offers)
        _add(compared, OUTPUTS, evaluations.same_outputs)
        _add(compared, VIRTUAL_OFFERS, virtual.same_offers)
        _add(compared, VIRTUAL_OUTPUTS, virtual.same_outputs)
        _add(compared, MAINTENANCE, virtual.same_maintenance)
        for name, others in enumerate(self._others):
            _add(result.accepted, f"{tables.names[name]} events", others.count)
        for key, taken in enumerate(self._taken):
            cpu, kind = divmod(key, _TYPE_COUNT)
            if taken.count:
                result.acknowledged[affinity.text(topology.affinities[cpu]), _TYPES[kind]] = taken.count


def _add(counts: Counter[str], name: str, count: int) -> None:
    """Count what was there at all."""
    if count:
        counts[name] += count
