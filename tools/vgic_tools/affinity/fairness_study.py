"""The experiment `fairness`: who takes SPIs that any vCPU may take, and how long they wait."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Annotated, Final

from vgic_tools.affinity.study import Study, Summary
from vgic_tools.affinity.workload import CHOICES, jain, run_workload

__all__ = [
    "ARRIVALS",
    "LOADS",
    "VCPUS",
    "FairnessPoint",
    "FairnessRow",
    "common_queue_wait",
    "fairness_study",
    "measure_fairness",
]

VCPUS: Final = (2, 4, 16, 64, 256)
LOADS: Final = (0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95)
ARRIVALS: Final = 20_000
SEED: Final = 1

_TEXT: Final = """
Who takes SPIs, and how long they wait. "first" and "rotate" are 1-of-N SPIs (GICD_IROUTER.IRM = 1) with the
model's two choices among the vCPUs that could take one: the first in vCPU order, or the next after the one chosen
last. "directed" routes every SPI to one vCPU, in turn. Interrupts of one priority arrive at random (a Poisson
process), at devices chosen at random, and keep a vCPU busy for a random (exponential) time. Times are in mean
service times; the load is the fraction of the time that the vCPUs are busy.

Ideal is the mean wait of a common queue from which every vCPU serves itself (M/M/n): no routing can do better. With
directed routing every vCPU has a queue of its own. The model lets a vCPU that falls idle take over what waits at a
busy one, so that both choices come down to the common queue; they differ in who works.
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
    ideal_wait: Annotated[float, "mean wait of a common queue, M/M/n"]
    merged: Annotated[int, "arrivals lost because every SPI was pending or active"]
    taken: Annotated[str, "interrupts that each vCPU took, in vCPU order"]


def fairness_study(
    counts: Sequence[int], loads: Sequence[float] = LOADS, arrivals: int = ARRIVALS, seed: int = SEED
) -> Study[FairnessPoint, FairnessRow]:
    """The experiment for these numbers of vCPUs and loads."""
    points = [
        FairnessPoint(choice, count, load, arrivals, seed)
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
    waits = sorted(outcome.waits)
    return FairnessRow(
        **asdict(point),
        jain=jain(outcome.taken),
        most=max(outcome.taken),
        fewest=min(outcome.taken),
        mean_wait=fmean(waits),
        wait_99=waits[len(waits) * 99 // 100],
        ideal_wait=common_queue_wait(point.vcpus, point.load),
        merged=outcome.merged,
        taken=" ".join(map(str, outcome.taken)),
    )


def common_queue_wait(servers: int, load: float) -> float:
    """Mean wait in an M/M/n queue, in mean service times (Erlang's C formula).

    >>> round(common_queue_wait(1, 0.5), 6), round(common_queue_wait(2, 0.5), 6)
    (1.0, 0.333333)
    """
    blocked = 1.0  # Erlang's B formula, one server after the other.
    for n in range(1, servers + 1):
        blocked = load * servers * blocked / (n + load * servers * blocked)
    queued = blocked / (1 - load * (1 - blocked))
    return queued / (servers * (1 - load))


def _summary(rows: Sequence[FairnessRow]) -> Summary:
    """Each number of vCPUs at a middling and a high load."""
    loads = sorted({row.load for row in rows})
    shown = {load for load in loads if load in (0.5, 0.9)} or set(loads[-1:])
    headings = (
        "vCPUs",
        "load",
        "choice",
        "Jain's index",
        "most taken",
        "fewest",
        "mean wait",
        "99 %",
        "ideal mean wait",
    )
    lines = [
        (
            f"{row.vcpus:,}",
            f"{row.load:g}",
            row.choice,
            f"{row.jain:.3f}",
            f"{row.most:,}",
            f"{row.fewest:,}",
            f"{row.mean_wait:.3f}",
            f"{row.wait_99:.2f}",
            f"{row.ideal_wait:.3f}",
        )
        for row in rows
        if row.load in shown
    ]
    return Summary(headings, lines)
