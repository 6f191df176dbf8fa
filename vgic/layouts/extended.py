"""The extended ranges of INTIDs (GICv3.1): what they add to the Distributor's frame and to SGI_base.

IHI 0069 sections 12.9 and 12.11. Extended SPIs are INTIDs 4096 and up, and their registers count from 0. Extended
PPIs are INTIDs 1056 and up; their registers count on where those of a Redistributor end, as if 1024 were 0. A VM
without a range has not got its registers: it reads zero there.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout
from vgic.layouts import gicd
from vgic.layouts.banks import bit_per_intid, byte_per_intid, raz_wi, two_bits_per_intid

__all__ = [
    "GICD_EXTENDED",
    "GICD_EXTENDED_OF_TWO_STATES",
    "IROUTER",
    "SGI_BASE_EXTENDED",
    "SGI_BASE_EXTENDED_OF_TWO_STATES",
]

SPI_WORDS: Final = 32
"""32-bit registers with a bit for each INTID from 4096 to 5119."""
PPI_WORDS: Final = 2
"""Those with a bit for each INTID from 1056 to 1119."""

_TRIGGER: Final = "0b00: level-sensitive, 0b10: edge-triggered"
_MODIFIER: Final = "1: Secure Group 1, where the bit of IGROUPR is 0"
_ACCESS: Final = "how much of a Secure interrupt Non-secure accesses reach"
_GROUP: Final = "0: Group 0, 1: Group 1"

IROUTER: Final[RegisterLayout] = layout(
    "GICD_IROUTER<n>E", 0x8000, 64, AccessKind.RW, *gicd.IROUTER.declared, first=0, count=32 * SPI_WORDS
)

GICD_EXTENDED: Final[list[RegisterLayout]] = [
    bit_per_intid("GICD_IGROUPR<n>E", 0x1000, AccessKind.RW, _GROUP, count=SPI_WORDS),
    bit_per_intid("GICD_ISENABLER<n>E", 0x1200, AccessKind.W1S, "enabled", count=SPI_WORDS),
    bit_per_intid("GICD_ICENABLER<n>E", 0x1400, AccessKind.W1C, "enabled", count=SPI_WORDS),
    bit_per_intid("GICD_ISPENDR<n>E", 0x1600, AccessKind.W1S, "pending", count=SPI_WORDS),
    bit_per_intid("GICD_ICPENDR<n>E", 0x1800, AccessKind.W1C, "pending", count=SPI_WORDS),
    bit_per_intid("GICD_ISACTIVER<n>E", 0x1A00, AccessKind.W1S, "active", count=SPI_WORDS),
    bit_per_intid("GICD_ICACTIVER<n>E", 0x1C00, AccessKind.W1C, "active", count=SPI_WORDS),
    byte_per_intid("GICD_IPRIORITYR<n>E", 0x2000, "priority, 0 is the highest", count=8 * SPI_WORDS),
    two_bits_per_intid("GICD_ICFGR<n>E", 0x3000, AccessKind.RW, _TRIGGER, first=0, count=2 * SPI_WORDS),
    IROUTER,
    # One Security state needs neither.
    raz_wi("GICD_IGRPMODR<n>E", 0x3400, count=SPI_WORDS),
    raz_wi("GICD_NSACR<n>E", 0x3600, count=2 * SPI_WORDS),
]
"""The registers of extended SPIs, with one Security state."""

GICD_EXTENDED_OF_TWO_STATES: Final[list[RegisterLayout]] = [
    *GICD_EXTENDED[:-2],
    bit_per_intid("GICD_IGRPMODR<n>E", 0x3400, AccessKind.RW, _MODIFIER, count=SPI_WORDS),
    two_bits_per_intid(
        "GICD_NSACR<n>E", 0x3600, AccessKind.RW, _ACCESS, first=0, count=2 * SPI_WORDS, field="NS_access"
    ),
]
"""Those with two."""

SGI_BASE_EXTENDED: Final[list[RegisterLayout]] = [
    bit_per_intid("GICR_IGROUPR<n>E", 0x0084, AccessKind.RW, _GROUP, first=1, count=PPI_WORDS),
    bit_per_intid("GICR_ISENABLER<n>E", 0x0104, AccessKind.W1S, "enabled", first=1, count=PPI_WORDS),
    bit_per_intid("GICR_ICENABLER<n>E", 0x0184, AccessKind.W1C, "enabled", first=1, count=PPI_WORDS),
    bit_per_intid("GICR_ISPENDR<n>E", 0x0204, AccessKind.W1S, "pending", first=1, count=PPI_WORDS),
    bit_per_intid("GICR_ICPENDR<n>E", 0x0284, AccessKind.W1C, "pending", first=1, count=PPI_WORDS),
    bit_per_intid("GICR_ISACTIVER<n>E", 0x0304, AccessKind.W1S, "active", first=1, count=PPI_WORDS),
    bit_per_intid("GICR_ICACTIVER<n>E", 0x0384, AccessKind.W1C, "active", first=1, count=PPI_WORDS),
    byte_per_intid("GICR_IPRIORITYR<n>E", 0x0420, "priority, 0 is the highest", first=8, count=8 * PPI_WORDS),
    two_bits_per_intid("GICR_ICFGR<n>E", 0x0C08, AccessKind.RW, _TRIGGER, first=2, count=2 * PPI_WORDS),
    raz_wi("GICR_IGRPMODR<n>E", 0x0D04, first=1, count=PPI_WORDS),
]
"""The registers of extended PPIs, with one Security state."""

SGI_BASE_EXTENDED_OF_TWO_STATES: Final[list[RegisterLayout]] = [
    *SGI_BASE_EXTENDED[:-1],
    bit_per_intid("GICR_IGRPMODR<n>E", 0x0D04, AccessKind.RW, _MODIFIER, first=1, count=PPI_WORDS),
]
"""Those with two."""
