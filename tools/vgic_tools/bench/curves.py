"""What operations cost as vCPUs, pending interrupts and traces grow: the points of the plot."""

from pathlib import Path
from typing import Final, NamedTuple

import vgic
from vgic_tools.bench.core_loop import READ, SYSREG_READ, SYSREG_WRITE
from vgic_tools.bench.growth import broadcast, queue_update, sorted_update
from vgic_tools.bench.machines import GICD, awake_machine
from vgic_tools.bench.operations import Operation
from vgic_tools.bench.replays import net, recording
from vgic_tools.bench.subject import repeated
from vgic_tools.bench.timing import Timed, medians

__all__ = ["EVENTS", "PENDING", "VCPUS", "Curve", "Sizes", "measure_curves"]


class Sizes(NamedTuple):
    """Where the curves have points."""

    vcpus: tuple[int, ...] = (4, 16, 64, 256, 512, 1024, 4096)
    pending: tuple[int, ...] = (4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
    events: tuple[int, ...] = (4000, 16_000, 64_000, 256_000)


class Curve(NamedTuple):
    """One line of the plot."""

    panel: str
    name: str
    sizes: list[int]
    nanoseconds: list[float]


VCPUS: Final = "vCPUs"
PENDING: Final = "pending interrupts"
EVENTS: Final = "events of a trace"

_OPERATIONS: Final = {
    "GICD_CTLR read": (Operation(READ, 0, GICD, 4),),
    "SGI to self + IAR1 + EOIR1": (
        Operation(SYSREG_WRITE, 0, vgic.ICC_SGI1R_EL1, 8, 1),
        Operation(SYSREG_READ, 0, vgic.ICC_IAR1_EL1, 8),
        Operation(SYSREG_WRITE, 0, vgic.ICC_EOIR1_EL1, 8, 0),
    ),
}
_BROADCAST: Final = "SGI broadcast, each target"
_QUEUE: Final = "queue update"
_SORTED: Final = "the same with a SortedList"


def measure_curves(
    trace: Path, config: vgic.Config, sizes: Sizes, rounds: int, calls: int, folder: Path
) -> list[Curve]:
    """Measure every point, in turns with the others of its panel.

    Raises TraceError as reading the trace does. `folder` is for files.
    """
    points: dict[str, dict[tuple[str, int], Timed]] = {VCPUS: {}, PENDING: {}, EVENTS: {}}
    for cpus in sizes.vcpus:
        gic = awake_machine(cpus)
        for name, operations in _OPERATIONS.items():
            points[VCPUS][name, cpus] = repeated(gic, operations, calls)
        points[VCPUS][_BROADCAST, cpus] = broadcast(cpus, max(5, calls // cpus))
    for pending in sizes.pending:
        points[PENDING][_QUEUE, pending] = queue_update(pending, calls)
        points[PENDING][_SORTED, pending] = sorted_update(pending, calls)
    start = recording(trace, config, 1, folder)
    for most in sizes.events:
        replayed = recording(trace, config, most, folder)
        for name, whole, begun in (
            ("QEMU text", replayed.text, start.text),
            ("packed", replayed.packed, start.packed),
        ):
            points[EVENTS][name, replayed.events] = net(whole, begun, replayed.events, max(sizes.events) // most)
    curves = []
    for panel, candidates in points.items():
        found = medians({str(key): once for key, once in candidates.items()}, rounds)
        for name in dict.fromkeys(name for name, _ in candidates):
            places = [size for other, size in candidates if other == name]
            curves.append(Curve(panel, name, places, [found[str((name, size))] for size in places]))
    return curves
