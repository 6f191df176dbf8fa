"""Profiles: the choices that the architecture leaves open, and where an implementation departs from it.

A profile is data. The model reads these values; it never asks which profile it runs. `ARCH` is the default: IHI
0069, with what the model supports honestly advertised. `KVM` and `QEMU` answer as Linux's arm64 KVM and QEMU 7.2
do, so that their recordings replay; each departure is a rule with status "deviation" in specs/.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vgic.errors import ConfigError
from vgic.features import Features
from vgic.its.choices import COLLECTIONS, DEVICES, ItsChoices, TableRegister
from vgic.its.errors import OUT_OF_RAM, ItsError
from vgic.layouts import gits, its_tables

__all__ = ["ARCH", "KVM", "PROFILES", "QEMU", "ItsChoices", "LpiChoices", "Profile", "profile_named"]

ALL_64: Final = (1 << 64) - 1

EVERYTHING: Final = Features(a3v=True, rss=True, one_of_n=True, lpis=False)
"""LPIs need guest RAM, so a VM has them where its Config says so."""

_BELOW_64K: Final = 0xF000
"""Bits [15:12] of an address, which one that is a multiple of 64 KiB does not have."""

GROUP0_BIT: Final = 0b01
GROUP1_BIT: Final = 0b10

_CIDR: Final = {"CIDR0": 0x0D, "CIDR1": 0xF0, "CIDR2": 0x05, "CIDR3": 0xB1}


def _identification(prefix: str, **registers: int) -> dict[str, int]:
    return {f"{prefix}_{name}": value for name, value in registers.items()}


@dataclass(frozen=True)
class LpiChoices:
    """How an implementation treats LPIs; the defaults are those of `ARCH`.

    Which of GICR_SETLPIR, GICR_CLRLPIR, GICR_INVLPIR, GICR_INVALLR and GICR_SYNCR there are is in `Profile.absent`.
    """

    priority_bits: int | None = None
    """Bits of an LPI's priority that count, six at most; None: as many as the CPU interface implements."""
    one_propbaser: bool = False
    """GICR_PROPBASER is one register that every Redistributor shows."""
    tables_locked: bool = True
    """GICR_PROPBASER and GICR_PENDBASER ignore writes while GICR_CTLR.EnableLPIs is 1."""
    heeds_ptz: bool = True
    """GICR_PENDBASER.PTZ reads as zero, and a pending table that is said to be zero is not read."""
    consumes_table: bool = False
    """Bits of the pending table are cleared when they have been read."""
    saves_on_disable: bool = True
    """What is pending is written to the pending table when GICR_CTLR.EnableLPIs is cleared; else it is lost."""
    rescans: bool = False
    """What is pending is in the pending table alone, which is read again when the best LPI of a PE is gone.

    Nothing is cached then, and there is nothing to consume or to save.
    """
    pendbaser_reset: int = 0
    attributes: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Fields of GICR_PROPBASER, GICR_PENDBASER, GITS_CBASER and GITS_BASER<n> of which values (keys) are stored as
    others."""


@dataclass(frozen=True)
class Profile:
    """The values of one implementation; the defaults are those of `ARCH`."""

    name: str
    features: Features = EVERYTHING
    """What a VM has unless its Config says otherwise."""
    hidden_aff3: bool = False
    """A vCPU of a VM without A3V may have an Aff3, which SGIs compare and no register shows."""
    fixed: Mapping[str, int] = field(default_factory=dict)
    """Registers that are constants: identification, and RAZ/WI registers that read as something else."""
    writable: Mapping[str, int] = field(default_factory=dict)
    """Registers in which other bits can be written than the layout says."""
    absent: frozenset[str] = frozenset()
    """Registers of the layouts that this implementation does not have: an access is illegal."""
    distributor_typer: Mapping[str, int] = field(default_factory=dict)
    """Fields of GICD_TYPER other than ITLinesNumber and IDbits, and of features where it contradicts them."""
    unreported_spi_words: int = 0
    """By how many blocks of 32 SPIs ITLinesNumber falls short of what there is."""
    redistributor_typer: Mapping[str, int] = field(default_factory=dict)
    """Fields of GICR_TYPER other than the affinity, the processor number, Last, and those of features."""
    redistributor_ctlr: Mapping[str, int] = field(default_factory=dict)
    """Fields of GICR_CTLR that always read so, with LPIs or without."""
    cpu_interface_ctlr: Mapping[str, int] = field(default_factory=dict)
    """Fields of ICC_CTLR_EL1 that always read so, other than PRIbits."""
    stored_priority_bits: int | None = None
    """Bits of a priority that IPRIORITYR keeps, None: as many as the CPU interface implements."""
    group_enable_bits: tuple[int, int] = (GROUP0_BIT, GROUP1_BIT)
    """The bit of GICD_CTLR that forwards Group 0 and Group 1."""
    reset_group: int = 0
    """The group of every interrupt at reset."""
    sgis_enabled_at_reset: bool = False
    asleep_at_reset: bool = True
    """GICR_WAKER.ProcessorSleep at reset."""
    sleep_gates: bool = True
    """A PE whose GICR_WAKER.ProcessorSleep is 1 is sent no interrupts."""
    edge_records_line: bool = True
    """The level of a line is remembered while its interrupt is edge-triggered."""
    config_takes_effect_at_once: bool = True
    """A GICD_ICFGR write re-evaluates its interrupts; else that waits until each is next evaluated."""
    disabled_group_hides: bool = False
    """A pending interrupt of a group disabled in the CPU interface hides those of the other group."""
    lowest_priority_is_idle: bool = False
    """An interrupt of priority 0xFF does not count as pending."""
    eoi_checks_group: bool = True
    """EOIR deactivates only an interrupt of its own group."""
    sgi1r_groups: int = GROUP0_BIT | GROUP1_BIT
    """Which groups an SGI may be configured to, for a Non-secure ICC_SGI1R_EL1 to make it pending."""
    lpi: LpiChoices = field(default_factory=LpiChoices)
    its: ItsChoices = field(default_factory=ItsChoices)


_ARM_CORESIGHT: Final = {"PIDR1": 0xB4, "PIDR2": 0x3B, "PIDR4": 0x44, **_CIDR}

ARCH: Final = Profile(
    name="arch",
    fixed={
        # Product 'V', no revision, Arm as implementer: no driver keys a workaround to it.
        "GICD_IIDR": 0x5600_043B,
        "GICR_IIDR": 0x5600_043B,
        "GITS_IIDR": 0x5600_043B,
        **_identification("GICD", PIDR0=0x92, **_ARM_CORESIGHT),
        **_identification("GICR", PIDR0=0x93, **_ARM_CORESIGHT),
        **_identification("GITS", PIDR0=0x94, **_ARM_CORESIGHT),
    },
    distributor_typer={"MBIS": 1},
)

_PAGES_OF_64K: Final = gits.BASER.encode({"Page_Size": 2})
_KVM_DEVICES: Final = gits.BASER.writable & ~gits.BASER.mask("Page_Size")
_KVM_COLLECTIONS: Final = _KVM_DEVICES & ~gits.BASER.mask("Indirect")
_KVM_TABLE_RESET: Final = gits.BASER.encode({"InnerCache": 3, "Shareability": 1})

KVM: Final = Profile(
    name="kvm",
    features=Features(a3v=False, rss=False, one_of_n=False, lpis=False),
    hidden_aff3=True,
    fixed={
        "GICD_IIDR": 0x4B00_343B,
        "GICR_IIDR": 0x4B00_043B,
        "GITS_IIDR": 0x4B00_043B,
        "GICD_STATUSR": 0xFFFF_FFFF,
        "GICR_ICFGR1": 0,
        **_identification("GICD", PIDR2=0x3B),
        **_identification("GICR", PIDR2=0x3B),
        **_identification("GITS", PIDR0=0x92, PIDR1=0xB4, PIDR2=0x3B, PIDR4=0x40, **_CIDR),
    },
    # KVM has one group enable, and never sleeps.
    writable={"GICD_CTLR": GROUP1_BIT, "GICR_WAKER": 0, "GITS_CBASER": gits.CBASER.writable & ~_BELOW_64K},
    absent=frozenset(
        {
            "GICD_SETSPI_NSR",
            "GICD_CLRSPI_NSR",
            "GICD_SETSPI_SR",
            "GICD_CLRSPI_SR",
            "GICD_SGIR",
            "GICD_CPENDSGIR",
            "GICD_SPENDSGIR",
            "GICD_NSACR",
            "GICR_SETLPIR",
            "GICR_CLRLPIR",
            "GITS_MPIDR",
            "GITS_STATUSR",
            "GITS_TRANSLATER",
        }
    ),
    # No1N = 0 promises 1-of-N routing, which KVM does not have.
    distributor_typer={"No1N": 0},
    redistributor_ctlr={"IR": 1, "CES": 1},
    stored_priority_bits=5,
    group_enable_bits=(GROUP1_BIT, GROUP1_BIT),
    reset_group=1,
    sgis_enabled_at_reset=True,
    asleep_at_reset=False,
    edge_records_line=False,
    lpi=LpiChoices(
        priority_bits=6,
        one_propbaser=True,
        consumes_table=True,
        saves_on_disable=False,
        pendbaser_reset=0x580,
        # Inner shareable instead of outer; inner write-back instead of uncached; outer as inner, but for uncached.
        attributes={
            "Shareability": {2: 1},
            "InnerCache": {0: 3, 1: 3},
            "OuterCache": dict.fromkeys(range(2, 8), 0),
        },
    ),
    its=ItsChoices(
        tables=(
            TableRegister(DEVICES, writable=_KVM_DEVICES, constant=_PAGES_OF_64K, reset=_KVM_TABLE_RESET),
            TableRegister(COLLECTIONS, writable=_KVM_COLLECTIONS, constant=_PAGES_OF_64K, reset=_KVM_TABLE_RESET),
        ),
        entries=its_tables.KVM,
        keeps_collections=True,
        queue_reset_clears_writer=True,
        refuses_offset_beyond_queue=True,
        enable_needs_tables=True,
        quiescent="idle",
        mapd_clears_events=True,
        mapti_keeps_mapping=True,
        mapti_checks_properties=True,
        mapti_reads_tables=True,
        mapc_always_checks_target=True,
    ),
)

QEMU: Final = Profile(
    name="qemu",
    features=Features(a3v=True, rss=False, one_of_n=False, lpis=True),
    fixed={
        **ARCH.fixed,
        "GICD_IIDR": 0x0000_043B,
        "GICR_IIDR": 0x0000_043B,
        "GITS_IIDR": 0x0000_043B,
    },
    # QEMU 7.2 stores these as written, reserved bits included.
    writable={
        "GICD_IROUTER": ALL_64,
        "GICR_PROPBASER": ALL_64,
        "GICR_PENDBASER": ALL_64,
        "GICR_CTLR": 1,
        "GITS_CBASER": ALL_64,
        "GITS_CWRITER": ALL_64,
        "GITS_CREADR": ALL_64,
    },
    absent=frozenset(
        {
            "GICD_TYPER2",
            "GICD_SETSPI_NSR",
            "GICD_CLRSPI_NSR",
            "GICD_SETSPI_SR",
            "GICD_CLRSPI_SR",
            "GICR_SETLPIR",
            "GICR_CLRLPIR",
            "GICR_INVLPIR",
            "GICR_INVALLR",
            "GICR_SYNCR",
            "GITS_MPIDR",
            "GITS_STATUSR",
        }
    ),
    unreported_spi_words=1,
    redistributor_typer={"CommonLPIAff": 1},
    redistributor_ctlr={"CES": 1},
    cpu_interface_ctlr={"IDbits": 1},
    stored_priority_bits=8,
    sleep_gates=False,
    config_takes_effect_at_once=False,
    disabled_group_hides=True,
    lowest_priority_is_idle=True,
    eoi_checks_group=False,
    sgi1r_groups=GROUP1_BIT,
    lpi=LpiChoices(
        priority_bits=6,
        tables_locked=False,
        heeds_ptz=False,
        rescans=True,
    ),
    its=ItsChoices(
        typer={"Physical": 1, "ID_bits": 15, "Devbits": 15, "CIL": 1, "CIDbits": 15},
        tables=(
            TableRegister(DEVICES, reset=_PAGES_OF_64K),
            TableRegister(COLLECTIONS, reset=_PAGES_OF_64K),
        ),
        entries=its_tables.QEMU,
        stalls_on=OUT_OF_RAM,
        skips=frozenset((name, ItsError.COLLECTION_UNREADABLE) for name in ("INT", "CLEAR", "DISCARD")),
        any_write_retries=True,
        queue_alignment=0x1000,
        quiescent="always",
        missing_page_is_empty=True,
        mapd_always_checks_size=True,
        invall_needs_collection=False,
        translater_device=0,
    ),
)

PROFILES: Final[Mapping[str, Profile]] = {profile.name: profile for profile in (ARCH, KVM, QEMU)}
"""Every profile by name."""


def profile_named(name: str) -> Profile:
    """The profile of this name. Raises ConfigError naming the known ones."""
    if name not in PROFILES:
        raise ConfigError(f"no profile {name!r}; there are {', '.join(PROFILES)}")
    return PROFILES[name]
