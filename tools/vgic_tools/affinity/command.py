"""`vgic affinity`: the experiments on the command line."""

import os
import sys
from array import array
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, TypeVar
from zlib import crc32

import click
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import vgic
from vgic_tools.affinity.boot_plots import BOOT_PLOTS
from vgic_tools.affinity.boot_study import CPUS as BOOT_CPUS
from vgic_tools.affinity.boot_study import KERNEL, TOPOLOGIES, boot_study
from vgic_tools.affinity.fairness_plots import FAIRNESS_PLOTS
from vgic_tools.affinity.fairness_study import ARRIVALS, LOADS, MOST_VCPUS, SEEDS, fairness_study
from vgic_tools.affinity.fairness_study import VCPUS as FAIRNESS_VCPUS
from vgic_tools.affinity.layout_plots import LAYOUT_PLOTS
from vgic_tools.affinity.layout_study import COUNTS, layout_study
from vgic_tools.affinity.layouts import LAYOUTS, topology_from_file
from vgic_tools.affinity.list_register_plots import LIST_REGISTER_PLOTS
from vgic_tools.affinity.list_register_study import ARRIVALS as LIST_REGISTER_ARRIVALS
from vgic_tools.affinity.list_register_study import LIST_REGISTERS, list_register_study
from vgic_tools.affinity.list_register_study import LOADS as LIST_REGISTER_LOADS
from vgic_tools.affinity.list_register_study import SEEDS as LIST_REGISTER_SEEDS
from vgic_tools.affinity.mismatch_study import mismatch_study
from vgic_tools.affinity.plots import Plot, save
from vgic_tools.affinity.report import write_report
from vgic_tools.affinity.routing_plots import ROUTING_PLOTS
from vgic_tools.affinity.routing_study import CALLS, ROUNDS, routing_study
from vgic_tools.affinity.routing_study import VCPUS as ROUTING_VCPUS
from vgic_tools.affinity.study import Measured, Study
from vgic_tools.affinity.trap_plots import TRAP_PLOTS
from vgic_tools.affinity.trap_study import EXIT_COST_US, trap_study
from vgic_tools.console import stdout, styled, table
from vgic_tools.drawing import Canvas
from vgic_tools.errors import UsageError
from vgic_tools.judges.agent import missing_tool
from vgic_tools.judges.kernels import SUITES, cached_kernel
from vgic_tools.numbers import number
from vgic_tools.provenance import provenance
from vgic_tools.signals import ended_by_signals
from vgic_tools.terminal import INTERRUPTED, OutputError, complain, fail, print_line

__all__ = ["affinity_group"]

PointT = TypeVar("PointT")
RowT = TypeVar("RowT")
CommandT = TypeVar("CommandT", bound=Callable[..., object])

MOST_JOBS: Final = 512
"""Processes: more than machines have processors, fewer than a machine can start."""


@click.group("affinity", short_help="Measure what vCPU counts, MPIDR layouts and routing cost.")
def affinity_group() -> None:
    """Measure what vCPU counts, MPIDR layouts, routing and affinity level 3 cost.

    Every experiment writes a CSV file, figures and an HTML report. One that was stopped goes on where it was when
    the same command is given again; rows that are in the CSV file are not measured again.
    """


def _common(command: CommandT) -> CommandT:
    """The options that every experiment has."""
    jobs = click.option(
        "--jobs",
        type=click.IntRange(1, MOST_JOBS),
        default=os.cpu_count() or 1,
        metavar="N",
        help="Processes that measure.",
    )
    output = click.option(
        "--output",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="Where the results go. Default: affinity-results/<experiment>.",
    )
    return output(jobs(command))


def _run(study: Study[PointT, RowT], plots: Sequence[Plot[RowT]], output: Path | None, jobs: int) -> None:
    """Measure what is missing, and show it all."""
    output = output or Path("affinity-results", study.name)
    try:
        with ended_by_signals():
            rows, fresh = _measure(study, output, jobs)
        _print(study, rows)
        figures = []
        try:
            figures = [save(plot, rows, output) for plot in plots]
        finally:
            origin = provenance(click.get_current_context())
            origin["rows"] = f"{fresh:,} measured by this command, {len(rows) - fresh:,} by earlier ones"
            written = [study.csv_path(output), write_report(study, rows, figures, origin, output)]
            print_line("")
            print_line(f"written: {', '.join(map(str, written))}, {len(figures)} figures")
    except OutputError:
        raise
    except (UsageError, OSError) as error:
        fail(error)
    except (KeyboardInterrupt, SystemExit) as stop:
        complain(f"interrupted; the same command goes on from {study.csv_path(output)}")
        sys.exit(INTERRUPTED if isinstance(stop, KeyboardInterrupt) else stop.code)


def _measure(study: Study[PointT, RowT], output: Path, jobs: int) -> Measured[RowT]:
    canvas = Canvas()
    columns = (TextColumn(study.name), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=canvas, transient=True, disable=not canvas.is_terminal) as progress:
        task = progress.add_task("", total=len(study.points))
        return study.run(output, jobs, lambda: progress.advance(task))


def _print(study: Study[PointT, RowT], rows: list[RowT]) -> None:
    summary = study.summary(rows)
    shown = table(*summary.headings, right=tuple(summary.headings[1:]))
    for line in summary.lines:
        shown.add_row(*line)
    console = stdout()
    console.print(styled(study.title, "bold"))
    console.print(shown)


def _parse_counts(text: str, most: int) -> list[int]:
    counts = text.split(",")
    for count in counts:
        if not 1 <= (number(count.strip()) or 0) <= most:
            raise click.BadParameter(f"{count!r} is no number of vCPUs, 1 to {most}")
    return [number(count.strip()) or 0 for count in counts]


def _parse_loads(_: click.Context, __: click.Parameter, text: str) -> list[float]:
    loads = []
    for load in text.split(","):
        try:
            loads.append(float(load))
        except ValueError:
            loads.append(0.0)
        if not 0 < loads[-1] < 1:
            raise click.BadParameter(f"{load!r} is no load, more than 0 and less than 1")
    return loads


def _vcpus(default: Iterable[int], most: int = vgic.MAX_VCPUS) -> Callable[[CommandT], CommandT]:
    text = ",".join(map(str, sorted(default)))
    return click.option(
        "--vcpus",
        callback=lambda _, __, value: _parse_counts(value, most),
        default=text,
        metavar="N,N,...",
        help="Numbers of vCPUs.",
        show_default=True,
    )


@affinity_group.command("layouts")
@click.option(
    "--layout", "names", multiple=True, type=click.Choice(list(LAYOUTS)), help="Only this layout; repeatable."
)
@click.option(
    "--layout-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A layout of your own too: one dotted affinity, Aff3 first, per line and vCPU.",
)
@_vcpus(COUNTS)
@_common
def layouts_command(
    names: tuple[str, ...], layout_file: Path | None, vcpus: list[int], output: Path | None, jobs: int
) -> None:
    """What an MPIDR layout costs: SGI writes, redistributors, the guest's walk, memory."""
    custom = None
    try:
        if layout_file is not None:
            affinities = array("I", topology_from_file(layout_file).affinities)
            custom = f"{layout_file.name}@{crc32(affinities.tobytes()):08x}", affinities
    except UsageError as error:
        fail(error)
    _run(layout_study(names or tuple(LAYOUTS), vcpus, custom), LAYOUT_PLOTS, output, jobs)


@affinity_group.command("routing")
@_vcpus(ROUTING_VCPUS)
@click.option("--rounds", type=click.IntRange(1), default=ROUNDS, show_default=True, help="Interleaved rounds.")
@click.option("--calls", type=click.IntRange(1), default=CALLS, show_default=True, help="Operations in a round.")
@_common
def routing_command(vcpus: list[int], rounds: int, calls: int, output: Path | None, jobs: int) -> None:
    """Time SGIs, SPIs, IROUTER and TYPER as the vCPUs grow, with and without Aff3."""
    _run(routing_study(vcpus, rounds, calls), ROUTING_PLOTS, output, jobs)


@affinity_group.command("fairness")
@_vcpus(FAIRNESS_VCPUS, MOST_VCPUS)
@click.option(
    "--loads",
    callback=_parse_loads,
    default=",".join(map(str, LOADS)),
    metavar="L,L,...",
    show_default=True,
    help="Fractions of the time that the vCPUs are busy.",
)
@click.option(
    "--arrivals", type=click.IntRange(1), default=ARRIVALS, show_default=True, help="Interrupts in a run."
)
@click.option(
    "--seeds", type=click.IntRange(1), default=SEEDS, show_default=True, help="Runs of each, with seeds 1 to N."
)
@_common
def fairness_command(
    vcpus: list[int], loads: list[float], arrivals: int, seeds: int, output: Path | None, jobs: int
) -> None:
    """Compare 1-of-N routing with routing every SPI to one vCPU: who takes how many, and how long they wait."""
    _run(fairness_study(vcpus, loads, arrivals, seeds), FAIRNESS_PLOTS, output, jobs)


@affinity_group.command("list-registers")
@click.option(
    "--loads",
    callback=_parse_loads,
    default=",".join(map(str, LIST_REGISTER_LOADS)),
    metavar="L,L,...",
    show_default=True,
    help="Fractions of the time that the vCPU is busy.",
)
@click.option(
    "--arrivals",
    type=click.IntRange(1),
    default=LIST_REGISTER_ARRIVALS,
    show_default=True,
    help="Interrupts that the guest takes in a run.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=LIST_REGISTER_SEEDS,
    show_default=True,
    help="Runs of each, with seeds 1 to N.",
)
@_common
def list_registers_command(loads: list[float], arrivals: int, seeds: int, output: Path | None, jobs: int) -> None:
    """What 1 to 16 list registers cost a hypervisor: maintenance interrupts, exits, reads and writes."""
    _run(list_register_study(LIST_REGISTERS, loads, arrivals, seeds), LIST_REGISTER_PLOTS, output, jobs)


@affinity_group.command("traps")
@click.argument("traces", metavar="TRACE...", nargs=-1, required=True)
@click.option(
    "--exit-cost",
    type=click.FloatRange(0),
    default=EXIT_COST_US,
    show_default=True,
    help="Of an exit, microseconds.",
)
@_common
def traps_command(traces: tuple[str, ...], exit_cost: float, output: Path | None, jobs: int) -> None:
    """Count the exits that recorded guests would take on a host whose A3V is not theirs."""
    try:
        study = trap_study(traces, exit_cost)
    except UsageError as error:
        fail(error)
    _run(study, TRAP_PLOTS, output, jobs)


@affinity_group.command("boots")
@click.option(
    "--topology", "names", multiple=True, type=click.Choice(list(TOPOLOGIES)), help="Only this one; repeatable."
)
@click.option("--cpus", type=click.IntRange(1, 256), default=BOOT_CPUS, show_default=True, help="How many CPUs.")
@click.option("--kernel", type=click.Choice(list(SUITES)), default=KERNEL, show_default=True, help="Debian's.")
@_common
def boots_command(names: tuple[str, ...], cpus: int, kernel: str, output: Path | None, jobs: int) -> None:
    """Boot one kernel on CPUs with other affinities: SGI writes, routes and time."""
    _run(boot_study(names or tuple(TOPOLOGIES), cpus, kernel), BOOT_PLOTS, output, jobs)


@affinity_group.command("mismatch")
@click.option(
    "--kernel",
    "kernels",
    multiple=True,
    type=click.Choice(list(SUITES)),
    help="This kernel's KVM, fetched if need be; repeatable. Default: every kernel that has been fetched.",
)
@_common
def mismatch_command(kernels: tuple[str, ...], output: Path | None, jobs: int) -> None:
    """Show what a vCPU with an Aff3 sees on a live KVM, and in the model."""
    missing = missing_tool()
    if not kernels and missing is None:
        kernels = tuple(name for name in SUITES if cached_kernel(name) is not None)
        missing = None if kernels else "no kernel has been fetched (`make kernels`)"
    if missing is not None:
        complain(f"only the model is asked: {missing}")
    _run(mismatch_study(kernels if missing is None else ()), (), output, jobs)
