"""The Distributor's frame (GICD), GICv3.0 with affinity routing, for one Security state and for two.

IHI 0069 section 12.9. Registers that a configuration makes RAZ/WI are declared so, not left out: an access to them
is legal. With two Security states a register is declared as Secure accesses see it while GICD_CTLR.DS is 0. Not
there: the extended SPI range and NMIs (GICv3.1, GICv3.3).
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, res1, ro, rw
from vgic.layouts.banks import (
    bit_per_intid,
    byte_per_intid,
    identification,
    implementation,
    raz_wi,
    two_bits_per_intid,
)

__all__ = ["GICD", "GICD_OF_TWO_STATES"]

# The highest INTID of the SPI registers is 1019 for IROUTER; the other arrays cover up to 1023.
WORDS: Final = 31
"""32-bit registers with a bit for each INTID from 32 to 1023."""

CTLR: Final[RegisterLayout] = layout(
    "GICD_CTLR",
    0x0000,
    32,
    AccessKind.RW,
    ro("RWP", 1, "a write to this register or to an ICENABLER is still taking effect"),
    res0(22),
    ro("nASSGIreq", 1, "SGIs without an active state requested (GICv4.1)"),
    rw("E1NWF", 1, "1-of-N interrupts may wake a sleeping PE"),
    res1(1),  # DS: one Security state only.
    res0(1),
    res1(1),  # ARE: affinity routing cannot be turned off.
    res0(2),
    rw("EnableGrp1", 1, "Group 1 interrupts are forwarded to the CPU interfaces"),
    rw("EnableGrp0", 1, "Group 0 interrupts are forwarded to the CPU interfaces"),
)

CTLR_OF_TWO_STATES: Final[RegisterLayout] = layout(
    "GICD_CTLR",
    0x0000,
    32,
    AccessKind.RW,
    ro("RWP", 1, "a write to this register or to an ICENABLER is still taking effect"),
    res0(23),
    rw("E1NWF", 1, "1-of-N interrupts may wake a sleeping PE"),
    rw("DS", 1, "Non-secure accesses reach everything, as with one Security state; set until reset"),
    ro("ARE_NS", 1, "affinity routing for the Non-secure state, which cannot be turned off"),
    ro("ARE_S", 1, "affinity routing for the Secure state, which cannot be turned off"),
    res0(1),
    rw("EnableGrp1S", 1, "Secure Group 1 interrupts are forwarded to the CPU interfaces"),
    rw("EnableGrp1NS", 1, "Non-secure Group 1 interrupts are forwarded to the CPU interfaces"),
    rw("EnableGrp0", 1, "Group 0 interrupts are forwarded to the CPU interfaces"),
)

CTLR_OF_NONSECURE: Final[RegisterLayout] = layout(
    "GICD_CTLR",
    0x0000,
    32,
    AccessKind.RW,
    ro("RWP", 1, "a write to this register or to an ICENABLER is still taking effect"),
    res0(26),
    ro("ARE_NS", 1, "affinity routing for the Non-secure state, which cannot be turned off"),
    res0(2),
    rw("EnableGrp1A", 1, "Non-secure Group 1 interrupts are forwarded to the CPU interfaces"),
    res0(1),
)
"""What Non-secure accesses see of that of two Security states."""

TYPER: Final[RegisterLayout] = layout(
    "GICD_TYPER",
    0x0004,
    32,
    AccessKind.RO,
    ro("ESPI_range", 5, "highest extended SPI is 32 * (ESPI_range + 1) + 4095, where ESPI = 1"),
    ro("RSS", 1, "an SGI can name Aff0 values above 15"),
    ro("No1N", 1, "1-of-N SPIs are not supported"),
    ro("A3V", 1, "affinity level 3 can be non-zero"),
    ro("IDbits", 5, "INTID bits supported, minus one"),
    ro("DVIS", 1, "direct injection of virtual LPIs is supported (GICv4)"),
    ro("LPIS", 1, "LPIs are supported"),
    ro("MBIS", 1, "message-based SPIs are supported (GICD_SETSPI_*, GICD_CLRSPI_*)"),
    ro("num_LPIs", 5, "2^(num_LPIs + 1) LPIs, or as IDbits says where zero"),
    ro("SecurityExtn", 1, "two Security states"),
    ro("NMI", 1, "non-maskable interrupts are supported (GICv3.3)"),
    ro("ESPI", 1, "the extended SPI range is supported (GICv3.1)"),
    ro("CPUNumber", 3, "PEs that can be used without affinity routing, minus one"),
    ro("ITLinesNumber", 5, "INTIDs 0 to 32 * (ITLinesNumber + 1) - 1 are supported"),
)

IIDR: Final[RegisterLayout] = implementation("GICD_IIDR", 0x0008)

TYPER2: Final[RegisterLayout] = layout(
    "GICD_TYPER2",
    0x000C,
    32,
    AccessKind.RO,
    res0(23),
    ro("nASSGIcap", 1, "SGIs without an active state are possible (GICv4.1)"),
    ro("VIL", 1, "fewer than 16 bits of vPEID are implemented"),
    res0(2),
    ro("VID", 5, "bits of vPEID minus one, where VIL = 1"),
)

STATUSR: Final[RegisterLayout] = raz_wi("GICD_STATUSR", 0x0010)

MESSAGE_FIELDS: Final = (res0(19), rw("INTID", 13, "the SPI"))
# The architecture lets a 16-bit write name the SPI, because that is what an MSI writes.
MESSAGE_SIZES: Final = (2, 4)
SETSPI_NSR: Final[RegisterLayout] = layout(
    "GICD_SETSPI_NSR", 0x0040, 32, AccessKind.WO, *MESSAGE_FIELDS, sizes=MESSAGE_SIZES
)
CLRSPI_NSR: Final[RegisterLayout] = layout(
    "GICD_CLRSPI_NSR", 0x0048, 32, AccessKind.WO, *MESSAGE_FIELDS, sizes=MESSAGE_SIZES
)
SETSPI_SR: Final[RegisterLayout] = raz_wi("GICD_SETSPI_SR", 0x0050, sizes=MESSAGE_SIZES)
CLRSPI_SR: Final[RegisterLayout] = raz_wi("GICD_CLRSPI_SR", 0x0058, sizes=MESSAGE_SIZES)

IROUTER: Final[RegisterLayout] = layout(
    "GICD_IROUTER",
    0x6100,
    64,
    AccessKind.RW,
    res0(24),
    rw("Aff3", 8, "affinity level 3 of the target"),
    rw("Interrupt_Routing_Mode", 1, "any participating PE, instead of the one named (1-of-N)"),
    res0(7),
    rw("Aff2", 8, "affinity level 2 of the target"),
    rw("Aff1", 8, "affinity level 1 of the target"),
    rw("Aff0", 8, "affinity level 0 of the target"),
    first=32,
    count=988,
)

SPI_BITS: Final = [
    bit_per_intid("GICD_IGROUPR", 0x0084, AccessKind.RW, "0: Group 0, 1: Group 1", first=1, count=WORDS),
    bit_per_intid("GICD_ISENABLER", 0x0104, AccessKind.W1S, "enabled", first=1, count=WORDS),
    bit_per_intid("GICD_ICENABLER", 0x0184, AccessKind.W1C, "enabled", first=1, count=WORDS),
    bit_per_intid("GICD_ISPENDR", 0x0204, AccessKind.W1S, "pending", first=1, count=WORDS),
    bit_per_intid("GICD_ICPENDR", 0x0284, AccessKind.W1C, "pending", first=1, count=WORDS),
    bit_per_intid("GICD_ISACTIVER", 0x0304, AccessKind.W1S, "active", first=1, count=WORDS),
    bit_per_intid("GICD_ICACTIVER", 0x0384, AccessKind.W1C, "active", first=1, count=WORDS),
    byte_per_intid("GICD_IPRIORITYR", 0x0420, "priority, 0 is the highest", first=8, count=8 * WORDS),
    two_bits_per_intid(
        "GICD_ICFGR", 0x0C08, AccessKind.RW, "0b00: level-sensitive, 0b10: edge-triggered", first=2, count=2 * WORDS
    ),
]

ELSEWHERE_OR_RESERVED: Final = [
    # INTIDs 0-31: with affinity routing their state is in the Redistributors.
    raz_wi("GICD_IGROUPR", 0x0080, first=0),
    raz_wi("GICD_ISENABLER", 0x0100, first=0),
    raz_wi("GICD_ICENABLER", 0x0180, first=0),
    raz_wi("GICD_ISPENDR", 0x0200, first=0),
    raz_wi("GICD_ICPENDR", 0x0280, first=0),
    raz_wi("GICD_ISACTIVER", 0x0300, first=0),
    raz_wi("GICD_ICACTIVER", 0x0380, first=0),
    raz_wi("GICD_IPRIORITYR", 0x0400, count=8, sizes=(1, 4)),
    raz_wi("GICD_ICFGR", 0x0C00, count=2),
    # Affinity routing replaces these.
    raz_wi("GICD_ITARGETSR", 0x0800, count=256, sizes=(1, 4)),
    raz_wi("GICD_SGIR", 0x0F00),
    raz_wi("GICD_CPENDSGIR", 0x0F10, count=4, sizes=(1, 4)),
    raz_wi("GICD_SPENDSGIR", 0x0F20, count=4, sizes=(1, 4)),
    # One Security state needs neither.
    raz_wi("GICD_IGRPMODR", 0x0D00, count=32),
    raz_wi("GICD_NSACR", 0x0E00, count=64),
]

OF_TWO_STATES: Final = [
    CTLR_OF_TWO_STATES,
    layout("GICD_SETSPI_SR", 0x0050, 32, AccessKind.WO, *MESSAGE_FIELDS, sizes=MESSAGE_SIZES),
    layout("GICD_CLRSPI_SR", 0x0058, 32, AccessKind.WO, *MESSAGE_FIELDS, sizes=MESSAGE_SIZES),
    raz_wi("GICD_IGRPMODR", 0x0D00, first=0),
    bit_per_intid(
        "GICD_IGRPMODR",
        0x0D04,
        AccessKind.RW,
        "1: Secure Group 1, where GICD_IGROUPR has 0",
        first=1,
        count=WORDS,
    ),
    raz_wi("GICD_NSACR", 0x0E00, first=0, count=2),
    two_bits_per_intid(
        "GICD_NSACR",
        0x0E08,
        AccessKind.RW,
        "how much of a Secure interrupt Non-secure accesses reach",
        first=2,
        count=2 * WORDS,
        field="NS_access",
    ),
]
"""What is something else, or something at all, with two Security states."""

GICD: Final[list[RegisterLayout]] = [
    CTLR,
    TYPER,
    IIDR,
    TYPER2,
    STATUSR,
    SETSPI_NSR,
    CLRSPI_NSR,
    SETSPI_SR,
    CLRSPI_SR,
    *SPI_BITS,
    IROUTER,
    *ELSEWHERE_OR_RESERVED,
    *identification("GICD"),
]
"""Every register of the Distributor, with one Security state."""

PIDR2: Final[RegisterLayout] = next(register for register in GICD if register.name == "GICD_PIDR2")
"""Every frame has one at this offset."""

_REPLACED: Final = {layout.name for layout in OF_TWO_STATES}
GICD_OF_TWO_STATES: Final[list[RegisterLayout]] = [
    *(layout for layout in GICD if layout.name not in _REPLACED),
    *OF_TWO_STATES,
]
"""Every register of the Distributor, with two Security states."""
