"""What a replay found."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mmio import RegisterLayout
from mmio.trace import Event

__all__ = ["Difference", "Divergence", "Result"]


@dataclass(frozen=True)
class Divergence:
    """A recorded outcome that the model did not produce."""

    event: Event
    what: str
    """The register or outcome, as a person would name it."""
    place: str
    """The PE concerned, "" where the recorder does not say."""
    expected: str
    got: str
    layout: RegisterLayout | None = None
    """Decodes both values where they are a register's."""
    expected_value: int = 0
    got_value: int = 0
    before: Sequence[Event] = ()
    """The events before it, oldest first."""
    interrupts: Sequence[str] = ()
    """The model's view of the interrupts concerned."""


@dataclass(frozen=True)
class Difference:
    """A register whose value at the end of a replay is not that of a snapshot."""

    register: str
    expected: int
    """What the snapshot has."""
    got: int
    """What the model has."""


@dataclass
class Result:
    """Counts of a replay; `divergences` and `undecided` empty say that the model did what the recording says."""

    trace: str
    machine: str
    events: int = 0
    inputs: Counter[str] = field(default_factory=Counter)
    """What drove the model, by kind."""
    compared: Counter[str] = field(default_factory=Counter)
    """Values compared, by register or kind of outcome."""
    divergences: Counter[str] = field(default_factory=Counter)
    """Values that differ, the same way."""
    first: Divergence | None = None
    acknowledged: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Interrupts taken, by PE (dotted affinity) and type (SGI, PPI, SPI, LPI)."""
    accepted: Counter[str] = field(default_factory=Counter)
    """Recorded outcomes and inputs that the model does not predict, by kind: taken as they are."""
    exits: Counter[str] | None = None
    """Accesses that a host would trap so that the guest sees its own GIC, by access; None where nobody asked."""
    notes: list[str] = field(default_factory=list)
    """What else a reader of the result should know."""
    final_differences: list[Difference] = field(default_factory=list)
    """Where the state at the end is not that of a snapshot; empty where nobody compared them, too."""
    stopped: bool = False
    """The replay ended at the first divergence."""

    undecided: str = ""
    """Why the result says nothing about the model: what is not modelled, or not recorded. "" where it does."""

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        from mmio.notebook import html_table

        if self.undecided:
            verdict = f"no verdict: {self.undecided}"
        elif self.diverged:
            verdict = f"diverged: {self.divergences.total():,} of {self.compared.total():,} values differ"
        else:
            verdict = f"no divergence: {self.compared.total():,} recorded values came out the same"
        rows = [(name, f"{count:,}", self.divergences[name] or "") for name, count in self.compared.most_common()]
        return html_table(f"{self.trace}: {verdict}", ("outcome", "compared", "different"), rows)

    @property
    def diverged(self) -> bool:
        """True where anything differs."""
        return bool(self.divergences)
