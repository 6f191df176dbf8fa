"""QEMU's virt machine: its numbers, and which one a command line describes by -machine and -smp."""

import re
import shlex
from math import prod
from pathlib import Path
from typing import Final

import vgic
from vgic_tools.errors import UsageError
from vgic_tools.inputs import read_text, shown_name
from vgic_tools.numbers import number

__all__ = [
    "GITS_BASE",
    "QEMU_SPIS",
    "RAM_BASE",
    "config_from_qemu_cmdline",
    "config_of_words",
    "virt_config",
    "virt_regions",
    "words_of",
]

QEMU_SPIS: Final = 256
"""SPIs of QEMU's virt machine."""

GICD_BASE: Final = 0x0800_0000
GITS_BASE: Final = 0x0808_0000
RAM_BASE: Final = 0x4000_0000
# The frames below 4 GiB hold 123 redistributors; more need the region above RAM, which moves up with RAM beyond it.
LOW_REGION: Final = vgic.RedistributorRegion(0x080A_0000, 123)
HIGH_REGION: Final = vgic.RedistributorRegion(0x40_0000_0000, 512)
GICV3_REGIONS: Final = LOW_REGION, HIGH_REGION
# Those of a GICv4 have room for half as many, which are twice as large.
GICV4_REGIONS: Final = (
    vgic.RedistributorRegion(LOW_REGION.base, LOW_REGION.count // 2),
    vgic.RedistributorRegion(HIGH_REGION.base, HIGH_REGION.count // 2),
)

MOST_CPUS: Final = 512

# What every AArch64 CPU model of QEMU 7.2 and 10.0 has in its GICv3 CPU interface, and what machines of before had.
PRIORITY_BITS: Final = 5
OLD_PRIORITY_BITS: Final = 8
LIST_REGISTERS: Final = 4
"""With EL2."""

_VERSION: Final = re.compile(r"virt-([0-9]{1,4})\.([0-9]{1,4})")
_FIRST_WITH_LPIS: Final = (6, 2)
_LAST_WITH_OLD_PRIORITIES: Final = (7, 0)
_LAST_LIKE_7_2: Final = (7, 2)
_ON: Final = ("on", "yes", "true", "y")
_OFF: Final = ("off", "no", "false", "n")

_MOST: Final = 1 << 20
"""Bytes of a command line."""

_ALIASES: Final = {"M": "machine"}


def config_from_qemu_cmdline(path: Path) -> vgic.Config:
    """The GIC of the machine that the QEMU command line in the file describes.

    Comment lines start with #. Raises UsageError where the file is no such command line, or describes a GIC that
    is not modelled, naming the option.
    """
    shown = shown_name(path)
    try:
        words = words_of(read_text(path, _MOST))
    except ValueError as error:
        raise UsageError(f"{shown}: not a command line: {error}") from error
    if not words:
        raise UsageError(f"{shown}: not a QEMU command line")
    return config_of_words(words, shown)


def config_of_words(words: list[str], path: str) -> vgic.Config:
    """The GIC of the machine that the words of a QEMU command line describe; `path` names it in errors.

    Raises UsageError as `config_from_qemu_cmdline` does.
    """
    options = _options(words)
    machine = _properties(options.get("machine", ""), "type")
    kind = machine.get("type", "")
    if not kind.startswith("virt"):
        raise UsageError(f"{path}: -machine {kind or 'is not given'}: only QEMU's virt machine is known")
    version = machine.get("gic-version", "2")
    if version not in ("3", "4"):
        raise UsageError(f"{path}: -machine gic-version={version}: the model is a GICv3")
    secure = _flag(machine, "secure", "off", path)
    smp = options.get("smp", "1")
    cpus = _cpus(_properties(smp, "cpus"))
    regions = GICV4_REGIONS if version == "4" else GICV3_REGIONS
    most = min(MOST_CPUS, sum(region.count for region in regions))
    if not 1 <= cpus <= most:
        raise UsageError(f"{path}: -smp {smp}: QEMU's virt machine has 1 to {most} CPUs")
    its = _flag(machine, "its", "on", path)
    # What a machine of an older version has does not depend on the version of QEMU; that is at least the machine's.
    named = _VERSION.fullmatch(kind)
    numbers = None if named is None else (int(named[1]), int(named[2]))
    has_lpis = numbers is None or numbers >= _FIRST_WITH_LPIS
    return virt_config(
        cpus,
        vgic.QEMU if numbers is None or numbers <= _LAST_LIKE_7_2 else vgic.QEMU_10_0,
        # In a machine without LPIs, its=on changes nothing.
        its=has_lpis and its,
        priority_bits=PRIORITY_BITS
        if numbers is None or numbers > _LAST_WITH_OLD_PRIORITIES
        else OLD_PRIORITY_BITS,
        lpis=None if has_lpis else False,
        list_registers=LIST_REGISTERS if _flag(machine, "virtualization", "off", path) else 0,
        secure=secure,
        vlpi_frames=version == "4",
        # Without firmware QEMU starts a kernel in Non-secure state, and lets it have the interrupts.
        reset_group=1 if secure and "kernel" in options and not _has_firmware(options, machine) else None,
    )


def _flag(machine: dict[str, str], name: str, default: str, path: str) -> bool:
    """A property that is on or off."""
    value = machine.get(name, default)
    if value not in (*_ON, *_OFF):
        raise UsageError(f"{path}: -machine {name}={value}: expected on or off")
    return value in _ON


def _has_firmware(options: dict[str, str], machine: dict[str, str]) -> bool:
    return (
        "bios" in options or "pflash" in options or "pflash0" in machine or "if=pflash" in options.get("drive", "")
    )


def virt_config(
    cpus: int,
    profile: vgic.Profile,
    *,
    its: bool = False,
    priority_bits: int = PRIORITY_BITS,
    lpis: bool | None = None,
    list_registers: int = 0,
    secure: bool = False,
    reset_group: int | None = None,
    nmi: bool = False,
    vlpi_frames: bool = False,
) -> vgic.Config:
    """The GIC of a virt machine."""
    return vgic.Config(
        topology=vgic.Topology.qemu(cpus),
        spis=QEMU_SPIS,
        profile=profile,
        priority_bits=priority_bits,
        gicd_base=GICD_BASE,
        redistributor_regions=virt_regions(cpus, GICV4_REGIONS if vlpi_frames else GICV3_REGIONS),
        lpis=lpis,
        list_registers=list_registers,
        its=(GITS_BASE,) if its else (),
        security="two" if secure else "one",
        nmi=nmi,
        vlpi_frames=vlpi_frames,
        reset_group=reset_group,
    )


def virt_regions(
    cpus: int, regions: tuple[vgic.RedistributorRegion, vgic.RedistributorRegion] = GICV3_REGIONS
) -> tuple[vgic.RedistributorRegion, ...]:
    """The redistributor regions of a virt machine; none where it cannot have so many CPUs."""
    low, high = regions
    if cpus > low.count + high.count or cpus > MOST_CPUS:
        return ()
    return (low,) if cpus <= low.count else regions


def words_of(text: str) -> list[str]:
    """The words of a QEMU command line; empty for a text that is none. Raises ValueError for an open quote."""
    lines = [line.rstrip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    first = next((line.split() for line in lines if line.strip()), [""])
    if "qemu" not in first[0] or len(text) > _MOST:
        return []
    # A backslash continues a line, as in a shell.
    return shlex.split(" ".join(line.removesuffix("\\") for line in lines))


def _options(words: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word.startswith("-"):
            name = word.lstrip("-")
            name = _ALIASES.get(name, name)
            # -machine may be repeated; later properties override earlier ones.
            found[name] = f"{found[name]},{following}" if name in found else following
    return found


def _cpus(smp: dict[str, str]) -> int:
    """The number of CPUs: as given, or what the levels of the topology multiply to; 0 where it is no number."""
    numbers = {name: number(value) or 0 for name, value in smp.items()}
    for name in ("cpus", "maxcpus"):
        if name in numbers:
            return numbers[name]
    return prod(numbers.get(level, 1) for level in ("sockets", "dies", "clusters", "cores", "threads"))


def _properties(text: str, first: str) -> dict[str, str]:
    """The properties of "a,b=c": {first: "a", "b": "c"}."""
    properties: dict[str, str] = {}
    for item in text.split(","):
        name, separator, value = item.partition("=")
        if separator:
            properties[name] = value
        elif item:
            properties[first] = item
    return properties
