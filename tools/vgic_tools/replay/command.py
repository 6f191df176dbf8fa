"""`vgic replay`: a recording drives the model, and what it recorded is compared."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vgic
from mmio import MapError
from mmio.trace import TraceError, TraceReader
from vgic_tools.errors import UsageError
from vgic_tools.inputs import is_given_once, opened_trace
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.options import machine_files, machine_options
from vgic_tools.progress import progress
from vgic_tools.replay.engine import ReplayError, replay
from vgic_tools.replay.result import Result
from vgic_tools.replay.versions import recorded_machine
from vgic_tools.report.outputs import Outputs, origin, output_options
from vgic_tools.terminal import BAD_INPUT, DIFFERENT, fail, print_json

if TYPE_CHECKING:
    from vgic.host.trap_plan import TrapPlan
    from vgic_tools.report.recorder import Recorder

__all__ = ["replay_command"]


@click.command("replay", short_help="Compare a recorded guest with the model, access by access.")
@click.argument("traces", metavar="TRACE...", nargs=-1, required=True)
@machine_options
@click.option("--keep-going", is_flag=True, help="Replay to the end and count every divergence by register.")
@click.option("--json", "as_data", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--host-a3v",
    type=click.Choice(["0", "1"]),
    help="Count the exits that a host with this A3V takes so that the guest sees its own.",
)
@click.option(
    "--jobs", type=click.IntRange(1), metavar="N", help="Of many traces, replay N at a time. Default: CPUs."
)
@click.option(
    "--dask",
    metavar="ADDRESS",
    help="Replay many traces on the Dask cluster with this scheduler, such as tcp://host:8786. Its workers need"
    " this version of vgic, and the files under the same names.",
)
@click.option("--junit", metavar="FILE", help="Write what came of each trace as JUnit's XML, for a CI.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep what came of each trace in this file as soon as it is there, and do not do again what is in it.",
)
@click.option(
    "--final-state",
    metavar="FILE",
    help="Compare the state at the end with this snapshot: a state file, or a migration stream of QEMU.",
)
@output_options
@click.pass_context
def replay_command(
    context: click.Context,
    /,
    traces: tuple[str, ...],
    keep_going: bool,
    as_data: bool,
    host_a3v: str | None,
    jobs: int | None,
    dask: str | None,
    junit: str | None,
    results: Path | None,
    final_state: str | None,
    perfetto: Path | None,
    vcd: Path | None,
    html: Path | None,
    **options: object,
) -> None:
    """Replay a trace through the model and compare every outcome that it recorded.

    TRACE is a QEMU log (-trace 'gicv3_*' -D FILE) or a native trace, plain or compressed (gzip, bzip2, xz or
    Zstandard), or a packed trace; - is standard input. Exits with 0 where every value came out the same, 1 where
    one did not, 2 where the input cannot be used, or what it shows depends on something that is not modelled or
    not recorded.

    Of several traces, or a folder of them, each is replayed in a process of its own, and shown on a line. Where no
    option says which machine it is, a file beside the trace does: a QEMU command line, device tree, MADT or dmesg.

    \b
    vgic replay trace.log.gz --qemu-cmdline cmd.txt
    vgic replay traces/ --jobs 4 --junit replay.xml --results replay.jsonl
    vgic replay /shared/traces --dask tcp://scheduler:8786 --results replay.jsonl
    vgic replay trace.log.gz --qemu-cmdline cmd.txt --html report.html --perfetto boot.pftrace
    vgic replay trace.log.gz --qemu-cmdline cmd.txt --final-state vm.mig
    """
    trace = traces[0]
    outputs = Outputs(perfetto, vcd, html)
    if len(traces) > 1 or jobs or dask or junit or results or os.path.isdir(trace):
        from vgic_tools.replay.batch_command import replay_many

        if host_a3v is not None:
            fail(UsageError("--host-a3v counts the exits of one trace"))
        if any((perfetto, vcd, html, final_state)):
            fail(UsageError("--perfetto, --vcd, --html and --final-state are about one trace"))
        replay_many(
            traces,
            options,
            keep_going=keep_going,
            jobs=jobs,
            dask=dask,
            junit=junit,
            results=results,
            as_data=as_data,
        )
    try:
        machine_inputs = machine_files(options)
        is_given_once(trace, final_state, *machine_inputs)
        outputs.check(trace, final_state, *machine_inputs)
        at_end = None if final_state is None else _comparison(final_state)
        with opened_trace(trace) as reader:
            result, recorder = _replayed(reader, keep_going, host_a3v, outputs, options, at_end)
            if recorder is not None:
                outputs.write(result, recorder, origin(context, trace))
    except (UsageError, TraceError, ReplayError, MapError) as error:
        fail(error)
    _tell(result, as_data)
    sys.exit(BAD_INPUT if result.undecided else DIFFERENT if result.diverged else 0)


def _tell(result: Result, as_data: bool) -> None:
    if as_data:
        from vgic_tools.replay.report import as_json

        print_json(as_json(result))
    else:
        from vgic_tools.console import stdout
        from vgic_tools.replay.report import print_report

        print_report(stdout(), result)


def _replayed(
    reader: TraceReader,
    keep_going: bool,
    host_a3v: str | None,
    outputs: Outputs,
    options: dict[str, object],
    at_end: Callable[[Result, vgic.Gic], None] | None,
) -> "tuple[Result, Recorder | None]":
    machine = recorded_machine(reader, options)
    recorder = outputs.recorder(machine.config)
    with progress(Path(reader.path).name, reader.total_bytes, lambda: reader.bytes_read) as advance:
        traps = None if host_a3v is None else _host_plan(machine, host_a3v == "1")
        result = replay(reader, reader.path, machine, keep_going, advance, traps, watcher=recorder, at_end=at_end)
    result.notes.extend(reader.warnings)
    return result, recorder


def _comparison(snapshot: str) -> Callable[[Result, vgic.Gic], None]:
    """What compares the state at the end with a snapshot. Raises UsageError where that cannot be used."""
    from vgic_tools.replay.final_state import compare_final_state
    from vgic_tools.snapshots.files import read_snapshot

    state = read_snapshot(snapshot).state
    return lambda result, gic: compare_final_state(result, gic, state)


def _host_plan(machine: Machine, a3v: bool) -> "TrapPlan":
    """The trap plan of a host that is like the guest in all but A3V."""
    from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
    from vgic.host.trap_plan import trap_plan

    view = CpuInterfaceView.from_ctlr(vgic.Gic(machine.config).sysreg_read(0, vgic.ICC_CTLR_EL1))
    return trap_plan(
        view,
        HostCapabilities(
            a3v=a3v,
            priority_bits=view.priority_bits,
            preemption_bits=view.preemption_bits,
            id_bits=view.id_bits,
            seis=view.seis,
        ),
    )
