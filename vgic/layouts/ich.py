"""The hypervisor's registers of a host's virtual CPU interface (ICH_*_EL2), IHI 0069.

Only those that say what a host can do and what a guest's accesses are trapped by. The `offset` of a system register
is its encoding, as in `vgic.layouts.icc`.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, ro, rw
from vgic.layouts.icc import sysreg

__all__ = ["HCR", "ICH", "VTR"]

ICH_HCR_EL2: Final = sysreg(3, 4, 12, 11, 0)
ICH_VTR_EL2: Final = sysreg(3, 4, 12, 11, 1)

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

ICH: Final[list[RegisterLayout]] = [HCR, VTR]
"""The hypervisor's registers that are declared."""
