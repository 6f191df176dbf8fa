"""The checks of `vgic rules`: they are about rules that there are, `arch` obeys them all, and each can fail."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

import vgic
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.protocol import Load, Machine, Mrs, Operation, Outcome
from vgic_tools.machines.qemu_cmdline import virt_config
from vgic_tools.rules.book import SPECS, read_rules
from vgic_tools.rules.checks import CHECKS
from vgic_tools.rules.engine import Answer, Verdict, ask, ask_all, is_about, merged
from vgic_tools.rules.judges import RuledModel, opened
from vgic_tools.rules.scenario import Check, Step

if not SPECS.is_dir():
    pytest.skip("the specs are not installed with the package", allow_module_level=True)

RULES = read_rules()
PLAIN = {"a3v": False, "rss": False, "one_of_n": False}
"""What a VM may be without."""


def model(profile: vgic.Profile = vgic.ARCH, implementation: str = "", **features: Any) -> RuledModel:
    def configure(machine: Machine) -> vgic.Config:
        return replace(virt_config(machine.cpus, profile, its=machine.its), **features)

    return RuledModel(profile.name, configure, implementation)


def checks_of(rule: str) -> list[Check]:
    return [check for check in CHECKS if check.rule == rule]


def test_every_check_is_about_a_rule_that_is_modelled() -> None:
    assert sorted({check.rule for check in CHECKS} - set(RULES)) == []
    assert [check.rule for check in CHECKS if RULES[check.rule].status == "not modelled"] == []


def test_a_check_is_about_one_implementation_where_its_rule_is() -> None:
    for check in CHECKS:
        status = RULES[check.rule].status
        wanted = {"deviation (profile kvm)": "KVM", "deviation (profile qemu)": "QEMU"}.get(status, "")
        assert check.of.partition(" ")[0] == wanted, check.rule


def test_rules_have_a_title_and_a_page_of_their_own() -> None:
    rule = RULES["CPU-2"]
    assert rule.title == "The candidate is the best interrupt of the groups that are enabled"
    assert (rule.page, rule.is_choice) == ("cpu_interface.md", True)


def test_enough_is_asked_of_everybody() -> None:
    assert len({check.rule for check in CHECKS if not check.of}) >= 100


def test_the_architecture_obeys_every_rule() -> None:
    full, plain = model(), model(**PLAIN)
    wrong = {}
    for check in CHECKS:
        if not check.of:
            answer = ask(full, check)
            if answer.verdict is Verdict.NOT_ASKED:
                answer = ask(plain, check)
            if answer.verdict is not Verdict.OBEYS:
                wrong[check.rule] = answer
    assert wrong == {}


@pytest.mark.parametrize(
    ("word", "implementation"), [("model:kvm", "KVM"), ("model:qemu", "QEMU"), ("model:qemu-10.0", "QEMU")]
)
def test_a_profile_obeys_the_rules_about_its_implementation(word: str, implementation: str) -> None:
    mine = [check for check in CHECKS if check.of and is_about(check, opened(word))]
    assert {check.of.partition(" ")[0] for check in mine} == {implementation}
    wrong = {
        rule: answer.how for rule, answer in ask_all(opened(word), mine).items() if answer.verdict != Verdict.OBEYS
    }
    assert wrong == {}


# Every check can fail.


class Forgetful(RuledModel):
    """A model that does not do one of the things that it is told."""

    forgotten = -1

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        return [
            Outcome() if number == self.forgotten else self.perform_one(operation)
            for number, operation in enumerate(operations)
        ]


def forgetful(features: dict[str, Any]) -> Forgetful:
    def configure(machine: Machine) -> vgic.Config:
        return replace(virt_config(machine.cpus, vgic.ARCH, its=machine.its), **features)

    return Forgetful("forgetful", configure)


def deeds(check: Check) -> list[int]:
    """The operations that do something, the last first: what comes last tells most."""
    return [
        number for number, step in reversed([*enumerate(check.steps)]) if not isinstance(step.operation, Load | Mrs)
    ]


def notices_what_is_not_done(check: Check, judge: Forgetful) -> bool:
    for number in deeds(check):
        judge.forgotten = number
        if ask(judge, check).verdict is Verdict.DIFFERS:
            return True
    return False


ABOUT_ALL = [check for check in CHECKS if not check.of]
# A read-only register, or one that ignores writes, shows the same whatever is not written to it.
WRITES_WITHOUT_EFFECT = {
    *("ACC-9", "ACC-13", "DIST-4", "DIST-11", "DIST-15", "DIST-17", "RED-11", "RED-14", "ROUTE-6", "CPU-17"),
    *("ACC-6", "ACC-7", "ACC-20", "SGI-2"),
    # Where the feature is not there.
    *("A3V-5", "ONEN-1"),
}


@pytest.mark.slow
@pytest.mark.parametrize("area", sorted({RULES[check.rule].page for check in ABOUT_ALL}))
def test_a_check_notices_what_is_not_done(area: str) -> None:
    blind = []
    judges = [forgetful({}), forgetful(PLAIN)]
    for check in ABOUT_ALL:
        if RULES[check.rule].page != area or not deeds(check):
            continue
        if not any(notices_what_is_not_done(check, judge) for judge in judges):
            blind.append(check.rule)
    assert sorted(set(blind) - WRITES_WITHOUT_EFFECT) == []


def judged(check: Check) -> list[Step]:
    return [step for step in check.steps if (step.wanted is not None or step.undefined) and not step.unless]


def test_every_check_judges_something() -> None:
    assert [check.rule for check in CHECKS if not judged(check)] == []


@pytest.mark.parametrize(
    ("rule", "profile"),
    [
        ("CPU-2", replace(vgic.ARCH, disabled_group_hides=True)),
        ("RED-5", replace(vgic.ARCH, sleep_gates=False)),
        ("RED-4", replace(vgic.ARCH, asleep_at_reset=False)),
        ("DIST-9", replace(vgic.ARCH, reset_group=1)),
        ("DIST-9", replace(vgic.ARCH, spis_edge_at_reset=True)),
        ("RED-8", replace(vgic.ARCH, sgis_enabled_at_reset=True)),
        ("STATE-7", replace(vgic.ARCH, config_takes_effect_at_once=False)),
        ("DIST-18", replace(vgic.ARCH, stored_priority_bits=8)),
        ("LPI-5", replace(vgic.ARCH, lpi=replace(vgic.ARCH.lpi, tables_locked=False))),
        ("LPI-14", replace(vgic.ARCH, lpi=replace(vgic.ARCH.lpi, saves_on_disable=False))),
        ("LPI-4", replace(vgic.ARCH, lpi=replace(vgic.ARCH.lpi, one_propbaser=True))),
        ("ITS-3", replace(vgic.ARCH, its=vgic.KVM.its)),
    ],
    ids=str,
)
def test_a_fault_shows_in_the_rule_that_it_breaks(rule: str, profile: vgic.Profile) -> None:
    answer = merged(ask(model(profile), check) for check in checks_of(rule))
    assert answer.verdict is Verdict.DIFFERS
    assert answer.how
    assert answer.operations


# What comes of a check.


def answered(rule: str, profile: vgic.Profile = vgic.ARCH) -> Answer:
    return merged(ask(model(profile), check) for check in checks_of(rule))


def test_a_difference_is_told_in_the_names_of_registers() -> None:
    assert answered("DIST-5", vgic.QEMU_10_0).how == "GICD_TYPER of GICD: MBIS is 0, not 1"
    assert answered("RED-5", vgic.QEMU).how == (
        "vCPU 0: IRQ 1, not 0, after vCPU 0 writes GICR_WAKER (GICR[0.0.0.0]+0x14), 4 bytes: 0x2"
    )
    assert (
        answered("RED-5", vgic.QEMU).operations[0] == "vCPU 0 writes GICR_WAKER (GICR[0.0.0.0]+0x14), 4 bytes: 0x0"
    )


def test_a_rule_that_says_nothing_of_a_machine_cannot_be_asked() -> None:
    answer = answered("DIST-13", vgic.KVM)
    assert answer == Answer(Verdict.NOT_ASKED, "it has no message-based SPIs: GICD_TYPER.MBIS is 0")


def test_a_rule_with_several_checks_is_obeyed_where_those_that_apply_are() -> None:
    obeyed, not_asked = Answer(Verdict.OBEYS), Answer(Verdict.NOT_ASKED, "why")
    differs, none = Answer(Verdict.DIFFERS, "how"), Answer(Verdict.NO_ANSWER, "ouch")
    assert merged([not_asked, obeyed]) == obeyed
    assert merged([obeyed, differs, not_asked]) == differs
    assert merged([not_asked, not_asked]) == not_asked
    assert merged([differs, none]) == none


def test_a_judge_that_fails_does_not_differ() -> None:
    class Broken(RuledModel):
        def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
            raise JudgeError("it has ended")

    broken = Broken("broken", lambda machine: virt_config(machine.cpus, vgic.ARCH))
    assert ask(broken, checks_of("CPU-2")[0]) == Answer(Verdict.NO_ANSWER, "it has ended")


def test_a_register_that_should_be_undefined_and_is_not() -> None:
    class Lenient(RuledModel):
        def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
            return [outcome._replace(undefined=False) for outcome in super().perform(operations)]

    lenient = Lenient("lenient", lambda machine: virt_config(machine.cpus, vgic.ARCH))
    assert ask(lenient, checks_of("CPU-21")[0]).how == "a write of ICC_IAR1_EL1 is not UNDEFINED"


def test_rules_about_a_version_are_about_that_version() -> None:
    (check,) = checks_of("DIST-8")
    assert check.of == "QEMU 7.2"
    assert is_about(check, opened("model:qemu"))
    assert not is_about(check, opened("model:qemu-10.0"))
    assert not is_about(check, opened("model:arch"))
