"""The benchmark: everything measured in one run, in turns."""

import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from time import thread_time_ns
from typing import Final

import vgic
from vgic_tools.bench.c_yardstick import CMachine, Packed, c_library
from vgic_tools.bench.construct_design import ConstructPerAccess
from vgic_tools.bench.core_loop import perform_in_core
from vgic_tools.bench.figures import (
    CONSTRUCT,
    INTERPRETED,
    OBJECTS,
    PER_SPI,
    PER_VCPU,
    QEMU,
    C,
    Figure,
    figures_of,
)
from vgic_tools.bench.interpreted import Interpreted
from vgic_tools.bench.loops import EMPTY_LOOP, LOOPS, READY, Loop, loop_machine, or_all
from vgic_tools.bench.objects import Objects
from vgic_tools.bench.operations import Design, Workload, perform, workload_of
from vgic_tools.bench.qemu_yardstick import QemuGuest
from vgic_tools.bench.subject import IN_CORE, MIX, rows, subject
from vgic_tools.bench.timing import NotMeasuredError, Timed, medians
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
    guest_calls: int
    """Repetitions in QEMU, which takes longer to begin."""
    operations: int | None
    """Of the recording; None: all of it."""


FULL: Final = Effort(9, 4000, 50_000, None)
QUICK: Final = Effort(1, 40, 500, 1000)
"""That everything can be measured, not what it costs."""

_MEMORY_VCPUS: Final = 512


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
    measured: Mapping[str, float]
    """Every median, in nanoseconds, and memory in bytes."""


def run(trace: Path, cmdline: Path, effort: Effort, progress: Callable[[], None] | None = None) -> Outcome:
    """Measure everything that can be measured here. `progress` is called after each of the rounds.

    Raises YardstickError where a yardstick does not do what the model does, and for the recording what
    `workload_of` does.
    """
    workload = workload_of(trace, cmdline, effort.operations)
    reads = perform_in_core(vgic.Gic(workload.config), rows(workload.operations))
    missing: dict[str, str] = {}
    yardsticks = _slow(workload, reads)
    with ExitStack() as stack:
        for prefix, measurements in ((C, _in_c), (QEMU, _in_qemu)):
            try:
                yardsticks |= measurements(workload, reads, effort, stack)
            except NotMeasuredError as reason:
                missing[prefix] = str(reason)
        ours = subject(workload, loop_machine(), effort.calls)
        if vgic.COMPILED:
            other = stack.enter_context(Interpreted(trace, cmdline, effort.operations, effort.calls))
            yardsticks |= {INTERPRETED + name: other.timed(name) for name in ours}
        else:
            missing[INTERPRETED] = "this vgic is itself interpreted"
        measured = medians(ours | yardsticks, effort.rounds, progress)
    if QEMU not in missing:
        empty = measured[QEMU + EMPTY_LOOP]
        measured |= {QEMU + loop.name: measured[QEMU + loop.name] - empty for loop in LOOPS}
    memory = measure_memory(vgic.Config(vgic.Topology.clusters(_MEMORY_VCPUS, 16)))
    measured |= {PER_VCPU: memory.per_vcpu, PER_SPI: memory.per_spi}
    return Outcome(
        compiled=vgic.COMPILED,
        python=platform.python_version(),
        machine=platform.machine(),
        workload=workload.name,
        operations=len(workload.operations),
        rounds=effort.rounds,
        figures=figures_of(measured, missing),
        called=[name for name in ours if not name.startswith(IN_CORE)],
        measured=measured,
    )


def _in_c(workload: Workload, reads: list[int], effort: Effort, stack: ExitStack) -> dict[str, Timed]:
    library = c_library()
    packed = Packed(workload.operations)

    def mix() -> float:
        machine = CMachine(library, workload.config)
        begin = thread_time_ns()
        machine.replay(packed)
        return (thread_time_ns() - begin) / len(packed.results)

    mix()
    _same("the C yardstick", workload.name, list(packed.results), reads)
    return {
        C + MIX: mix,
        **{C + loop.name: _loop_in_c(CMachine(library, loop_machine()), loop, effort) for loop in LOOPS},
    }


def _loop_in_c(machine: CMachine, loop: Loop, effort: Effort) -> Timed:
    machine.replay(Packed((*READY, *loop.before)))
    packed = Packed(list(loop.operations) * effort.guest_calls)

    def once() -> float:
        begin = thread_time_ns()
        machine.replay(packed)
        return (thread_time_ns() - begin) / effort.guest_calls

    once()
    _same("the C yardstick", loop.name, [or_all(packed.results)], [_reads_in_core(loop)])
    return once


def _in_qemu(workload: Workload, reads: list[int], effort: Effort, stack: ExitStack) -> dict[str, Timed]:
    guest = stack.enter_context(QemuGuest(effort.guest_calls))
    # The first time, QEMU also translates a loop.
    guest.loop(EMPTY_LOOP)
    for loop in LOOPS:
        _, found = guest.loop(loop.letter)
        _same("QEMU", loop.name, [found], [_reads_in_core(loop)])
    return {QEMU + name: guest.timed(letter) for name, letter in _LETTERS.items()}


_LETTERS: Final = {EMPTY_LOOP: EMPTY_LOOP, **{loop.name: loop.letter for loop in LOOPS}}


def _reads_in_core(loop: Loop) -> int:
    gic = vgic.Gic(loop_machine())
    perform_in_core(gic, rows((*READY, *loop.before)))
    return or_all(perform_in_core(gic, rows(loop.operations * 2)))


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
