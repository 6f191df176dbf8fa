"""The hypervisor's registers of the virtual CPU interface (ICH_*_EL2), IHI 0069 section 12.4.

The `offset` of a system register is its encoding, as in `vgic.layouts.icc`.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, res1, ro, rw
from vgic.layouts.icc import ACTIVE, sysreg

__all__ = ["HCR", "ICH", "INTERRUPT", "LR", "MAX_LIST_REGISTERS", "MISR", "STATE", "VMCR", "VTR", "WITHOUT_HW"]

ICH_AP0R0_EL2: Final = sysreg(3, 4, 12, 8, 0)
ICH_AP1R0_EL2: Final = sysreg(3, 4, 12, 9, 0)
ICH_HCR_EL2: Final = sysreg(3, 4, 12, 11, 0)
ICH_VTR_EL2: Final = sysreg(3, 4, 12, 11, 1)
ICH_MISR_EL2: Final = sysreg(3, 4, 12, 11, 2)
ICH_EISR_EL2: Final = sysreg(3, 4, 12, 11, 3)
ICH_ELRSR_EL2: Final = sysreg(3, 4, 12, 11, 5)
ICH_VMCR_EL2: Final = sysreg(3, 4, 12, 11, 7)
ICH_LR0_EL2: Final = sysreg(3, 4, 12, 12, 0)

HCR: Final[RegisterLayout] = layout(
    "ICH_HCR_EL2",
    ICH_HCR_EL2,
    64,
    AccessKind.RW,
    res0(32),
    rw("EOIcount", 5, "deactivations of interrupts that are in no list register"),
    res0(11),
    rw("DVIM", 1, "directly injected virtual interrupts are masked"),
    rw("TDIR", 1, "writes of ICC_DIR_EL1 trap to EL2; only where ICH_VTR_EL2.TDS is 1"),
    rw("TSEI", 1, "locally generated SErrors trap to EL2; only where ICH_VTR_EL2.SEIS is 1"),
    rw("TALL1", 1, "EL1 accesses to the registers of Group 1 trap to EL2"),
    rw("TALL0", 1, "EL1 accesses to the registers of Group 0 trap to EL2"),
    rw("TC", 1, "EL1 accesses to the registers common to both groups trap to EL2"),
    res0(1),
    rw("vSGIEOICount", 1, "deactivations of directly injected SGIs do not count in EOIcount"),
    rw("VGrp1DIE", 1, "maintenance interrupt while virtual Group 1 is disabled"),
    rw("VGrp1EIE", 1, "maintenance interrupt while virtual Group 1 is enabled"),
    rw("VGrp0DIE", 1, "maintenance interrupt while virtual Group 0 is disabled"),
    rw("VGrp0EIE", 1, "maintenance interrupt while virtual Group 0 is enabled"),
    rw("NPIE", 1, "maintenance interrupt while no list register is pending"),
    rw("LRENPIE", 1, "maintenance interrupt while EOIcount is not 0"),
    rw("UIE", 1, "maintenance interrupt while at most one list register is in use"),
    rw("En", 1, "the virtual CPU interface signals interrupts"),
)

VTR: Final[RegisterLayout] = layout(
    "ICH_VTR_EL2",
    ICH_VTR_EL2,
    64,
    AccessKind.RO,
    res0(32),
    ro("PRIbits", 3, "virtual priority bits implemented, minus one"),
    ro("PREbits", 3, "virtual preemption bits implemented, minus one"),
    ro("IDbits", 3, "0: 16 bits of virtual INTID, 1: 24 bits"),
    ro("SEIS", 1, "SErrors can be generated locally"),
    ro("A3V", 1, "Aff3 can be non-zero in SGI registers"),
    ro("nV4", 1, "1: no direct injection of virtual interrupts, as in a GICv3"),
    ro("TDS", 1, "writes of ICC_DIR_EL1 can be trapped alone, by ICH_HCR_EL2.TDIR"),
    ro("DVIM", 1, "ICH_HCR_EL2.DVIM is implemented"),
    res0(13),
    ro("ListRegs", 5, "list registers implemented, minus one"),
)

MISR: Final[RegisterLayout] = layout(
    "ICH_MISR_EL2",
    ICH_MISR_EL2,
    64,
    AccessKind.RO,
    res0(56),
    ro("VGrp1D", 1, "virtual Group 1 is disabled, and ICH_HCR_EL2.VGrp1DIE is 1"),
    ro("VGrp1E", 1, "virtual Group 1 is enabled, and ICH_HCR_EL2.VGrp1EIE is 1"),
    ro("VGrp0D", 1, "virtual Group 0 is disabled, and ICH_HCR_EL2.VGrp0DIE is 1"),
    ro("VGrp0E", 1, "virtual Group 0 is enabled, and ICH_HCR_EL2.VGrp0EIE is 1"),
    ro("NP", 1, "no list register is pending, and ICH_HCR_EL2.NPIE is 1"),
    ro("LRENP", 1, "EOIcount is not 0, and ICH_HCR_EL2.LRENPIE is 1"),
    ro("U", 1, "at most one list register is in use, and ICH_HCR_EL2.UIE is 1"),
    ro("EOI", 1, "a bit of ICH_EISR_EL2 is 1"),
)

VMCR: Final[RegisterLayout] = layout(
    "ICH_VMCR_EL2",
    ICH_VMCR_EL2,
    64,
    AccessKind.RW,
    res0(32),
    rw("VPMR", 8, "ICV_PMR_EL1.Priority"),
    rw("VBPR0", 3, "ICV_BPR0_EL1.BinaryPoint"),
    rw("VBPR1", 3, "ICV_BPR1_EL1.BinaryPoint"),
    res0(8),
    rw("VEOIM", 1, "ICV_CTLR_EL1.EOImode"),
    res0(4),
    rw("VCBPR", 1, "ICV_CTLR_EL1.CBPR"),
    # System registers are the only interface: VFIQEn is RES1, and VAckCtl RES0.
    res1(1),
    res0(1),
    rw("VENG1", 1, "ICV_IGRPEN1_EL1.Enable"),
    rw("VENG0", 1, "ICV_IGRPEN0_EL1.Enable"),
)

MAX_LIST_REGISTERS: Final = 16

STATE: Final = (
    rw("State", 2, "0: invalid, 1: pending, 2: active, 3: pending and active"),
    rw("HW", 1, "1: deactivating it deactivates the physical interrupt pINTID"),
    rw("Group", 1, "its group"),
)
"""The upper fields of a list register."""

INTERRUPT: Final = (
    rw("Priority", 8, "its priority"),
    res0(3),
    rw(
        "pINTID",
        13,
        "the physical interrupt; where HW is 0, bit 9 asks for a maintenance interrupt",
    ),
    rw("vINTID", 32, "the interrupt, as the guest knows it"),
)
"""The lower ones."""

WITHOUT_HW: Final = (
    rw("Priority", 8, "its priority"),
    res0(6),
    rw("EOI", 1, "its end asks for a maintenance interrupt"),
    res0(9),
    rw("vINTID", 32, "the interrupt, as the guest knows it"),
)
"""The same where HW is 0."""

LR: Final[RegisterLayout] = layout(
    "ICH_LR<n>_EL2",
    ICH_LR0_EL2,
    64,
    AccessKind.RW,
    *STATE,
    res0(4),
    *INTERRUPT,
    count=MAX_LIST_REGISTERS,
)

_OF_LIST_REGISTERS: Final = "bit n: list register n is empty, and"

ICH: Final[list[RegisterLayout]] = [
    layout("ICH_AP0R<n>_EL2", ICH_AP0R0_EL2, 64, AccessKind.RW, *ACTIVE, count=4),
    layout("ICH_AP1R<n>_EL2", ICH_AP1R0_EL2, 64, AccessKind.RW, *ACTIVE, count=4),
    HCR,
    VTR,
    MISR,
    layout(
        "ICH_EISR_EL2",
        ICH_EISR_EL2,
        64,
        AccessKind.RO,
        res0(48),
        ro("Status", 16, f"{_OF_LIST_REGISTERS} its end asked for a maintenance interrupt"),
    ),
    layout(
        "ICH_ELRSR_EL2",
        ICH_ELRSR_EL2,
        64,
        AccessKind.RO,
        res0(48),
        ro("Status", 16, f"{_OF_LIST_REGISTERS} nothing is to be done about what it held"),
    ),
    VMCR,
    LR,
]
"""Every system register of the virtual CPU interface at EL2."""
