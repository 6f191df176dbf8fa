"""Which machine a command works on: from a QEMU command line, a device tree, or options."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click

import vgic
from vgic.profiles import QEMU_VERSIONS
from vgic.state.document import config_of, from_document, to_document
from vgic.state.saving import describe
from vgic_tools.errors import UsageError
from vgic_tools.inputs import shown_name
from vgic_tools.machines.qemu_cmdline import QEMU_SPIS, config_from_qemu_cmdline, virt_regions
from vgic_tools.terminal import note

__all__ = [
    "Machine",
    "machine_document",
    "machine_files",
    "machine_from_document",
    "machine_from_options",
    "machine_options",
]

CommandT = TypeVar("CommandT", bound=Callable[..., object])


@dataclass(frozen=True)
class Machine:
    """A VM's interrupt controller and where its description came from."""

    config: vgic.Config
    origin: str
    profile_origin: str = ""
    """How the profile was found out, where it is not `origin` that says it."""

    def __str__(self) -> str:
        config = self.config
        cpus, regions, services = len(config.topology), len(config.redistributor_regions), len(config.its)
        profile_origin = f" ({self.profile_origin})" if self.profile_origin else ""
        more = ((config.extended_spis, "SPIs"), (config.extended_ppis, "PPIs"))
        extended = "".join(f" {count} extended {what}," for count, what in more if count)
        its = f" {services} ITS{'es' if services > 1 else ''}," if services else ""
        return (
            f"{cpus} vCPU{'s' if cpus > 1 else ''}, {config.spis} SPIs,{extended}"
            f" {regions} redistributor region{'s' if regions > 1 else ''},{its}"
            f"{' two Security states,' if config.two_states else ''}{' NMIs,' if config.nmi else ''}"
            f" profile {config.profile.name}{profile_origin}, from {self.origin}"
        )


def machine_document(machine: Machine) -> object:
    """The machine as plain data that JSON can hold."""
    return to_document({"vm": describe(machine.config), "registers": {}})["vm"]


def machine_from_document(document: object, origin: str) -> Machine:
    """The machine that `machine_document` was given; `origin` names where it was found. Raises UsageError."""
    try:
        return Machine(config_of(from_document({"vm": document, "registers": {}})["vm"]), origin)
    except vgic.VgicError as error:
        raise UsageError(f"{origin}: the machine that it names cannot be: {error}") from error


def machine_options(command: CommandT) -> CommandT:
    """Give a click command the options that describe a machine; they come as keyword arguments."""
    options = [
        click.option(
            "--machine",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The machine that this file describes: a QEMU command line, a device tree blob, an ACPI MADT, or"
            " the kernel log (dmesg) of a Linux on it; - is standard input.",
        ),
        click.option(
            "--qemu-cmdline",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The machine of this QEMU command line; - is standard input.",
        ),
        click.option(
            "--dtb",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="The machine of this device tree blob; - is standard input.",
        ),
        click.option("--cpus", type=int, metavar="N", help="A machine of N vCPUs, 16 to a cluster."),
        click.option(
            "--affinities", metavar="A,B,...", help="A machine of vCPUs with these affinities, Aff3.Aff2.Aff1.Aff0."
        ),
        click.option(
            "--profile",
            type=click.Choice(list(vgic.PROFILES)),
            help="Whose choices the GIC makes. Default: qemu where a QEMU command line or device tree is given, or"
            " a trace that QEMU made; else arch.",
        ),
        click.option(
            "--spis",
            type=int,
            metavar="N",
            help="Number of SPIs: a multiple of 32, or 988. Default: 224; 256 with a profile of QEMU.",
        ),
        click.option(
            "--extended-spis",
            type=int,
            metavar="N",
            help="SPIs of the extended range: a multiple of 32 up to 1024.",
        ),
        click.option(
            "--extended-ppis", type=int, metavar="N", help="PPIs of the extended range, of each vCPU: 32 or 64."
        ),
        click.option("--priority-bits", type=int, metavar="N", help="Priority bits of the CPU interface, 4 to 8."),
        click.option("--gicd-base", metavar="ADDRESS", help="Address of the distributor. Default: 0x8000000."),
        click.option(
            "--redistributors",
            multiple=True,
            metavar="ADDRESS:COUNT",
            help="A redistributor region with room for COUNT vCPUs; may be given several times.",
        ),
        click.option(
            "--list-registers",
            type=int,
            metavar="N",
            help="A machine of PEs with EL2, that have N list registers, up to 16. Default: none, unless the QEMU"
            " command line says virtualization=on.",
        ),
        click.option(
            "--its", multiple=True, metavar="ADDRESS", help="An ITS at this address; may be given several times."
        ),
        click.option("--nmi", is_flag=True, help="There are NMIs. Default: as the trace of a QEMU says."),
        click.option(
            "--security",
            type=click.Choice(["one", "two"]),
            help="How many Security states there are. Default: one, or as the command line says.",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def machine_files(options: Mapping[str, object]) -> list[object]:
    """The files among the options that describe a machine."""
    return [options["machine"], options["qemu_cmdline"], options["dtb"]]


def machine_from_options(
    *,
    qemu_cmdline: Path | None,
    dtb: Path | None,
    cpus: int | None,
    affinities: str | None,
    profile: str | None,
    spis: int | None,
    priority_bits: int | None,
    gicd_base: str | None,
    redistributors: tuple[str, ...],
    its: tuple[str, ...] = (),
    list_registers: int | None = None,
    extended_spis: int | None = None,
    extended_ppis: int | None = None,
    nmi: bool = False,
    security: str | None = None,
    machine: Path | None = None,
    default_cpus: int | None = None,
    default_machine: Machine | None = None,
    default_profile: vgic.Profile = vgic.ARCH,
) -> Machine:
    """The machine that the options describe; `default_profile` is that where nothing tells whose GIC it is.

    Raises UsageError where they name none and there is no default, or contradict each other.
    """
    sources = {
        "--machine": machine is not None,
        "--qemu-cmdline": qemu_cmdline is not None,
        "--dtb": dtb is not None,
        "--cpus": cpus is not None,
        "--affinities": affinities is not None,
    }
    given = [name for name, present in sources.items() if present]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} both say which vCPUs there are; give one")
    named = default_profile if profile is None else vgic.profile_named(profile)
    try:
        if machine is not None:
            from vgic_tools.machines.files import machine_from_file

            described = machine_from_file(machine, named)
            config, origin = described.config, shown_name(machine)
            if not described.tells_distributor and gicd_base is None:
                origin += (
                    f" (which does not tell the distributor's address: {config.gicd_base:#x} unless --gicd-base)"
                )
        elif qemu_cmdline is not None:
            config, origin = config_from_qemu_cmdline(qemu_cmdline), shown_name(qemu_cmdline)
        elif dtb is not None:
            from vgic_tools.machines.device_tree import config_from_device_tree

            config, origin = config_from_device_tree(dtb, QEMU_SPIS), shown_name(dtb)
        elif affinities is not None:
            config, origin = vgic.Config(vgic.Topology.from_text(affinities.split(","))), "--affinities"
        elif cpus is not None or default_cpus is not None:
            number = cpus if cpus is not None else default_cpus or 1
            config = vgic.Config(vgic.Topology.clusters(number, 16))
            origin = "--cpus" if cpus is not None else "the defaults"
        elif default_machine is not None:
            config, origin = default_machine.config, default_machine.origin
        else:
            raise UsageError(
                "say which machine it is: --machine FILE (the recording's QEMU command line, its device tree, MADT"
                " or dmesg), --cpus N or --affinities A,B,..."
            )
        changes: dict[str, object] = {}
        listed = affinities is not None or cpus is not None or default_machine is None
        counted = listed and machine is None and qemu_cmdline is None and dtb is None
        if profile is not None or counted:
            changes["profile"] = named
            if named in QEMU_VERSIONS and counted:
                changes["spis"] = QEMU_SPIS
                changes["redistributor_regions"] = virt_regions(len(config.topology))
        if spis is not None:
            changes["spis"] = spis
        if extended_spis is not None:
            changes["extended_spis"] = extended_spis
        if nmi:
            changes["nmi"] = True
        if extended_ppis is not None:
            changes["extended_ppis"] = extended_ppis
        if priority_bits is not None:
            changes["priority_bits"] = priority_bits
        if list_registers is not None:
            changes["list_registers"] = list_registers
        if gicd_base is not None:
            changes["gicd_base"] = _number("--gicd-base", gicd_base)
        if redistributors:
            changes["redistributor_regions"] = tuple(_region(text) for text in redistributors)
        if its:
            changes["its"] = tuple(_number("--its", text) for text in its)
        if security is not None:
            changes["security"] = security
        return Machine(_changed(config, changes), origin)
    except vgic.VgicError as error:
        raise UsageError(str(error)) from error


def _changed(config: vgic.Config, changes: Mapping[str, object]) -> vgic.Config:
    """The configuration with other values; what there is to warn of goes to standard error, a line each, once."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", vgic.VgicWarning)
        config = replace(config, **changes)  # type: ignore[arg-type]  # one dict, many field types
    for warning in told:
        note(f"vgic: {warning.message}")
    return replace(config, a3v=config.features.a3v) if told else config


def _number(option: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"{option} {text}: not a number") from None


def _region(text: str) -> vgic.RedistributorRegion:
    address, separator, count = text.partition(":")
    if not separator:
        raise UsageError(f"--redistributors {text}: written ADDRESS:COUNT")
    return vgic.RedistributorRegion(_number("--redistributors", address), _number("--redistributors", count))
