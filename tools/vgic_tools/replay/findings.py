"""Where a recorded outcome is not the model's: counted, and the first one described and judged."""

from mmio import Location, RegisterLayout
from vgic import Gic
from vgic_tools.replay.evidence import fields_not_modelled, machine_hint, why_undecided
from vgic_tools.replay.history import History
from vgic_tools.replay.result import Divergence, Result
from vgic_tools.replay.witness import Witness

__all__ = ["Findings"]


class Findings:
    """Puts divergences into a result. Events are given by their index in the trace."""

    def __init__(self, result: Result, gic: Gic, history: History) -> None:
        self._result = result
        self._gic = gic
        self._history = history
        self._witness = Witness(gic, history)
        self.diverged = False
        """The result has a divergence: a flag, since every event asks."""

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        self._gic = gic
        self._witness.follow(gic)

    def read(self, index: int, name: str, expected: int, got: int, location: Location) -> None:
        """A memory read returned something else; accepted where that only shows what is not modelled."""
        layout = location.register
        if layout is not None and location.offset % (layout.width // 8) == 0:
            lacking = fields_not_modelled(layout, expected, got)
            for field in lacking:
                self._result.accepted[f"{field}, which are not modelled"] += 1
            if lacking:
                return
        if self._first(name):
            self._tell(self._witness.of_access(index, expected, got, location), index)

    def register(self, index: int, cpu: int, got: int, name: str, layout: RegisterLayout) -> None:
        """A system register read returned something else."""
        if self._first(name):
            self._tell(self._witness.of_register(index, cpu, got, layout), index)

    def outcome(self, index: int, what: str, cpu: int | None, expected: str, got: str) -> None:
        """Another outcome than a register's value, at vCPU `cpu`."""
        if self._first(what):
            self._tell(self._witness.of_outcome(index, what, cpu, expected, got), index)

    def _first(self, what: str) -> bool:
        """Count a divergence; True for the first, which is described."""
        first = not self.diverged
        self.diverged = True
        self._result.divergences[what] += 1
        return first

    def _tell(self, divergence: Divergence, index: int) -> None:
        """Describe the first divergence, and say what it is evidence of."""
        result = self._result
        result.first = divergence
        events = self._history.all_events()
        if events is not None:
            result.undecided = why_undecided(events, index + 1, self._gic, divergence)
        hint = machine_hint(divergence, result.machine)
        if hint and not result.undecided:
            result.notes.append(hint)
