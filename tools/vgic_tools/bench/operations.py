"""What a recording does to a machine: its operations, in a form that every design under measurement can perform.

A recording holds operations and their outcomes. Here are the operations alone: accesses, system registers, SGIs and
input lines. CPU resets are left out, as a recording does not always tell whose they are.
"""

import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple, Protocol

import vgic
from mmio.trace import Access, Event, Line, Sgi, SysReg, open_trace
from vgic import affinity
from vgic.layouts.icc import ICC
from vgic_tools.bench.core_loop import LINE, READ, SYSREG_READ, SYSREG_WRITE, WRITE, Step, perform_in_core
from vgic_tools.errors import UsageError
from vgic_tools.machines.qemu_cmdline import config_from_qemu_cmdline

__all__ = [
    "LINE",
    "READ",
    "SYSREG_READ",
    "SYSREG_WRITE",
    "WRITE",
    "Design",
    "Operation",
    "Prepared",
    "Workload",
    "in_core",
    "operations_of",
    "pack",
    "perform",
    "prepare",
    "workload_of",
]

_RECORD: Final = struct.Struct("<BBxxIQQ")

_ENCODINGS: Final = {
    layout.title(index).removesuffix("_EL1"): layout.offset + index
    for layout in ICC
    for index in range(layout.count)
}


class Operation(NamedTuple):
    """One operation; `kind` is one of the constants of core_loop.py."""

    kind: int
    cpu: int
    where: int
    """An address, the encoding of a system register, or an INTID."""
    size: int = 4
    """Bytes of an access."""
    value: int = 0
    """What is written; 0 or 1 for a line."""


class Workload(NamedTuple):
    """A machine, and what is done to it."""

    name: str
    config: vgic.Config
    operations: list[Operation]


class Design(Protocol):
    """A machine that operations can be performed on; `vgic.Gic` is one but for lines."""

    def read(self, address: int, size: int) -> int:
        """A load."""

    def write(self, address: int, size: int, value: int) -> None:
        """A store."""

    def sysreg_read(self, cpu: int, register: int) -> int:
        """An MRS."""

    def sysreg_write(self, cpu: int, register: int, value: int) -> None:
        """An MSR."""

    def set_line(self, cpu: int, intid: int, level: bool) -> None:
        """An input line goes to `level`."""


def workload_of(trace: Path, cmdline: Path, most: int | None = None) -> Workload:
    """The operations of a recording, or its first `most`, on the machine of a QEMU command line.

    Raises UsageError and TraceError as those that read the files do.
    """
    config = config_from_qemu_cmdline(cmdline)
    return Workload(trace.parent.name, config, operations_of(config, open_trace(trace))[:most])


def operations_of(config: vgic.Config, events: Iterable[Event]) -> list[Operation]:
    """What events do to a machine. Raises UsageError for an event of a PE that it lacks."""
    bases = vgic.Gic(config).redistributor_bases

    def find(pe: int) -> int:
        cpu = config.topology.find(pe)
        if cpu is None:
            raise UsageError(f"no vCPU has affinity {affinity.text(pe)}: the trace is of another machine")
        return cpu

    done: list[Operation] = []
    for event in events:
        match event:
            case Access(device="gicd" | "gicr", size=size, write=write):
                base = config.gicd_base if event.owner is None else bases[find(event.owner)]
                kind = WRITE if write else READ
                done.append(Operation(kind, 0, base + event.offset, size, (event.value or 0) if write else 0))
            case SysReg(register=register) if register in _ENCODINGS:
                kind = SYSREG_WRITE if event.write else SYSREG_READ
                value = event.value if event.write else 0
                done.append(Operation(kind, find(event.cpu), _ENCODINGS[register], 8, value))
            case Sgi():
                value = affinity.to_sgi_cluster(event.cluster) | event.intid << 24 | event.irm << 40
                value |= event.target_list
                done.append(Operation(SYSREG_WRITE, find(event.cpu), vgic.ICC_SGI1R_EL1, 8, value))
            case Line():
                cpu = 0 if event.owner is None else find(event.owner)
                done.append(Operation(LINE, cpu, event.intid, 0, int(event.level)))
    return done


class Prepared(NamedTuple):
    """Operations as the loop inside the core takes them, on one machine."""

    steps: list[Step]
    lines: list[vgic.Interrupt]


def prepare(gic: vgic.Gic, operations: Iterable[Operation]) -> Prepared:
    """Make operations ready for `perform_in_core`: `where` of a LINE becomes its place in `lines`.

    Operations that are the same share a step, so that repeating one does not time the memory that it comes from.
    """
    steps: list[Step] = []
    made: dict[Operation, Step] = {}
    places: dict[tuple[int, int], int] = {}
    for operation in operations:
        if operation not in made:
            kind, cpu, where, size, value = operation
            place = places.setdefault((cpu, where), len(places)) if kind == LINE else where
            made[operation] = Step(kind, cpu, place, size, value)
        steps.append(made[operation])
    return Prepared(steps, [gic.interrupt(cpu, intid) for cpu, intid in places])


def in_core(gic: vgic.Gic, operations: Iterable[Operation]) -> list[int]:
    """Perform operations inside the core; what each one reads, 0 for the others."""
    results: list[int] = []
    perform_in_core(gic, *prepare(gic, operations), results)
    return results


def pack(operations: Iterable[Operation]) -> bytes:
    """Records of 24 bytes, little-endian: kind and size (8 bits), cpu (32), where and value (64)."""
    return b"".join(_RECORD.pack(kind, size, cpu, where, value) for kind, cpu, where, size, value in operations)


def perform(design: Design, operations: Iterable[Operation]) -> list[int]:
    """Perform operations; what each one reads, 0 for the others."""
    results = []
    for kind, cpu, where, size, value in operations:
        result = 0
        if kind == READ:
            result = design.read(where, size)
        elif kind == WRITE:
            design.write(where, size, value)
        elif kind == SYSREG_READ:
            result = design.sysreg_read(cpu, where)
        elif kind == SYSREG_WRITE:
            design.sysreg_write(cpu, where, value)
        else:
            design.set_line(cpu, where, value != 0)
        results.append(result)
    return results
