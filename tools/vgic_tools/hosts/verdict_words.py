"""What findings are called on a terminal, and as JSON."""

import errno
from collections.abc import Iterable
from typing import Any, Final

from vgic.identity import Cost, Finding, HostVerdict, Outcome
from vgic.identity.places import value_words
from vgic.identity.registers import selector_of

__all__ = ["COSTS", "OUTCOMES", "STYLES", "answer_words", "finding_document", "kernel_words", "listed", "number"]

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


def answer_words(finding: Finding) -> str:
    """The outcome, with the errno where KVM has one."""
    word = OUTCOMES[finding.outcome]
    return word if finding.errno is None else f"{word}, {errno.errorcode.get(finding.errno, finding.errno)}"


def number(finding: Finding, value: int | None) -> str:
    """A value of the finding's field."""
    return "?" if value is None else value_words(finding.register, finding.field, value)


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
