"""`vgic exits`: why a KVM guest's vCPUs leave it, how long that takes, and what its GIC answered."""

import sys
from pathlib import Path

import click

from mmio import MapError
from mmio.trace import TraceError
from mmio.trace.lines import TextLines
from vgic import VgicError
from vgic_tools.errors import UsageError
from vgic_tools.exits.reading import KvmTrace, as_kvm, guessed_machine, read_trace
from vgic_tools.inputs import is_given_once, kept, shown_name
from vgic_tools.machines.options import machine_files, machine_from_options, machine_options
from vgic_tools.progress import progress
from vgic_tools.terminal import DIFFERENT, fail, print_json

__all__ = ["exits_command"]


@click.command("exits", short_help="Count and time the exits of a KVM guest, and compare what its GIC answered.")
@click.argument("trace", metavar="TRACE")
@machine_options
@click.option(
    "--from-start",
    is_flag=True,
    help="The trace begins with the VM: what it has not shown yet is as after reset, and compared too.",
)
@click.option("--json", "as_data", is_flag=True, help="Print the result as JSON.")
def exits_command(trace: str, from_start: bool, as_data: bool, **options: object) -> None:
    """Count and time the exits of a KVM guest by register, vCPU and cause, and compare what its GIC answered.

    TRACE is text of Linux's tracing on the host: /sys/kernel/tracing/trace, trace-cmd report or perf script, plain
    or compressed; - is standard input. What the guest writes to the GIC drives the model, and what it reads is
    compared, as far as such a trace shows it. Without a machine, it is the vCPUs that are seen in QEMU's virt.

    Exits with 0; with 1 where a read differs; with 2 where the input cannot be used.

    \b
    trace-cmd record -e kvm -e vgic -P $(pidof qemu-system-aarch64) sleep 10
    trace-cmd report | vgic exits - --machine dmesg.txt
    """
    try:
        is_given_once(trace, *machine_files(options))
        with kept(trace) as path:
            result = _read(TextLines(path, shown_name(trace)), from_start, options)
    except (TraceError, UsageError, MapError, VgicError) as error:
        fail(error)
    if as_data:
        from vgic_tools.exits.report import as_json

        print_json(as_json(result))
    else:
        from vgic_tools.console import stdout
        from vgic_tools.exits.report import print_report

        print_report(stdout(), result)
    sys.exit(DIFFERENT if result.dialogue.different and not result.undecided else 0)


def _read(lines: TextLines, from_start: bool, options: dict[str, object]) -> KvmTrace:
    if any(options[name] for name in ("machine", "qemu_cmdline", "dtb", "cpus", "affinities")):
        machine = machine_from_options(options)
    else:
        guessed = guessed_machine(lines)
        machine = machine_from_options(options, default_machine=guessed)
    machine = as_kvm(machine, str(options["profile"]) if options["profile"] else None)
    with progress(Path(lines.path).name, lines.total_bytes, lambda: lines.bytes_read) as advance:
        return read_trace(lines, lines.path, machine, from_start, advance)
