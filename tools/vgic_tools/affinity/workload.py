"""A guest that takes SPIs: devices raise them at random, vCPUs finish them after a random time. Seeded.

Time is counted in mean service times. An idle vCPU takes an interrupt as soon as its IRQ output rises, and is busy
until it writes ICC_EOIR1_EL1; all interrupts have one priority, so none preempts another.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final, Literal

import vgic
from vgic import affinity
from vgic.features import IRM
from vgic_tools.affinity.layouts import LAYOUTS

__all__ = ["CHOICES", "Choice", "Outcome", "jain", "run_workload"]

Choice = Literal["first", "rotate", "directed"]
CHOICES: Final[tuple[Choice, ...]] = ("first", "rotate", "directed")
"""1-of-N with either choice of the model, or every SPI routed to one vCPU, in turn."""

SPIS: Final = 960
FIRST_SPI: Final = 32
GICD: Final = 0x0800_0000
_WORD: Final = 0xFFFF_FFFF


@dataclass
class Outcome:
    """What became of the interrupts."""

    taken: list[int]
    """By vCPU."""
    waits: list[float] = field(default_factory=list)
    """From the arrival of each to its acknowledgement, in mean service times."""
    merged: int = 0
    """Arrivals that found every SPI pending or active."""


def jain(shares: Sequence[int]) -> float:
    """Jain's fairness index: 1 where all shares are the same, 1/n where one has it all.

    >>> jain([3, 3, 3]), jain([9, 0, 0])
    (1.0, 0.3333333333333333)
    """
    squares = len(shares) * sum(share * share for share in shares)
    return sum(shares) ** 2 / squares if squares else 1.0


def run_workload(choice: Choice, vcpus: int, load: float, arrivals: int, seed: int) -> Outcome:
    """Let `arrivals` interrupts arrive, which keep `vcpus` vCPUs busy for the fraction `load` of the time."""
    return _Guest(choice, vcpus, load, arrivals, Random(seed)).run()


class _Guest:
    """The vCPUs, and the model's line sink."""

    def __init__(self, choice: Choice, vcpus: int, load: float, arrivals: int, random: Random) -> None:
        self._gic = _machine(choice, vcpus, self)
        self._random = random
        self._rate = load * vcpus
        self._left = arrivals
        self._outcome = Outcome([0] * vcpus)
        self._free = list(range(FIRST_SPI, FIRST_SPI + SPIS))
        self._arrived: dict[int, float] = {}
        self._busy = [False] * vcpus
        self._signalled: list[int] = []
        self._events: list[tuple[float, int, int, int]] = []
        """Heap of time, number, vCPU (or _DEVICE) and INTID."""
        self._numbers = count()

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The model raises or lowers an output."""
        if irq:
            self._signalled.append(cpu)

    def run(self) -> Outcome:
        """Until every interrupt is finished."""
        self._schedule_arrival(0.0)
        while self._events:
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
        if self._left:
            self._left -= 1
            self._schedule(now + self._random.expovariate(self._rate), _DEVICE, 0)

    def _arrive(self, now: float) -> None:
        self._schedule_arrival(now)
        if not self._free:
            self._outcome.merged += 1
            return
        # Any of the idle devices: take it out of the list without moving the others.
        index = self._random.randrange(len(self._free))
        self._free[index], self._free[-1] = self._free[-1], self._free[index]
        intid = self._free.pop()
        self._arrived[intid] = now
        self._gic.spi(intid).pulse()

    def _take(self, now: float) -> None:
        while self._signalled:
            vcpu = self._signalled.pop(0)
            if self._busy[vcpu] or not self._gic.outputs(vcpu)[0]:
                continue
            intid = self._gic.sysreg_read(vcpu, vgic.ICC_IAR1_EL1)
            self._busy[vcpu] = True
            self._outcome.taken[vcpu] += 1
            self._outcome.waits.append(now - self._arrived.pop(intid))
            self._schedule(now + self._random.expovariate(1.0), vcpu, intid)

    def _finish(self, vcpu: int, intid: int) -> None:
        self._busy[vcpu] = False
        self._free.append(intid)
        self._gic.sysreg_write(vcpu, vgic.ICC_EOIR1_EL1, intid)


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
