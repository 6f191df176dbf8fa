"""`vgic map`: where a machine's registers are."""

import click

import vgic
from mmio import MapError
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.layouts import gicr
from vgic_tools.console import stdout, table
from vgic_tools.errors import UsageError
from vgic_tools.machines.machine import machine_from_options, machine_options
from vgic_tools.memory import measure_memory
from vgic_tools.terminal import fail

__all__ = ["map_command"]


@click.command("map")
@machine_options
@click.option("--memory", is_flag=True, help="Also measure what the machine takes, a vCPU and an SPI.")
def map_command(memory: bool, **options: object) -> None:
    """Show a machine's address map and redistributors.

    The machine has 4 vCPUs, and the addresses of QEMU's virt machine, unless told.
    """
    try:
        machine = machine_from_options(**options, default_cpus=4)  # type: ignore[arg-type]  # click's names
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
        frames.add_row(str(cpu), affinity.text(packed), f"{base:#x}", f"{base + REDISTRIBUTOR_SIZE // 2:#x}", last)
    console.print(frames)
    if memory:
        taken = measure_memory(machine.config)
        console.print()
        console.print(
            f"memory: {taken.total:,} bytes in all, {taken.per_vcpu:,.0f} a vCPU, {taken.per_spi:.1f} an SPI"
        )
