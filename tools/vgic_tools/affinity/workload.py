"""A guest that takes SPIs: devices raise them at random, vCPUs finish them after a random time. Seeded.

Time is counted in mean service times. An idle vCPU takes an interrupt as soon as its IRQ output rises, and is busy
until it writes ICC_EOIR1_EL1; all interrupts have one priority, so none preempts another.

What is measured is a guest that has been running for ever: it begins with as many interrupts in the system as
theory says that it would find there at a moment chosen at random, lets some pass, and interrupts go on arriving
until the last one that counts was taken. Else the first ones would find no queue yet, and the last ones none that
grows.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final, Literal, NamedTuple

import vgic
from vgic import affinity
from vgic.features import IRM
from vgic_tools.affinity.layouts import LAYOUTS
from vgic_tools.affinity.queueing import common_queue_length, own_queue_length

__all__ = ["CHOICES", "SPIS", "Choice", "Outcome", "Taken", "jain", "run_workload"]

Choice = Literal["first", "rotate", "directed"]
CHOICES: Final[tuple[Choice, ...]] = ("first", "rotate", "directed")
"""1-of-N with either choice of the model, or every SPI routed to one vCPU, in turn."""

SPIS: Final = 960
FIRST_SPI: Final = 32
GICD: Final = 0x0800_0000
_WORD: Final = 0xFFFF_FFFF
_PASSING: Final = 10
"""One interrupt passes before measuring begins for so many that are measured."""


class Taken(NamedTuple):
    """An interrupt that was taken."""

    vcpu: int
    arrived: float
    acknowledged: float
    measured: bool


@dataclass
class Outcome:
    """What became of the interrupts."""

    vcpus: int
    taken: list[Taken] = field(default_factory=list)
    """Every one, in the order in which they were acknowledged."""
    held: int = 0
    """Measured arrivals that found every SPI that they could use pending or active, and waited in their device."""

    @property
    def shares(self) -> list[int]:
        """How many of the measured ones each vCPU took."""
        counts = Counter(taken.vcpu for taken in self.taken if taken.measured)
        return [counts[vcpu] for vcpu in range(self.vcpus)]

    @property
    def waits(self) -> list[float]:
        """Of the measured ones, from arrival to acknowledgement, in mean service times."""
        return [taken.acknowledged - taken.arrived for taken in self.taken if taken.measured]


def jain(shares: Sequence[int]) -> float:
    """Jain's fairness index: 1 where all shares are the same, 1/n where one has it all.

    >>> jain([3, 3, 3]), jain([9, 0, 0])
    (1.0, 0.3333333333333333)
    """
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 1.0


def run_workload(choice: Choice, vcpus: int, load: float, arrivals: int, seed: int) -> Outcome:
    """Measure `arrivals` interrupts of those that keep `vcpus` vCPUs busy for the fraction `load` of the time.

    Interrupts of one seed arrive at the same times and take as long to serve, whatever the choice.
    """
    return _Guest(choice, vcpus, load, arrivals, seed).run()


class _Arrival(NamedTuple):
    time: float
    measured: bool


class _Guest:
    """The vCPUs, and the model's line sink."""

    def __init__(self, choice: Choice, vcpus: int, load: float, arrivals: int, seed: int) -> None:
        self._gic = _machine(choice, vcpus, self)
        self._rate = load * vcpus
        self._between, self._service, self._device, start = (
            Random(f"{seed} {what}") for what in ("arrivals", "services", "devices", "start")
        )
        self._passing = arrivals // _PASSING
        self._arrivals = self._left = arrivals
        self._outcome = Outcome(vcpus)
        # A device of a kind can serve whatever arrives for that kind: directed, each vCPU has a kind of its own.
        self._kinds = vcpus if choice == "directed" else 1
        spis = range(FIRST_SPI, FIRST_SPI + SPIS)
        self._free = [[intid for intid in spis if intid % self._kinds == kind] for kind in range(self._kinds)]
        self._held: list[deque[_Arrival]] = [deque() for _ in range(self._kinds)]
        self._raised: dict[int, _Arrival] = {}
        self._busy = [False] * vcpus
        self._signalled: deque[int] = deque()
        self._events: list[tuple[float, int, int, int]] = []
        """Heap of time, number, vCPU (or _DEVICE) and INTID."""
        self._numbers = count()
        self._begin(choice, vcpus, load, start)

    def _begin(self, choice: Choice, vcpus: int, load: float, random: Random) -> None:
        if choice == "directed":
            lengths = [own_queue_length(load, random) for _ in range(vcpus)]
        else:
            lengths = [common_queue_length(vcpus, load, random)]
        for kind, length in enumerate(lengths):
            for _ in range(length):
                self._raise(kind, _Arrival(0.0, False))
        self._take(0.0)
        self._schedule_arrival(0.0)

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The model raises or lowers an output."""
        if irq:
            self._signalled.append(cpu)

    def run(self) -> Outcome:
        """Until every interrupt that counts was taken."""
        while self._left:
            now, _, vcpu, intid = heappop(self._events)
            if vcpu == _DEVICE:
                self._arrive(now)
            else:
                self._finish(vcpu, intid)
            self._take(now)
        return self._outcome

    def _schedule(self, when: float, vcpu: int, intid: int) -> None:
        heappush(self._events, (when, next(self._numbers), vcpu, intid))

    def _schedule_arrival(self, now: float) -> None:
        self._schedule(now + self._between.expovariate(self._rate), _DEVICE, 0)

    def _arrive(self, now: float) -> None:
        self._schedule_arrival(now)
        measured = self._passing == 0 and self._arrivals > 0
        if measured:
            self._arrivals -= 1
        elif self._passing:
            self._passing -= 1
        self._raise(self._device.randrange(self._kinds), _Arrival(now, measured))

    def _raise(self, kind: int, arrival: _Arrival) -> None:
        """Let any of the idle devices of a kind raise its SPI, or the next one that will be idle."""
        free = self._free[kind]
        if not free:
            self._held[kind].append(arrival)
            self._outcome.held += arrival.measured
            return
        # Take it out of the list without moving the others.
        index = self._device.randrange(len(free))
        free[index], free[-1] = free[-1], free[index]
        intid = free.pop()
        self._raised[intid] = arrival
        self._gic.spi(intid).pulse()

    def _take(self, now: float) -> None:
        while self._signalled:
            vcpu = self._signalled.popleft()
            if self._busy[vcpu] or not self._gic.outputs(vcpu)[0]:
                continue
            intid = self._gic.sysreg_read(vcpu, vgic.ICC_IAR1_EL1)
            self._busy[vcpu] = True
            arrived, measured = self._raised.pop(intid)
            self._outcome.taken.append(Taken(vcpu, arrived, now, measured))
            self._left -= measured
            self._schedule(now + self._service.expovariate(1.0), vcpu, intid)

    def _finish(self, vcpu: int, intid: int) -> None:
        self._busy[vcpu] = False
        self._gic.sysreg_write(vcpu, vgic.ICC_EOIR1_EL1, intid)
        kind = intid % self._kinds
        self._free[kind].append(intid)
        if self._held[kind]:
            self._raise(kind, self._held[kind].popleft())


_DEVICE: Final = -1


def _machine(choice: Choice, vcpus: int, lines: vgic.LineSink) -> vgic.Gic:
    """A VM whose SPIs are edge-triggered and enabled, in Group 1, and routed as `choice` says."""
    config = vgic.Config(
        LAYOUTS["kvm"].topology(vcpus),
        spis=SPIS,
        one_of_n=True,
        one_of_n_choice="rotate" if choice == "rotate" else "first",
    )
    gic = vgic.Gic(config, lines=lines)
    gic.write(GICD, 4, 0b11)
    for word in range(1, 1 + SPIS // 32):
        gic.write(GICD + 0x80 + 4 * word, 4, _WORD)
        for half in (0, 4):
            gic.write(GICD + 0xC00 + 8 * word + half, 4, 0xAAAA_AAAA)
    for vcpu, base in enumerate(gic.redistributor_bases):
        gic.write(base + 0x14, 4, 0)
        gic.sysreg_write(vcpu, vgic.ICC_PMR_EL1, 0xF8)
        gic.sysreg_write(vcpu, vgic.ICC_IGRPEN1_EL1, 1)
    for intid in range(FIRST_SPI, FIRST_SPI + SPIS):
        route = affinity.to_irouter(gic.affinity(intid % vcpus)) if choice == "directed" else IRM
        gic.write(GICD + 0x6000 + 8 * intid, 8, route)
    for word in range(1, 1 + SPIS // 32):
        gic.write(GICD + 0x100 + 4 * word, 4, _WORD)
    return gic
