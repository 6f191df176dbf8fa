"""The control registers of breakpoints and watchpoints, DDI 0487 (D24.3, by name).

While E is 0, every other field is ignored. The `offset` of a system register is its encoding, as in
`vgic.layouts.icc`; FEAT_Debugv8p9 has up to 64 of each, in banks of 16 that MDSELR_EL1 selects.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, rw
from vgic.layouts.icc import sysreg

__all__ = ["DBGBCR", "DBGWCR", "LINKED_BITS"]

BANK: Final = 16

LINKED_BITS: Final = 4
"""Of the number of a linked breakpoint those that are in LBN; LBNX has the others."""

DBGBCR: Final[RegisterLayout] = layout(
    "DBGBCR<n>_EL1",
    sysreg(2, 0, 0, 0, 5),
    64,
    AccessKind.RW,
    res0(32),
    rw("LBNX", 2, "the upper bits of LBN; with FEAT_Debugv8p9"),
    rw("SSCE", 1, "which Security states, extended; with FEAT_RME"),
    rw("MASK", 5, "how many bits of the address do not matter; with FEAT_BWE"),
    rw("BT", 4, "what is matched: bit 0 of an address that it is linked, of a context that others may link to it"),
    rw("LBN", 4, "the breakpoint that an address is linked to"),
    rw("SSC", 2, "which Security states"),
    rw("HMC", 1, "EL2 and EL3 as well"),
    res0(4),
    rw("BAS", 4, "which halfwords of the word at the address"),
    res0(1),
    rw("BT2", 1, "an address that others may link to; with FEAT_ABLE"),
    rw("PMC", 2, "which exception levels"),
    rw("E", 1, "the breakpoint is enabled"),
    count=BANK,
)

DBGWCR: Final[RegisterLayout] = layout(
    "DBGWCR<n>_EL1",
    sysreg(2, 0, 0, 0, 7),
    64,
    AccessKind.RW,
    res0(32),
    rw("LBNX", 2, "the upper bits of LBN; with FEAT_Debugv8p9"),
    rw("SSCE", 1, "which Security states, extended; with FEAT_RME"),
    rw("MASK", 5, "how many bits of the address do not matter"),
    res0(1),
    rw("WT2", 1, "any address but this; with FEAT_BWE2"),
    res0(1),
    rw("WT", 1, "linked to a breakpoint"),
    rw("LBN", 4, "the breakpoint that it is linked to"),
    rw("SSC", 2, "which Security states"),
    rw("HMC", 1, "EL2 and EL3 as well"),
    rw("BAS", 8, "which bytes at the address"),
    rw("LSC", 2, "1 loads, 2 stores, 3 both"),
    rw("PAC", 2, "which exception levels"),
    rw("E", 1, "the watchpoint is enabled"),
    count=BANK,
)
