"""What a VM's interrupt controller consists of."""

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Final, Literal, TypeAlias, get_args

from vgic import affinity
from vgic.arguments import check_flag, check_instance, check_integer, is_integer, listed
from vgic.errors import AffinityError, ConfigError, VgicWarning
from vgic.features import Features
from vgic.intids import FIRST_PPI, FIRST_SPI
from vgic.layouts.gicd import PIDR2
from vgic.layouts.ich import MAX_LIST_REGISTERS
from vgic.profiles import ARCH, Profile
from vgic.topology import MAX_VCPUS, Topology

__all__ = [
    "DEFAULT_SPIS",
    "GICV4_REDISTRIBUTOR_SIZE",
    "MAINTENANCE_PPI",
    "MAX_EXTENDED_PPIS",
    "MAX_EXTENDED_SPIS",
    "MAX_SPIS",
    "REDISTRIBUTOR_SIZE",
    "Config",
    "OneOfNChoice",
    "RedistributorRegion",
    "SecurityStates",
]

OneOfNChoice: TypeAlias = Literal["first", "rotate"]
SecurityStates: TypeAlias = Literal["one", "two"]

MAX_SPIS: Final = 988
"""INTIDs 32 to 1019."""
DEFAULT_SPIS: Final = 224
MAX_EXTENDED_SPIS: Final = 1024
"""INTIDs 4096 to 5119."""
MAX_EXTENDED_PPIS: Final = 64
"""INTIDs 1056 to 1119."""

MIN_LPI_ID_BITS: Final = 14
MAX_LPI_ID_BITS: Final = 24
SPI_ID_BITS: Final = 10
"""Bits of an INTID in a VM without LPIs and extended ranges."""
EXTENDED_ID_BITS: Final = 13
"""Bits of an INTID of the extended ranges."""

MAINTENANCE_PPI: Final = 25
"""The INTID that Arm's Base System Architecture gives the maintenance interrupt."""
MIN_VIRTUAL_PRIORITY_BITS: Final = 5

REDISTRIBUTOR_SIZE: Final = 0x20000
"""Bytes of a Redistributor: RD_base and SGI_base."""
GICV4_REDISTRIBUTOR_SIZE: Final = 0x40000
"""Bytes of a Redistributor that has VLPI_base and a reserved frame, too."""

_GICV4_PIDR2: Final = PIDR2.encode({"ArchRev": 4})


@dataclass(frozen=True)
class RedistributorRegion:
    """A stretch of address space with room for `count` Redistributors, filled in vCPU order."""

    base: int
    """Physical address, a multiple of 64 KiB."""
    count: int

    def __repr__(self) -> str:
        return f"RedistributorRegion({self.base:#x}, {self.count})"

    def __post_init__(self) -> None:
        check_integer("base", self.base)
        check_integer("count", self.count)


@dataclass(frozen=True)
class Config:
    """A VM's GIC. Raises ConfigError naming the value that cannot be.

    Warns (VgicWarning) of an Aff3 that the profile hides, as KVM's does, where `a3v` is left to it.

    The default addresses are those of QEMU's virt machine. Without `redistributor_regions` there is one that
    holds every vCPU.
    """

    topology: Topology
    spis: int = DEFAULT_SPIS
    """SPIs, from INTID 32 on: a multiple of 32, or 988, which is all there are."""
    profile: Profile = ARCH
    priority_bits: int = 5
    """Bits of priority that the CPU interface implements, 4 to 8."""
    gicd_base: int = 0x0800_0000
    redistributor_regions: tuple[RedistributorRegion, ...] = field(default=())
    a3v: bool | None = None
    """The VM has affinity level 3, whatever its host has; None: as the profile."""
    rss: bool | None = None
    """SGIs reach Aff0 values above 15; None: as the profile."""
    one_of_n: bool | None = None
    """SPIs can be sent to any one of the participating PEs; None: as the profile."""
    lpis: bool | None = None
    """There are LPIs; None: where there is an ITS, and else as the profile."""
    lpi_id_bits: int = 16
    """Bits of the INTIDs of LPIs, 14 to 24."""
    its: tuple[int, ...] = ()
    """Physical address of each ITS, a multiple of 64 KiB."""
    one_of_n_choice: OneOfNChoice = "first"
    """Which of the PEs that could take it: the first in vCPU order, or the next after the last one chosen."""
    extended_spis: int = 0
    """SPIs of the extended range, from INTID 4096 on: a multiple of 32, 1024 at most."""
    extended_ppis: int = 0
    """PPIs of the extended range, from INTID 1056 on, of each vCPU: 0, 32 or 64."""
    nmi: bool = False
    """There are non-maskable interrupts (GICv3.3): those with superpriority."""
    security: SecurityStates = "one"
    """How many Security states there are: GICD_CTLR.DS is 1 with one; with two it is 0, until software sets it."""
    reset_group: int | None = None
    """The group of all interrupts at reset, 0 or 1, with two Security states Group 0 or Non-secure Group 1; None:
    as the profile. An OS that is started in Non-secure state without firmware needs 1."""

    list_registers: int = 0
    """List registers of each PE's virtual CPU interface, up to 16; 0: there is none, and no hypervisor."""
    maintenance_intid: int = MAINTENANCE_PPI
    """The PPI that is the maintenance interrupt, where there are list registers."""

    vlpi_frames: bool = False
    """Redistributors have the further frames of a GICv4, 256 KiB in all, and registers say that it is one. For what
    such a machine has done otherwise: there are no virtual LPIs, and the ITS does not know the commands of vPEs.
    """

    def __post_init__(self) -> None:
        self._check_types()
        if not 0 <= self.spis <= MAX_SPIS or (self.spis % 32 and self.spis != MAX_SPIS):
            raise ConfigError(f"spis is a multiple of 32 up to 960, or {MAX_SPIS}; {self.spis} is not")
        self._check_extended_ranges()
        self._check_nmi()
        self._check_vlpi_frames()
        if not 4 <= self.priority_bits <= 8:
            raise ConfigError(f"priority_bits is 4 to 8, not {self.priority_bits}")
        if self.two_states and self.priority_bits < 5:
            raise ConfigError(f"priority_bits is 5 to 8 with two Security states, not {self.priority_bits}")
        cpus = len(self.topology)
        if not self.redistributor_regions:
            object.__setattr__(self, "redistributor_regions", (_first_region(self.topology),))
        for region in self.redistributor_regions:
            if region.count < 1:
                raise ConfigError(f"the redistributor region at {region.base:#x} has room for {region.count} vCPUs")
        if self.one_of_n_choice not in get_args(OneOfNChoice):
            raise ConfigError(f"one_of_n_choice is first or rotate, not {self.one_of_n_choice}")
        if self.security not in get_args(SecurityStates):
            raise ConfigError(f"security is one or two, the number of Security states; not {self.security}")
        self._check_virtual_interface()
        if self.two_states and self.profile.one_state:
            raise ConfigError(f"the profile {self.profile.name} has one Security state, and security is two")
        group = self.reset_group
        if group is not None and not (is_integer(group) and group in (0, 1)):
            raise ConfigError(f"reset_group is 0, 1 or None, not {group!r}")
        if not MIN_LPI_ID_BITS <= self.lpi_id_bits <= MAX_LPI_ID_BITS:
            raise ConfigError(f"lpi_id_bits is {MIN_LPI_ID_BITS} to {MAX_LPI_ID_BITS}, not {self.lpi_id_bits}")
        if self.its and self.lpis is False:
            raise ConfigError(f"the ITS at {self.its[0]:#x} needs LPIs, but lpis is False")
        self.check_aff3(enumerate(self.topology.affinities))
        room = sum(region.count for region in self.redistributor_regions)
        if room < cpus:
            raise ConfigError(f"{cpus} vCPUs need as many redistributors; the regions have room for {room}")
        if self.a3v is None and not self.features.a3v:
            self._tell_hidden_aff3()

    def _check_nmi(self) -> None:
        if not isinstance(self.nmi, bool):
            raise ConfigError(f"nmi is True or False, not {self.nmi!r}")
        if self.nmi and not self.profile.nmis:
            raise ConfigError(f"the profile {self.profile.name} has no NMIs, and nmi is True")

    def _check_vlpi_frames(self) -> None:
        if not isinstance(self.vlpi_frames, bool):
            raise ConfigError(f"vlpi_frames is True or False, not {self.vlpi_frames!r}")
        if self.vlpi_frames and not self.profile.vlpi_frames:
            raise ConfigError(f"the profile {self.profile.name} has no frames of a GICv4, and vlpi_frames is True")
        if self.vlpi_frames and not self.features.lpis:
            raise ConfigError("vlpi_frames needs LPIs, but lpis is False")

    def _check_extended_ranges(self) -> None:
        for name, most in (("extended_spis", MAX_EXTENDED_SPIS), ("extended_ppis", MAX_EXTENDED_PPIS)):
            count = getattr(self, name)
            if count % 32 or not 0 <= count <= most:
                raise ConfigError(f"{name} is a multiple of 32 up to {most}; {count} is not")
            if count and not self.profile.extended_ranges:
                raise ConfigError(f"the profile {self.profile.name} has no extended ranges, and {name} is {count}")

    def _check_virtual_interface(self) -> None:
        if not 0 <= self.list_registers <= MAX_LIST_REGISTERS:
            raise ConfigError(f"list_registers is 0 to {MAX_LIST_REGISTERS}, not {self.list_registers}")
        if not FIRST_PPI <= self.maintenance_intid < FIRST_SPI:
            raise ConfigError(f"maintenance_intid is a PPI, 16 to 31, not {self.maintenance_intid}")
        if self.list_registers and self.priority_bits < MIN_VIRTUAL_PRIORITY_BITS:
            raise ConfigError(
                f"priority_bits is {self.priority_bits}, but a virtual CPU interface, as list_registers ask for,"
                f" has {MIN_VIRTUAL_PRIORITY_BITS} or more"
            )
        if self.list_registers and self.profile.virtual_interface:
            raise ConfigError(
                f"list_registers is {self.list_registers}, but a guest of {self.profile.name} is offered none: its"
                " CPU interfaces are virtual ones"
            )

    def _tell_hidden_aff3(self) -> None:
        """Warn of an Aff3 that the profile hides (rule A3V-7) although nobody asked for that."""
        hidden = [cpu for cpu, packed in enumerate(self.topology.affinities) if affinity.has_aff3(packed)]
        if hidden:
            shown = affinity.text(self.topology.affinities[hidden[0]])
            warnings.warn(
                f"the profile {self.profile.name} hides Aff3, and vCPU {hidden[0]} is {shown}: no register of the"
                " GIC will show it, and no SPI can be routed there; a3v=True shows it, a3v=False says that it is"
                " meant",
                VgicWarning,
                stacklevel=4,  # whoever makes the Config
            )

    def __repr__(self) -> str:
        # What is not as it would be anyway. The topology alone has no such value.
        shown = [repr(self.topology)]
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "topology" or value == item.default:
                continue
            if item.name == "redistributor_regions" and value == (_first_region(self.topology),):
                continue
            if item.name == "gicd_base":
                value = hex(value)
            elif item.name == "its":
                value = f"({', '.join(map(hex, value))}{',' if len(value) == 1 else ''})"
            shown.append(f"{item.name}={value}")
        return f"Config({', '.join(shown)})"

    def _check_types(self) -> None:
        check_instance("topology", self.topology, Topology, "Topology.kvm(4) is one of 4 vCPUs")
        check_instance("profile", self.profile, Profile, "vgic.profile_named finds one by its name")
        numbers = ("spis", "priority_bits", "gicd_base", "lpi_id_bits", "list_registers", "maintenance_intid")
        for name in (*numbers, "extended_spis", "extended_ppis"):
            check_integer(name, getattr(self, name))
        for name in ("a3v", "rss", "one_of_n", "lpis"):
            check_flag(name, getattr(self, name))
        regions = listed(
            "redistributor_regions", self.redistributor_regions, "a tuple of RedistributorRegion", MAX_VCPUS
        )
        for region in regions:
            hint = "RedistributorRegion(base, count) is one"
            check_instance("each of redistributor_regions", region, RedistributorRegion, hint)
        object.__setattr__(self, "redistributor_regions", tuple(regions))
        addresses = listed("its", self.its, "a tuple of addresses", MAX_VCPUS)
        for address in addresses:
            check_integer("each of its", address)
        object.__setattr__(self, "its", tuple(addresses))

    @property
    def features(self) -> Features:
        """What the VM offers: as said here, or as the profile has it."""
        default = self.profile.features
        return Features(
            a3v=default.a3v if self.a3v is None else self.a3v,
            rss=default.rss if self.rss is None else self.rss,
            one_of_n=default.one_of_n if self.one_of_n is None else self.one_of_n,
            lpis=default.lpis or bool(self.its) if self.lpis is None else self.lpis,
        )

    @property
    def two_states(self) -> bool:
        """There are two Security states."""
        return self.security == "two"

    @property
    def redistributor_size(self) -> int:
        """Bytes from one Redistributor to the next in a region."""
        return GICV4_REDISTRIBUTOR_SIZE if self.vlpi_frames else REDISTRIBUTOR_SIZE

    @property
    def fixed(self) -> Mapping[str, int]:
        """Registers that are constants, by name: the profile's, but for the revision of a GICv4 (VLPI-2)."""
        if not self.vlpi_frames:
            return self.profile.fixed
        names = [f"{frame}_PIDR2" for frame in ("GICD", "GICR", "GITS")]
        of_gicv4 = {name: self.profile.fixed[name] & ~PIDR2.mask("ArchRev") | _GICV4_PIDR2 for name in names}
        return {**self.profile.fixed, **of_gicv4}

    @property
    def has_extended_ranges(self) -> bool:
        """There are SPIs or PPIs of the extended ranges."""
        return bool(self.extended_spis or self.extended_ppis)

    @property
    def id_bits(self) -> int:
        """Bits of the widest INTID that the VM has, as GICD_TYPER.IDbits says."""
        if self.features.lpis:
            return self.lpi_id_bits
        return EXTENDED_ID_BITS if self.has_extended_ranges else SPI_ID_BITS

    def check_aff3(self, affinities: Iterable[tuple[int, int]]) -> None:
        """Raise AffinityError where a vCPU (number, packed affinity) has an Aff3 that this VM cannot show."""
        if self.features.a3v or self.profile.hidden_aff3:
            return
        for cpu, packed in affinities:
            if affinity.has_aff3(packed):
                raise AffinityError(
                    f"vCPU {cpu} has affinity {affinity.text(packed)}: Aff3 is not zero, and the VM has no A3V"
                )


def _first_region(topology: Topology) -> RedistributorRegion:
    """The region of a VM that names none."""
    return RedistributorRegion(0x080A_0000, len(topology))
