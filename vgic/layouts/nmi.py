"""NMIs (GICv3.3): the registers that say which interrupts have superpriority, and what the CPU interface has more.

IHI 0069 sections 12.2, 12.9 and 12.11. A VM without NMIs has none of these.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, ro, rw
from mmio.layout import Declared
from vgic.layouts.banks import bit_per_intid, raz_wi
from vgic.layouts.extended import PPI_WORDS, SPI_WORDS
from vgic.layouts.gicd import WORDS
from vgic.layouts.icc import ACKNOWLEDGED, ICC_AP1R0_EL1, ICC_NMIAR1_EL1, ICC_RPR_EL1
from vgic.layouts.ich import ICH_AP1R0_EL2, ICH_LR0_EL2, INTERRUPT, MAX_LIST_REGISTERS, STATE, WITHOUT_HW

__all__ = [
    "AP1R0",
    "GICD_NMI",
    "GICD_NMI_EXTENDED",
    "ICC_NMI",
    "ICH_AP1R0",
    "ICH_NMI",
    "LR",
    "LR_WITHOUT_HW",
    "NMIAR1",
    "RPR",
    "SGI_BASE_NMI",
    "SGI_BASE_NMI_EXTENDED",
]

_SUPERPRIORITY: Final = "has superpriority, where it is not in Group 0"

GICD_NMI: Final[list[RegisterLayout]] = [
    raz_wi("GICD_INMIR", 0x0F80, first=0),
    bit_per_intid("GICD_INMIR", 0x0F84, AccessKind.RW, _SUPERPRIORITY, first=1, count=WORDS),
]
"""In the Distributor."""

GICD_NMI_EXTENDED: Final[list[RegisterLayout]] = [
    bit_per_intid("GICD_INMIR<n>E", 0x3B00, AccessKind.RW, _SUPERPRIORITY, count=SPI_WORDS)
]
"""In one with extended SPIs."""

SGI_BASE_NMI: Final[list[RegisterLayout]] = [bit_per_intid("GICR_INMIR", 0x0F80, AccessKind.RW, _SUPERPRIORITY)]
"""In SGI_base."""

SGI_BASE_NMI_EXTENDED: Final[list[RegisterLayout]] = [
    bit_per_intid("GICR_INMIR<n>E", 0x0F84, AccessKind.RW, _SUPERPRIORITY, first=1, count=PPI_WORDS)
]
"""In that of a Redistributor with extended PPIs."""

_ACTIVE: Final = (
    rw("NMI", 1, "an interrupt with superpriority is active"),
    res0(31),
    rw("P", 32, "bit n: an interrupt of the n-th group priority is active"),
)

AP1R0: Final[RegisterLayout] = layout("ICC_AP1R0_EL1", ICC_AP1R0_EL1, 64, AccessKind.RW, *_ACTIVE)

RPR: Final[RegisterLayout] = layout(
    "ICC_RPR_EL1",
    ICC_RPR_EL1,
    64,
    AccessKind.RO,
    ro("NMI", 1, "what runs has superpriority"),
    ro("NMI_NS", 1, "with two Security states: what runs in Non-secure state has superpriority"),
    res0(54),
    ro("Priority", 8, "the group priority that runs, 0xFF where none does"),
)

NMIAR1: Final[RegisterLayout] = layout("ICC_NMIAR1_EL1", ICC_NMIAR1_EL1, 64, AccessKind.RO, *ACKNOWLEDGED)

ICC_NMI: Final[list[RegisterLayout]] = [AP1R0, RPR, NMIAR1]
"""Of the CPU interface."""

ICH_AP1R0: Final[RegisterLayout] = layout("ICH_AP1R0_EL2", ICH_AP1R0_EL2, 64, AccessKind.RW, *_ACTIVE)


def _list_register(*interrupt: Declared) -> RegisterLayout:
    return layout(
        "ICH_LR<n>_EL2",
        ICH_LR0_EL2,
        64,
        AccessKind.RW,
        *STATE,
        rw("NMI", 1, "it has superpriority, where it is in Group 1"),
        res0(3),
        *interrupt,
        count=MAX_LIST_REGISTERS,
    )


LR: Final[RegisterLayout] = _list_register(*INTERRUPT)
LR_WITHOUT_HW: Final[RegisterLayout] = _list_register(*WITHOUT_HW)
"""A list register whose HW is 0, for those who show one: there pINTID is no interrupt."""

ICH_NMI: Final[list[RegisterLayout]] = [ICH_AP1R0, LR]
"""Of the virtual CPU interface at EL2."""
