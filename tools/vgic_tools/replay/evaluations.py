"""Comparing the recorder's own evaluations: what each PE was offered and which outputs it drove, step by step.

An evaluation is a pair of events: the highest priority pending interrupt, and the outputs that follow from it. It
is recorded somewhere around the operation that caused it. Some operations log themselves before their evaluations
(an input line, an SGI, a system register write), some after (a memory access, an acknowledge), and a change of
exception level adds evaluations of the state as it is. So an evaluation between two operations shows one of the
states that its PE passed through from the one to the other, and the states come in order: once a later one was
shown, an earlier one may not come back.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from mmio.trace import Candidate, Outputs
from vgic import Gic, Pending
from vgic.intids import FIRST_LPI

__all__ = ["Compared", "Evaluations"]

Compared: TypeAlias = tuple[Candidate | Outputs, str, str]
"""The event, what it says, and what the model says."""

_NOTHING = 255


class _State(NamedTuple):
    """What a PE of the model shows."""

    offer: Pending | None
    irq: bool
    fiq: bool


@dataclass
class _Evaluation:
    """A recorded pair; either half may be missing where a recording was filtered."""

    cpu: int
    candidate: Candidate | None
    outputs: Outputs | None = None

    def offers_lpi(self) -> bool:
        """True where the interrupt is an LPI."""
        event = self.candidate
        return event is not None and event.priority != _NOTHING and event.intid >= FIRST_LPI

    def fits_offer(self, state: _State) -> bool:
        """True where the recorded interrupt is the state's."""
        return self.candidate is None or _as_pending(self.candidate) == state.offer

    def fits(self, state: _State) -> bool:
        """True where both halves are the state's."""
        outputs = self.outputs
        return self.fits_offer(state) and (outputs is None or (outputs.irq, outputs.fiq) == (state.irq, state.fiq))

    def against(self, state: _State) -> Iterator[Compared]:
        """Both halves beside a state."""
        if self.candidate is not None:
            yield self.candidate, _offer(_as_pending(self.candidate)), _offer(state.offer)
        if self.outputs is not None:
            yield self.outputs, _levels(self.outputs.irq, self.outputs.fiq), _levels(state.irq, state.fiq)


class Evaluations:
    """Collects evaluations and the states that the model passes through; without `lpis`, it does not know LPIs."""

    def __init__(self, lpis: bool) -> None:
        self._knows_lpis = lpis
        self._waiting: list[_Evaluation] = []
        self._states: dict[int, list[_State]] = {}
        self.lpis = 0
        """Evaluations in which an LPI was offered: not predicted."""

    def add(self, event: Candidate | Outputs, cpu: int) -> None:
        """Half an evaluation of vCPU `cpu`, to be compared at the next operation."""
        if isinstance(event, Candidate):
            self._waiting.append(_Evaluation(cpu, event))
        elif self._waiting and self._waiting[-1].cpu == cpu and self._waiting[-1].outputs is None:
            self._waiting[-1].outputs = event
        else:
            self._waiting.append(_Evaluation(cpu, None, event))

    def passed_through(self, gic: Gic, cpu: int) -> None:
        """What vCPU `cpu` shows now is a state that evaluations may show until `forget`."""
        irq, fiq = gic.outputs(cpu)
        self._states.setdefault(cpu, []).append(_State(gic.highest_pending(cpu), irq, fiq))

    def present(self, gic: Gic) -> None:
        """The waiting evaluations may show the present state."""
        for cpu in {evaluation.cpu for evaluation in self._waiting}:
            self.passed_through(gic, cpu)

    def compare(self) -> Iterator[Compared]:
        """The waiting events with what they say and what the model says, in order; all are then done.

        Where an evaluation shows a state that the model passed through, both are the same. Where it shows none,
        the state that offers the recorded interrupt stands against it, or else the model's latest.
        """
        shown: dict[int, int] = {}
        for evaluation in self._waiting:
            if not self._knows_lpis and evaluation.offers_lpi():
                self.lpis += 1
                continue
            states = self._states[evaluation.cpu]
            reachable = states[shown.get(evaluation.cpu, 0) :]
            fitting = next((at for at, state in enumerate(reachable) if evaluation.fits(state)), None)
            if fitting is not None:
                shown[evaluation.cpu] = len(states) - len(reachable) + fitting
                yield from evaluation.against(reachable[fitting])
            else:
                offering = (state for state in reachable if evaluation.fits_offer(state))
                yield from evaluation.against(next(offering, states[-1]))
        self._waiting.clear()

    def waiting(self) -> bool:
        """True where evaluations wait to be compared."""
        return bool(self._waiting)

    def forget(self) -> None:
        """States before now can no longer be shown."""
        self._states.clear()


def _as_pending(event: Candidate) -> Pending | None:
    if event.priority == _NOTHING:
        return None
    # The recorder tells Secure and Non-secure Group 1 apart; with one Security state both are Group 1.
    return Pending(event.intid, min(event.group, 1), event.priority)


def _offer(pending: Pending | None) -> str:
    if pending is None:
        return "nothing"
    return f"INTID {pending.intid}, group {pending.group}, priority {pending.priority:#04x}"


def _levels(irq: bool, fiq: bool) -> str:
    return f"IRQ {int(irq)} FIQ {int(fiq)}"
