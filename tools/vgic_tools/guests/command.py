"""`vgic boot`: a real guest on this GIC."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import vgic
from vgic_tools.errors import UsageError
from vgic_tools.terminal import DIFFERENT, fail

# The engines are loaded when there is something to run.
if TYPE_CHECKING:
    from vgic_tools.guests.wanted import Wanted

__all__ = ["boot_command"]


@click.command("boot", short_help="Boot a real guest, such as Linux, on this GIC.")
@click.option(
    "--kernel", type=click.Path(path_type=Path), help="An arm64 Linux kernel, ELF program or flat binary."
)
@click.option(
    "--firmware", type=click.Path(path_type=Path), help="Firmware such as U-Boot, for flash memory at address 0."
)
@click.option("--initrd", type=click.Path(path_type=Path), help="The kernel's initial RAM file system.")
@click.option("--append", default="", help="More of the kernel's command line.")
@click.option(
    "--debian", is_flag=True, help="Debian's kernel and a shell (busybox), fetched where they are not here."
)
@click.option("--debian-kernel", default="6.1", show_default=True, help="Which of Debian's: 6.1, 6.12 or newest.")
@click.option("--cpus", type=click.IntRange(1, 512), help="How many CPUs; 1 unless told.")
@click.option(
    "--topology",
    metavar="NAME",
    help="clusters:N, N CPUs to an Aff1, 16 unless told; sockets:N, N CPUs to an Aff3; sparse.",
)
@click.option("--affinities", metavar="A,B,...", help="CPUs with these affinities, Aff3.Aff2.Aff1.Aff0.")
@click.option("--aff3", type=click.IntRange(0, 255), help="The Aff3 of every CPU of --cpus and --topology.")
@click.option("--rss/--no-rss", default=None, help="SGIs reach Aff0 above 15. Default: as the profile.")
@click.option("--profile", type=click.Choice(list(vgic.PROFILES)), default="arch", show_default=True)
@click.option("--ram", default="256M", show_default=True, metavar="SIZE", help="RAM, such as 256M or 1G.")
@click.option("--its", is_flag=True, help="An ITS.")
@click.option(
    "--security",
    type=click.Choice(["one", "two"]),
    default="one",
    show_default=True,
    help="Security states; with two the guest is Non-secure, and all interrupts are in its Group 1.",
)
@click.option(
    "--expect", multiple=True, metavar="TEXT", help="Wait until the console shows it; all, in this order."
)
@click.option("--send", multiple=True, metavar="LINE", help="What to type after the first, second... --expect.")
@click.option(
    "--patience", type=click.FloatRange(min=0, min_open=True), help="Seconds of silence that are too many."
)
@click.option("--limit", type=click.FloatRange(min=0, min_open=True), help="Seconds of the guest that are enough.")
@click.option("--record", metavar="TRACE", help="Record what the GIC is told and answers, for vgic replay.")
@click.option(
    "--save-at", type=(float, click.Path(path_type=Path)), metavar="SECONDS FILE", help="Save the machine then."
)
@click.option("--resume", type=click.Path(path_type=Path), metavar="FILE", help="Go on with a saved machine.")
@click.option("--through-kvm", is_flag=True, help="Carry the GIC of --resume through KVM's device attributes.")
@click.option("--json", "as_data", is_flag=True, help="Print the summary as JSON, and no console.")
def boot_command(**options: object) -> None:
    """Boot a guest on CPUs of Unicorn, with this GIC, at the addresses of QEMU's virt machine.

    On a terminal its console is yours; Ctrl-A x leaves. With --expect it runs by itself. Seconds are the guest's
    own: the same run is the same each time. Exits with 0 where the guest does what was expected, or ends the
    machine where nothing was; with 1 where it does not, or makes no progress, and says where every CPU is; with 2
    where something cannot be used.

    \b
    vgic boot --debian --cpus 4 --aff3 1
    vgic boot --debian --affinities 0.0.0.0,255.255.255.15 --its --expect 'guest# ' --record boot.jsonl.gz
    vgic boot --kernel vmlinuz --initrd initrd.gz --cpus 4 --topology sockets:2 --save-at 2.5 vm.zip
    vgic boot --resume vm.zip
    """
    try:
        wanted = _wanted(options)
        try:
            from vgic_tools.guests.running import run
        except ImportError as error:
            raise UsageError(f"needs {error.name}: pip install 'vgic[unicorn]'") from error
        result = run(wanted)
    except (UsageError, vgic.VgicError) as error:
        fail(error)
    if not result:
        sys.exit(DIFFERENT)


def _wanted(options: dict[str, object]) -> "Wanted":
    """The options, checked as far as that needs no engine. Raises UsageError."""
    from vgic_tools.guests.wanted import Wanted

    return Wanted.of(**options)  # type: ignore[arg-type]  # click's names are its parameters
