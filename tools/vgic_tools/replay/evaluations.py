"""Comparing the recorder's own evaluations: what each PE was offered and which outputs it drove, step by step.

An evaluation is a pair of events: the highest priority pending interrupt, and the outputs that follow from it. It
is recorded somewhere around the operation that caused it. Some operations log themselves before their evaluations
(an input line, an SGI, a system register write), some after (a memory access, an acknowledge), and a change of
exception level adds evaluations of the state as it is. So an evaluation between two operations shows one of the
states that its PE passed through from the one to the other, and the states come in order: once a later one was
shown, an earlier one may not come back.

Nearly all evaluations show a state that their PE has passed through already, and are done with as they come. The
others wait for the states that the next operation may bring.
"""

from typing import Final, NamedTuple

from mypy_extensions import i64

from vgic import Gic
from vgic.cpu_interface.group import GROUP1, SECURE_GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi import signals_nmi
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, priority_of
from vgic.intids import FIRST_LPI
from vgic_tools.replay.outcomes import OFFERS, OUTPUTS

__all__ = ["Difference", "Evaluations", "levels_text"]

# A state is an offer << 2 | IRQ << 1 | FIQ, an offer priority << 34 | INTID << 2 | group.
_PRIORITY_SHIFT: Final = 34
_INTID_SHIFT: Final = 2
_GROUP: Final = 3
_NOTHING_PENDING: Final = 255
_NO_OFFER: Final = 1 << 50
"""The offer of a PE for which nothing is pending: more than any priority makes."""
_RECORDED_SECURE_GROUP1: Final = 1
"""The number that the recorder has for it; 2 is Non-secure Group 1."""
_LPI: Final = -2
"""An offer that the model does not know."""
_ABSENT: Final = -1
"""The half of a pair that is missing."""


class Difference(NamedTuple):
    """Half an evaluation that is not what the model shows."""

    event: int
    """Its index in the trace."""
    what: str
    cpu: int
    expected: str
    got: str


class _Evaluation:
    """A recorded pair that waits; either half may be missing where a recording was filtered."""

    __slots__ = ("cpu", "offer", "offer_index", "outputs", "outputs_index")

    def __init__(self, cpu: i64, offer: i64, offer_index: i64, outputs: i64, outputs_index: i64) -> None:
        self.cpu = cpu
        self.offer = offer
        self.offer_index = offer_index
        self.outputs = outputs
        self.outputs_index = outputs_index

    def fits_offer(self, state: i64) -> bool:
        """True where the recorded interrupt is the state's."""
        return self.offer == _ABSENT or self.offer == state >> 2


class _State:
    """A state in an object that is used again: a list of such numbers would make one for each of them."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value: i64 = 0


class _Pe:
    """What a vCPU passed through and showed since states were last forgotten."""

    __slots__ = ("_states", "interface", "passed", "shown", "waits")

    def __init__(self, interface: CpuInterface) -> None:
        self.interface = interface
        self._states: list[_State] = []
        self.passed: i64 = 0
        """How many states it passed through."""
        self.shown: i64 = 0
        """The states before this one may not come back."""
        self.waits = False
        """An evaluation waits, and so must those that follow."""

    def at(self, place: i64) -> i64:
        """The state that it passed through at this place, counted from 0."""
        return self._states[place].value

    def pass_through(self, state: i64) -> None:
        """A state comes after the others."""
        if self.passed == len(self._states):
            self._states.append(_State())
        self._states[self.passed].value = state
        self.passed += 1

    def forget(self) -> None:
        """It passed through none."""
        self.passed = 0
        self.shown = 0

    def state(self) -> i64:
        """What the model shows."""
        interface = self.interface
        key = interface.best_key
        offer: i64 = _NO_OFFER
        if key != NO_KEY:
            offer = priority_of(key) << _PRIORITY_SHIFT | (key & INTID_MASK) << _INTID_SHIFT
            offer |= interface.best_in.number
        state = offer << 2
        # QEMU has another output for what has superpriority, which its traces do not show.
        if interface.irq and not signals_nmi(interface):
            state |= 2
        if interface.fiq:
            state |= 1
        return state


class Evaluations:
    """Collects evaluations and the states that the model passes through.

    Without an ITS the model does not know which LPIs there are, and evaluations that offer one are only counted.
    """

    def __init__(self, gic: Gic) -> None:
        self._knows_lpis = bool(gic.config.its)
        self._two_states = gic.config.two_states
        self._pes = [_Pe(gic.interface(cpu)) for cpu in range(len(gic.config.topology))]
        self._waiting: list[_Evaluation] = []
        self._passing: list[_Pe] = []
        """The vCPUs that have states."""
        self._half: i64 = _ABSENT
        """The vCPU of a pair of which only the first half has come."""
        self._half_offer: i64 = 0
        self._half_index: i64 = 0
        self.unsettled = False
        """An operation is under way whose outcome is not in the model yet: what is shown may still change."""
        self.lpis: i64 = 0
        """Evaluations in which an LPI was offered: not predicted."""
        self.same_offers: i64 = 0
        """Offers that are as recorded."""
        self.same_outputs: i64 = 0

    def follow(self, gic: Gic) -> None:
        """The replay goes on with this GIC."""
        for cpu, pe in enumerate(self._pes):
            pe.interface = gic.interface(cpu)

    def add_offer(self, cpu: i64, intid: i64, group: i64, priority: i64, index: i64) -> None:
        """The first half of an evaluation of vCPU `cpu`: event `index` offers an interrupt, priority 255 none."""
        self._close()
        offer: i64 = _NO_OFFER
        if priority != _NOTHING_PENDING:
            offer = priority << _PRIORITY_SHIFT | intid << _INTID_SHIFT
            if group == _RECORDED_SECURE_GROUP1 and self._two_states:
                offer |= SECURE_GROUP1
            elif group:
                # With one Security state there is one Group 1, whichever the recorder names.
                offer |= GROUP1
            if intid >= FIRST_LPI and not self._knows_lpis:
                offer = _LPI
        self._half = cpu
        self._half_offer = offer
        self._half_index = index

    def add_outputs(self, cpu: i64, outputs: i64, index: i64) -> None:
        """The second half: the IRQ (bit 1) and FIQ (bit 0) outputs of vCPU `cpu`."""
        if self._half == cpu:
            self._half = _ABSENT
            self._evaluate(cpu, self._half_offer, self._half_index, outputs, index)
        else:
            self._close()
            self._evaluate(cpu, _ABSENT, index, outputs, index)

    def passed_through(self, cpu: i64) -> None:
        """What vCPU `cpu` shows now is a state that evaluations may show until `forget`."""
        pe = self._pes[cpu]
        state = pe.state()
        if pe.passed == 0:
            self._passing.append(pe)
        elif pe.at(pe.passed - 1) == state:
            return
        pe.pass_through(state)

    def present(self) -> None:
        """The waiting evaluations may show the present state."""
        for evaluation in self._waiting:
            self.passed_through(evaluation.cpu)

    def waiting(self) -> bool:
        """True where evaluations wait to be compared."""
        self._close()
        return bool(self._waiting)

    def compare(self) -> list[Difference]:
        """Where the waiting evaluations differ from the model, in order; all are then done.

        An evaluation that shows a state that the model passed through does not differ. One that shows none is
        compared with the state that offers the recorded interrupt, or else with the model's latest.
        """
        differences: list[Difference] = []
        for evaluation in self._waiting:
            pe = self._pes[evaluation.cpu]
            pe.waits = False
            at = _find(evaluation.offer, evaluation.outputs, pe)
            if at >= 0:
                pe.shown = at
                self._count(evaluation.offer, evaluation.outputs)
                continue
            against = pe.at(pe.passed - 1)
            for place in range(pe.shown, pe.passed):
                if evaluation.fits_offer(pe.at(place)):
                    against = pe.at(place)
                    break
            differences += self._differences(evaluation, against)
        self._waiting.clear()
        return differences

    def forget(self) -> None:
        """States before now can no longer be shown."""
        if self._passing:
            for pe in self._passing:
                pe.forget()
            self._passing = []

    def _close(self) -> None:
        """No second half comes any more."""
        if self._half != _ABSENT:
            cpu = self._half
            self._half = _ABSENT
            self._evaluate(cpu, self._half_offer, self._half_index, _ABSENT, self._half_index)

    def _evaluate(self, cpu: i64, offer: i64, offer_index: i64, outputs: i64, outputs_index: i64) -> None:
        if offer == _LPI:
            self.lpis += 1
            return
        pe = self._pes[cpu]
        if not pe.waits:
            at = _find(offer, outputs, pe)
            if at >= 0:
                pe.shown = at
                self._count(offer, outputs)
                return
            if not self.unsettled and _fits(offer, outputs, pe.state()):
                if pe.passed:
                    self.passed_through(cpu)
                    pe.shown = pe.passed - 1
                self._count(offer, outputs)
                return
        pe.waits = True
        self._waiting.append(_Evaluation(cpu, offer, offer_index, outputs, outputs_index))

    def _count(self, offer: i64, outputs: i64) -> None:
        if offer != _ABSENT:
            self.same_offers += 1
        if outputs != _ABSENT:
            self.same_outputs += 1

    def _differences(self, evaluation: _Evaluation, state: i64) -> list[Difference]:
        """The halves of an evaluation that are not a state's."""
        differences: list[Difference] = []
        cpu, offer, outputs = evaluation.cpu, evaluation.offer, evaluation.outputs
        if offer != _ABSENT:
            if offer == state >> 2:
                self.same_offers += 1
            else:
                expected, got = _offer_text(offer), _offer_text(state >> 2)
                differences.append(Difference(evaluation.offer_index, OFFERS, cpu, expected, got))
        if outputs != _ABSENT:
            if outputs == state & 3:
                self.same_outputs += 1
            else:
                expected, got = levels_text(outputs), levels_text(state & 3)
                differences.append(Difference(evaluation.outputs_index, OUTPUTS, cpu, expected, got))
        return differences


def _find(offer: i64, outputs: i64, pe: _Pe) -> i64:
    """Which of the states that a vCPU may still show is the first with this offer and these outputs; -1: none."""
    at = pe.shown
    while at < pe.passed:
        if _fits(offer, outputs, pe.at(at)):
            return at
        at += 1
    return -1


def _fits(offer: i64, outputs: i64, state: i64) -> bool:
    """True where a state has this offer and these outputs."""
    if offer == _ABSENT:
        return outputs == state & 3
    if outputs == _ABSENT:
        return offer == state >> 2
    return offer << 2 | outputs == state


def _offer_text(offer: i64) -> str:
    if offer == _NO_OFFER:
        return "nothing"
    intid = offer >> _INTID_SHIFT & 0xFFFF_FFFF
    return f"INTID {intid}, group {offer & _GROUP}, priority {offer >> _PRIORITY_SHIFT:#04x}"


def levels_text(outputs: i64) -> str:
    """IRQ (bit 1) and FIQ (bit 0) in words."""
    return f"IRQ {outputs >> 1} FIQ {outputs & 1}"
