"""The benchmark: what an access costs, as a ratio to an empty Python method call measured in the same run.

Machines differ and are shared, so absolute times mean little. Every case is timed in rounds that alternate with
the others, in thread CPU time, and the median round counts.
"""

import json
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import thread_time_ns
from typing import Final

import vgic
from mmio.trace import Access, Event, Line, Sgi, SysReg, open_trace
from vgic import affinity
from vgic.layouts.icc import ICC
from vgic_tools.errors import UsageError
from vgic_tools.machine import Machine
from vgic_tools.qemu_cmdline import config_from_qemu_cmdline
from vgic_tools.replay import replay

__all__ = [
    "Case",
    "Figure",
    "Scale",
    "cases",
    "figures_of",
    "measure",
    "measure_operations",
    "measure_replay",
    "measure_scale",
]

ROUNDS: Final = 9
CALLS: Final = 4000

GICD: Final = 0x0800_0000
RD0: Final = 0x080A_0000
ENABLE1: Final = GICD + 0x104
PEND1: Final = GICD + 0x204
UNPEND1: Final = GICD + 0x284
ROUTE32: Final = GICD + 0x6100


@dataclass(frozen=True)
class Case:
    """Something to time: `run` does it `calls` times."""

    name: str
    run: Callable[[int], None]


@dataclass(frozen=True)
class Figure:
    """What a case costs."""

    name: str
    nanoseconds: float
    ratio: float
    """In empty method calls."""


class _Empty:
    def method(self) -> None:
        """Nothing."""


def _machine(cpus: int, awake: int | None = None) -> vgic.Gic:
    """A machine whose vCPUs, or the first `awake` of them, are awake and take Group 1 interrupts."""
    gic = vgic.Gic(vgic.Config(vgic.Topology.clusters(cpus, 16), spis=960))
    gic.write(GICD, 4, 0b11)
    for word in range(1, 31):
        gic.write(GICD + 0x80 + 4 * word, 4, 0xFFFF_FFFF)
        gic.write(GICD + 0x100 + 4 * word, 4, 0xFFFF_FFFF)
    for cpu in range(cpus if awake is None else awake):
        base = gic.redistributor_bases[cpu]
        gic.write(base + 0x14, 4, 0)
        gic.write(base + 0x10080, 4, 0xFFFF_FFFF)
        gic.write(base + 0x10100, 4, 0xFFFF_FFFF)
        gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
    return gic


def _cycle(gic: vgic.Gic, value: int, targets: list[int]) -> Callable[[int], None]:
    """Send an SGI by writing `value`, and take and end it at each of `targets`."""

    def run(calls: int) -> None:
        for _ in range(calls):
            gic.sysreg_write(0, vgic.ICC_SGI1R_EL1, value)
            for cpu in targets:
                gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1))

    return run


def cases() -> list[Case]:
    """Every case, the empty method call first."""
    empty = _Empty()
    small, large = _machine(4), _machine(512)

    def read(gic: vgic.Gic, address: int, size: int) -> Callable[[int], None]:
        def run(calls: int) -> None:
            for _ in range(calls):
                gic.read(address, size)

        return run

    def write(gic: vgic.Gic, address: int, size: int, *values: int) -> Callable[[int], None]:
        def run(calls: int) -> None:
            for _ in range(calls // len(values)):
                for value in values:
                    gic.write(address, size, value)

        return run

    def nothing(calls: int) -> None:
        for _ in range(calls):
            empty.method()

    def pend(calls: int) -> None:
        for _ in range(calls // 2):
            small.write(PEND1, 4, 1)
            small.write(UNPEND1, 4, 1)

    def line(calls: int) -> None:
        spi = small.spi(40)
        for _ in range(calls // 2):
            spi.set_level(True)
            spi.set_level(False)

    def spurious(calls: int) -> None:
        for _ in range(calls):
            small.sysreg_read(0, vgic.ICC_IAR1_EL1)

    def pmr(calls: int) -> None:
        for _ in range(calls // 2):
            small.sysreg_write(0, vgic.ICC_PMR_EL1, 0x80)
            small.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)

    return [
        Case("empty method call", nothing),
        Case("GICD_CTLR read", read(small, GICD, 4)),
        Case("GICR_TYPER read, 64 bits", read(small, RD0 + 8, 8)),
        Case("hole read", read(small, GICD + 0xE000, 4)),
        Case("GICD_ISENABLER write, nothing changes", write(small, ENABLE1, 4, 0xFFFF_FFFF)),
        Case("GICD_IPRIORITYR write, one byte", write(small, GICD + 0x420, 1, 0xA0, 0x80)),
        Case("GICD_IROUTER write, 64 bits", write(small, ROUTE32, 8, 1, 2)),
        Case("GICD_ISPENDR or ICPENDR write", pend),
        Case("SPI line change", line),
        Case("ICC_PMR write", pmr),
        Case("ICC_IAR1 read, spurious", spurious),
        Case("SGI to self + IAR1 + EOIR1, 4 vCPUs", _cycle(small, 1, [0])),
        Case("SGI to self + IAR1 + EOIR1, 512 vCPUs", _cycle(large, 1, [0])),
        Case("SGI to 16 + their IAR1 + EOIR1, 512 vCPUs", _cycle(large, 0xFFFF, list(range(16)))),
    ]


@dataclass(frozen=True)
class Scale:
    """What growing to the most vCPUs that there can be costs."""

    build_seconds: float
    """CPU time to build the machine."""
    sgi_ratio: float
    """An SGI to 16 vCPUs and its end at each, against the same in a machine of 16 vCPUs."""


def measure_scale(rounds: int = ROUNDS, calls: int = 100) -> Scale:
    """Build a machine of 65,536 vCPUs, and compare an SGI in it with one among 16."""
    begin = thread_time_ns()
    vgic.Gic(vgic.Config(vgic.Topology.clusters(vgic.MAX_VCPUS, 16)))
    build = thread_time_ns() - begin
    targets = list(range(16))
    few, most = (
        Case(str(cpus), _cycle(_machine(cpus, awake=16), 0xFFFF, targets)) for cpus in (16, vgic.MAX_VCPUS)
    )
    return Scale(build / 1e9, measure([few, most], rounds, calls)[1].ratio)


def measure(
    timed: list[Case], rounds: int = ROUNDS, calls: int = CALLS, progress: Callable[[], None] | None = None
) -> list[Figure]:
    """Time the cases, the first of which is the yardstick; `progress` is called after each round."""
    times: dict[str, list[float]] = {case.name: [] for case in timed}
    for _ in range(rounds):
        for case in timed:
            begin = thread_time_ns()
            case.run(calls)
            times[case.name].append((thread_time_ns() - begin) / calls)
        if progress is not None:
            progress()
    medians = {name: median(values) for name, values in times.items()}
    yardstick = medians[timed[0].name]
    return [Figure(name, value, value / yardstick) for name, value in medians.items()]


def measure_replay(trace: Path, cmdline: Path, yardstick: float, rounds: int = 3) -> tuple[Figure, int]:
    """What an event costs to replay, parsing not counted, and how many events the trace has."""
    machine = Machine(config_from_qemu_cmdline(cmdline), str(cmdline))
    events: list[Event] = list(open_trace(trace))
    times = []
    for _ in range(rounds):
        begin = thread_time_ns()
        replay(events, str(trace), machine, keep_going=True)
        times.append((thread_time_ns() - begin) / len(events))
    return Figure(f"replay of {trace.parent.name}, per event", median(times), median(times) / yardstick), len(
        events
    )


def _operations(gic: vgic.Gic, events: Sequence[Event]) -> list[tuple[Callable[..., object], tuple[object, ...]]]:
    """What a trace does to a GIC, as functions and arguments: accesses, SGIs and lines, without their outcomes."""
    encodings = {
        layout.title(index).removesuffix("_EL1"): layout.offset + index
        for layout in ICC
        for index in range(layout.count)
    }
    done: list[tuple[Callable[..., object], tuple[object, ...]]] = []
    for event in events:
        match event:
            case Access(device="gicd" | "gicr", size=size, write=write):
                cpu = 0 if event.owner is None else gic.find(event.owner)
                base = gic.config.gicd_base if event.device == "gicd" else gic.redistributor_bases[cpu]
                if write:
                    done.append((gic.write, (base + event.offset, size, event.value or 0)))
                else:
                    done.append((gic.read, (base + event.offset, size)))
            case SysReg(register=register) if register in encodings:
                cpu = gic.find(event.cpu)
                if event.write:
                    done.append((gic.sysreg_write, (cpu, encodings[register], event.value)))
                else:
                    done.append((gic.sysreg_read, (cpu, encodings[register])))
            case Sgi():
                cluster = affinity.to_sgi_cluster(event.cluster)
                value = cluster | event.intid << 24 | event.irm << 40 | event.target_list
                done.append((gic.sysreg_write, (gic.find(event.cpu), vgic.ICC_SGI1R_EL1, value)))
            case Line():
                cpu = 0 if event.owner is None else gic.find(event.owner)
                done.append((gic.interrupt(cpu, event.intid).set_level, (event.level,)))
    return done


def measure_operations(trace: Path, cmdline: Path, yardstick: float, rounds: int = 5) -> Figure:
    """What an operation of a trace costs when nobody compares its outcome: the model alone."""
    config = config_from_qemu_cmdline(cmdline)
    events: list[Event] = list(open_trace(trace))
    times = []
    for _ in range(rounds):
        operations = _operations(vgic.Gic(config), events)
        begin = thread_time_ns()
        for function, arguments in operations:
            function(*arguments)
        times.append((thread_time_ns() - begin) / len(operations))
    return Figure(f"operations of {trace.parent.name}, each, uncompared", median(times), median(times) / yardstick)


def figures_of(command: Path, trace: Path | None, cmdline: Path | None) -> tuple[str, dict[str, Figure]]:
    """What another `vgic` command says that it is, and the figures that it measures. Raises UsageError."""
    files = [] if trace is None else ["--trace", str(trace.resolve())]
    files += [] if cmdline is None else ["--qemu-cmdline", str(cmdline.resolve())]
    # Not from where we are: Python would look for its modules here first.
    with tempfile.TemporaryDirectory() as elsewhere:
        try:
            version, data = (
                subprocess.run(
                    [command.absolute(), *arguments], cwd=elsewhere, capture_output=True, text=True, check=True
                ).stdout
                for arguments in (["--version"], ["bench", "--json", *files])
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise UsageError(f"{command} cannot be compared with: {error}") from error
    figures = {
        name: Figure(name, figure["ns"], figure["ratio"])
        for name, figure in json.loads(data).items()
        if "ns" in figure
    }
    return version.strip().rpartition(", ")[2], figures
