"""`vgic compare`: shrinking, case files, what is shown, and how it ends. No judge but another model is asked."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

import vgic
from rulebook import read_rules
from vgic.cpu_interface.pe_state import PeState
from vgic_tools.cli import main
from vgic_tools.compare.areas import AREAS
from vgic_tools.compare.cases import Case, read_case, write_case
from vgic_tools.compare.describe import describe, kind_of, outcome_text
from vgic_tools.compare.engine import Comparison, lives
from vgic_tools.compare.freedoms import LateOutputs
from vgic_tools.compare.rules import RULES, rules_of
from vgic_tools.compare.shrink import shorten, shrink
from vgic_tools.compare.ways import WAYS, Way
from vgic_tools.errors import UsageError
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.pe_places import place_of
from vgic_tools.judges.protocol import (
    GIC,
    Attr,
    Line,
    Load,
    Machine,
    Mrs,
    Msr,
    Operation,
    Outcome,
    Peek,
    Poke,
    SaveRestore,
    Store,
)
from vgic_tools.machines.qemu_cmdline import virt_config

ROOT = Path(__file__).parents[2]
GICD, GICR1 = 0x0800_0000, 0x080C_0000
GUESTS = frozenset({"mmio", "lines", "sgis", "cpu-interface"})


def model(profile: vgic.Profile = vgic.QEMU) -> ModelJudge:
    return ModelJudge(lambda machine: virt_config(machine.cpus, profile))


DIFFERENT = replace(vgic.QEMU, cpu_interface_ctlr={})


class Broken(ModelJudge):
    """A judge that gives no judgement when it is told to write ICC_BPR0_EL1."""

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        if any(isinstance(operation, Msr) and operation.register == vgic.ICC_BPR0_EL1 for operation in operations):
            raise JudgeError("it has ended; its last words: b'ouch'")
        return super().perform(operations)


# Shrinking.


@pytest.mark.parametrize("seed", range(20))
def test_what_is_left_is_what_it_takes(seed: int) -> None:
    random = Random(seed)
    items = list(range(random.randrange(1, 400)))
    needed = sorted(random.sample(items, random.randrange(1, min(len(items), 8) + 1)))
    asked = 0

    def happens(tried: Sequence[int]) -> int | None:
        nonlocal asked
        asked += 1
        return tried.index(needed[-1]) + 1 if set(needed) <= set(tried) else None

    assert shrink(items, happens) == needed
    assert asked < 40 * len(needed) + 40


def test_what_follows_is_dropped_at_once() -> None:
    assert shrink(list("abcdefgh"), lambda tried: tried.index("c") + 1 if "c" in tried else None) == ["c"]


ENABLED = Store(0, GICD + 0x104, 4, 0b1011)
PENDING = Store(0, GICD + 0x204, 4, 0b1011)
TAKEN, FINISHED = Mrs(0, vgic.ICC_IAR0_EL1), Msr(0, vgic.ICC_EOIR0_EL1, 0)
SEEN = Mrs(0, vgic.ICC_RPR_EL1)


def test_bits_that_are_not_needed_go_too() -> None:
    def happens(tried: Sequence[Operation]) -> int | None:
        values = [operation.value for operation in tried if isinstance(operation, Store)]
        needed = len(values) == 2 and values[0] & values[1] & 0b1000 and SEEN in tried
        return tried.index(SEEN) + 1 if needed else None

    shortest = shorten([ENABLED, FINISHED, PENDING, TAKEN, SEEN, TAKEN], happens)
    assert shortest == [ENABLED._replace(value=8), PENDING._replace(value=8), SEEN]


def test_two_operations_that_need_each_other_go_together() -> None:
    def happens(tried: Sequence[Operation]) -> int | None:
        return tried.index(SEEN) + 1 if SEEN in tried and (TAKEN in tried) == (FINISHED in tried) else None

    assert shorten([TAKEN, PENDING, FINISHED, SEEN], happens) == [SEEN]


def test_an_interrupt_that_is_only_in_the_way_goes() -> None:
    """Each one that is pending has to be taken before the one that it is about."""

    def happens(tried: Sequence[Operation]) -> int | None:
        values = [operation.value for operation in tried if isinstance(operation, Store)]
        pending = (values[0] & values[1]).bit_count() if len(values) == 2 else 0
        taken = tried.count(TAKEN) == pending > 0 and tried.count(FINISHED) == pending - 1
        return tried.index(SEEN) + 1 if taken and values[0] == values[1] and SEEN in tried else None

    shortest = shorten([ENABLED, PENDING, TAKEN, FINISHED, TAKEN, FINISHED, TAKEN, SEEN], happens)
    assert [type(operation) for operation in shortest] == [Store, Store, Mrs, Mrs]


# The engine.


def test_the_same_model_does_the_same() -> None:
    comparison = Comparison(model(), model())
    _, divergence = comparison.live(next(lives(1, GUESTS)), 2000)
    assert divergence is None
    assert comparison.operations == 2000
    assert comparison.changes > 200


def test_a_life_is_the_same_every_time() -> None:
    performed = []
    for _ in range(2):
        comparison = Comparison(model(), model())
        performed.append(comparison.live(next(lives(3, GUESTS)), 600)[0])
    assert performed[0] == performed[1]
    assert comparison.live(next(lives(4, GUESTS)), 600)[0] != performed[0]


def test_the_first_divergence_ends_what_was_performed_and_can_be_repeated() -> None:
    comparison = Comparison(model(DIFFERENT), model())
    life = next(lives(1, GUESTS))
    performed, divergence = comparison.live(life, 5000)
    assert divergence is not None
    assert performed[-1] == divergence.operation
    assert comparison.repeat(life.machine, performed) == divergence
    assert comparison.repeat(life.machine, performed[:-1]) is None


def test_what_only_one_of_the_two_sees_is_not_compared() -> None:
    seen = Outcome(5, signals=0x80, offers=(None,))
    assert seen.agrees(Outcome(5))
    assert seen.agrees(Outcome(5, signals=0x80))
    assert not seen.agrees(Outcome(5, signals=0))
    assert not seen.agrees(Outcome(5, offers=(vgic.Pending(3, 1, 0),)))
    assert not seen.agrees(Outcome(5, errno=22))
    assert not seen.agrees(Outcome(5, undefined=True))
    assert not seen.agrees(Outcome(5, level=3))


# Freedoms.

SECURE = place_of(PeState(1, secure=True, scr_fiq=True))
SENT = Msr(0, vgic.ICC_SGI1R_EL1, 1 << 24 | 0b100)
EDGE = Store(0, GICD + 0xC08, 4, 0x2)
CLEARED = Store(0, GICR1 + 0x1_0280, 4, 8)
OFFER = vgic.Pending(40, 1, 0x80)


def late(*steps: tuple[Operation, Outcome, Outcome]) -> list[bool]:
    freedom = LateOutputs()
    return [freedom.explains(*step) for step in steps]


def both(outcome: Outcome) -> tuple[Outcome, Outcome]:
    return outcome, outcome


IDLE = both(Outcome(signals=0, offers=(None, None, None)))
OFFERED = both(Outcome(signals=0, offers=(None, None, OFFER)))
WAITS = Outcome(signals=0, offers=(None, None, OFFER)), Outcome(signals=0x80, offers=(None, None, OFFER))
LOOK = Mrs(2, vgic.ICC_RPR_EL1)


def test_a_pe_that_another_ones_operation_offers_something_may_be_late() -> None:
    assert late((EDGE, *IDLE), (CLEARED, *OFFERED), (LOOK, *WAITS)) == [False, False, True]


@pytest.mark.parametrize(
    "steps",
    [
        # Nothing has changed a trigger.
        [(CLEARED, *OFFERED)],
        # The Distributor drives all outputs.
        [(EDGE, *OFFERED)],
        # An SGI drives those that it is sent to.
        [(EDGE, *IDLE), (SENT, *both(Outcome(signals=0, offers=(None, None, OFFER._replace(intid=1)))))],
        # ICC_PMR_EL1 drives the outputs of its PE.
        [(EDGE, *IDLE), (CLEARED, *OFFERED), (Msr(2, vgic.ICC_PMR_EL1, 0xF0), *WAITS)],
        # So does going to another Exception level.
        [(EDGE, *IDLE), (CLEARED, *OFFERED), (LOOK._replace(place=SECURE), *WAITS)],
        # Both have agreed since.
        [(EDGE, *IDLE), (CLEARED, *OFFERED), (LOOK, *both(WAITS[1]))],
        # The PE itself was looked at.
        [(EDGE, *IDLE), (Store(2, GICR1 + 0x3_0280, 4, 8), *OFFERED)],
    ],
    ids=["no-trigger", "distributor", "sgi", "mask", "level", "agreed", "own"],
)
def test_outputs_that_differ_otherwise_are_no_freedom(steps: list[tuple[Operation, Outcome, Outcome]]) -> None:
    assert late(*steps, (LOOK, *WAITS))[-1] is False


def test_a_late_pe_may_be_wrong_in_nothing_else() -> None:
    wrong = (WAITS[0]._replace(value=7), WAITS[1])
    assert late((EDGE, *IDLE), (CLEARED, *OFFERED), (LOOK, *wrong))[-1] is False


# Case files.

EVERY: tuple[tuple[Operation, Outcome], ...] = (
    (Load(1, GICD + 4, 4), Outcome(0x37A_0007, offers=(None, vgic.Pending(42, 1, 0xA0)))),
    (Store(0, GICD, 4, 3), Outcome(signals=0x80)),
    (Mrs(0, vgic.ICC_IAR1_EL1), Outcome(1023, signals=0)),
    (Msr(0, vgic.ICC_IAR1_EL1, 5), Outcome(undefined=True, signals=0)),
    (Line(1, 27, True), Outcome()),
    (Poke(0x4000_0000, b"\1\2"), Outcome()),
    (Peek(0x4000_0000, 1024), Outcome(1 << 8191)),
    (Attr("set", GIC, 1, 8, 0x4B00_143B), Outcome(errno=22)),
    (SaveRestore(), Outcome()),
    (Mrs(0, vgic.ICC_IAR0_EL1, SECURE), Outcome(signals=0x40, level=3)),
)


def case() -> Case:
    operations, told = zip(*EVERY, strict=True)
    machine = Machine(2, True, (3, 0), secure=True, virtualization=True)
    return Case("qemu", "7.2", "running", machine, list(operations), list(told), ["DIST-5"])


def test_a_case_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    write_case(case(), path)
    assert read_case(path, tuple(WAYS)) == case()
    assert {json.loads(line)["op"] for line in path.read_text().splitlines()[1:]} == {
        "attr", "line", "load", "mrs", "msr", "peek", "poke", "save-restore", "store",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "old", "new", "said"),
    [
        (1, '"vgic-case": 1', '"vgic-case": 2', "'vgic-case' is 2, not 1"),
        (1, '"cpus": 2', '"cpus": 0', "'cpus' is 0, not 1 to 512"),
        (1, '"its": true', '"its": 3', "'its' is 3, not true or false"),
        (1, '"secure": true', '"secure": "on"', "'secure' is 'on', not true or false"),
        (1, '"way": "running"', '"way": "by post"', "'way' is 'by post', not one of"),
        (1, '"rules": ["DIST-5"]', '"rules": 5', "'rules' is 5"),
        (2, "{", "", "no JSON"),
        (2, '"op": "load"', '"op": "fetch"', "'op' is 'fetch', not one of load, store"),
        (2, '"size": 4', '"size": 3', "'size' is 3, not one of"),
        (2, '"0x8000004"', '"0x8000002"', "0x8000002 is not aligned to 4 bytes"),
        (2, '"cpu": 1', '"cpu": 2', "there is no vCPU 2: the machine has 2"),
        (2, '"cpu": 1, ', "", "load lacks 'cpu'"),
        (2, '"cpu": 1', '"cpu": 1, "colour": 3', "load has no 'colour'"),
        (2, "[42, 1, 160]", "[42, 1]", "an offer is [42, 1]"),
        (3, '"value": "0x3"', '"value": "three"', "'value' is 'three', which is no number"),
        (3, '"value": "0x3"', '"value": -1', "'value' is -1, not a number of 64 bits"),
        (6, "true", '"up"', "'level' is 'up', not true or false"),
        (7, '"0102"', '"010"', "'data' is no text of hexadecimal digits"),
        (9, '"call": "set"', '"call": "put"', "'call' is 'put', not one of has, get, set"),
        (11, '"place": 17', '"place": 128', "'place' is 128, not a number of 7 bits"),
        (9, '"errno": 22', '"errno": true', "'errno' is True"),
    ],
)
def test_a_bad_case_is_told_by_its_line(tmp_path: Path, line: int, old: str, new: str, said: str) -> None:
    path = tmp_path / "case.jsonl"
    write_case(case(), path)
    lines = path.read_text().splitlines()
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    path.write_text("\n".join(lines))
    with pytest.raises(UsageError) as error:
        read_case(path, tuple(WAYS))
    assert str(error.value).startswith(f"{path}:{line}: ")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"\xff", "is no text"), (b'{"vgic-case": 1}', "not a machine")]
)
def test_what_is_no_case_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "case.jsonl"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        read_case(path, tuple(WAYS))
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        read_case(tmp_path / "none", tuple(WAYS))


# What is shown.


def test_operations_are_described_by_their_registers() -> None:
    gic = vgic.Gic(virt_config(2, vgic.QEMU))
    told = [describe(operation, gic) for operation, _ in EVERY]
    assert told == [
        "vCPU 1 reads GICD_TYPER (GICD+0x4), 4 bytes",
        "vCPU 0 writes GICD_CTLR (GICD+0x0), 4 bytes: 0x3",
        "vCPU 0 reads ICC_IAR1_EL1",
        "vCPU 0 writes ICC_IAR1_EL1: 0x5",
        "the line of PPI 27 of vCPU 1 goes up",
        "RAM at 0x40000000 becomes 0102",
        "1024 bytes of RAM at 0x40000000 are read",
        "set group 1 attribute 0x8, GICD_IIDR: 0x4b00143b",
        "the model is saved, and restored",
        "vCPU 0 at EL1 Secure, SCR_EL3.FIQ reads ICC_IAR0_EL1",
    ]
    offer = (vgic.Pending(42, 1, 0xA0),)
    different = Outcome(3, 22, True, 0x80, offer), Outcome(4, 0, False, 0x40, (None,), 3)
    assert outcome_text(*different) == (
        "EINVAL, UNDEFINED, 0x3, performed, then IRQ 1 FIQ 0,"
        " then vCPU 0 is offered INTID 42 of Group 1, priority 0xa0"
    )
    assert kind_of(EVERY[0][0], gic, *different) == (
        "read of GICD_TYPER: value, errno, undefined, signals, offers, level"
    )


def test_the_rules_that_are_named_exist() -> None:
    known = {rule.id for rule in read_rules(ROOT)}
    assert [name for ids in RULES.values() for name in ids if name not in known] == []
    gic = vgic.Gic(virt_config(2, vgic.QEMU))
    assert all(rules_of(operation, gic) for operation, _ in EVERY)
    assert rules_of(Store(0, GICD + 0x104, 4, 1), gic)[0] == "STATE-10"
    assert rules_of(Mrs(0, vgic.ICC_CTLR_EL3), gic)[0] == "PE-9"
    assert rules_of(Msr(0, vgic.ICH_LR0_EL2 + 3, 1), gic)[0] == "VCPU-5"
    assert describe(Msr(0, vgic.ICH_LR0_EL2 + 3, 1), gic) == "vCPU 0 writes ICH_LR3_EL2: 0x1"
    assert LateOutputs.rule in known


# The command.


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CliRunner:
    """A judge that differs in EOIR, one that agrees, and one that gives no judgement; in an empty folder."""
    made = {"differs": model(DIFFERENT), "agrees": model(), "breaks": Broken(model().configure)}
    for name, judge in made.items():
        way = Way(
            name,
            name,
            GUESTS,
            GUESTS,
            WAYS["running"].performs,
            lambda _, judge=judge: judge,
            lambda _: model(),
            (),
            "",
            1000,
        )
        monkeypatch.setitem(WAYS, name, way)
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def ran(runner: CliRunner, *words: str) -> tuple[int, str]:
    done = runner.invoke(main, ["compare", *words])
    return done.exit_code, done.output


def test_a_judge_that_agrees_ends_well(asked: CliRunner) -> None:
    status, said = ran(asked, "agrees", "--operations", "3000")
    assert status == 0, said
    assert "asked vgic " in said
    assert "3,000 operations on 1 machines" in said
    assert "no divergence" in said
    status, said = ran(asked, "agrees", "--seconds", "0.3", "--json")
    assert (status, json.loads(said)["divergences"]) == (0, [])


def test_a_divergence_is_made_short_shown_and_written(asked: CliRunner, tmp_path: Path) -> None:
    status, said = ran(asked, "differs", "--seed", "1")
    assert status == 1, said
    [*_, last] = [line for line in said.splitlines() if "<- here" in line]
    steps = int(last.split()[0])
    assert steps <= 10
    assert "  the model: " in said
    assert "rules concerned: " in said
    path = tmp_path / "vgic-case-1.jsonl"
    assert len(path.read_text().splitlines()) == 1 + steps
    status, again = ran(asked, "--case", str(path))
    assert status == 1
    assert last in again


def test_a_case_that_does_not_diverge_any_more_ends_well(asked: CliRunner, tmp_path: Path) -> None:
    ran(asked, "differs", "--seed", "1")
    path = tmp_path / "vgic-case-1.jsonl"
    path.write_text(path.read_text().replace('"way": "differs"', '"way": "agrees"'))
    assert ran(asked, "--case", str(path))[0] == 0


def test_kinds_are_counted_where_it_goes_on(asked: CliRunner) -> None:
    status, said = ran(asked, "differs", "--keep-going", "--operations", "4000", "--json", "--cases", ".")
    found = json.loads(said)["divergences"]
    assert status == 1
    assert len({one["kind"] for one in found}) == len(found) >= 1
    assert sum(one["count"] for one in found) >= 2
    assert all(Path(one["case"]).is_file() and one["rules"] for one in found)


def test_machines_that_differ_from_the_start_are_compared_further(
    asked: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = model(replace(vgic.QEMU, unreported_spi_words=0))
    monkeypatch.setitem(WAYS, "differs", WAYS["differs"]._replace(judges=lambda _: other))
    status, said = ran(asked, "differs", "--keep-going", "--json", "--operations", "4000")
    told = json.loads(said)
    [found] = told["divergences"]
    assert (status, found["kind"], found["operations"]) == (1, "read of GICD_TYPER: value", 1)
    assert told["operations"] == 4000
    assert ran(asked, "differs", "--json")[0] == 1


def test_a_judge_that_breaks_gives_no_verdict(asked: CliRunner) -> None:
    status, said = ran(asked, "breaks")
    assert status == 2
    assert "vgic: no verdict: it has ended; its last words: b'ouch'" in said


def test_a_judge_that_breaks_once_is_asked_again(asked: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    class BrokenOnce(ModelJudge):
        broken = False

        def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
            if len(operations) == 250 and not BrokenOnce.broken:
                BrokenOnce.broken = True
                raise JudgeError("QEMU does not answer")
            return super().perform(operations)

    judge = BrokenOnce(model().configure)
    monkeypatch.setitem(WAYS, "agrees", WAYS["agrees"]._replace(judges=lambda _: judge))
    status, said = ran(asked, "agrees", "--operations", "1000", "--json")
    told = json.loads(said)
    assert (status, told["operations"], told["asked_again"]) == (0, 1000, ["QEMU does not answer"])


def test_a_judge_that_breaks_is_no_divergence_for_the_shrinker() -> None:
    comparison = Comparison(Broken(model().configure), model())
    from vgic_tools.compare.run import _after

    assert _after(comparison, Machine(1), [Msr(0, vgic.ICC_BPR0_EL1, 3)]) is None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "name either a judge or --case FILE"),
        (["agrees", "--case", "x"], "name either a judge or --case FILE"),
        (["xen"], "there is no judge 'xen'; there are qemu, kvm"),
        (["agrees", "--areas", "mmio,colour"], "there is no area 'colour'"),
        (["agrees", "--areas", "its"], "agrees cannot be asked about its"),
        (["qemu", "--kernel", "6.1"], "--qemu is for the judge qemu"),
        (["qemu", "--qemu", "/no/such"], "there is no /no/such that says its version"),
        (["kvm", "--secure"], "--secure is for the judge qemu"),
        (["kvm", "--virtualization"], "--virtualization is for the judge qemu"),
        (["kvm", "--virtualization", "--nmi"], "--virtualization and --nmi are for the judge qemu"),
        (["qemu", "--secure", "--virtualization"], "are asked about one after the other"),
        (["kvm", "--kernel", "2.4"], "2.4"),
        (["--case", "none.jsonl"], "none.jsonl cannot be read"),
        (["agrees", "--operations", "0"], "0"),
    ],
)
def test_what_cannot_be_asked_is_told(asked: CliRunner, words: list[str], said: str) -> None:
    status, told = ran(asked, *words)
    assert status == 2
    assert said in told
    assert "Traceback" not in told


def test_a_case_that_cannot_be_performed_is_told(asked: CliRunner, tmp_path: Path) -> None:
    path = tmp_path / "case.jsonl"
    for operation, said in (
        (Line(0, 5, True), "is no case that can be performed: no PPI 5"),
        (Attr("get", GIC, 1, 8), f"{path}:2: agrees, agrees, cannot perform Attr"),
    ):
        write_case(Case("agrees", "1", "agrees", Machine(1), [operation], [Outcome()]), path)
        status, told = ran(asked, "--case", str(path))
        assert status == 2
        assert said in told


def test_every_area_can_be_asked_of_some_judge() -> None:
    assert set(AREAS) == {area for way in WAYS.values() for area in way.areas}
