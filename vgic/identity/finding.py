"""What moving a VM to a host comes to: findings, field by field, from the mildest to a refusal. Rule IDENT-20."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["Cost", "Finding", "Outcome", "worst"]


class Outcome(IntEnum):
    """What becomes of one thing that a VM was promised; the greater, the worse."""

    SAME = 0
    """The host has what was promised."""
    WEAKER = 1
    """The host can do more than was promised, and may show what was promised instead."""
    TRAP = 2
    """Kept where the hypervisor traps the guest's accesses."""
    LEAK = 3
    """The VM runs, and a guest that looks can tell that it has moved."""
    CHANGED = 4
    """What the hypervisor takes is not what the guest sees afterwards."""
    UNKNOWN = 5
    """Nobody has told what a verdict needs."""
    REFUSED = 6
    """The host cannot keep the promise."""


class Cost(IntEnum):
    """What a trap costs a guest; the greater, the more."""

    NONE = 0
    RARE = 1
    """Once at boot, or where a guest looks at what hardly any looks at."""
    PER_READ = 2
    """At each read of a register that programs read: CTR_EL0, a counter."""
    PER_ACCESS = 3
    """At each access to registers in the way of a guest's work."""


@dataclass(frozen=True)
class Finding:
    """What becomes of one field that a VM was promised, on one host, by one engine."""

    register: str
    """Arm's name, CCSIDR_EL1 with its selector; "" where it is no register."""
    field: str
    """Arm's name; "" where the whole register is meant."""
    guest: int | None
    """What was promised; None where that is unknown."""
    host: int | None
    """What the host has, or would show; None where that is unknown."""
    outcome: Outcome
    rule: str
    """The rule of specs/ that decides: "IDENT-11"."""
    why: str
    """A sentence without its full stop."""
    traps: tuple[str, ...] = ()
    """The controls that bridge it, by Arm's names: "HCR_EL2.TID2"."""
    cost: Cost = Cost.NONE
    errno: int | None = None
    """What a VMM gets that writes the register; None where it gets none, or is not the one who asks."""
    remedy: str = ""
    """What somebody can do about it, a sentence without its full stop; "" where nothing helps or is needed."""

    @property
    def place(self) -> str:
        """`register.field`, or the one of them that there is."""
        return ".".join(part for part in (self.register, self.field) if part)


def worst(findings: Iterable[Finding]) -> Outcome:
    """The verdict that findings come to; SAME where there are none."""
    return max((finding.outcome for finding in findings), default=Outcome.SAME)
