"""What a replay costs, outcomes compared: of a recording as text and packed, and of loops as packed recordings."""

import gzip
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from time import thread_time_ns
from typing import Final, NamedTuple

import vgic
from mmio.trace import Access, Delivery, Event, Line, PackedWriter, Sgi, SysReg, open_trace
from vgic.layouts.icc import ICC
from vgic_tools.bench.core_loop import LINE, READ, SYSREG_READ, WRITE
from vgic_tools.bench.loops import LOOPS, READY, loop_machine
from vgic_tools.bench.machines import GICD, RD_BASE
from vgic_tools.bench.operations import Operation, in_core
from vgic_tools.bench.timing import Timed
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import replay

__all__ = ["PACKED", "REPLAYED", "TEXT", "DivergenceError", "Recording", "net", "recording", "replays"]

TEXT: Final = "QEMU text replayed, each line"
PACKED: Final = "packed trace replayed, each record"
REPLAYED: Final = "replayed: "
"""Before the name of a loop that comes from a packed trace."""

_REPEATS: Final = 4
"""Of a loop's replay, in one round."""

_NAMES: Final = {layout.offset: layout.name.removesuffix("_EL1") for layout in ICC}


class DivergenceError(Exception):
    """A replay that should not diverges: its time would mean nothing."""


def replays(trace: Path, config: vgic.Config, most: int | None, calls: int, folder: Path) -> dict[str, Timed]:
    """Replays to time: of a QEMU log or its first `most` lines, and of each loop `calls` times.

    `folder` is for the files that they read. Raises TraceError as reading the log does.
    """
    boot = recording(trace, config, most, folder)
    found = {TEXT: _each(boot.text, boot.events), PACKED: _each(boot.packed, boot.events)}
    loops_on = Machine(loop_machine(), "its command line")
    ready = folder / "ready.vgpk"
    _pack(_events(READY), ready)
    for loop in LOOPS:
        path = folder / f"{loop.letter}.vgpk"
        _pack(_events((*READY, *loop.before, *loop.operations * calls)), path)
        found[REPLAYED + loop.name] = net(_replay(path, loops_on), _replay(ready, loops_on), calls, _REPEATS)
    return found


class Recording(NamedTuple):
    """Replays of one recording, whole."""

    text: Timed
    packed: Timed
    events: int


def recording(trace: Path, config: vgic.Config, most: int | None, folder: Path) -> Recording:
    """A QEMU log, or its first `most` lines. Raises TraceError as reading it does."""
    text, packed = folder / f"{most}.log", folder / f"{most}.vgpk"
    opened = gzip.open if trace.suffix == ".gz" else open
    with opened(trace, "rb") as source, text.open("wb") as plain:
        plain.writelines(islice(source, most))
    machine = Machine(config, "its command line")
    events = _pack(open_trace(text), packed)
    return Recording(_replay(text, machine), _replay(packed, machine), events)


def _replay(trace: Path, machine: Machine) -> Timed:
    """A whole trace."""

    def once() -> float:
        reader = open_trace(trace)
        begin = thread_time_ns()
        result = replay(reader, reader.path, machine)
        taken = float(thread_time_ns() - begin)
        if result.diverged:
            raise DivergenceError(f"{trace.name} diverges from what the model does: {result.first}")
        return taken

    return once


def _each(whole: Timed, count: int) -> Timed:
    return lambda: whole() / count


def net(whole: Timed, start: Timed, count: int, repeats: int) -> Timed:
    """One of `count` events of a whole replay, net of what starting takes: `start` does no more than that.

    A short replay takes little more than its start, so it is repeated, and its start with it.
    """
    return lambda: sum(whole() - start() for _ in range(repeats)) / (count * repeats)


def _pack(events: Iterable[Event], path: Path) -> int:
    """Write events to a packed trace; how many they were."""
    written = 0
    with PackedWriter(path) as writer:
        for event in events:
            writer.write(event)
            written += 1
    return written


def _events(operations: Iterable[Operation]) -> Iterator[Event]:
    """Operations on the loops' machine as a recording has them, with the outcomes that the model gives."""
    done = list(operations)
    results = in_core(vgic.Gic(loop_machine()), done)
    for number, ((kind, _, where, size, value), result) in enumerate(zip(done, results, strict=True), 1):
        if kind in (READ, WRITE):
            owner, base = (None, GICD) if where < RD_BASE else (0, RD_BASE)
            device, got = ("gicd" if owner is None else "gicr"), (result if kind == READ else value)
            yield Access(number, None, None, device, owner, where - base, size, got, kind == WRITE, False, False)
        elif kind == LINE:
            yield Line(number, None, None, 0, where, value != 0)
        elif where == vgic.ICC_SGI1R_EL1:
            yield Sgi(number, None, None, 0, value >> 24 & 0xF, False, 0, value & 0xFFFF)
            yield Delivery(number, None, None, 0, value >> 24 & 0xF)
        else:
            name = _NAMES[where]
            yield SysReg(number, None, None, 0, name, result if kind == SYSREG_READ else value, kind != SYSREG_READ)
