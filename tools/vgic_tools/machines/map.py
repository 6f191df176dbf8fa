"""`vgic map`: where a machine's registers are."""

from pathlib import Path

import click

import vgic
from mmio import FRAME_SIZE, MapError
from vgic import affinity
from vgic.layouts import gicr
from vgic_tools.console import stdout, table
from vgic_tools.errors import UsageError
from vgic_tools.machines.options import machine_from_options, machine_options
from vgic_tools.memory import measure_memory
from vgic_tools.terminal import fail

__all__ = ["map_command"]


@click.command("map", short_help="Show a machine's address map and redistributors.")
@click.argument("file", metavar="[FILE]", required=False, type=click.Path(path_type=Path))
@machine_options
@click.option("--memory", is_flag=True, help="Also measure what the machine takes, a vCPU and an SPI.")
def map_command(file: Path | None, memory: bool, **options: object) -> None:
    """Show a machine's address map and redistributors.

    FILE describes the machine, as with --machine. Without it, or another option that says otherwise, the machine
    has 4 vCPUs, and the addresses of QEMU's virt machine.

    \b
    vgic map /sys/firmware/acpi/tables/APIC
    vgic map dmesg.txt --gicd-base 0x2f000000
    """
    try:
        if file is not None:
            if options["machine"] is not None:
                raise UsageError("FILE and --machine both say which machine it is; give one")
            options["machine"] = file
        machine = machine_from_options(options, default_cpus=4)
        gic = vgic.Gic(machine.config)
    except (UsageError, MapError, vgic.VgicError) as error:
        fail(error)
    console = stdout()
    console.print(str(machine))
    console.print()
    regions = table("region", "first", "last", "size", right=("first", "last", "size"))
    for region in gic.map:
        regions.add_row(region.name, f"{region.base:#x}", f"{region.end - 1:#x}", f"{region.size:#x}")
    console.print(regions)
    console.print()
    headings = ("vCPU", "affinity", "RD_base", "SGI_base", "GICR_TYPER.Last")
    frames = table(*headings, right=headings)
    placed = zip(gic.redistributor_bases, machine.config.topology.affinities, strict=True)
    for cpu, (base, packed) in enumerate(placed):
        last = str(gicr.TYPER.decode(gic.read(base + gicr.TYPER.offset, 8))["Last"])
        frames.add_row(str(cpu), affinity.text(packed), f"{base:#x}", f"{base + FRAME_SIZE:#x}", last)
    console.print(frames)
    if memory:
        taken = measure_memory(machine.config)
        console.print()
        console.print(
            f"memory: {taken.total:,} bytes in all, {taken.per_vcpu:,.0f} a vCPU, {taken.per_spi:.1f} an SPI"
        )
