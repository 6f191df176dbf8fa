"""The profiles of QEMU: `qemu` answers as version 7.2 does, the others as the version in their name.

Each departure from `arch` is a rule of status "deviation" in specs/. A version is told by what differs from 7.2.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vgic.features import Features
from vgic.its.errors import OUT_OF_RAM, ItsError
from vgic.layouts import ich, its_tables, nmi
from vgic.profiles.arch import ARCH
from vgic.profiles.choices import GROUP0_BIT, GROUP1_BIT, SECURE_GROUP1_BIT, ItsChoices, LpiChoices, Profile
from vgic.profiles.common import ALL_64

__all__ = ["QEMU", "QEMU_10_0", "QEMU_VERSIONS"]

QEMU: Final = Profile(
    name="qemu",
    features=Features(a3v=True, rss=False, one_of_n=False, lpis=True),
    nmis=False,
    extended_ranges=False,
    vlpi_frames=True,
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
        "GICR_VPROPBASER": ALL_64,
        "GICR_CTLR": 1,
        "GITS_CBASER": ALL_64,
        "GITS_CWRITER": ALL_64,
        "GITS_CREADR": ALL_64,
        # Reserved bits of these are stored, too.
        "ICH_HCR_EL2": ich.HCR.writable & ~ich.HCR.mask("DVIM") & ~ich.HCR.mask("vSGIEOICount"),
        "ICH_VMCR_EL2": ich.VMCR.writable,
        "ICH_LR<n>_EL2": ALL_64,
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
    distributor_typer={"IDbits": 15},
    unreported_spi_words=1,
    redistributor_typer={"CommonLPIAff": 1},
    cpu_interface_ctlr={"IDbits": 1},
    stored_priority_bits=8,
    sleep_gates=False,
    config_takes_effect_at_once=False,
    disabled_group_hides=True,
    lowest_priority_is_idle=True,
    eoi_checks_group=False,
    icv_dir_ignores_lpis=True,
    vgrp0d_looks_at_group_1=True,
    counts_every_end=True,
    listed_ends_reach_every_group=True,
    sgi1r_groups=GROUP1_BIT,
    secure_sgi1r_groups=GROUP0_BIT | SECURE_GROUP1_BIT,
    sgi1r_heeds_nsacr=False,
    nonsecure_reaches_waker=True,
    keeps_reserved_nsacr=True,
    interface_heeds_ds=False,
    nonsecure_ap1r_ignores_writes=True,
    el3_control_shows_nonsecure=True,
    el3_control={"nDS": 1},
    idle_priority_is_shifted=False,
    lpi=LpiChoices(
        priority_bits=6,
        tables_locked=False,
        honours_ptz=False,
        rescans=True,
    ),
    its=ItsChoices(
        typer={"Physical": 1, "ID_bits": 15, "Devbits": 15, "CIL": 1, "CIDbits": 15},
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

QEMU_10_0: Final = replace(
    QEMU,
    name="qemu-10.0",
    writable={**QEMU.writable, "ICH_LR<n>_EL2": ALL_64 & ~nmi.LR.mask("NMI")},
    nmis=True,
    nmi_keeps_priority=True,
    nmi_runs_as_nonsecure=True,
    nonsecure_inmir_clears=True,
    active_nmi_is_first=True,
    nmi_preempts_by_group_priority=True,
    listed_nmi_has_priority=True,
    unreported_spi_words=0,
)


QEMU_VERSIONS: Final[Sequence[Profile]] = (QEMU, QEMU_10_0)
"""The profiles of QEMU, oldest first."""
