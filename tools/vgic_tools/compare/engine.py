"""A judge and the model side by side: the same operations on both, and where they first do not agree."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count, islice, pairwise
from random import Random
from typing import Final, NamedTuple

from vgic_tools.compare.freedoms import Freedom
from vgic_tools.compare.sources import machine_of, operations_of, sweep_of
from vgic_tools.judges.protocol import Judge, Machine, Model, Operation, Outcome

__all__ = ["Comparison", "Divergence", "Life", "lives"]

BATCH: Final = 250
"""Operations that a judge is given at once."""
SWEEP: Final = 250
"""Operations after which every register is read."""
LIFE: Final = 5000
"""Operations on a machine before the next one is built."""


class Divergence(NamedTuple):
    """Where the model does something else than the judge."""

    at: int
    """Operations before it."""
    operation: Operation
    told: Outcome
    """What the judge came to."""
    got: Outcome
    """What the model came to."""


class Life(NamedTuple):
    """A machine and what is done to it."""

    machine: Machine
    operations: Callable[[Model], Iterator[Operation]]
    """Without end, for the machine's model."""
    sweep: Callable[[Model], list[Operation]]
    """A look at every register."""
    sweeps_after: int = SWEEP


def lives(seed: int, areas: frozenset[str], cpus: int | None = None) -> Iterator[Life]:
    """Machines without end, and random operations on each of them."""
    for number in count():
        name = f"{seed}/{number}"
        machine = machine_of(Random(name), areas, cpus)
        yield Life(machine, _operations(name, machine, areas), lambda model: sweep_of(model.gic, areas))


def _operations(name: str, machine: Machine, areas: frozenset[str]) -> Callable[[Model], Iterator[Operation]]:
    return lambda model: operations_of(Random(f"{name}/operations"), machine, model.gic, areas)


class Comparison:
    """A judge beside the model. Every method raises JudgeError where the judge gives no judgement.

    A difference that one of the `freedoms` explains is no divergence; `excused` counts them by the freedom's rule.
    """

    def __init__(self, judge: Judge, model: Model, freedoms: Sequence[Callable[[], Freedom]] = ()) -> None:
        self.judge = judge
        self.model = model
        self._freedoms = freedoms
        self.excused: dict[str, int] = {}
        self.operations = 0
        """Drawn and performed in all; neither looks at every register nor those of shrinking."""
        self.over = False
        """What the judge has done cannot be followed any further: another machine is to be built."""
        self.left_out = 0
        """The last operations of those that the judge was given, which were not compared."""
        self.changes = 0
        """Operations after which some vCPU was offered or signalled something else, as far as the judge saw it."""

    def live(
        self, life: Life, most: int, goes_on: Callable[[], bool] = lambda: True
    ) -> tuple[list[Operation], Divergence | None]:
        """Perform operations of a life, as long as `goes_on` says so; all of them, and the first divergence."""
        self.start(life.machine)
        self.over = False
        performed: list[Operation] = []
        source = life.operations(self.model)
        drawn = 0
        found = self._step(life.sweep(self.model), performed)
        while found is None and not self.over and drawn < most and goes_on():
            some = min(BATCH, most - drawn, life.sweeps_after - drawn % life.sweeps_after)
            found = self._step(islice(source, some), performed)
            drawn += some
            self.operations += some - self.left_out
            if found is None and not self.over and (drawn % life.sweeps_after == 0 or drawn == most):
                found = self._step(life.sweep(self.model), performed)
        return (performed, None) if found is None else (performed[: found.at + 1], found)

    def _step(self, operations: Iterable[Operation], performed: list[Operation]) -> Divergence | None:
        """Perform some more. Each is drawn when the model has performed the one before."""
        batch, got = [], []
        for operation in operations:
            batch.append(operation)
            got.append(self.model.perform_one(operation))
        found = self._differing(batch, got, len(performed), count_excused=True)
        performed += batch
        return found

    def repeat(self, machine: Machine, operations: Iterable[Operation]) -> Divergence | None:
        """Perform these operations on a fresh machine; the first divergence."""
        batch = list(operations)
        self.start(machine)
        return self._differing(batch, self.model.perform(batch), 0)

    def start(self, machine: Machine) -> None:
        """Build this machine on both sides."""
        self.told: list[Outcome] = []
        """What the judge came to, of the operations that it was given last."""
        self.judge.start(machine)
        self.model.start(machine)
        self._watching = [freedom() for freedom in self._freedoms]

    def _differing(
        self, operations: Sequence[Operation], got: Sequence[Outcome], before: int, *, count_excused: bool = False
    ) -> Divergence | None:
        self.told = told = self.judge.perform(operations)
        # What the judge does not see it leaves None.
        seen = [one[3:5] for one in told if any(part is not None for part in one[3:5])]
        self.changes += sum(one != next_one for one, next_one in pairwise(seen))
        for at, (operation, theirs, ours) in enumerate(zip(operations, told, got, strict=True), before):
            excuse = None
            for freedom in self._watching:
                if freedom.explains(operation, theirs, ours):
                    excuse = freedom.rule
            if not theirs.agrees(ours):
                if excuse is None:
                    return Divergence(at, operation, theirs, ours)
                if count_excused:
                    self.excused[excuse] = self.excused.get(excuse, 0) + 1
        return None
