"""What is measured of vgic itself, in this process: the same for the compiled core and for the interpreted one."""

from collections.abc import Callable
from time import thread_time_ns
from typing import Final

import vgic
from vgic_tools.bench.cases import cases
from vgic_tools.bench.core_loop import LINE, READ, SYSREG_READ, WRITE, perform_in_core
from vgic_tools.bench.growth import (
    FEW_PENDING,
    MANY_PENDING,
    broadcast,
    queue_calls,
    queue_update,
)
from vgic_tools.bench.loops import EMPTY_LOOP, LOOPS, READY, Loop
from vgic_tools.bench.operations import Operation, Workload, in_core, prepare
from vgic_tools.bench.timing import Timed, cold_caches, long_enough, timed

__all__ = ["BROADCAST", "IN_CORE", "MIX", "QUEUE_CALLS", "QUEUE_FEW", "QUEUE_MANY", "repeated", "subject"]

MIX: Final = "trace mix, each"
IN_CORE: Final = "inside the core: "
"""Before the name of what a loop inside the core does; without it, it is called from Python."""
QUEUE_FEW: Final = f"queue update, {FEW_PENDING:,} pending"
QUEUE_MANY: Final = f"queue update, {MANY_PENDING:,} pending"
QUEUE_CALLS: Final = "queue update, calls alone"
BROADCAST: Final = "SGI broadcast, each of 511 targets"

_BROADCAST_VCPUS: Final = 512


def subject(workload: Workload, loop_machine: vgic.Config, calls: int) -> dict[str, Timed]:
    """Everything to time. Loops repeat `calls` times or so, on the machine that QEMU's guest has."""
    found = {case.name: timed(case.run, calls) for case in cases()}
    found[MIX] = _mix_called(workload)
    found[IN_CORE + MIX] = _mix(workload)
    for loop in (EMPTY_LOOP, *LOOPS):
        found[IN_CORE + loop.name] = _loop(loop, loop_machine, calls)
    found[QUEUE_FEW] = queue_update(FEW_PENDING, calls)
    found[QUEUE_MANY] = queue_update(MANY_PENDING, calls)
    found[QUEUE_CALLS] = queue_calls(calls)
    found[BROADCAST] = broadcast(_BROADCAST_VCPUS, max(1, calls // 200))
    return found


def _loop(loop: Loop, config: vgic.Config, calls: int) -> Timed:
    gic = vgic.Gic(config)
    in_core(gic, (*READY, *loop.before))
    return repeated(gic, loop.operations, calls)


def repeated(gic: vgic.Gic, operations: tuple[Operation, ...], calls: int) -> Timed:
    """Operations repeated by a loop inside the core."""
    prepared = prepare(gic, operations * calls)
    return long_enough(lambda: lambda: perform_in_core(gic, *prepared), calls)


def _mix(workload: Workload) -> Timed:
    def ready() -> Callable[[], object]:
        gic = vgic.Gic(workload.config)
        prepared = prepare(gic, workload.operations)
        cold_caches()
        return lambda: perform_in_core(gic, *prepared)

    return long_enough(ready, len(workload.operations))


def _mix_called(workload: Workload) -> Timed:
    def once() -> float:
        calls = _calls(vgic.Gic(workload.config), workload.operations)
        begin = thread_time_ns()
        for function, arguments in calls:
            function(*arguments)
        return (thread_time_ns() - begin) / len(calls)

    return once


def _calls(gic: vgic.Gic, operations: list[Operation]) -> list[tuple[Callable[..., object], tuple[object, ...]]]:
    """Operations as functions and arguments: nothing but the call is timed with them."""
    done: list[tuple[Callable[..., object], tuple[object, ...]]] = []
    for kind, cpu, where, size, value in operations:
        if kind == READ:
            done.append((gic.read, (where, size)))
        elif kind == WRITE:
            done.append((gic.write, (where, size, value)))
        elif kind == LINE:
            done.append((gic.interrupt(cpu, where).set_level, (value != 0,)))
        elif kind == SYSREG_READ:
            done.append((gic.sysreg_read, (cpu, where)))
        else:
            done.append((gic.sysreg_write, (cpu, where, value)))
    return done
