"""The profiles of KVM: `kvm` answers as Linux 6.1 and 6.12 do, the other as the version in its name.

Each departure from `arch` is a rule of status "deviation" in specs/.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vgic.features import Features
from vgic.its.choices import COLLECTIONS, DEVICES, PAGES_OF_64K, TableRegister
from vgic.layouts import gicr, gits, its_tables
from vgic.profiles.choices import GROUP1_BIT, ItsChoices, LpiChoices, Profile
from vgic.profiles.common import CIDR, identification

__all__ = ["KVM", "KVM_7_2", "KVM_VERSIONS"]

_BELOW_64K: Final = 0xF000
"""Bits [15:12] of an address, which one that is a multiple of 64 KiB does not have."""

_KVM_DEVICES: Final = gits.BASER.writable & ~gits.BASER.mask("Page_Size")
_KVM_COLLECTIONS: Final = _KVM_DEVICES & ~gits.BASER.mask("Indirect")
_KVM_TABLE_RESET: Final = gits.BASER.encode({"InnerCache": 3, "Shareability": 1})

_TABLE_OF_LPIS_RESET: Final[int] = gicr.PENDBASER.encode({"InnerCache": 3, "Shareability": 1})

KVM: Final = Profile(
    name="kvm",
    features=Features(a3v=False, rss=False, one_of_n=False, lpis=False),
    one_state=True,
    nmis=False,
    extended_ranges=False,
    hidden_aff3=True,
    fixed={
        "GICD_IIDR": 0x4B00_343B,
        "GICR_IIDR": 0x4B00_043B,
        "GITS_IIDR": 0x4B00_043B,
        "GICD_STATUSR": 0xFFFF_FFFF,
        "GICR_ICFGR1": 0,
        **identification("GICD", PIDR2=0x3B),
        **identification("GICR", PIDR2=0x3B),
        **identification("GITS", PIDR0=0x92, PIDR1=0xB4, PIDR2=0x3B, PIDR4=0x40, **CIDR),
    },
    # KVM has one group enable, and never sleeps.
    # GITS_CBASER keeps its reserved bits, but for those of an address that is a multiple of 64 KiB.
    writable={"GICD_CTLR": GROUP1_BIT, "GICR_WAKER": 0, "GITS_CBASER": (1 << 64) - 1 & ~_BELOW_64K},
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
            "GICR_STATUSR",
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
    first_vcpu_at_reset=True,
    sgis_enabled_at_reset=True,
    asleep_at_reset=False,
    spis_edge_at_reset=True,
    edge_records_line=False,
    virtual_interface=True,
    overlooks=True,
    latch_lasts=True,
    lpi=LpiChoices(
        priority_bits=6,
        one_propbaser=True,
        consumes_table=True,
        saves_on_disable=False,
        propbaser_reset=_TABLE_OF_LPIS_RESET,
        keeps_idle_tables=True,
        pendbaser_reset=_TABLE_OF_LPIS_RESET,
        # Inner shareable instead of outer; inner write-back instead of uncached; outer as inner, but for uncached.
        attributes={
            "Shareability": {2: 1},
            "InnerCache": {0: 3, 1: 3},
            "OuterCache": dict.fromkeys(range(2, 8), 0),
        },
    ),
    its=ItsChoices(
        tables=(
            TableRegister(DEVICES, writable=_KVM_DEVICES, constant=PAGES_OF_64K, reset=_KVM_TABLE_RESET),
            TableRegister(COLLECTIONS, writable=_KVM_COLLECTIONS, constant=PAGES_OF_64K, reset=_KVM_TABLE_RESET),
        ),
        entries=its_tables.KVM,
        keeps_collections=True,
        keeps_lpis=True,
        queue_reset_clears_writer=True,
        refuses_offset_beyond_queue=True,
        enable_needs_tables=True,
        quiescent="idle",
        mapd_clears_events=True,
        mapti_keeps_mapping=True,
        mapti_checks_properties=True,
        mapti_reads_tables=True,
    ),
)

KVM_7_2: Final = replace(KVM, name="kvm-7.2", dir_reaches_other_pes=True)

KVM_VERSIONS: Final[Sequence[Profile]] = (KVM, KVM_7_2)
"""The profiles of KVM, oldest first."""
