"""Freedoms: where another implementation may differ from the model, each by the rule of specs/ that says why."""

from typing import Protocol

from vgic_tools.judges.protocol import Operation, Outcome

__all__ = ["Freedom"]


class Freedom(Protocol):
    """Sees every operation of a machine, from its start on, and explains those differences that it is about."""

    rule: str
    """Its id in specs/."""

    def explains(self, operation: Operation, told: Outcome, got: Outcome) -> bool:
        """Whether the difference of what the judge came to and the model, if there is one, is this freedom's."""
