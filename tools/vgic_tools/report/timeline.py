"""The history of a replay: what each vCPU was shown, took and ended, and when.

It is what all outputs are made from. Times are nanoseconds since the first event of the trace, and never go back.
What guests and devices did is as the trace has it; outputs and waiting interrupts are the model's, so that they
are there whatever was recorded.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from mmio.trace import Event

__all__ = [
    "ANY",
    "FIQ",
    "IRQ",
    "LINE_TIME",
    "Changes",
    "Handled",
    "Interrupt",
    "Sent",
    "Timeline",
]

LINE_TIME: Final = 1000
"""What a line of a trace without times counts as, in nanoseconds."""

IRQ: Final = 2
FIQ: Final = 1

ANY: Final = -1
"""Where a 1-of-N SPI goes to."""

Changes: TypeAlias = list[tuple[int, int]]
"""A signal: times and values, oldest first. Before the first it is 0."""


class Interrupt(NamedTuple):
    """An SGI, PPI, SPI or LPI."""

    cpu: int | None
    """The vCPU that it is private to; None for SPIs and LPIs."""
    intid: int


@dataclass(slots=True)
class Handled:
    """An interrupt in the hands of a vCPU, from its acknowledgement to its end.

    `end` is the write of ICC_EOIR. With EOImode = 1 that drops the priority only, and `deactivated` is the write of
    ICC_DIR. A reset of the PE ends it too. None: not until the history ends.
    """

    intid: int
    start: int
    line: int
    """Of the trace, where it was acknowledged."""
    depth: int
    """How many others it preempted."""
    sgis: tuple[int, ...] = ()
    """Which of `Timeline.sgis` it stands for: SGIs that arrive before the first is taken become one."""
    end: int | None = None
    waits_for_dir: bool = False
    """Its priority is dropped and it is active until it is deactivated."""
    deactivated: int | None = None


@dataclass(slots=True)
class Sent:
    """An SGI that a vCPU generated."""

    time: int
    line: int
    sender: int
    intid: int
    receivers: list[int] = field(default_factory=list)
    """The vCPUs at which it became pending."""


@dataclass
class Timeline:
    """The history of `len(cpus)` vCPUs."""

    cpus: list[str]
    """Their affinities, dotted."""
    timed: bool = True
    """The times are those of the trace; False: they count its lines, `LINE_TIME` each."""
    origin: int = 0
    """When the first event was, by the trace's own clock."""
    duration: int = 0
    outputs: list[Changes] = field(default_factory=list)
    """By vCPU: `IRQ` and `FIQ`."""
    virtual_outputs: list[Changes] = field(default_factory=list)
    """By vCPU: `IRQ` and `FIQ` of its virtual CPU interface."""
    waiting: list[Changes] = field(default_factory=list)
    """By vCPU: how many interrupts are pending, enabled and forwarded to it. Several LPIs whose configuration bytes
    are near each other count as one."""
    handled: list[list[Handled]] = field(default_factory=list)
    """By vCPU, by `start`."""
    lines: dict[Interrupt, Changes] = field(default_factory=dict)
    """Levels of the input lines that ever changed."""
    sgis: list[Sent] = field(default_factory=list)
    routes: defaultdict[int, Changes] = field(default_factory=lambda: defaultdict(list))
    """Where SPIs go, whose route the guest changed: a packed affinity, or `ANY`."""
    accesses: Counter[tuple[str, bool]] = field(default_factory=Counter)
    """By register, and whether it was written."""

    def __post_init__(self) -> None:
        for signals in (self.outputs, self.virtual_outputs, self.waiting, self.handled):
            signals.extend([] for _ in self.cpus)

    def time_of(self, event: Event) -> int:
        """When an event was. One without a time, where others have one, counts as the first."""
        if self.timed:
            return 0 if event.time is None else max(event.time - self.origin, 0)
        return max(event.line * LINE_TIME - self.origin, 0)

    def busy(self) -> list[int]:
        """The vCPUs that have anything to show."""
        senders = {sgi.sender for sgi in self.sgis}
        signals = zip(self.outputs, self.virtual_outputs, self.waiting, self.handled, strict=True)
        return [cpu for cpu, shown in enumerate(signals) if any(shown) or cpu in senders]

    def sent(self) -> Counter[tuple[int, int]]:
        """How many SGIs went from which vCPU to which."""
        return Counter((sgi.sender, receiver) for sgi in self.sgis for receiver in sgi.receivers)
