"""The experiment `list-registers`: what it costs a hypervisor to have few of them for its guest's interrupts."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from random import Random
from statistics import fmean
from typing import Annotated, Final

import vgic
from vgic_tools.affinity.intervals import Interval, confidence
from vgic_tools.affinity.small_hypervisor import SmallHypervisor
from vgic_tools.affinity.study import Study, Summary

__all__ = [
    "ARRIVALS",
    "LIST_REGISTERS",
    "LOADS",
    "SEEDS",
    "ListRegisterPoint",
    "ListRegisterRow",
    "list_register_study",
    "measure_list_registers",
    "over_seeds",
]

LIST_REGISTERS: Final = (1, 2, 4, 8, 16)
LOADS: Final = (0.3, 0.5, 0.7, 0.9)
ARRIVALS: Final = 2_000
SEEDS: Final = 5

_FIRST: Final = 32
_SOURCES: Final = 32
_PRIORITIES: Final = (0x20, 0x40, 0x60, 0x80)
_PMR: Final = 0xF0

_TEXT: Final = """
What it costs a hypervisor to give its guest interrupts through list registers, by how many there are.
Edge-triggered interrupts from 32 sources, of four priorities, arrive at random (a Poisson process), and each keeps
the guest's vCPU busy for a random (exponential) time. The guest takes the best one when it is idle, and ends it
when it is done with it; the load is the fraction of the time that it would be busy if nothing merged. What arrives
while its source is pending already merges with that: it stops the guest, too, and is not taken.

Every arrival stops the guest once, whatever the number of list registers: the hypervisor reads those in use, and
fills them anew with the best. What finds no place waits in the hypervisor, which then asks for a maintenance
interrupt as soon as no list register is pending any more (ICH_HCR_EL2.NPIE): that stops the guest once more. The
guest takes the same interrupts in the same order, with one list register as with sixteen; only the exits differ.
"""


@dataclass(frozen=True)
class ListRegisterPoint:
    """What is measured."""

    list_registers: Annotated[int, "list registers"]
    load: Annotated[float, "fraction of the time that the vCPU is to be busy"]
    arrivals: Annotated[int, "interrupts that the guest takes"]
    seed: Annotated[int, "of the random numbers"]


@dataclass(frozen=True)
class ListRegisterRow(ListRegisterPoint):
    """What came out."""

    maintenance: Annotated[float, "maintenance interrupts, for each interrupt that the guest takes"]
    exits: Annotated[float, "times that the guest is stopped, for each interrupt that it takes"]
    reads: Annotated[float, "reads of list registers, for each interrupt that the guest takes"]
    writes: Annotated[float, "writes of list registers, for each interrupt that the guest takes"]
    left_out: Annotated[int, "the most interrupts that had no list register at once"]
    order: Annotated[str, "a checksum of what the guest took, in order"]


def list_register_study(
    counts: Sequence[int] = LIST_REGISTERS,
    loads: Sequence[float] = LOADS,
    arrivals: int = ARRIVALS,
    seeds: int = SEEDS,
) -> Study[ListRegisterPoint, ListRegisterRow]:
    """The experiment for these numbers of list registers and loads, with seeds 1 to `seeds`."""
    points = [
        ListRegisterPoint(count, load, arrivals, seed)
        for seed in range(1, 1 + seeds)
        for load in sorted(set(loads))
        for count in sorted(set(counts))
    ]
    title = "What list registers cost"
    return Study("list-registers", title, _TEXT, ListRegisterRow, points, measure_list_registers, _summary)


def measure_list_registers(point: ListRegisterPoint) -> ListRegisterRow:
    """Run the workload of a point. Interrupts and times depend on the seed and the load alone."""
    random = Random(f"{point.seed}/{point.load}")
    sources = range(_FIRST, _FIRST + _SOURCES)
    hypervisor = SmallHypervisor(point.list_registers, {intid: random.choice(_PRIORITIES) for intid in sources})
    hypervisor.write(vgic.ICC_PMR_EL1, _PMR)
    arrival, done, running, taken, order = random.expovariate(point.load), 0.0, vgic.SPURIOUS, 0, 0
    while taken < point.arrivals or running != vgic.SPURIOUS:
        if running != vgic.SPURIOUS and done <= arrival:
            hypervisor.write(vgic.ICC_EOIR1_EL1, running)
            running, now = vgic.SPURIOUS, done
        else:
            hypervisor.arrive(random.choice(sources))
            now, arrival = arrival, arrival + random.expovariate(point.load)
        if running == vgic.SPURIOUS and taken < point.arrivals and hypervisor.outputs[0]:
            running = hypervisor.read(vgic.ICC_IAR1_EL1)
            done = now + random.expovariate(1)
            taken += 1
            order = (order * 31 + running) % 0xFFFF_FFFB
    counts = hypervisor.counts
    return ListRegisterRow(
        **asdict(point),
        maintenance=counts.maintenance / taken,
        exits=counts.exits / taken,
        reads=counts.reads / taken,
        writes=counts.writes / taken,
        left_out=counts.left_out,
        order=f"{order:#010x}",
    )


def over_seeds(
    rows: Sequence[ListRegisterRow], load: float, value: Callable[[ListRegisterRow], float]
) -> dict[int, Interval]:
    """By the number of list registers, what the runs with different seeds tell of a value at a load."""
    runs: dict[int, list[float]] = {}
    for row in rows:
        if row.load == load:
            runs.setdefault(row.list_registers, []).append(value(row))
    return {count: confidence(values) for count, values in sorted(runs.items())}


def _summary(rows: Sequence[ListRegisterRow]) -> Summary:
    """Each number of list registers at each load; means over the seeds."""
    headings = ("list registers", "load", "maintenance", "exits", "reads", "writes", "most left out")
    lines = []
    for count in sorted({row.list_registers for row in rows}):
        for load in sorted({row.load for row in rows}):
            runs = [row for row in rows if (row.list_registers, row.load) == (count, load)]
            lines.append(
                (
                    str(count),
                    f"{load:g}",
                    f"{fmean(row.maintenance for row in runs):.3f}",
                    f"{fmean(row.exits for row in runs):.3f}",
                    f"{fmean(row.reads for row in runs):.2f}",
                    f"{fmean(row.writes for row in runs):.2f}",
                    str(max(row.left_out for row in runs)),
                )
            )
    return Summary(headings, lines)
