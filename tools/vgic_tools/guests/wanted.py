"""What somebody who boots a guest asks for: the options of `vgic boot`, checked."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import vgic
from vgic import affinity
from vgic.config import SecurityStates
from vgic_tools.errors import UsageError
from vgic_tools.machines.qemu_cmdline import GITS_BASE
from vgic_tools.terminal import complain

__all__ = ["Wanted"]

_SUFFIXES: Final = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_MOST_RAM: Final = 64 << 30
_LEAST_RAM: Final = 4 << 20
_PAGE: Final = 1 << 12

_FIRST_REGION: Final = vgic.RedistributorRegion(0x080A_0000, 123)
"""Where QEMU's virt has Redistributors: what is more goes to a second region."""
_SECOND_REGION: Final = 0x40_0000_0000

_PATIENCE: Final = 60.0
"""Seconds of silence that are too many for a guest that somebody expects something of."""

_CLUSTER: Final = 16


@dataclass(frozen=True)
class Wanted:
    """A run."""

    config: vgic.Config
    ram: int
    """Bytes."""
    kernel: Path | None
    firmware: Path | None
    initrd: Path | None
    append: str
    debian: str | None
    """Which of Debian's kernels."""
    expect: tuple[str, ...]
    send: tuple[str, ...]
    patience: float | None
    limit: float | None
    record: str | None
    save_at: tuple[float, Path] | None
    resume: Path | None
    through_kvm: bool
    as_data: bool

    @classmethod
    def of(
        cls,
        *,
        kernel: Path | None,
        firmware: Path | None,
        initrd: Path | None,
        append: str,
        debian: bool,
        debian_kernel: str,
        cpus: int | None,
        topology: str | None,
        affinities: str | None,
        aff3: int | None,
        rss: bool | None,
        profile: str,
        ram: str,
        its: bool,
        security: SecurityStates,
        expect: tuple[str, ...],
        send: tuple[str, ...],
        patience: float | None,
        limit: float | None,
        record: str | None,
        save_at: tuple[float, Path] | None,
        resume: Path | None,
        through_kvm: bool,
        as_data: bool,
    ) -> "Wanted":
        """From the options. Raises UsageError, and vgic's errors for a machine that cannot be."""
        asked = {"--kernel": kernel, "--firmware": firmware, "--debian": debian, "--resume": resume}
        sources = [name for name, given in asked.items() if given]
        if len(sources) != 1:
            raise UsageError(
                f"{' and '.join(sources)} both say what to run; give one"
                if sources
                else "say what to run: --kernel FILE, --firmware FILE, --debian, or --resume FILE, a saved machine"
            )
        if len(send) > len(expect):
            raise UsageError(f"the {len(send)}. --send has no --expect to follow: there are {len(expect)}")
        if firmware is not None:
            for option, given in (("--initrd", initrd), ("--append", append), ("--save-at", save_at)):
                if given:
                    raise UsageError(f"{option} does not go with --firmware, which is all in flash memory")
        if firmware is not None and security == "two":
            raise UsageError("--security two does not go with --firmware: CPUs are Non-secure, and it would not be")
        if through_kvm and resume is None:
            raise UsageError("--through-kvm is for the GIC of --resume")
        packed = _topology(cpus, topology, affinities, aff3)
        config = _config(packed, profile, rss, its, security)
        if patience is None and (expect or as_data):
            patience = _PATIENCE
        return cls(
            config=config,
            ram=_size(ram),
            kernel=kernel,
            firmware=firmware,
            initrd=initrd,
            append=append,
            debian=debian_kernel if debian else None,
            expect=expect,
            send=send,
            patience=patience,
            limit=limit,
            record=record,
            save_at=save_at,
            resume=resume,
            through_kvm=through_kvm,
            as_data=as_data,
        )


def _topology(cpus: int | None, name: str | None, affinities: str | None, aff3: int | None) -> vgic.Topology:
    if affinities is not None:
        for option, value in (("--cpus", cpus), ("--topology", name), ("--aff3", aff3)):
            if value is not None:
                raise UsageError(f"--affinities and {option} both say which CPUs there are; give one")
        return vgic.Topology.from_text(affinities.split(","))
    count = 1 if cpus is None else cpus
    kind, _, number = (name or f"clusters:{_CLUSTER}").partition(":")
    if number and not (number.isascii() and number.isdigit() and 0 < int(number) <= 256):
        raise UsageError(f"--topology {name}: {number!r} is no number of CPUs from 1 to 256")
    match kind:
        case "clusters":
            packed = list(vgic.Topology.clusters(count, int(number or _CLUSTER)).affinities)
        case "sockets":
            size = int(number or -(-count // 2))
            packed = [
                affinity.pack(cpu // size, 0, cpu % size // _CLUSTER, cpu % size % _CLUSTER) for cpu in range(count)
            ]
        case "sparse" if not number:
            packed = [
                affinity.pack(37 * cpu % 256, 91 * cpu % 256, 7 * cpu % 256, cpu % _CLUSTER) for cpu in range(count)
            ]
        case _:
            raise UsageError(f"--topology {name}: there are clusters, clusters:N, sockets, sockets:N and sparse")
    if aff3 is not None:
        packed = [affinity.without_aff3(each) | aff3 << 24 for each in packed]
    return vgic.Topology(packed)


def _config(
    topology: vgic.Topology, profile: str, rss: bool | None, its: bool, security: SecurityStates
) -> vgic.Config:
    cpus = len(topology)
    regions: tuple[vgic.RedistributorRegion, ...] = (vgic.RedistributorRegion(_FIRST_REGION.base, cpus),)
    if cpus > _FIRST_REGION.count:
        regions = (_FIRST_REGION, vgic.RedistributorRegion(_SECOND_REGION, cpus - _FIRST_REGION.count))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always", vgic.VgicWarning)
        config = vgic.Config(
            topology,
            profile=vgic.profile_named(profile),
            redistributor_regions=regions,
            rss=rss,
            its=(GITS_BASE,) if its else (),
            security=security,
            # What Secure firmware does for an OS that is started Non-secure.
            reset_group=1 if security == "two" else None,
        )
    for warning in told:
        complain(str(warning.message))
    if not config.features.rss:
        far = next((each for each in topology.affinities if each & 0xFF >= _CLUSTER), None)
        if far is not None:
            complain(f"no SGI reaches {affinity.text(far)}: Aff0 is above 15, and the VM has no range selector")
    return config


def _size(text: str) -> int:
    digits, suffix = (text[:-1], text[-1:].upper()) if text[-1:].upper() in _SUFFIXES else (text, "")
    if not (digits.isascii() and digits.isdigit()):
        raise UsageError(f"--ram {text}: written as 256M, 1G or a number of bytes")
    size = int(digits) * _SUFFIXES.get(suffix, 1)
    if not _LEAST_RAM <= size <= _MOST_RAM or size % _PAGE:
        raise UsageError(f"--ram {text}: from 4M to 64G, in whole pages of 4 KiB")
    return size
