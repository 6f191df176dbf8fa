"""What findings are called on a terminal, and as JSON."""

import errno
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from vgic.identity import ClusterVerdict, Cost, Finding, HostVerdict, Outcome
from vgic.identity.places import value_words
from vgic.identity.registers import selector_of

__all__ = [
    "CAN_RUN",
    "COSTS",
    "OUTCOMES",
    "STYLES",
    "Row",
    "answer_words",
    "by_place",
    "can_run",
    "finding_document",
    "kernel_words",
    "listed",
    "number",
    "sentence",
    "unknown",
]

OUTCOMES: Final = {
    Outcome.SAME: "the same",
    Outcome.WEAKER: "yes",
    Outcome.TRAP: "by traps",
    Outcome.LEAK: "leaks",
    Outcome.CHANGED: "changes",
    Outcome.UNKNOWN: "unknown",
    Outcome.REFUSED: "no",
}
"""Whether a promise can be kept."""

CAN_RUN: Final = {
    **OUTCOMES,
    Outcome.SAME: "yes",
    Outcome.TRAP: "yes",
}
"""Whether the VM can run there."""

STYLES: Final = {
    Outcome.SAME: "green",
    Outcome.WEAKER: "green",
    Outcome.TRAP: "green",
    Outcome.LEAK: "yellow",
    Outcome.CHANGED: "yellow",
    Outcome.UNKNOWN: "yellow",
    Outcome.REFUSED: "red",
}

COSTS: Final = {
    Cost.NONE: "",
    Cost.RARE: "rarely",
    Cost.PER_READ: "at each read",
    Cost.PER_ACCESS: "at each access",
}
"""When a guest pays for a trap."""


def can_run(verdict: HostVerdict) -> str:
    """The verdict in a word; by cluster where that decides."""
    if not verdict.depends:
        return CAN_RUN[verdict.outcome]
    return ", ".join(f"{cluster.cluster}: {CAN_RUN[cluster.outcome]}" for cluster in verdict.clusters)


def answer_words(finding: Finding) -> str:
    """The outcome, with the errno where KVM has one."""
    word = OUTCOMES[finding.outcome]
    return word if finding.errno is None else f"{word}, {errno.errorcode.get(finding.errno, finding.errno)}"


def number(finding: Finding, value: int | None) -> str:
    """A value of the finding's field."""
    if value is None:
        return "?" if finding.register else ""
    return value_words(finding.register, finding.field, value)


def kernel_words(verdict: HostVerdict) -> str:
    """Which kernels were asked, and why these."""
    told = verdict.host.hypervisor.version if verdict.host.hypervisor else None
    names = [kernel.name for kernel in verdict.kernels]
    if len(names) == 1:
        return f"KVM of Linux {names[0]}"
    listed_names = " and ".join((", ".join(names[:-1]), names[-1]))
    return f"KVM of Linux {told or 'of unknown version'}: what {listed_names} agree on"


def listed(names: Iterable[str]) -> str:
    """Registers by name, all the caches as one."""
    all_names = list(dict.fromkeys(names))
    caches = [name for name in all_names if selector_of(name) is not None]
    if len(caches) > 2:
        all_names = [name for name in all_names if name not in caches]
        all_names.append(f"CCSIDR_EL1 of {len(caches)} caches")
    return ", ".join(all_names)


def finding_document(finding: Finding) -> dict[str, Any]:
    """A finding as JSON has it."""
    return {
        "register": finding.register,
        "field": finding.field,
        "guest": finding.guest,
        "host": finding.host,
        "outcome": finding.outcome.name.lower(),
        "rule": finding.rule,
        "why": finding.why,
        "traps": list(finding.traps),
        "cost": finding.cost.name.lower(),
        "errno": None if finding.errno is None else errno.errorcode.get(finding.errno, str(finding.errno)),
        "remedy": finding.remedy,
    }


class Row(NamedTuple):
    """What both engines say of one place; of several caches, where they say the same of all."""

    place: str
    either: Finding
    """One that is there."""
    kvm: Finding | None
    contract: Finding | None


def by_place(cluster: ClusterVerdict) -> list[Row]:
    """The findings of both engines side by side, where one of them is worth a line."""
    rows: dict[object, list[Row]] = {}
    for either in {finding.place: finding for finding in (*cluster.contract, *cluster.kvm)}.values():
        kvm, contract = _find(cluster.kvm, either.place), _find(cluster.contract, either.place)
        if _is_worth_a_line(kvm, contract):
            row = Row(either.place, either, kvm, contract)
            rows.setdefault(_alike(row), []).append(row)
    return [of_one[0]._replace(place=listed(row.place for row in of_one)) for of_one in rows.values()]


def _alike(row: Row) -> object:
    """The same for what can be told in one line: caches of which the same is promised, shown and answered."""
    if selector_of(row.either.register) is None:
        return row.place
    outcomes = tuple(finding.outcome if finding else None for finding in (row.kvm, row.contract))
    return (row.either.guest, row.either.host, outcomes)


def _is_worth_a_line(kvm: Finding | None, contract: Finding | None) -> bool:
    """What is in the way, leaks or changes; and what KVM traps. What is unknown is told apart."""
    if kvm is not None and kvm.outcome is Outcome.TRAP:
        return True
    told = [one.outcome for one in (kvm, contract) if one is not None and one.outcome is not Outcome.UNKNOWN]
    return max(told, default=Outcome.SAME) > Outcome.TRAP


def _find(findings: Iterable[Finding], place: str) -> Finding | None:
    return next((finding for finding in findings if finding.place == place), None)


def unknown(cluster: ClusterVerdict) -> dict[str, list[str]]:
    """The places of which something is unknown, by what would be needed."""
    places: dict[str, list[str]] = {}
    for finding in (*cluster.kvm, *cluster.contract):
        if finding.outcome is Outcome.UNKNOWN:
            places.setdefault(sentence(finding), []).append(finding.place)
    return places


def sentence(finding: Finding) -> str:
    """Why, with the traps and what they cost, what helps, and the rule."""
    words = finding.why
    if finding.traps:
        cost = COSTS[finding.cost]
        words += f"; {', '.join(finding.traps)}" + (f", {cost}" if cost else "")
    if finding.remedy:
        words += f"; what helps: {finding.remedy}"
    return f"{words} [{finding.rule}]"
