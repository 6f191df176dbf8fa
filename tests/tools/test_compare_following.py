"""Guests of KVM beside a model that follows them: freedoms, shrinking, cases. Another model is in KVM's place."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

import vgic
from vgic_tools.cli import main
from vgic_tools.compare.cases import read_case, write_case
from vgic_tools.compare.engine import Life
from vgic_tools.compare.following import FollowingComparison, guest_lives
from vgic_tools.compare.run import Result, compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.kvm_guest import GICD_BASE
from vgic_tools.judges.kvm_guests import guests_model
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import Line, Load, Machine, Mrs, Msr, Operation, Outcome, Store

WAY = WAYS["guests"]
KERNEL = "6.12.117+deb13-cloud-arm64"
NEW = "7.2.1-arm64"
IROUTER32 = GICD_BASE + 0x6100


class InKvmsPlace(ModelJudge):
    """A model that says it is KVM of a kernel. `breaks` changes what an operation comes to."""

    name = "KVM"

    def __init__(self, version: str = KERNEL) -> None:
        super().__init__(guests_model(version).configure, tells_offers=False)
        self.version = version
        self.asked: list[Operation] = []

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other; what each came to."""
        self.asked += operations
        return [self.breaks(one, self.perform_one(one)) for one in operations]

    def breaks(self, _: Operation, outcome: Outcome) -> Outcome:
        return outcome


class Faulty(InKvmsPlace):
    """Who acknowledges an SPI is told of the one after it."""

    def breaks(self, operation: Operation, outcome: Outcome) -> Outcome:
        taken = isinstance(operation, Mrs) and operation.register == vgic.ICC_IAR1_EL1 and 32 <= outcome.value < 96
        return outcome._replace(value=outcome.value + 1) if taken else outcome


class Silent(InKvmsPlace):
    """Nothing is signalled."""

    def breaks(self, _: Operation, outcome: Outcome) -> Outcome:
        return outcome if outcome.signals is None else outcome._replace(signals=0)


def compared(judge: InKvmsPlace, most: int) -> Result:
    """A comparison of guests that write no register of the Distributor: KVM's lists (KVM-73) a model has not."""
    comparison = FollowingComparison(judge, guests_model(judge.version))
    areas = frozenset({"cpu-interface", "sgis", "lines"})
    return compare([(WAY, comparison, areas)], seed=1, most=most, cpus=1, keep_going=True)


@pytest.mark.parametrize("version", [KERNEL, NEW])
def test_a_model_does_what_a_model_does(version: str) -> None:
    judge = InKvmsPlace(version)
    result = compared(judge, 1000)
    assert (result.findings, result.operations) == ({}, 1000)
    # Where KVM may not find what is finished, it is not followed any further, whatever it does.
    assert result.excused.keys() <= {"KVM-70"}
    assert result.changes
    assert {type(operation) for operation in judge.asked} == {Load, Store, Mrs, Msr, Line}
    # What 7.2 may do with a group that is disabled, nothing can follow.
    enables = (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)
    written = {one.value for one in judge.asked if isinstance(one, Msr) and one.register in enables}
    assert (0 in written) == (version == KERNEL)


@pytest.mark.parametrize("areas", [{"mmio"}, {"cpu-interface"}, {"sgis", "lines"}])
def test_a_guest_is_about_the_areas_that_were_named(areas: set[str]) -> None:
    life = next(guest_lives(1, frozenset(areas), 2, KERNEL))
    model = guests_model(KERNEL)
    model.start(life.machine)
    source = life.operations(model)
    drawn = []
    for _ in range(700):
        drawn.append(next(source))
        model.perform_one(drawn[-1])
    drawn = drawn[300:]
    senders = (vgic.ICC_SGI0R_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1)
    sgis = [one for one in drawn if isinstance(one, Msr) and one.register in senders]
    assert any(isinstance(one, Line) for one in drawn) == ("lines" in areas)
    assert bool(sgis) == ("sgis" in areas)
    assert any(isinstance(one, Store) for one in drawn) == ("mmio" in areas)
    assert any(isinstance(one, Mrs) for one in drawn) == ("cpu-interface" in areas)


def test_a_divergence_is_made_short_and_its_case_repeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = compared(Faulty(), 1500).findings.values()
    *before, last = finding.case.operations
    assert len(before) <= 6
    assert last == Mrs(0, vgic.ICC_IAR1_EL1)
    assert finding.divergence.told.value == finding.divergence.got.value + 1
    path = tmp_path / "case.jsonl"
    write_case(finding.case, path)
    assert read_case(path, tuple(WAYS)).operations == list(finding.case.operations)
    for judge, status in ((Faulty(), 1), (InKvmsPlace(), 0)):
        monkeypatch.setitem(WAYS, "guests", WAY._replace(judges=lambda _, judge=judge: judge))
        assert CliRunner().invoke(main, ["compare", "--case", str(path)]).exit_code == status


def test_what_a_rule_allows_is_counted_by_its_id() -> None:
    """Five SPIs are more than fit into list registers: the guest cannot be followed any further."""
    shown = [Store(0, GICD_BASE, 4, 2), Msr(0, vgic.ICC_PMR_EL1, 0xF8), Msr(0, vgic.ICC_IGRPEN1_EL1, 1)]
    raised: list[Operation] = [Line(0, intid, True) for intid in range(32, 37)]
    look = Load(0, GICD_BASE, 4)
    enabled = Store(0, GICD_BASE + 0x104, 4, 0x1F)
    for count in (4, 5):
        comparison = FollowingComparison(Silent(), guests_model(KERNEL))
        operations = [*shown, enabled, *raised[:count], look, look]
        life = Life(Machine(1), lambda _, operations=operations: iter(operations), lambda _: [])
        _, divergence = comparison.live(life, len(operations))
        assert comparison.excused == ({"KVM-70": 1} if count == 5 else {})
        assert comparison.over == (count == 5)
        assert comparison.operations == len(operations) - 2
        assert (divergence is None) == (count == 5)


def test_what_is_repeated_is_settled_and_told_without_it() -> None:
    judge = InKvmsPlace()
    comparison = FollowingComparison(judge, guests_model(KERNEL))
    operations: list[Operation] = [Store(0, IROUTER32, 8, 1), Load(0, IROUTER32, 8)]
    assert comparison.repeat(Machine(2), operations) is None
    looks = [Load(cpu, GICD_BASE, 4) for cpu in range(2)]
    assert judge.asked == [operations[0], *looks, operations[1]]
    assert [outcome.value for outcome in comparison.told] == [0, 1]
