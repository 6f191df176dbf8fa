"""When a recorded operation takes place in the model: between the evaluations that are logged around it.

What kind of operation is logged before its evaluations and what after them is said in `evaluations`. An SGI has its
deliveries in events of their own, so it takes place when another operation begins.
"""

from mypy_extensions import i64

import vgic
from vgic import Gic
from vgic_tools.replay.counts import Counts
from vgic_tools.replay.evaluations import Evaluations
from vgic_tools.replay.findings import Findings
from vgic_tools.replay.its import RebuiltIts
from vgic_tools.replay.outcomes import SGI_DELIVERIES
from vgic_tools.replay.pending_sgi import PendingSgi
from vgic_tools.replay.result import Result
from vgic_tools.replay.sgis import deliveries_text, generation, misdelivered
from vgic_tools.replay.watcher import Watcher
from vgic_tools.replay.witness import HISTORY

__all__ = ["Operations"]


class Operations:
    """Who carries out an operation says so here, before and where it is logged last also after it."""

    def __init__(
        self,
        gic: Gic,
        evaluations: Evaluations,
        counts: Counts,
        findings: Findings,
        result: Result,
        its: RebuiltIts | None,
        watcher: Watcher | None,
    ) -> None:
        self._gic = gic
        self._evaluations = evaluations
        self._counts = counts
        self._findings = findings
        self._result = result
        self._its = its
        self._watcher = watcher
        self._sgi = PendingSgi()
        self.needs: i64 = 0
        """The first event that may still be asked for."""

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        self._gic = gic

    def logged_first(self, index: i64) -> None:
        """Before an operation that is logged before its evaluations."""
        self._before()
        if self._evaluations.waiting():
            self._evaluations.present()
            self._compare(cut=False)
        self._settled(index)

    def logged_last(self) -> None:
        """Before an operation that is logged after its evaluations."""
        self._before()
        if self._evaluations.waiting():
            self._evaluations.present()
        else:
            self._evaluations.forget()

    def after_logged_last(self, index: i64) -> None:
        """After an operation that is logged after its evaluations."""
        if self._evaluations.waiting():
            self._evaluations.present()
            self._compare(cut=False)
        self._settled(index)

    def present(self) -> None:
        """The model is in a state that waiting evaluations may show."""
        if self._evaluations.waiting():
            self._evaluations.present()

    def finish(self) -> None:
        """The trace is over, perhaps amid an operation."""
        self._before(cut=True)
        if self._evaluations.waiting():
            self._evaluations.present()
            self._compare(cut=True)

    def begin_sgi(self, cpu: i64, pe: i64, intid: i64, irm: bool, targets: int, index: i64) -> None:
        """A vCPU generates an SGI; for the arguments see `PendingSgi.begin`."""
        self.logged_first(index)
        self._evaluations.unsettled = True
        self._sgi.begin(cpu, pe, intid, irm, targets, index)

    def deliver_sgi(self, cpu: i64, pe: i64, intid: i64, index: i64) -> bool:
        """The SGI becomes pending at a vCPU; False where nobody generated one."""
        if self._sgi.waits:
            self._sgi.deliver(cpu, pe, intid, index)
            return True
        return False

    def _before(self, cut: bool = False) -> None:
        """Carry out the SGI whose deliveries are complete now that another operation begins or the trace ends."""
        if self._sgi.waits:
            if self._watcher is not None:
                self._watcher.generates(self._sgi.index)
            self._generate(cut)
            if self._watcher is not None:
                self._watcher.generated()
            self._evaluations.unsettled = False

    def _generate(self, cut: bool) -> None:
        """Generate the SGI, and compare who it was delivered to; `cut`: more deliveries may have followed."""
        sgi = self._sgi
        sgi.waits = False
        self._counts.deliveries += sgi.deliveries()
        if sgi.fits_sgi1r(self._gic):
            self._counts.sgis += 1
            self._gic.sysreg_write(sgi.sender, vgic.ICC_SGI1R_EL1, sgi.value)
            return
        event, deliveries = sgi.as_event(), sgi.deliveries_as_events()
        register, encoding, value, reach = generation(self._gic, sgi.sender, sgi.value, deliveries, cut)
        self._result.inputs[f"SGIs by {register}"] += 1
        wrong = misdelivered(event, deliveries, reach, cut)
        if wrong is not None:
            recorded = deliveries_text([(item.intid, item.cpu) for item in deliveries])
            got = deliveries_text([(event.intid, pe) for pe in reach])
            # The line of these events is their index.
            self._findings.outcome(wrong.line, SGI_DELIVERIES, sgi.sender, recorded, got)
        self._gic.sysreg_write(sgi.sender, encoding, value)

    def _settled(self, index: i64) -> None:
        """No event before this one waits to be compared."""
        self._evaluations.forget()
        self.needs = index - HISTORY
        if self._its is not None:
            self._its.settled()

    def _compare(self, cut: bool) -> None:
        for index, what, cpu, expected, got in self._evaluations.compare():
            if cut:
                # Perhaps the outcome of an operation whose own line would have been the next one.
                self._result.accepted[f"{what} after the last operation"] += 1
                continue
            self._result.compared[what] += 1
            self._findings.outcome(index, what, cpu, expected, got)
