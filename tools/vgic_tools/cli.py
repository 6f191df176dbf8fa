"""The `vgic` command."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

import vgic
from mmio import BitLayout, MapError, RegisterLayout
from mmio.trace import NativeWriter, PackedWriter, TraceError, TraceReader, open_trace
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.host.capabilities import CpuInterfaceView, HostCapabilities
from vgic.host.trap_plan import TrapPlan, trap_plan
from vgic.layouts import gicr
from vgic_tools.affinity.command import affinity_group
from vgic_tools.bench.command import bench_command
from vgic_tools.decode import find_by_address, find_by_name, find_record, number, value_of
from vgic_tools.errors import UsageError
from vgic_tools.fields import field_table
from vgic_tools.its import its_command
from vgic_tools.machine import (
    Machine,
    machine_document,
    machine_from_document,
    machine_from_options,
    machine_options,
)
from vgic_tools.memory import measure_memory
from vgic_tools.replay import ReplayError, replay
from vgic_tools.replay.report import as_json, print_report
from vgic_tools.replay.versions import as_recorded
from vgic_tools.state import state_group
from vgic_tools.terminal import BAD_INPUT, DIFFERENT, fail, stdout

__all__ = ["main"]

CORE = "compiled" if vgic.COMPILED else "interpreted"

PACKED_SUFFIX = ".vgpk"

INPUT_ERRORS = (UsageError, TraceError, ReplayError, MapError)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(vgic.__version__, prog_name="vgic", message=f"%(prog)s %(version)s, {CORE}")
def main() -> None:
    """A virtual Arm GICv3: replay the traces of real guests, decode registers, look at a machine."""


def _host_plan(machine: Machine, a3v: bool) -> TrapPlan:
    """The trap plan of a host that is like the guest in all but A3V."""
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


@contextmanager
def _progress(trace: TraceReader) -> Iterator[Callable[[], None]]:
    """A function to call now and then; shows a bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    columns = (TextColumn(Path(trace.path).name), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=trace.total_bytes)
        yield lambda: progress.update(task, completed=trace.bytes_read)


@main.command("replay")
@click.argument("trace", metavar="TRACE")
@machine_options
@click.option("--keep-going", is_flag=True, help="Replay to the end and count every divergence by register.")
@click.option("--json", "as_data", is_flag=True, help="Print the result as JSON.")
@click.option(
    "--host-a3v",
    type=click.Choice(["0", "1"]),
    help="Count the exits that a host with this A3V takes so that the guest sees its own.",
)
def replay_command(trace: str, keep_going: bool, as_data: bool, host_a3v: str | None, **options: object) -> None:
    """Replay a trace through the model and compare every outcome that it recorded.

    TRACE is a QEMU log (-trace 'gicv3_*' -D FILE) or a native trace, plain or gzip, or a packed trace. Exits with
    0 where every value came out the same, 1 where one did not, 2 where the input cannot be used, or what it shows
    depends on something that is not modelled or not recorded.

    \b
    vgic replay trace.log.gz --qemu-cmdline cmd.txt
    """
    try:
        reader = open_trace(trace)
        machine = _recorded_machine(reader, options)
        with _progress(reader) as advance:
            traps = None if host_a3v is None else _host_plan(machine, host_a3v == "1")
            result = replay(reader, reader.path, machine, keep_going, advance, traps)
    except INPUT_ERRORS as error:
        fail(error)
    result.notes.extend(reader.warnings)
    if as_data:
        click.echo(json.dumps(as_json(result), indent=2))
    else:
        print_report(stdout(), result)
    sys.exit(BAD_INPUT if result.undecided else DIFFERENT if result.diverged else 0)


def _recorded_machine(reader: TraceReader, options: dict[str, object]) -> Machine:
    """The machine of the options, or where there are none the one that the trace names.

    Where the options do not name a profile, the trace tells which version of QEMU it was. Raises UsageError, and
    TraceError as the trace does.
    """
    if "machine" in reader.metadata and not any(options.values()):
        return machine_from_document(reader.metadata["machine"], reader.path)
    machine = machine_from_options(**options)  # type: ignore[arg-type]  # click's names are its parameters
    return machine if options["profile"] else as_recorded(machine, reader)


@main.command("convert")
@click.argument("trace", metavar="TRACE")
@click.argument("output", metavar="OUTPUT")
@machine_options
def convert_command(trace: str, output: str, **options: object) -> None:
    """Convert a trace to the packed format where OUTPUT ends in .vgpk, and to the native format elsewhere.

    The packed format is for fast replays: it keeps neither times nor the texts that a replay does not look at, and
    says how many it left out. The native format is JSON lines that lose nothing, compressed where OUTPUT ends in
    .gz. The options describe the machine that the trace was recorded on; a replay of OUTPUT then needs none.
    """
    try:
        reader = open_trace(trace)
        metadata: dict[str, object] = {"source": Path(trace).name}
        if any(options.values()) or "machine" in reader.metadata:
            metadata["machine"] = machine_document(_recorded_machine(reader, options))
        packed = output.endswith(PACKED_SUFFIX)
        writer = PackedWriter(output, metadata) if packed else NativeWriter(output, metadata)
        with _progress(reader) as advance, writer:
            for count, event in enumerate(reader):
                writer.write(event)
                if not count & 0xFFF:
                    advance()
    except (TraceError, UsageError) as error:
        fail(error)
    except OSError as error:
        fail(UsageError(f"{output}: cannot be written: {error.strerror}"))
    for warning in reader.warnings:
        click.echo(f"vgic: {warning}", err=True)
    if isinstance(writer, PackedWriter):
        click.echo(f"left out: {writer.times:,} times, {writer.texts:,} texts", err=True)


@main.command("decode")
@click.argument("register", metavar="REGISTER|ADDRESS|command|DTE|ITE|CTE|L1")
@click.argument("values", metavar="VALUE...", nargs=-1, required=True)
@machine_options
def decode_command(register: str, values: tuple[str, ...], **options: object) -> None:
    """Show the fields of a register, an ITS command, or an entry of an ITS table.

    A register is given by name, or by its address on a machine: 4 vCPUs at the addresses of QEMU's virt machine
    unless told. A command or entry may be written as doublewords, in the order in which they are in memory; the
    format of entries is that of the profile.

    \b
    vgic decode GICR_TYPER 0x301000311
    vgic decode 0x8000004 0x37a0007
    vgic decode command 0x80000000a 0x200400000004 0x3 0
    vgic decode ITE 0x300008013 0x3ff --profile qemu
    """
    try:
        bits = value_of(values)
        layout: BitLayout
        machine = machine_from_options(**options, default_cpus=4)  # type: ignore[arg-type]
        address = number(register)
        if address is not None:
            title, layout = find_by_address(address, vgic.Gic(machine.config))
        else:
            found = find_record(register, bits, machine.config.profile.its.entries)
            title, layout = found or find_by_name(register)
        if bits >> layout.width:
            raise UsageError(f"{title} has {layout.width} bits; {' '.join(values)} does not fit")
    except INPUT_ERRORS as error:
        fail(error)
    console = stdout()
    access = f"  ({layout.access.value})" if isinstance(layout, RegisterLayout) else ""
    console.print(f"[bold]{title}[/bold] = {bits:#0{layout.width // 4 + 2}x}{access}")
    console.print(field_table(layout, bits))


@main.command("map")
@machine_options
@click.option("--memory", is_flag=True, help="Also measure what the machine takes, a vCPU and an SPI.")
def map_command(memory: bool, **options: object) -> None:
    """Show a machine's address map and redistributors.

    The machine has 4 vCPUs, and the addresses of QEMU's virt machine, unless told.
    """
    try:
        machine = machine_from_options(**options, default_cpus=4)  # type: ignore[arg-type]
        gic = vgic.Gic(machine.config)
    except INPUT_ERRORS as error:
        fail(error)
    console = stdout()
    console.print(str(machine))
    console.print()
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("region", "first", "last", "size"):
        table.add_column(heading, justify="left" if heading == "region" else "right")
    for region in gic.map:
        table.add_row(region.name, f"{region.base:#x}", f"{region.end - 1:#x}", f"{region.size:#x}")
    console.print(table)
    console.print()
    frames = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("vCPU", "affinity", "RD_base", "SGI_base", "GICR_TYPER.Last"):
        frames.add_column(heading, justify="right")
    placed = zip(gic.redistributor_bases, machine.config.topology.affinities, strict=True)
    for cpu, (base, packed) in enumerate(placed):
        last = str(gicr.TYPER.decode(gic.read(base + gicr.TYPER.offset, 8))["Last"])
        frames.add_row(str(cpu), affinity.text(packed), f"{base:#x}", f"{base + REDISTRIBUTOR_SIZE // 2:#x}", last)
    console.print(frames)
    if memory:
        taken = measure_memory(machine.config)
        console.print(
            f"\nmemory: {taken.total:,} bytes in all, {taken.per_vcpu:,.0f} a vCPU, {taken.per_spi:.1f} an SPI"
        )


main.add_command(affinity_group)
main.add_command(bench_command)
main.add_command(its_command)
main.add_command(state_group)

if __name__ == "__main__":
    main()
