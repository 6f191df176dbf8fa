"""A Redistributor's frames, 64 KiB each: RD_base and SGI_base, for one Security state and for two, and VLPI_base.

IHI 0069 sections 12.10 and 12.11. LPI registers are declared as they are in a VM with LPIs; in one without
they are RES0, or not there. With two Security states a register is as Secure accesses see it. Not there either:
GICv3.1 extended PPIs, GICv3.3 NMIs.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, ro, rw
from vgic.layouts.banks import (
    bit_per_intid,
    byte_per_intid,
    identification,
    implementation,
    raz_wi,
    two_bits_per_intid,
)

__all__ = ["OF_LPIS", "RD_BASE", "SGI_BASE", "SGI_BASE_OF_TWO_STATES", "VLPI_BASE"]

CTLR: Final[RegisterLayout] = layout(
    "GICR_CTLR",
    0x0000,
    32,
    AccessKind.RW,
    ro("UWP", 1, "upstream writes have not all reached the Distributor"),
    res0(4),
    rw("DPG1S", 1, "Secure Group 1 1-of-N interrupts do not select this PE"),
    rw("DPG1NS", 1, "Group 1 1-of-N interrupts do not select this PE"),
    rw("DPG0", 1, "Group 0 1-of-N interrupts do not select this PE"),
    res0(20),
    ro("RWP", 1, "a write to this register or to GICR_ICENABLER0 is still taking effect"),
    ro("IR", 1, "GICR_INVLPIR, GICR_INVALLR and GICR_SYNCR are implemented"),
    ro("CES", 1, "EnableLPIs can be cleared again"),
    rw("EnableLPIs", 1, "LPIs are delivered to this PE"),
)

IIDR: Final[RegisterLayout] = implementation("GICR_IIDR", 0x0004)

TYPER: Final[RegisterLayout] = layout(
    "GICR_TYPER",
    0x0008,
    64,
    AccessKind.RO,
    ro("Affinity_Value", 32, "Aff3.Aff2.Aff1.Aff0 of the PE"),
    ro("PPInum", 5, "0: PPIs up to INTID 31, 1: up to 1087, 2: up to 1119"),
    ro("VSGI", 1, "virtual SGIs are supported (GICv4.1)"),
    ro("CommonLPIAff", 2, "which PEs share an LPI configuration table: 0 all, 1 the same Aff3, ..."),
    ro("Processor_Number", 16, "the number by which ITS commands name the PE"),
    ro("RVPEID", 1, "the vPE table is indexed by vPEID (GICv4.1)"),
    ro("MPAM", 1, "MPAM is supported"),
    ro("DPGS", 1, "GICR_CTLR.DPG* are supported"),
    ro("Last", 1, "the highest Redistributor of a contiguous run of frames"),
    ro("DirectLPI", 1, "GICR_SETLPIR and its companions make LPIs pending without an ITS"),
    ro("Dirty", 1, "GICR_VPENDBASER.Dirty is supported (GICv4)"),
    ro("VLPIS", 1, "virtual LPIs are supported (GICv4)"),
    ro("PLPIS", 1, "physical LPIs are supported"),
)

WAKER: Final[RegisterLayout] = layout(
    "GICR_WAKER",
    0x0014,
    32,
    AccessKind.RW,
    res0(29),
    ro("ChildrenAsleep", 1, "the PE's CPU interface is asleep"),
    rw("ProcessorSleep", 1, "the PE is to receive no interrupts"),
    res0(1),
)

TABLE_ATTRIBUTES: Final = "cacheability or shareability of the table in memory"

# A write of the lower half acts, with zeros for the upper one; a write of the upper half does nothing.
SETLPIR: Final[RegisterLayout] = layout(
    "GICR_SETLPIR", 0x0040, 64, AccessKind.WO, res0(32), rw("pINTID", 32, "the LPI to make pending")
)
CLRLPIR: Final[RegisterLayout] = layout(
    "GICR_CLRLPIR", 0x0048, 64, AccessKind.WO, res0(32), rw("pINTID", 32, "the LPI to take back")
)

PROPBASER: Final[RegisterLayout] = layout(
    "GICR_PROPBASER",
    0x0070,
    64,
    AccessKind.RW,
    res0(5),
    rw("OuterCache", 3, TABLE_ATTRIBUTES),
    res0(4),
    rw("Physical_Address", 40, "bits [51:12] of the address of the LPI configuration table"),
    rw("Shareability", 2, TABLE_ATTRIBUTES),
    rw("InnerCache", 3, TABLE_ATTRIBUTES),
    res0(2),
    rw("IDbits", 5, "INTID bits covered by the table, minus one"),
)

PENDBASER: Final[RegisterLayout] = layout(
    "GICR_PENDBASER",
    0x0078,
    64,
    AccessKind.RW,
    res0(1),
    rw("PTZ", 1, "the pending table is all zero"),
    res0(3),
    rw("OuterCache", 3, TABLE_ATTRIBUTES),
    res0(4),
    rw("Physical_Address", 36, "bits [51:16] of the address of the LPI pending table"),
    res0(4),
    rw("Shareability", 2, TABLE_ATTRIBUTES),
    rw("InnerCache", 3, TABLE_ATTRIBUTES),
    res0(7),
)

INVLPIR: Final[RegisterLayout] = layout(
    "GICR_INVLPIR", 0x00A0, 64, AccessKind.WO, res0(32), rw("INTID", 32, "the LPI whose configuration has changed")
)
# The value is that of GICv4.1's vPEs: without them, any write concerns every LPI of the Redistributor.
INVALLR: Final[RegisterLayout] = layout("GICR_INVALLR", 0x00B0, 64, AccessKind.WO, res0(64))

SYNCR: Final[RegisterLayout] = layout(
    "GICR_SYNCR",
    0x00C0,
    32,
    AccessKind.RO,
    res0(31),
    ro("Busy", 1, "an LPI operation of this Redistributor is in progress"),
)

OF_LPIS: Final[list[RegisterLayout]] = [SETLPIR, CLRLPIR, INVLPIR, INVALLR]
"""Registers that are not there in a VM without LPIs."""

RD_BASE: Final[list[RegisterLayout]] = [
    CTLR,
    IIDR,
    TYPER,
    raz_wi("GICR_STATUSR", 0x0010),
    WAKER,
    *OF_LPIS,
    PROPBASER,
    PENDBASER,
    SYNCR,
    *identification("GICR"),
]
"""Every register of the RD_base frame."""

VPROPBASER: Final[RegisterLayout] = layout(
    "GICR_VPROPBASER",
    0x0070,
    64,
    AccessKind.RW,
    res0(5),
    rw("OuterCache", 3, TABLE_ATTRIBUTES),
    res0(4),
    rw("Physical_Address", 40, "bits [51:12] of the address of the configuration table of virtual LPIs"),
    rw("Shareability", 2, TABLE_ATTRIBUTES),
    rw("InnerCache", 3, TABLE_ATTRIBUTES),
    res0(2),
    rw("IDbits", 5, "virtual INTID bits covered by the table, minus one"),
)

VPENDBASER: Final[RegisterLayout] = layout(
    "GICR_VPENDBASER",
    0x0078,
    64,
    AccessKind.RW,
    rw("Valid", 1, "a vPE is resident: its virtual LPIs are those of the PE"),
    rw("IDAI", 1, "the table may hold more than its first 8192 bits say"),
    rw("PendingLast", 1, "a virtual LPI was pending when the vPE was made not resident"),
    ro("Dirty", 1, "the table of the last vPE is still being written"),
    res0(1),
    rw("OuterCache", 3, TABLE_ATTRIBUTES),
    res0(4),
    rw("Physical_Address", 36, "bits [51:16] of the address of the pending table of virtual LPIs"),
    res0(4),
    rw("Shareability", 2, TABLE_ATTRIBUTES),
    rw("InnerCache", 3, TABLE_ATTRIBUTES),
    res0(7),
)

VLPI_BASE: Final[list[RegisterLayout]] = [VPROPBASER, VPENDBASER]
"""Every register of the VLPI_base frame, which a Redistributor of a GICv4 has; a reserved frame follows it."""

ICFGR0: Final[RegisterLayout] = two_bits_per_intid(
    "GICR_ICFGR0", 0x0C00, AccessKind.RO, "SGIs: edge-triggered", reset=0xAAAA_AAAA
)

SGI_BASE: Final[list[RegisterLayout]] = [
    bit_per_intid("GICR_IGROUPR", 0x0080, AccessKind.RW, "0: Group 0, 1: Group 1"),
    bit_per_intid("GICR_ISENABLER", 0x0100, AccessKind.W1S, "enabled"),
    bit_per_intid("GICR_ICENABLER", 0x0180, AccessKind.W1C, "enabled"),
    bit_per_intid("GICR_ISPENDR", 0x0200, AccessKind.W1S, "pending"),
    bit_per_intid("GICR_ICPENDR", 0x0280, AccessKind.W1C, "pending"),
    bit_per_intid("GICR_ISACTIVER", 0x0300, AccessKind.W1S, "active"),
    bit_per_intid("GICR_ICACTIVER", 0x0380, AccessKind.W1C, "active"),
    byte_per_intid("GICR_IPRIORITYR", 0x0400, "priority, 0 is the highest", count=8),
    ICFGR0,
    two_bits_per_intid("GICR_ICFGR1", 0x0C04, AccessKind.RW, "PPIs: 0b00 level-sensitive, 0b10 edge-triggered"),
    raz_wi("GICR_IGRPMODR", 0x0D00, first=0),
    raz_wi("GICR_NSACR", 0x0E00),
]
"""Every register of the SGI_base frame, with one Security state."""

OF_TWO_STATES: Final = [
    bit_per_intid("GICR_IGRPMODR", 0x0D00, AccessKind.RW, "1: Secure Group 1, where GICR_IGROUPR0 has 0"),
    two_bits_per_intid(
        "GICR_NSACR", 0x0E00, AccessKind.RW, "which Secure SGIs a Non-secure PE may generate", field="NS_access"
    ),
]
"""What is there with two Security states."""

_REPLACED: Final = {layout.name for layout in OF_TWO_STATES}
SGI_BASE_OF_TWO_STATES: Final[list[RegisterLayout]] = [
    *(layout for layout in SGI_BASE if layout.name not in _REPLACED),
    *OF_TWO_STATES,
]
"""Every register of the SGI_base frame, with two Security states."""
