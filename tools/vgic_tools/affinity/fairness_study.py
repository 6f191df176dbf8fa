"""The experiment `fairness`: who takes SPIs that any vCPU may take, and how long they wait."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Annotated, Final

from vgic_tools.affinity.intervals import Interval, confidence
from vgic_tools.affinity.queueing import common_queue_wait, own_queue_wait
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.affinity.workload import CHOICES, SPIS, jain, run_workload

__all__ = [
    "ARRIVALS",
    "LOADS",
    "MOST_VCPUS",
    "SEEDS",
    "VCPUS",
    "FairnessPoint",
    "FairnessRow",
    "fairness_study",
    "measure_fairness",
    "over_seeds",
]

VCPUS: Final = (2, 4, 16, 64, 256)
LOADS: Final = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9)
ARRIVALS: Final = 20_000
SEEDS: Final = 10

MOST_VCPUS: Final = SPIS
"""With more there would be vCPUs that no SPI is routed to."""

_TEXT: Final = """
Who takes SPIs, and how long they wait. "first" and "rotate" are 1-of-N SPIs (GICD_IROUTER.IRM = 1) with the
model's two choices among the vCPUs that could take one: the first in vCPU order, or the next after the one chosen
last. "directed" routes every SPI to one vCPU, in turn. Interrupts of one priority arrive at random (a Poisson
process), at devices chosen at random, and keep a vCPU busy for a random (exponential) time. Times are in mean
service times; the load is the fraction of the time that the vCPUs are busy. A device whose SPI is pending or active
cannot raise it again: what arrives while all devices that there are for it are so waits in one of them, and that
counts as waiting too.

Theory is the mean wait of a common queue from which every vCPU serves itself (M/M/n): no routing can do better.
Directed, every vCPU has a queue of its own (M/M/1). The model lets a vCPU that falls idle take over what waits at a
busy one, so that both 1-of-N choices come down to the common queue, and take interrupts at the very same moments;
they differ in who works.

A queue near its limit forgets slowly: at load 0.9 and 16 vCPUs, single runs of 20,000 interrupts scatter by a fifth
around the mean. So each case is run with several seeds, and means come with the 95 % confidence interval of these
runs (Student's t). Where theory is right, one interval in twenty misses it. A run begins with as many interrupts in
the system as would be there at a random moment, lets a tenth as many as it measures pass first, and goes on until
all that it measures are taken.
"""


@dataclass(frozen=True)
class FairnessPoint:
    """What is measured."""

    choice: Annotated[str, "how an SPI finds its vCPU"]
    vcpus: Annotated[int, "vCPUs"]
    load: Annotated[float, "fraction of the time that the vCPUs are to be busy"]
    arrivals: Annotated[int, "interrupts that arrive"]
    seed: Annotated[int, "of the random numbers"]


@dataclass(frozen=True)
class FairnessRow(FairnessPoint):
    """What came out."""

    jain: Annotated[float, "Jain's fairness index of the interrupts taken: 1 all alike, 1/vCPUs one takes all"]
    most: Annotated[int, "interrupts that the busiest vCPU took"]
    fewest: Annotated[int, "interrupts that the idlest vCPU took"]
    mean_wait: Annotated[float, "mean time from arrival to acknowledgement, in mean service times"]
    wait_99: Annotated[float, "the same, 99th percentile"]
    theory_wait: Annotated[float, "mean wait that theory expects: M/M/n, and M/M/1 where SPIs are directed"]
    held: Annotated[int, "arrivals that waited in their device first, as its SPI was pending or active"]
    taken: Annotated[str, "interrupts that each vCPU took, in vCPU order"]


def fairness_study(
    counts: Sequence[int], loads: Sequence[float] = LOADS, arrivals: int = ARRIVALS, seeds: int = SEEDS
) -> Study[FairnessPoint, FairnessRow]:
    """The experiment for these numbers of vCPUs and loads, with seeds 1 to `seeds`."""
    points = [
        FairnessPoint(choice, count, load, arrivals, seed)
        for seed in range(1, 1 + seeds)
        for count in sorted(set(counts))
        for load in sorted(set(loads))
        for choice in CHOICES
    ]
    title = "Who takes a 1-of-N interrupt, and when"
    return Study("fairness", title, _TEXT, FairnessRow, points, measure_fairness, _summary)


def measure_fairness(point: FairnessPoint) -> FairnessRow:
    """Run the workload of a point."""
    choice = next(known for known in CHOICES if known == point.choice)
    outcome = run_workload(choice, point.vcpus, point.load, point.arrivals, point.seed)
    waits, shares = sorted(outcome.waits), outcome.shares
    directed = choice == "directed"
    return FairnessRow(
        **asdict(point),
        jain=jain(shares),
        most=max(shares),
        fewest=min(shares),
        mean_wait=fmean(waits),
        wait_99=waits[len(waits) * 99 // 100],
        theory_wait=own_queue_wait(point.load) if directed else common_queue_wait(point.vcpus, point.load),
        held=outcome.held,
        taken=" ".join(map(str, shares)),
    )


def over_seeds(rows: Sequence[FairnessRow], value: Callable[[FairnessRow], float]) -> dict[float, Interval]:
    """By load, what the runs with different seeds tell of a value."""
    runs: dict[float, list[float]] = {}
    for row in rows:
        runs.setdefault(row.load, []).append(value(row))
    return {load: confidence(values) for load, values in sorted(runs.items())}


def _summary(rows: Sequence[FairnessRow]) -> Summary:
    """Each number of vCPUs at a middling and a high load; means over the seeds."""
    loads = sorted({row.load for row in rows})
    shown = [load for load in loads if load in (0.5, 0.9)] or loads[-1:]
    headings = (
        "vCPUs",
        "load",
        "choice",
        "Jain's index",
        "most taken",
        "fewest",
        "99 % wait",
        "mean wait",
        "in theory",
    )
    lines = []
    for count in sorted({row.vcpus for row in rows}):
        for load in shown:
            for choice in CHOICES:
                runs = [row for row in rows if (row.vcpus, row.load, row.choice) == (count, load, choice)]
                lines.append(
                    (
                        f"{count:,}",
                        f"{load:g}",
                        choice,
                        f"{fmean(row.jain for row in runs):.3f}",
                        f"{fmean(row.most for row in runs):,.0f}",
                        f"{fmean(row.fewest for row in runs):,.0f}",
                        f"{fmean(row.wait_99 for row in runs):.2f}",
                        str(confidence([row.mean_wait for row in runs])),
                        f"{runs[0].theory_wait:.3f}",
                    )
                )
    return Summary(headings, lines)
