"""KVM's guests beside the model, which follows what KVM chose where a rule leaves KVM a choice."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, count, pairwise
from random import Random

import vgic
from vgic_tools.compare.engine import Comparison, Divergence, Life
from vgic_tools.compare.random_guests import RandomGuest, settled
from vgic_tools.compare.sources import machine_of
from vgic_tools.judges.freedoms import UNDEFINED, Difference, Follower
from vgic_tools.judges.guest import Kind, Result
from vgic_tools.judges.kvm_guest import TABLES, TABLES_SIZE, Step
from vgic_tools.judges.kvm_guests import profile_of, step_of
from vgic_tools.judges.protocol import (
    Line,
    Load,
    Machine,
    Message,
    Model,
    Mrs,
    Msr,
    Operation,
    Outcome,
    Poke,
    Store,
)

__all__ = ["FollowingComparison", "guest_lives"]


class FollowingComparison(Comparison):
    """KVM's guests beside a `Follower`; the model is where it is when operations are drawn."""

    def start(self, machine: Machine) -> None:
        """Build this machine on both sides."""
        super().start(machine)
        # Its RAM is its own: what is drawn with the model is ahead.
        self._ram = vgic.Ram.zeroed(TABLES, TABLES_SIZE)
        gic = vgic.Gic(self.model.gic.config, memory=self._ram)
        self._follower = Follower(gic, active_first=_active_first(self.judge.version))

    def repeat(self, machine: Machine, operations: Iterable[Operation]) -> Divergence | None:
        """Perform these operations, settled, on a fresh machine; the first divergence is that of one of these."""
        self.start(machine)
        batch: list[Operation] = []
        places: list[int] = []
        """Of each operation, how many of these have been begun."""
        begun = 0
        for step, given in settled(map(step_of, operations), self.model.gic, _active_first(self.judge.version)):
            begun += given
            batch.append(_operation(step))
            places.append(begun - 1)
            self.model.perform_one(batch[-1])
        found = self._differing(batch, (), 0)
        firsts = [at for at, place in enumerate(places) if at == 0 or places[at - 1] != place]
        if found is not None:
            firsts[places[found.at]] = found.at
            found = found._replace(at=places[found.at])
        self.told = [self.told[at] for at in firsts]
        return found

    def _differing(
        self, operations: Sequence[Operation], got: Sequence[Outcome], before: int, *, count_excused: bool = False
    ) -> Divergence | None:
        self.told = told = self.judge.perform(operations)
        self.changes += sum(one.signals != after.signals for one, after in pairwise(told))
        follower = self._follower
        self.left_out = len(operations) + follower.steps
        allowed = follower.freedoms.copy()
        steps = list(map(step_of, operations))
        try:
            self.over = not follower.follow(steps, [_result(one) for one in told])
        except Difference as difference:
            at = difference.at
            return Divergence(before + at, operations[at], told[at], _outcome(difference.got))
        finally:
            self.left_out -= follower.steps
            if count_excused:
                for rule, number in (follower.freedoms - allowed).items():
                    self.excused[rule] = self.excused.get(rule, 0) + number
        follower.gic.check()
        self.model.gic.memory.write(TABLES, self._ram.read(TABLES, TABLES_SIZE))
        self.model.gic.restore(follower.gic.save())
        return None


def guest_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    """VMs without end, and random guests of them that KVM of this kernel can be asked about."""
    for number in count():
        name = f"{seed}/{number}"
        random = Random(name)
        machine = machine_of(random, areas, cpus)
        # Many guests have no ITS.
        machine = machine._replace(its=machine.its and random.random() < 0.7)
        yield Life(machine, _operations(name, areas, version), lambda model: [])


def _operations(name: str, areas: frozenset[str], version: str) -> Callable[[Model], Iterator[Operation]]:
    def drawn(model: Model) -> Iterator[Operation]:
        random = Random(f"{name}/operations")
        guest = RandomGuest(
            random, model.gic, ties=random.random() < 1 / 3, disables=_active_first(version), areas=areas
        )
        for step, _ in settled(chain(guest.preparation(), guest.steps()), model.gic, _active_first(version)):
            yield _operation(step)

    return drawn


def _active_first(version: str) -> bool:
    """True of a KVM that gives active interrupts list registers first (KVM-70), and has active LPIs (KVM-74)."""
    return profile_of(version) is vgic.KVM


def _operation(step: Step) -> Operation:
    if isinstance(step, Line | Message | Poke):
        return step
    cpu, (kind, size, encoding, address, value, _) = step
    match kind:
        case Kind.READ:
            return Load(cpu, address, size)
        case Kind.WRITE:
            return Store(cpu, address, size, value)
        case Kind.MRS:
            return Mrs(cpu, encoding)
    return Msr(cpu, encoding, value)


def _result(outcome: Outcome) -> Result | None:
    if outcome.signals is None:
        return None
    return Result(outcome.value, UNDEFINED if outcome.undefined else 0, outcome.signals)


def _outcome(result: Result) -> Outcome:
    return Outcome(result.value, 0, result.undefined, result.isr & 0xC0)
