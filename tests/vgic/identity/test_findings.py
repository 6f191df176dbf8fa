"""Findings: their order, and the verdict that several come to."""

from itertools import permutations

import pytest

from vgic.identity.finding import Finding, Outcome, worst


def finding(outcome: Outcome, register: str = "CTR_EL0", field: str = "DIC") -> Finding:
    return Finding(register, field, 1, 0, outcome, "IDENT-11", "the host has another")


@pytest.mark.rule("IDENT-20")
def test_the_verdict_is_the_worst_finding_in_whichever_order() -> None:
    assert worst([]) is Outcome.SAME
    order = [
        Outcome.SAME,
        Outcome.WEAKER,
        Outcome.TRAP,
        Outcome.LEAK,
        Outcome.CHANGED,
        Outcome.UNKNOWN,
        Outcome.REFUSED,
    ]
    assert order == list(Outcome)
    for number in range(1, len(order)):
        for chosen in permutations(order[: number + 1], 2):
            assert worst(map(finding, chosen)) is max(chosen, key=order.index)


@pytest.mark.rule("IDENT-20")
def test_a_finding_names_its_place() -> None:
    assert finding(Outcome.TRAP).place == "CTR_EL0.DIC"
    assert finding(Outcome.TRAP, field="").place == "CTR_EL0"
    assert finding(Outcome.TRAP, register="", field="memory").place == "memory"
