"""The benchmark: everything measured in one run, in turns."""

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from ctypes import CDLL
from dataclasses import dataclass
from operator import sub
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import thread_time_ns
from typing import Final

import vgic
from vgic_tools.bench.c_yardstick import CMachine, Records, c_library
from vgic_tools.bench.construct_design import ConstructPerAccess
from vgic_tools.bench.core_loop import perform_in_core
from vgic_tools.bench.curves import Curve, Sizes, measure_curves
from vgic_tools.bench.figures import (
    CONSTRUCT,
    INTERPRETED,
    OBJECTS,
    PER_LPI,
    PER_SPI,
    PER_VCPU,
    QEMU,
    C,
    Figure,
    figures_of,
)
from vgic_tools.bench.interpreted import Interpreted
from vgic_tools.bench.loops import EMPTY_LOOP, LOOPS, READY, Loop, loop_machine
from vgic_tools.bench.lpis import MANY, deliveries, measure_lpi_memory
from vgic_tools.bench.objects import Objects
from vgic_tools.bench.operations import Design, Workload, in_core, perform, prepare, workload_of
from vgic_tools.bench.qemu_yardstick import QemuGuest
from vgic_tools.bench.replays import replays
from vgic_tools.bench.start_up import BARE, STARTS, starts
from vgic_tools.bench.subject import IN_CORE, MIX, subject
from vgic_tools.bench.timing import NotMeasuredError, Timed, cold_caches, in_turns, long_enough
from vgic_tools.bench.worst import Extent, measure_worst
from vgic_tools.memory import measure_memory

__all__ = ["FULL", "QUICK", "Effort", "Outcome", "YardstickError", "run"]


class YardstickError(Exception):
    """A yardstick does something else than the model: its time would mean nothing."""


@dataclass(frozen=True)
class Effort:
    """How much is done for a result."""

    rounds: int
    calls: int
    """Repetitions of a loop in one round."""
    long_calls: int
    """Repetitions where beginning takes longer: in C, and from packed traces."""
    guest_calls: int
    """Repetitions in QEMU, whose CPU time the kernel may tell a tick late."""
    operations: int | None
    """Of the recording; None: all of it."""
    lines: int | None
    """The same of its lines, where it is replayed."""
    lpis: int
    """How many are mapped where their memory is measured."""
    curve_rounds: int
    sizes: Sizes
    extent: Extent


FULL: Final = Effort(
    9, 4000, 50_000, 1_000_000, None, None, MANY, 5, Sizes(), Extent(3, 512, vgic.MAX_VCPUS, (16, 18), 32_767)
)
QUICK: Final = Effort(
    1, 40, 500, 500, 1000, 4000, 4096, 1, Sizes((4, 16), (4, 64), (1000, 4000)), Extent(1, 8, 64, (14,), 100)
)
"""That everything can be measured, not what it costs."""


@dataclass(frozen=True)
class Outcome:
    """What a run found."""

    compiled: bool
    python: str
    machine: str
    workload: str
    operations: int
    rounds: int
    figures: list[Figure]
    called: list[str]
    """Which of what was measured is called from Python."""
    curves: list[Curve]
    """The points of the plot, none unless asked for."""
    measured: Mapping[str, float]
    """Every median, in nanoseconds, and memory in bytes."""


def run(
    trace: Path,
    cmdline: Path,
    effort: Effort,
    with_curves: bool = False,
    progress: Callable[[], None] | None = None,
) -> Outcome:
    """Measure everything that can be measured here. `progress` is called after each of the rounds.

    Raises YardstickError where a yardstick does not do what the model does, and for the recording what
    `workload_of` does.
    """
    workload = workload_of(trace, cmdline, effort.operations)
    reads = in_core(vgic.Gic(workload.config), workload.operations)
    missing: dict[str, str] = {}
    others = _slow(workload, reads)
    with ExitStack() as stack:
        for prefix, measurements in ((C, _in_c), (QEMU, _in_qemu)):
            try:
                others |= measurements(workload, reads, effort, stack)
            except NotMeasuredError as reason:
                missing[prefix] = str(reason)
        ours = subject(workload, loop_machine(), effort.calls)
        if vgic.COMPILED:
            other = stack.enter_context(Interpreted(trace, cmdline, effort.operations, effort.calls))
            others |= {INTERPRETED + name: other.timed(name) for name in ours}
        else:
            missing[INTERPRETED] = "this vgic is itself interpreted"
        folder = Path(stack.enter_context(TemporaryDirectory()))
        others |= deliveries(effort.calls)
        try:
            others |= starts(trace, cmdline, folder)
        except NotMeasuredError as reason:
            missing |= dict.fromkeys((BARE, *STARTS), str(reason))
        others |= replays(trace, workload.config, effort.lines, effort.long_calls, folder)
        rounds = in_turns(ours | others, effort.rounds, progress)
    measured = {name: median(values) for name, values in rounds.items()}
    for prefix in (IN_CORE, INTERPRETED + IN_CORE, C, QEMU):
        empty = rounds.get(prefix + EMPTY_LOOP.name)
        if empty is not None:
            # Round by round: what the neighbours do meanwhile concerns both.
            measured |= {prefix + loop.name: median(map(sub, rounds[prefix + loop.name], empty)) for loop in LOOPS}
    curves = []
    if with_curves:
        with TemporaryDirectory() as named:
            shape = effort.sizes, effort.curve_rounds, effort.calls
            curves = measure_curves(trace, workload.config, *shape, Path(named))
    memory = measure_memory(vgic.Config(vgic.Topology.clusters(1, 16)))
    measured |= measure_worst(effort.extent)
    measured |= {PER_VCPU: memory.per_vcpu, PER_SPI: memory.per_spi, PER_LPI: measure_lpi_memory(effort.lpis)}
    return Outcome(
        compiled=vgic.COMPILED,
        python=platform.python_version(),
        machine=platform.machine(),
        workload=workload.name,
        operations=len(workload.operations),
        rounds=effort.rounds,
        figures=figures_of(measured, missing),
        called=[name for name in ours if not name.startswith(IN_CORE)],
        curves=curves,
        measured=measured,
    )


def _in_c(workload: Workload, reads: list[int], effort: Effort, stack: ExitStack) -> dict[str, Timed]:
    library = c_library()
    records = Records(workload.operations)
    _same("the C yardstick", workload.name, CMachine(library, workload.config).results(records), reads)

    def ready() -> Callable[[], object]:
        machine = CMachine(library, workload.config)
        cold_caches()
        return lambda: machine.perform(records)

    found = {C + loop.name: _loop_in_c(library, loop, effort) for loop in (EMPTY_LOOP, *LOOPS)}
    return {C + MIX: long_enough(ready, records.count), **found}


def _loop_in_c(library: CDLL, loop: Loop, effort: Effort) -> Timed:
    machine = CMachine(library, loop_machine())
    machine.perform(Records((*READY, *loop.before)))
    records = Records(loop.operations * effort.long_calls)
    _same("the C yardstick", loop.name, [machine.perform(records)], [_reads_in_core(loop)])
    return long_enough(lambda: lambda: machine.perform(records), effort.long_calls)


def _in_qemu(workload: Workload, reads: list[int], effort: Effort, stack: ExitStack) -> dict[str, Timed]:
    guest = stack.enter_context(QemuGuest(effort.guest_calls))
    # The first time, QEMU also translates a loop.
    guest.loop(EMPTY_LOOP.letter)
    for loop in LOOPS:
        _, found = guest.loop(loop.letter)
        _same("QEMU", loop.name, [found], [_reads_in_core(loop)])
    return {QEMU + loop.name: guest.timed(loop.letter) for loop in (EMPTY_LOOP, *LOOPS)}


def _reads_in_core(loop: Loop) -> int:
    gic = vgic.Gic(loop_machine())
    in_core(gic, (*READY, *loop.before))
    return perform_in_core(gic, *prepare(gic, loop.operations * 2))


def _slow(workload: Workload, reads: list[int]) -> dict[str, Timed]:
    operations = workload.operations
    found: dict[str, Timed] = {}

    def timed(name: str, make: Callable[[vgic.Config], Design]) -> Timed:
        _same(name.rstrip(": "), workload.name, perform(make(workload.config), operations), reads)

        def once() -> float:
            design = make(workload.config)
            begin = thread_time_ns()
            perform(design, operations)
            return (thread_time_ns() - begin) / len(operations)

        return once

    for name, make in ((OBJECTS, Objects), (CONSTRUCT, ConstructPerAccess)):
        found[name + MIX] = timed(name, make)
    return found


def _same(who: str, what: str, got: list[int], expected: list[int]) -> None:
    """Raise YardstickError where somebody reads something else than the model."""
    for number, (theirs, ours) in enumerate(zip(got, expected, strict=True)):
        if theirs != ours:
            raise YardstickError(f"{who}, {what}: read {number} gives {theirs:#x}, the model's {ours:#x}")
