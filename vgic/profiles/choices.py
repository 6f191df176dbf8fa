"""What a profile is: the choices that the architecture leaves open, one field each.

The defaults are those of `ARCH`: IHI 0069, with what the model supports honestly advertised.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vgic.features import Features
from vgic.its.choices import ItsChoices

__all__ = ["EVERYTHING", "GROUP0_BIT", "GROUP1_BIT", "SECURE_GROUP1_BIT", "ItsChoices", "LpiChoices", "Profile"]

EVERYTHING: Final = Features(a3v=True, rss=True, one_of_n=True, lpis=False)
"""LPIs need guest RAM, so a VM has them where its Config says so."""

GROUP0_BIT: Final = 0b01
GROUP1_BIT: Final = 0b10
SECURE_GROUP1_BIT: Final = 0b100


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
    honours_ptz: bool = True
    """GICR_PENDBASER.PTZ reads as zero, and a pending table that is said to be zero is not read."""
    consumes_table: bool = False
    """Bits of the pending table are cleared when they have been read."""
    saves_on_disable: bool = True
    """What is pending is written to the pending table when GICR_CTLR.EnableLPIs is cleared; else it is lost."""
    rescans: bool = False
    """What is pending is in the pending table alone, which is read again when the best LPI of a PE is gone.

    Nothing is cached then, and there is nothing to consume or to save.
    """
    propbaser_reset: int = 0
    pendbaser_reset: int = 0
    keeps_idle_tables: bool = False
    """In a VM without LPIs userspace finds in GICR_PROPBASER and GICR_PENDBASER what it wrote."""
    attributes: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """Fields of GICR_PROPBASER, GICR_PENDBASER, GITS_CBASER and GITS_BASER<n> of which values (keys) are stored as
    others."""


@dataclass(frozen=True)
class Profile:
    """The values of one implementation; the defaults are those of `ARCH`."""

    name: str
    features: Features = EVERYTHING
    """What a VM has unless its Config says otherwise."""
    one_state: bool = False
    """There is no VM with a second Security state."""
    nmis: bool = True
    """A VM may have NMIs."""
    nmi_keeps_priority: bool = False
    """The field of IPRIORITYR of an interrupt with superpriority is as that of any other, else RES0."""
    nmi_runs_as_nonsecure: bool = False
    """ICC_RPR_EL1 shows with one Security state, too, that what runs with superpriority is Non-secure."""
    nonsecure_inmir_clears: bool = False
    """With two Security states: a Non-secure write of INMIR takes superpriority from the Secure interrupts."""
    active_nmi_is_first: bool = False
    """With two Security states: an active NMI comes before whatever has preempted it; else what is better does."""
    nmi_preempts_by_group_priority: bool = False
    """With two Security states: a Non-secure NMI preempts what has its group priority by the binary point; else
    nothing that has a priority of Secure."""
    listed_nmi_has_priority: bool = False
    """An interrupt with superpriority in a list register has a priority, and comes before others of that only."""
    vlpi_frames: bool = False
    """A VM may have the frames of a GICv4, and say that it is one, although it has no virtual LPIs."""
    extended_ranges: bool = True
    """A VM may have the extended ranges of SPIs and PPIs."""
    hidden_aff3: bool = False
    """A vCPU of a VM without A3V may have an Aff3, which SGIs compare and no register shows."""
    fixed: Mapping[str, int] = field(default_factory=dict)
    """Registers that are constants: identification, and RAZ/WI registers that read as something else."""
    writable: Mapping[str, int] = field(default_factory=dict)
    """Registers in which other bits can be written than the layout says."""
    absent: frozenset[str] = frozenset()
    """Registers of the layouts that this implementation does not have: an access is illegal."""
    distributor_typer: Mapping[str, int] = field(default_factory=dict)
    """Fields of GICD_TYPER other than ITLinesNumber, also where they contradict the features."""
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
    first_vcpu_at_reset: bool = False
    """Until its GICD_IROUTER<n> is written an SPI goes to vCPU 0, whatever the affinities; else to 0.0.0.0."""
    sgis_enabled_at_reset: bool = False
    asleep_at_reset: bool = True
    """GICR_WAKER.ProcessorSleep at reset."""
    sleep_gates: bool = True
    """A PE whose GICR_WAKER.ProcessorSleep is 1 is sent no interrupts."""
    spis_edge_at_reset: bool = False
    """SPIs are edge-triggered at reset."""
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
    virtual_interface: bool = False
    """CPU interfaces are virtual ones, which finish only what is in one of their list registers."""
    icv_dir_ignores_lpis: bool = False
    """ICV_DIR_EL1 ignores LPIs, and all else above the special INTIDs."""
    vgrp0d_looks_at_group_1: bool = False
    """ICH_MISR_EL2.VGrp0D says that virtual Group 1 is disabled."""
    counts_every_end: bool = False
    """EOIcount counts every EOIR and DIR of what is in no list register; else those that would deactivate."""
    listed_ends_reach_every_group: bool = False
    """With two Security states: the end of a virtual interrupt deactivates the physical one whatever its group."""
    dir_reaches_other_pes: bool = False
    """A virtual CPU interface deactivates an SPI by DIR also where it is active at another PE."""
    overlooks: bool = False
    """An interrupt that can be forwarded without anything having happened to it is not, until something does."""
    latch_lasts: bool = False
    """The latch of a level-sensitive interrupt lasts until it is deactivated, else until it is acknowledged."""
    nonsecure_reaches_waker: bool = False
    """With two Security states: Non-secure accesses reach GICR_WAKER."""
    keeps_reserved_nsacr: bool = False
    """GICR_NSACR keeps fields of 3, which mean 2, and else are stored so."""
    interface_heeds_ds: bool = True
    """With two Security states: GICD_CTLR.DS = 1 makes a CPU interface signal Group 1 as IRQ in either state, and
    show Non-secure accesses priorities as they are."""
    nonsecure_ap1r_ignores_writes: bool = False
    """With two Security states: the first two ICC_AP1R<n>_EL1 of the Non-secure bank cannot be written."""
    el3_control_shows_nonsecure: bool = False
    """ICC_CTLR_EL3 shows in its fields of the Secure bank those of the Non-secure one."""
    el3_control: Mapping[str, int] = field(default_factory=dict)
    """Fields of ICC_CTLR_EL3 that always read so, other than those that ICC_CTLR_EL1 has too."""
    idle_priority_is_shifted: bool = True
    """ICC_PMR_EL1 = 0xFF reads as 0xFE in the Non-secure view, else as 0xFF."""
    secure_sgi1r_groups: int = SECURE_GROUP1_BIT
    """With two Security states: as `sgi1r_groups`, for a Secure write."""
    sgi1r_heeds_nsacr: bool = True
    """With two Security states: a Non-secure ICC_SGI1R_EL1 reaches the Secure groups that GICR_NSACR lets it."""
    sgi1r_groups: int = GROUP0_BIT | GROUP1_BIT
    """Which groups an SGI may be configured to, for a Non-secure ICC_SGI1R_EL1 to make it pending."""
    lpi: LpiChoices = field(default_factory=LpiChoices)
    its: ItsChoices = field(default_factory=ItsChoices)

    def __repr__(self) -> str:
        return f"<Profile {self.name}>"

    def __reduce__(self) -> str | tuple[object, ...]:
        # One of this library goes by its name: its layouts cannot be pickled.
        from vgic.profiles import PROFILES, profile_named

        if PROFILES.get(self.name) is self:
            return profile_named, (self.name,)
        return super().__reduce__()
