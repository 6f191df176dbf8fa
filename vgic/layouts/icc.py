"""The CPU interface's system registers (ICC_*), IHI 0069 section 12.2.

The `offset` of a system register is its encoding, `sysreg(op0, op1, CRn, CRm, op2)`, 16 bits as in KVM's register
keys; arrays such as ICC_AP0R<n>_EL1 have consecutive encodings.
"""

from typing import Final

from mmio import AccessKind, RegisterLayout, layout, res0, res1, ro, rw

__all__ = ["ICC", "ICC_OF_HIGHER_LEVELS", "sysreg"]


def sysreg(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The encoding of a system register: op0[15:14] op1[13:11] CRn[10:7] CRm[6:3] op2[2:0].

    >>> hex(sysreg(3, 0, 12, 12, 0))
    '0xc660'
    """
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


ICC_PMR_EL1: Final = sysreg(3, 0, 4, 6, 0)
ICC_IAR0_EL1: Final = sysreg(3, 0, 12, 8, 0)
ICC_EOIR0_EL1: Final = sysreg(3, 0, 12, 8, 1)
ICC_HPPIR0_EL1: Final = sysreg(3, 0, 12, 8, 2)
ICC_BPR0_EL1: Final = sysreg(3, 0, 12, 8, 3)
ICC_AP0R0_EL1: Final = sysreg(3, 0, 12, 8, 4)
ICC_AP1R0_EL1: Final = sysreg(3, 0, 12, 9, 0)
ICC_NMIAR1_EL1: Final = sysreg(3, 0, 12, 9, 5)
ICC_DIR_EL1: Final = sysreg(3, 0, 12, 11, 1)
ICC_RPR_EL1: Final = sysreg(3, 0, 12, 11, 3)
ICC_SGI1R_EL1: Final = sysreg(3, 0, 12, 11, 5)
ICC_ASGI1R_EL1: Final = sysreg(3, 0, 12, 11, 6)
ICC_SGI0R_EL1: Final = sysreg(3, 0, 12, 11, 7)
ICC_IAR1_EL1: Final = sysreg(3, 0, 12, 12, 0)
ICC_EOIR1_EL1: Final = sysreg(3, 0, 12, 12, 1)
ICC_HPPIR1_EL1: Final = sysreg(3, 0, 12, 12, 2)
ICC_BPR1_EL1: Final = sysreg(3, 0, 12, 12, 3)
ICC_CTLR_EL1: Final = sysreg(3, 0, 12, 12, 4)
ICC_SRE_EL1: Final = sysreg(3, 0, 12, 12, 5)
ICC_IGRPEN0_EL1: Final = sysreg(3, 0, 12, 12, 6)
ICC_IGRPEN1_EL1: Final = sysreg(3, 0, 12, 12, 7)
ICC_SRE_EL2: Final = sysreg(3, 4, 12, 9, 5)
ICC_CTLR_EL3: Final = sysreg(3, 6, 12, 12, 4)
ICC_SRE_EL3: Final = sysreg(3, 6, 12, 12, 5)
ICC_IGRPEN1_EL3: Final = sysreg(3, 6, 12, 12, 7)

ACKNOWLEDGED: Final = (res0(40), ro("INTID", 24, "the interrupt taken, 1023 where there is none"))
PENDING: Final = (res0(40), ro("INTID", 24, "the highest priority pending interrupt, 1023 where there is none"))
FINISHED: Final = (res0(40), rw("INTID", 24, "the interrupt that is finished"))
BINARY_POINT: Final = (
    res0(61),
    rw("BinaryPoint", 3, "where a priority is split into group priority and subpriority"),
)
ACTIVE: Final = (res0(32), rw("P", 32, "bit n: an interrupt of the n-th group priority is active"))
ENABLE: Final = (res0(63), rw("Enable", 1, "interrupts of the group are signalled to the PE"))
GENERATE: Final = (
    res0(8),
    rw("Aff3", 8, "affinity level 3 of the targets"),
    rw("RS", 4, "range selector: TargetList is Aff0 = 16 * RS to 16 * RS + 15"),
    res0(3),
    rw("IRM", 1, "1: every PE but the sender"),
    rw("Aff2", 8, "affinity level 2 of the targets"),
    res0(4),
    rw("INTID", 4, "the SGI"),
    rw("Aff1", 8, "affinity level 1 of the targets"),
    rw("TargetList", 16, "bit n: the PE with Aff0 = n"),
)

RW, RO, WO = AccessKind.RW, AccessKind.RO, AccessKind.WO

CTLR: Final[RegisterLayout] = layout(
    "ICC_CTLR_EL1",
    ICC_CTLR_EL1,
    64,
    RW,
    res0(44),
    ro("ExtRange", 1, "INTIDs 1024 to 8191 are supported"),
    ro("RSS", 1, "SGIs can name Aff0 values above 15"),
    res0(2),
    ro("A3V", 1, "Aff3 can be non-zero in SGI registers"),
    ro("SEIS", 1, "SErrors can be generated locally"),
    ro("IDbits", 3, "0: 16 bits of INTID, 1: 24 bits"),
    ro("PRIbits", 3, "priority bits implemented, minus one"),
    res0(1),
    ro("PMHE", 1, "1-of-N distribution looks at PMR"),
    res0(4),
    rw("EOImode", 1, "1: EOIR drops the priority only, DIR deactivates"),
    rw("CBPR", 1, "Group 1 preempts by BPR0 too"),
)

SRE: Final[RegisterLayout] = layout(
    "ICC_SRE_EL1",
    ICC_SRE_EL1,
    64,
    RW,
    res0(61),
    # System registers are the only interface, and there is no bypass: all three are RAO/WI.
    res1(1),  # DIB
    res1(1),  # DFB
    res1(1),  # SRE
)

SRE_WITH_ENABLE: Final = (
    res0(60),
    # As in ICC_SRE_EL1; and lower Exception levels reach theirs.
    res1(1),  # Enable
    res1(1),  # DIB
    res1(1),  # DFB
    res1(1),  # SRE
)

CTLR_EL3: Final[RegisterLayout] = layout(
    "ICC_CTLR_EL3",
    ICC_CTLR_EL3,
    64,
    RW,
    res0(44),
    ro("ExtRange", 1, "INTIDs 1024 to 8191 are supported"),
    ro("RSS", 1, "SGIs can name Aff0 values above 15"),
    ro("nDS", 1, "1: the CPU interface works with GICD_CTLR.DS = 0 only"),
    res0(1),
    ro("A3V", 1, "Aff3 can be non-zero in SGI registers"),
    ro("SEIS", 1, "SErrors can be generated locally"),
    ro("IDbits", 3, "0: 16 bits of INTID, 1: 24 bits"),
    ro("PRIbits", 3, "priority bits implemented, minus one"),
    res0(1),
    ro("PMHE", 1, "1-of-N distribution looks at PMR"),
    # Only for software that has Secure state without system registers.
    res0(1),  # RM
    rw("EOImode_EL1NS", 1, "ICC_CTLR_EL1.EOImode of the Non-secure bank"),
    rw("EOImode_EL1S", 1, "ICC_CTLR_EL1.EOImode of the Secure bank"),
    rw("EOImode_EL3", 1, "1: at EL3, EOIR drops the priority only, DIR deactivates"),
    rw("CBPR_EL1NS", 1, "ICC_CTLR_EL1.CBPR of the Non-secure bank"),
    rw("CBPR_EL1S", 1, "ICC_CTLR_EL1.CBPR of the Secure bank"),
)

DIR: Final[RegisterLayout] = layout("ICC_DIR_EL1", ICC_DIR_EL1, 64, WO, *FINISHED)
GENERATE_SGI: Final[RegisterLayout] = layout("ICC_SGI1R_EL1", ICC_SGI1R_EL1, 64, WO, *GENERATE)
"""ICC_SGI1R_EL1, whose fields ICC_ASGI1R_EL1 and ICC_SGI0R_EL1 have too."""

ICC: Final[list[RegisterLayout]] = [
    layout("ICC_PMR_EL1", ICC_PMR_EL1, 64, RW, res0(56), rw("Priority", 8, "only higher priorities are signalled")),
    layout("ICC_IAR0_EL1", ICC_IAR0_EL1, 64, RO, *ACKNOWLEDGED),
    layout("ICC_EOIR0_EL1", ICC_EOIR0_EL1, 64, WO, *FINISHED),
    layout("ICC_HPPIR0_EL1", ICC_HPPIR0_EL1, 64, RO, *PENDING),
    layout("ICC_BPR0_EL1", ICC_BPR0_EL1, 64, RW, *BINARY_POINT),
    layout("ICC_AP0R<n>_EL1", ICC_AP0R0_EL1, 64, RW, *ACTIVE, count=4),
    layout("ICC_AP1R<n>_EL1", ICC_AP1R0_EL1, 64, RW, *ACTIVE, count=4),
    DIR,
    layout(
        "ICC_RPR_EL1",
        ICC_RPR_EL1,
        64,
        RO,
        res0(56),
        ro("Priority", 8, "group priority of the highest active interrupt, 0xFF where none"),
    ),
    GENERATE_SGI,
    layout("ICC_ASGI1R_EL1", ICC_ASGI1R_EL1, 64, WO, *GENERATE),
    layout("ICC_SGI0R_EL1", ICC_SGI0R_EL1, 64, WO, *GENERATE),
    layout("ICC_IAR1_EL1", ICC_IAR1_EL1, 64, RO, *ACKNOWLEDGED),
    layout("ICC_EOIR1_EL1", ICC_EOIR1_EL1, 64, WO, *FINISHED),
    layout("ICC_HPPIR1_EL1", ICC_HPPIR1_EL1, 64, RO, *PENDING),
    layout("ICC_BPR1_EL1", ICC_BPR1_EL1, 64, RW, *BINARY_POINT),
    CTLR,
    SRE,
    layout("ICC_IGRPEN0_EL1", ICC_IGRPEN0_EL1, 64, RW, *ENABLE),
    layout("ICC_IGRPEN1_EL1", ICC_IGRPEN1_EL1, 64, RW, *ENABLE),
]
"""Every system register of the CPU interface at EL1."""

ICC_OF_HIGHER_LEVELS: Final[list[RegisterLayout]] = [
    layout("ICC_SRE_EL2", ICC_SRE_EL2, 64, RW, *SRE_WITH_ENABLE),
    CTLR_EL3,
    layout("ICC_SRE_EL3", ICC_SRE_EL3, 64, RW, *SRE_WITH_ENABLE),
    layout(
        "ICC_IGRPEN1_EL3",
        ICC_IGRPEN1_EL3,
        64,
        RW,
        res0(62),
        rw("EnableGrp1S", 1, "ICC_IGRPEN1_EL1 of the Secure bank"),
        rw("EnableGrp1NS", 1, "ICC_IGRPEN1_EL1 of the Non-secure bank"),
    ),
]
"""Those of EL2 and EL3, which a VM with two Security states has."""
