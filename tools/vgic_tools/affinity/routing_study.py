"""The experiment `routing`: does an operation of the model cost more with more vCPUs, or with affinity level 3?"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import cycle
from statistics import quantiles
from typing import Annotated, Final, NamedTuple

import vgic
from vgic import affinity
from vgic_tools.affinity.layouts import LAYOUTS
from vgic_tools.affinity.reach import TARGETS, broadcast
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.bench.timing import in_turns, timed

__all__ = ["OPERATIONS", "VCPUS", "RoutingPoint", "RoutingRow", "Spread", "measure_routing", "routing_study"]

VCPUS: Final = (*(1 << n for n in range(0, 17, 2)), 512)
ROUNDS: Final = 25
CALLS: Final = 2000

GICD: Final = 0x0800_0000
ROUTE32: Final = GICD + 0x6000 + 8 * 32
TYPER: Final = 0x08
SPI: Final = 40
_WORD: Final = 0xFFFF_FFFF

_TEXT: Final = """
What an operation of the model costs as a VM grows, in empty Python method calls: the median of interleaved rounds,
in thread CPU time, each round timing the empty call, the operation in a VM without Aff3 (KVM's layout, A3V = 0) and
the same in a VM whose affinities use Aff3 (every 16 vCPUs under another Aff3, A3V = 1), one after the other. Each
time is divided by another of its own round; bars and brackets are the quartiles of these ratios, between which half
of the rounds lie. Where they are wide, the machine had other things to do.

An SGI is sent, taken (ICC_IAR1_EL1) and ended (ICC_EOIR1_EL1) by each target; its cost is that of one target. An
SPI is routed to the last vCPU.
"""


@dataclass(frozen=True)
class RoutingPoint:
    """What is measured."""

    operation: Annotated[str, "what is timed"]
    vcpus: Annotated[int, "vCPUs"]
    rounds: Annotated[int, "interleaved rounds, of which the median counts"]
    calls: Annotated[int, "operations in a round"]


@dataclass(frozen=True)
class RoutingRow(RoutingPoint):
    """What came out."""

    empty_ns: Annotated[float, "CPU time of an empty method call, nanoseconds"]
    without_aff3: Annotated[float, "cost in a VM without Aff3, in empty method calls of the same round: median"]
    without_low: Annotated[float, "lower quartile"]
    without_high: Annotated[float, "upper quartile"]
    with_aff3: Annotated[float, "cost in a VM with Aff3, the same way: median"]
    with_low: Annotated[float, "lower quartile"]
    with_high: Annotated[float, "upper quartile"]
    ratio: Annotated[float, "cost with Aff3 by that without, in the same round: median"]
    ratio_low: Annotated[float, "lower quartile"]
    ratio_high: Annotated[float, "upper quartile"]


class Spread(NamedTuple):
    """A median between its quartiles."""

    low: float
    median: float
    high: float


Run = Callable[[int], None]


def _sgi(gic: vgic.Gic, targets: Sequence[int]) -> Run:
    """`calls` counts targets: an SGI to all of them is as many calls as they are."""
    list_of_targets = sum(1 << (gic.affinity(vcpu) & 0xF) for vcpu in targets)
    value = affinity.to_sgi_cluster(gic.affinity(targets[0]) >> 8) | list_of_targets
    return _send(gic, value, targets)


def _send(gic: vgic.Gic, value: int, targets: Sequence[int]) -> Run:
    def run(calls: int) -> None:
        for _ in range(calls // len(targets)):
            gic.sysreg_write(0, vgic.ICC_SGI1R_EL1, value)
            for vcpu in targets:
                gic.sysreg_write(vcpu, vgic.ICC_EOIR1_EL1, gic.sysreg_read(vcpu, vgic.ICC_IAR1_EL1))

    return run


def _one(gic: vgic.Gic) -> Run:
    return _sgi(gic, [len(gic.config.topology) - 1])


def _sixteen(gic: vgic.Gic) -> Run:
    end = len(gic.config.topology) // TARGETS * TARGETS
    return _sgi(gic, range(end - TARGETS, end))  # The last whole cluster.


def _everyone(gic: vgic.Gic) -> Run:
    return _send(gic, broadcast(), range(1, len(gic.config.topology)))


def _line(gic: vgic.Gic) -> Run:
    def run(calls: int) -> None:
        spi = gic.spi(SPI)
        for _ in range(calls // 2):
            spi.set_level(True)
            spi.set_level(False)

    return run


def _route(gic: vgic.Gic) -> Run:
    ends = gic.affinity(0), gic.affinity(len(gic.config.topology) - 1)
    values = [affinity.to_irouter(packed) for packed in ends]

    def run(calls: int) -> None:
        for _, value in zip(range(calls), cycle(values), strict=False):
            gic.write(ROUTE32, 8, value)

    return run


def _typer(gic: vgic.Gic) -> Run:
    address = gic.redistributor_bases[-1] + TYPER

    def run(calls: int) -> None:
        for _ in range(calls):
            gic.read(address, 8)

    return run


class Operation(NamedTuple):
    """Something to time."""

    prepare: Callable[[vgic.Gic], Run]
    fewest: int = 1
    """vCPUs that it takes."""
    unit: Callable[[int], int] = lambda vcpus: 2
    """From the number of vCPUs to the calls that belong together: the targets of an SGI, to and fro."""


OPERATIONS: Final = {
    "SGI to one vCPU": Operation(_one),
    "SGI to 16 vCPUs, per target": Operation(_sixteen, TARGETS, lambda vcpus: TARGETS),
    "SGI to all (IRM), per target": Operation(_everyone, 2, lambda vcpus: vcpus - 1),
    "SPI line change": Operation(_line),
    "GICD_IROUTER write": Operation(_route),
    "GICR_TYPER read": Operation(_typer),
}
"""What is timed, by name."""


def routing_study(
    counts: Sequence[int], rounds: int = ROUNDS, calls: int = CALLS
) -> Study[RoutingPoint, RoutingRow]:
    """The experiment for these numbers of vCPUs; `calls` is the least number of operations in a round."""
    points = [
        RoutingPoint(operation, count, rounds, _calls(operation, count, calls))
        for count in sorted(set(counts))
        for operation in OPERATIONS
        if count >= OPERATIONS[operation].fewest
    ]
    title = "What routing costs as a VM grows"
    return Study("routing", title, _TEXT, RoutingRow, points, measure_routing, _summary)


def _calls(operation: str, vcpus: int, calls: int) -> int:
    """At least so many calls, and none left over."""
    unit = OPERATIONS[operation].unit(vcpus)
    return -(-calls // unit) * unit


def measure_routing(point: RoutingPoint) -> RoutingRow:
    """Time one operation in a VM without and in one with Aff3, of the same size."""
    prepare = OPERATIONS[point.operation].prepare
    empty = _Empty()

    def nothing(calls: int) -> None:
        for _ in range(calls):
            empty.method()

    runs = [nothing, *(prepare(gic) for gic in _machines(point.vcpus))]
    for run in runs:
        run(point.calls)  # Warm.
    names = ("empty", "without", "with")
    times = in_turns({name: timed(run, point.calls) for name, run in zip(names, runs, strict=True)}, point.rounds)
    without, with_aff3, ratio = (
        _quartiles([one / other for one, other in zip(times[over], times[under], strict=True)])
        for over, under in (("without", "empty"), ("with", "empty"), ("with", "without"))
    )
    return RoutingRow(
        **asdict(point),
        empty_ns=_quartiles(times["empty"]).median,
        without_aff3=without.median,
        without_low=without.low,
        without_high=without.high,
        with_aff3=with_aff3.median,
        with_low=with_aff3.low,
        with_high=with_aff3.high,
        ratio=ratio.median,
        ratio_low=ratio.low,
        ratio_high=ratio.high,
    )


def _quartiles(values: list[float]) -> Spread:
    # One round has no spread.
    return Spread(*(quantiles(values, n=4, method="inclusive") if len(values) > 1 else values * 3))


class _Empty:
    def method(self) -> None:
        """Nothing."""


@lru_cache(maxsize=1)
def _machines(vcpus: int) -> tuple[vgic.Gic, vgic.Gic]:
    """A VM without Aff3 and one with, whose vCPUs take Group 1 interrupts."""
    without = vgic.Config(LAYOUTS["kvm"].topology(vcpus), a3v=False)
    with_aff3 = vgic.Config(LAYOUTS["sparse-aff3"].topology(vcpus), a3v=True)
    return _awake(without), _awake(with_aff3)


def _awake(config: vgic.Config) -> vgic.Gic:
    gic = vgic.Gic(config)
    gic.write(GICD, 4, 0b11)
    gic.write(GICD + 0x84, 4, _WORD)
    gic.write(GICD + 0x104, 4, _WORD)
    last = gic.affinity(len(config.topology) - 1)
    gic.write(GICD + 0x6000 + 8 * SPI, 8, affinity.to_irouter(last))
    for vcpu, base in enumerate(gic.redistributor_bases):
        gic.write(base + 0x14, 4, 0)
        gic.write(base + 0x10080, 4, _WORD)
        gic.write(base + 0x10100, 4, _WORD)
        gic.sysreg_write(vcpu, vgic.ICC_PMR_EL1, 0xF8)
        gic.sysreg_write(vcpu, vgic.ICC_IGRPEN1_EL1, 1)
    return gic


def _summary(rows: Sequence[RoutingRow]) -> Summary:
    """Each operation in a few sizes of VM, with the quartiles of what Aff3 makes of it."""
    counts = sorted({row.vcpus for row in rows})
    shown = sorted({count for count in (16, 512, 1024) if count in counts} | set(counts[-1:]))
    headings = ["empty method calls"]
    for count in shown:
        headings += [f"{count:,} vCPUs", "with Aff3", "ratio"]
    lines = []
    for operation in OPERATIONS:
        costs = {row.vcpus: row for row in rows if row.operation == operation}
        cells = [operation]
        for count in shown:
            row = costs.get(count)
            if row is None:
                cells += [""] * 3
            else:
                ratio = f"{row.ratio:.2f} ({row.ratio_low:.2f}-{row.ratio_high:.2f})"
                cells += [f"{row.without_aff3:,.1f}", f"{row.with_aff3:,.1f}", ratio]
        lines.append(tuple(cells))
    return Summary(tuple(headings), lines)
