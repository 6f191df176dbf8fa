"""Guests of KVM beside a model that follows them: freedoms, shrinking, cases. Another model is in KVM's place."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

import vgic
from vgic_tools.cli import main
from vgic_tools.compare.cases import read_case, write_case
from vgic_tools.compare.following import FollowingComparison, guest_lives
from vgic_tools.compare.run import Result, compare
from vgic_tools.compare.ways import WAYS, Way
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
    """SPI 40 reads as not pending where it is, once it is active."""

    def breaks(self, operation: Operation, outcome: Outcome) -> Outcome:
        if isinstance(operation, Load) and operation.address == GICD_BASE + 0x204 and self.gic.spi(40).active:
            return outcome._replace(value=outcome.value & ~(1 << 8))
        return outcome


class Late(InKvmsPlace):
    """The outputs say what they said before, right after a write of GICD_IROUTER32."""

    def breaks(self, operation: Operation, outcome: Outcome) -> Outcome:
        if isinstance(operation, Store) and operation.address == IROUTER32 and not outcome.signals:
            return outcome._replace(signals=0x80)
        return outcome


class Crowded(InKvmsPlace):
    """Offers nothing while more is pending than fits into list registers."""

    def breaks(self, operation: Operation, outcome: Outcome) -> Outcome:
        many = outcome.signals and sum(self.gic.spi(intid).pending for intid in range(32, 96)) > 4
        return outcome._replace(signals=0) if many else outcome


def compared(judge: InKvmsPlace, most: int = 3000, *, keep_going: bool = False, seed: int = 1) -> Result:
    comparison = FollowingComparison(judge, guests_model(judge.version))
    return compare([(WAY, comparison, WAY.areas)], seed=seed, most=most, keep_going=keep_going)


@pytest.mark.parametrize("version", [KERNEL, NEW])
def test_a_model_does_what_a_model_does(version: str) -> None:
    judge = InKvmsPlace(version)
    result = compared(judge)
    assert (result.findings, result.operations) == ({}, 3000)
    # Where KVM may not find what is finished, it is not followed any further, whatever it does.
    assert result.excused.keys() <= {"KVM-70"}
    assert result.changes
    assert {type(operation) for operation in judge.asked} == {Load, Store, Mrs, Msr, Line}
    # What 7.2 may do with a group that is disabled, nothing can follow.
    written = {one.value for one in judge.asked if isinstance(one, Msr) and one.register == vgic.ICC_IGRPEN1_EL1}
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


def test_a_divergence_is_made_short_and_its_case_repeats(tmp_path: Path) -> None:
    result = compared(Faulty(), 20_000)
    (finding,) = result.findings.values()
    operations = finding.case.operations
    assert len(operations) <= 4
    assert operations[-1] == Load(operations[-1].cpu, GICD_BASE + 0x204, 4)  # type: ignore[union-attr]
    path = tmp_path / "case.jsonl"
    write_case(finding.case, path)
    case = read_case(path, tuple(WAYS))
    assert (case.way, case.operations) == ("guests", list(operations))
    again = FollowingComparison(Faulty(), guests_model(KERNEL)).repeat(case.machine, case.operations)
    assert again == finding.divergence
    assert FollowingComparison(InKvmsPlace(), guests_model(KERNEL)).repeat(case.machine, case.operations) is None


def test_kinds_are_sorted_while_it_goes_on() -> None:
    result = compared(Faulty(), 12_000, keep_going=True)
    assert sum(finding.count for finding in result.findings.values()) > 1


def test_what_a_rule_allows_is_counted_by_its_id() -> None:
    result = compared(Late(), 20_000)
    assert result.findings == {}
    assert result.excused.keys() == {"KVM-70", "KVM-71"}
    result = compared(Crowded(), 20_000)
    assert result.findings == {}
    assert result.excused.keys() == {"KVM-70"}
    assert result.operations >= 20_000


def test_what_is_repeated_is_settled_and_told_without_it() -> None:
    judge = InKvmsPlace()
    comparison = FollowingComparison(judge, guests_model(KERNEL))
    operations: list[Operation] = [Store(0, IROUTER32, 8, 1), Load(0, IROUTER32, 8)]
    assert comparison.repeat(Machine(2), operations) is None
    looks = [Load(cpu, GICD_BASE, 4) for cpu in range(2)]
    assert judge.asked == [operations[0], *looks, operations[1]]
    assert [outcome.value for outcome in comparison.told] == [0, 1]


def test_the_command_repeats_a_case_of_guests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = compared(Faulty(), 20_000).findings.values()
    path = tmp_path / "case.jsonl"
    write_case(finding.case, path)
    for judge, status in ((Faulty(), 1), (InKvmsPlace(), 0)):
        way: Way = WAY._replace(judges=lambda _, judge=judge: judge)
        monkeypatch.setitem(WAYS, "guests", way)
        assert CliRunner().invoke(main, ["compare", "--case", str(path)]).exit_code == status
