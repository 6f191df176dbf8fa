"""What a VM's interrupt controller consists of."""

from dataclasses import dataclass, field
from typing import Final

from vgic.errors import ConfigError
from vgic.profile import ARCH, Profile
from vgic.topology import Topology

__all__ = ["MAX_SPIS", "REDISTRIBUTOR_SIZE", "Config", "RedistributorRegion"]

MAX_SPIS: Final = 988
"""INTIDs 32 to 1019."""

REDISTRIBUTOR_SIZE: Final = 0x20000
"""Bytes of a Redistributor: RD_base and SGI_base."""


@dataclass(frozen=True)
class RedistributorRegion:
    """A stretch of address space with room for `count` Redistributors, filled in vCPU order."""

    base: int
    """Physical address, a multiple of 64 KiB."""
    count: int


@dataclass(frozen=True)
class Config:
    """A VM's GIC. Raises ConfigError naming the value that cannot be.

    The default addresses are those of QEMU's virt machine. Without `redistributor_regions` there is one that
    holds every vCPU.
    """

    topology: Topology
    spis: int = 224
    """SPIs, from INTID 32 on: a multiple of 32, or 988, which is all there are."""
    profile: Profile = ARCH
    priority_bits: int = 5
    """Bits of priority that the CPU interface implements, 4 to 8."""
    gicd_base: int = 0x0800_0000
    redistributor_regions: tuple[RedistributorRegion, ...] = field(default=())

    def __post_init__(self) -> None:
        if not 0 <= self.spis <= MAX_SPIS or (self.spis % 32 and self.spis != MAX_SPIS):
            raise ConfigError(f"spis is a multiple of 32 up to 960, or {MAX_SPIS}; {self.spis} is not")
        if not 4 <= self.priority_bits <= 8:
            raise ConfigError(f"priority_bits is 4 to 8, not {self.priority_bits}")
        cpus = len(self.topology)
        if not self.redistributor_regions:
            region = RedistributorRegion(0x080A_0000, cpus)
            object.__setattr__(self, "redistributor_regions", (region,))
        for region in self.redistributor_regions:
            if region.count < 1:
                raise ConfigError(f"the redistributor region at {region.base:#x} has room for {region.count} vCPUs")
        room = sum(region.count for region in self.redistributor_regions)
        if room < cpus:
            raise ConfigError(f"{cpus} vCPUs need as many redistributors; the regions have room for {room}")
