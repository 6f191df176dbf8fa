"""The options by which a command is told which machine it works on, and the machine that they describe."""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import click

import vgic
from vgic.profiles import QEMU_VERSIONS
from vgic_tools.errors import UsageError
from vgic_tools.inputs import shown_name
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.qemu_cmdline import QEMU_SPIS, config_from_qemu_cmdline, virt_regions
from vgic_tools.terminal import note

__all__ = ["machine_files", "machine_from_options", "machine_options"]

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def _number(option: str, text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise UsageError(f"{option} {text}: not a number") from None


def _numbers(option: str, texts: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(_number(option, text) for text in texts)


def _regions(option: str, texts: tuple[str, ...]) -> tuple[vgic.RedistributorRegion, ...]:
    regions = []
    for text in texts:
        address, separator, count = text.partition(":")
        if not separator:
            raise UsageError(f"{option} {text}: written ADDRESS:COUNT")
        regions.append(vgic.RedistributorRegion(_number(option, address), _number(option, count)))
    return tuple(regions)


class _Option(NamedTuple):
    """An option, as click shows it."""

    name: str
    help: str
    shown: Mapping[str, Any]
    """What else click is told."""
    field: str = ""
    """The field of `Config` that it says, where that has another name."""
    read: Callable[[str, Any], object] | None = None
    """What makes the field's value of the option and its own, where that is not the value itself."""

    @property
    def parameter(self) -> str:
        """The keyword by which click gives it."""
        return self.name.removeprefix("--").replace("-", "_")


_FILE: Final = {"type": click.Path(path_type=Path), "metavar": "FILE"}
_COUNT: Final = {"type": int, "metavar": "N"}

_FILES: Final = (
    _Option(
        "--machine",
        "The machine that this file describes: a QEMU command line, a device tree blob, an ACPI MADT, or the kernel"
        " log (dmesg) of a Linux on it; - is standard input.",
        _FILE,
    ),
    _Option("--qemu-cmdline", "The machine of this QEMU command line; - is standard input.", _FILE),
    _Option("--dtb", "The machine of this device tree blob; - is standard input.", _FILE),
)
_VCPUS: Final = (
    _Option("--cpus", "A machine of N vCPUs, 16 to a cluster.", _COUNT),
    _Option(
        "--affinities",
        "A machine of vCPUs with these affinities, Aff3.Aff2.Aff1.Aff0.",
        {"metavar": "A,B,..."},
    ),
)
_SOURCES: Final = (*_FILES, *_VCPUS)
"""What says which vCPUs there are."""

_PROFILE: Final = _Option(
    "--profile",
    "Whose choices the GIC makes. Default: qemu where a QEMU command line or device tree is given, or a trace that"
    " QEMU made; else arch.",
    {"type": click.Choice(list(vgic.PROFILES))},
)
_FIELDS: Final = (
    _Option(
        "--spis", "Number of SPIs: a multiple of 32, or 988. Default: 224; 256 with a profile of QEMU.", _COUNT
    ),
    _Option("--extended-spis", "SPIs of the extended range: a multiple of 32 up to 1024.", _COUNT),
    _Option("--extended-ppis", "PPIs of the extended range, of each vCPU: 32 or 64.", _COUNT),
    _Option("--priority-bits", "Priority bits of the CPU interface, 4 to 8.", _COUNT),
    _Option(
        "--gicd-base",
        "Address of the distributor. Default: 0x8000000.",
        {"metavar": "ADDRESS"},
        read=_number,
    ),
    _Option(
        "--redistributors",
        "A redistributor region with room for COUNT vCPUs; may be given several times.",
        {"multiple": True, "metavar": "ADDRESS:COUNT"},
        "redistributor_regions",
        _regions,
    ),
    _Option(
        "--list-registers",
        "A machine of PEs with EL2, that have N list registers, up to 16. Default: none, unless the QEMU command"
        " line says virtualization=on.",
        _COUNT,
    ),
    _Option(
        "--its",
        "An ITS at this address; may be given several times.",
        {"multiple": True, "metavar": "ADDRESS"},
        read=_numbers,
    ),
    _Option("--nmi", "There are NMIs. Default: as the trace of a QEMU says.", {"is_flag": True}),
    _Option(
        "--vlpi-frames",
        "Redistributors have the frames of a GICv4, without its virtual LPIs. Default: as the command line or the"
        " trace of a QEMU says.",
        {"is_flag": True},
    ),
    _Option(
        "--security",
        "How many Security states there are. Default: one, or as the command line says.",
        {"type": click.Choice(["one", "two"])},
    ),
)
"""What changes a field of the configuration."""


def machine_options(command: CommandT) -> CommandT:
    """Give a click command the options that describe a machine; they come as keyword arguments."""
    for option in reversed((*_SOURCES, _PROFILE, *_FIELDS)):
        command = click.option(option.name, help=option.help, **option.shown)(command)
    return command


def machine_files(options: Mapping[str, object]) -> list[object]:
    """The files among the options that describe a machine."""
    return [options[file.parameter] for file in _FILES]


def machine_from_options(
    options: Mapping[str, object],
    *,
    default_cpus: int | None = None,
    default_machine: Machine | None = None,
    default_profile: vgic.Profile = vgic.ARCH,
) -> Machine:
    """The machine that the options describe, by click's names for them; one may be missing.

    `default_profile` is that where nothing tells whose GIC it is. Raises UsageError where they name no machine and
    there is no default, or contradict each other.
    """
    given = [source for source in _SOURCES if options.get(source.parameter) is not None]
    if len(given) > 1:
        names = " and ".join(source.name for source in given)
        raise UsageError(f"{names} both say which vCPUs there are; give one")
    profile = options.get(_PROFILE.parameter)
    named = default_profile if profile is None else vgic.profile_named(str(profile))
    try:
        if given and given[0] in _FILES:
            path = options[given[0].parameter]
            assert isinstance(path, Path)
            config, origin = _of_file(given[0].parameter, path, named, options.get("gicd_base") is not None)
            counted = False
        elif default_machine is not None and not given:
            config, origin, counted = default_machine.config, default_machine.origin, False
        else:
            topology, origin = _counted(options, default_cpus)
            config, counted = vgic.Config(topology), True
        changes: dict[str, object] = {}
        if profile is not None or counted:
            changes["profile"] = named
            if named in QEMU_VERSIONS and counted:
                changes["spis"] = QEMU_SPIS
                changes["redistributor_regions"] = virt_regions(len(config.topology))
        for option in _FIELDS:
            value = options.get(option.parameter)
            # 0 is a value that somebody gave.
            if value is not None and value is not False and value != ():
                field = option.field or option.parameter
                changes[field] = value if option.read is None else option.read(option.name, value)
        return Machine(_changed(config, changes), origin)
    except vgic.VgicError as error:
        raise UsageError(str(error)) from error


def _of_file(kind: str, path: Path, profile: vgic.Profile, placed: bool) -> tuple[vgic.Config, str]:
    """What a file describes, and how it is named; `placed`: an option says where the Distributor is."""
    origin = shown_name(path)
    if kind == "qemu_cmdline":
        return config_from_qemu_cmdline(path), origin
    if kind == "dtb":
        from vgic_tools.machines.device_tree import config_from_device_tree

        return config_from_device_tree(path, QEMU_SPIS), origin
    from vgic_tools.machines.files import machine_from_file

    described = machine_from_file(path, profile)
    config = described.config
    if not described.tells_distributor and not placed:
        origin += f" (which does not tell the distributor's address: {config.gicd_base:#x} unless --gicd-base)"
    return config, origin


def _counted(options: Mapping[str, object], default_cpus: int | None) -> tuple[vgic.Topology, str]:
    """The vCPUs that are counted or listed, and by what."""
    affinities, cpus = options.get("affinities"), options.get("cpus")
    if isinstance(affinities, str):
        return vgic.Topology.from_text(affinities.split(",")), "--affinities"
    if isinstance(cpus, int):
        return vgic.Topology.clusters(cpus, 16), "--cpus"
    if default_cpus is not None:
        return vgic.Topology.clusters(default_cpus, 16), "the defaults"
    raise UsageError(
        "say which machine it is: --machine FILE (the recording's QEMU command line, its device tree, MADT or"
        " dmesg), --cpus N or --affinities A,B,..."
    )


def _changed(config: vgic.Config, changes: Mapping[str, object]) -> vgic.Config:
    """The configuration with other values; what there is to warn of goes to standard error, a line each, once."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", vgic.VgicWarning)
        config = replace(config, **changes)  # type: ignore[arg-type]  # one dict, many field types
    for warning in told:
        note(f"vgic: {warning.message}")
    return replace(config, a3v=config.features.a3v) if told else config
