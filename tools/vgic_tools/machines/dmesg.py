"""Machines from the kernel log of a Linux that runs on them: dmesg, a console, or a journal.

What the driver of the GICv3 tells: the SPIs, every CPU's affinity and redistributor, and the ITSes. It does not
tell where the distributor is. Of several boots in one log the last counts.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import vgic
from vgic import affinity
from vgic.config import DEFAULT_SPIS, MAX_SPIS
from vgic.profiles import QEMU_VERSIONS
from vgic.topology import MAX_VCPUS
from vgic_tools.machines.errors import MachineFileError
from vgic_tools.machines.frames import regions_of_frames

__all__ = ["config_from_dmesg", "is_dmesg"]

_DRIVER: Final = re.compile(r"\bGICv3: (?:CPU[0-9]|[0-9]+ SPIs)|\bLinux version [0-9]")
_BOOT: Final = re.compile(r"\bLinux version [0-9]")
_SPIS: Final = re.compile(r"\bGICv3: ([0-9]{1,4}) SPIs implemented")
_EXTENDED: Final = re.compile(r"\bGICv3: ([0-9]{1,4}) Extended SPIs implemented")
# The first two are of Linux up to 5.4.
_NO_RSS: Final = re.compile(r"\bGICv3: (?:Distributor has no Range Selector support|GICv3 features: (?!.*\bRSS\b))")
_REDISTRIBUTOR: Final = re.compile(
    r"\bGICv3: CPU([0-9]{1,5}): found redistributor ([0-9a-f]{1,10}) region [0-9]{1,5}:0x([0-9a-f]{1,16})"
)
_ITS: Final = re.compile(r"\bITS \[mem 0x([0-9a-f]{1,16})-0x[0-9a-f]{1,16}(?: flags 0x[0-9a-f]+)?\]")
_FEATURES: Final = re.compile(r"\bGICv3 features: ([0-9]{1,9}) PPIs\b")
_PPIS: Final = 16
"""Those that every PE has."""
_OTHER_GIC: Final = re.compile(r"\b(GICv2m|GICv5|GIC: Using split EOI|GIC: GICv2 detected)\b")


@dataclass
class _Boot:
    """What one boot tells."""

    spis: int | None = None
    extended: int = 0
    ppis: int = 0
    """Those of the extended range too; 0 where it does not tell."""
    rss: bool | None = None
    frames: dict[int, tuple[int, int]] = field(default_factory=dict)
    """Packed affinity and address by CPU; a CPU that comes back tells them again."""
    services: dict[int, None] = field(default_factory=dict)
    other: str = ""

    def take(self, line: str) -> None:
        """The next line."""
        if found := _REDISTRIBUTOR.search(line):
            if len(self.frames) < MAX_VCPUS:
                # The kernel prints the bits of MPIDR_EL1.
                self.frames[int(found[1])] = affinity.from_mpidr(int(found[2], 16)), int(found[3], 16)
        elif found := _SPIS.search(line):
            self.spis = int(found[1])
        elif found := _EXTENDED.search(line):
            self.extended = int(found[1])
        elif _NO_RSS.search(line):
            self.rss = False
        elif found := _ITS.search(line):
            if len(self.services) < MAX_VCPUS:
                self.services[int(found[1], 16)] = None
        elif found := _OTHER_GIC.search(line):
            self.other = found[1]
        # The same line tells of the range selector.
        if found := _FEATURES.search(line):
            self.ppis = int(found[1])


def is_dmesg(text: str) -> bool:
    """True for a kernel log, with a GICv3 in it or not."""
    return _DRIVER.search(text) is not None


def config_from_dmesg(text: str, profile: vgic.Profile, virt_spis: int) -> vgic.Config:
    """The GIC that a Linux has found, with the distributor where `Config` puts it; QEMU's virt has `virt_spis`.

    Raises MachineFileError where no line tells of a GICv3's redistributors.
    """
    boot = _Boot()
    for line in text.splitlines():
        if _BOOT.search(line):
            boot = _Boot()
        boot.take(line)
    if not boot.frames:
        other = f"; {boot.other!r} tells of another interrupt controller" if boot.other else ""
        raise MachineFileError(f'no line of the kernel log reads "GICv3: CPU0: found redistributor ..."{other}')
    cpus = [boot.frames[number] for number in sorted(boot.frames)]
    told = DEFAULT_SPIS if boot.spis is None else boot.spis
    return vgic.Config(
        topology=vgic.Topology(packed for packed, _ in cpus),
        spis=_spis(told, profile, virt_spis),
        profile=profile,
        redistributor_regions=regions_of_frames(base for _, base in cpus),
        rss=boot.rss if profile.features.rss else None,
        its=tuple(boot.services),
        extended_spis=boot.extended,
        extended_ppis=max(0, boot.ppis - _PPIS),
    )


def _spis(told: int, profile: vgic.Profile, virt_spis: int) -> int:
    """The SPIs that there are, where a guest was told of so many: some versions of QEMU leave the last ones out."""
    if profile not in QEMU_VERSIONS:
        return told
    if virt_spis in (told + 32 * version.unreported_spi_words for version in QEMU_VERSIONS):
        return virt_spis
    return min(told + 32 * profile.unreported_spi_words, MAX_SPIS)
