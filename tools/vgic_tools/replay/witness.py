"""What can be said about a divergence: the events before it, and the model's view of the interrupts concerned."""

from collections.abc import Iterable
from typing import Final

from mmio import Location, RegisterLayout
from mmio.trace import Access, Event, SysReg
from vgic import Gic, affinity
from vgic.intids import FIRST_LPI
from vgic.layouts.intids import intids_in
from vgic_tools.replay.history import History
from vgic_tools.replay.result import Divergence

__all__ = ["HISTORY", "Witness"]

HISTORY: Final = 10
"""How many events before a divergence are shown."""

_MOST_INTERRUPTS: Final = 4


class Witness:
    """Describes the divergences of a replay."""

    def __init__(self, gic: Gic, history: History) -> None:
        self._gic = gic
        self._topology = gic.config.topology
        self._history = history

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        self._gic = gic

    def of_access(self, index: int, expected: int, got: int, location: Location | None) -> Divergence:
        """A memory read, event `index`, that returned something else."""
        event = self._history.event(index)
        assert isinstance(event, Access)
        layout = None if location is None else location.register
        element = 0 if location is None else location.element
        # A narrow access shows part of a register: move both values to where that part lies.
        shift = 0 if layout is None else 8 * (event.offset % (layout.width // 8))
        cpu = 0 if event.owner is None else self._topology.find(event.owner) or 0
        concerned = () if layout is None else intids_in(layout, element, (expected ^ got) << shift)
        return Divergence(
            event=event,
            what=f"{event.device.upper()}+{event.offset:#x}" if layout is None else layout.title(element),
            place="" if event.owner is None else affinity.text(event.owner),
            expected=f"{expected:#x}",
            got=f"{got:#x}",
            layout=layout,
            expected_value=expected << shift,
            got_value=got << shift,
            before=self._before(index),
            interrupts=self._views(cpu, concerned),
        )

    def of_register(self, index: int, cpu: int, got: int, layout: RegisterLayout) -> Divergence:
        """A system register read, event `index`, that returned something else."""
        event = self._history.event(index)
        assert isinstance(event, SysReg)
        shows_intid = any(field.name == "INTID" for field in layout.fields)
        return Divergence(
            event=event,
            what=event.register,
            place=affinity.text(event.cpu),
            expected=f"{event.value:#x}",
            got=f"{got:#x}",
            layout=layout,
            expected_value=event.value,
            got_value=got,
            before=self._before(index),
            interrupts=self._views(cpu, {event.value, got} if shows_intid else ()),
        )

    def of_outcome(self, index: int, what: str, cpu: int | None, expected: str, got: str) -> Divergence:
        """Another outcome than a register's value, at vCPU `cpu`."""
        event = self._history.event(index)
        concerned = {getattr(event, "intid", None)}
        best = None if cpu is None else self._gic.highest_pending(cpu)
        if best is not None:
            concerned.add(best.intid)
        return Divergence(
            event=event,
            what=what,
            place="" if cpu is None else affinity.text(self._topology.affinities[cpu]),
            expected=expected,
            got=got,
            before=self._before(index),
            interrupts=() if cpu is None else self._views(cpu, (intid for intid in concerned if intid is not None)),
        )

    def _before(self, index: int) -> tuple[Event, ...]:
        return tuple(self._history.events(max(index - HISTORY, 0), index))

    def _views(self, cpu: int, intids: Iterable[int]) -> tuple[str, ...]:
        config = self._gic.config
        lpis = range(FIRST_LPI, 1 << config.id_bits) if config.features.lpis else range(0)
        shown = sorted(intid for intid in intids if self._gic.has(intid) or intid in lpis)[:_MOST_INTERRUPTS]
        views = (self._gic.lpi(cpu, intid) if intid in lpis else self._gic.interrupt(cpu, intid) for intid in shown)
        return tuple(map(str, views))
