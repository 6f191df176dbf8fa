"""What a CPU can do in AArch32: ID_PFR*, ID_DFR*, ID_MMFR*, ID_ISAR* and MVFR*, DDI 0487 (D24.2, by name).

0 means that the CPU lacks a feature, and higher values have more, unless said otherwise. A CPU whose EL0 has no
AArch32 may show anything. ID_AFR0_EL1 has no fields that all implementations share.
"""

from collections.abc import Mapping
from typing import Final

from vgic.identity.declaring import IdField, IdRegister, feature, higher, id_register, signed, zero

__all__ = ["AARCH32_REGISTERS", "DFR0", "is_aarch32", "without_aarch32"]


def _register(name: str, crm: int, op2: int, *fields: IdField) -> IdRegister:
    """A register whose fields take the lower half."""
    return id_register(f"{name}_EL1", *(3, 0, 0, crm, op2), zero(32), *fields)


PFR0: Final = _register(
    "ID_PFR0",
    *(1, 0),
    feature("RAS", "the version of reliability, availability, serviceability"),
    feature("DIT", "instructions whose time does not depend on their data"),
    feature("AMU", "activity monitors"),
    feature("CSV2", "branch targets trained in one context do not steer another's speculation"),
    feature("State3", "T32EE"),
    feature("State2", "Jazelle"),
    feature("State1", "T32"),
    feature("State0", "A32"),
)

PFR1: Final = _register(
    "ID_PFR1",
    *(1, 1),
    feature("GIC", "system registers of the CPU interface"),
    feature("Virt_frac", "virtualisation, the minor version"),
    feature("Sec_frac", "security, the minor version"),
    feature("GenTimer", "the generic timer"),
    feature("Virtualization", "EL2 in AArch32"),
    feature("MProgMod", "the model of M-profile"),
    feature("Security", "EL3 in AArch32"),
    feature("ProgMod", "the modes of Armv4 and later"),
)

DFR0: Final = _register(
    "ID_DFR0",
    *(1, 2),
    feature("TraceFilt", "the trace filter"),
    feature("PerfMon", "performance monitors: 0 none, 3 PMUv3, 15 of the implementation's own"),
    feature("MProfDbg", "the debug architecture of M-profile"),
    feature("MMapTrc", "trace by memory accesses"),
    feature("CopTrc", "trace by system registers"),
    feature("MMapDbg", "debugging by memory accesses"),
    feature("CopSDbg", "the debug architecture of Secure state"),
    feature("CopDbg", "the debug architecture: 6 Armv8.0, 8 Armv8.2, 9 Armv8.4, 10 Armv8.8, 11 Armv8.9"),
)

MMFR0: Final = _register(
    "ID_MMFR0",
    *(1, 4),
    signed("InnerShr", "the innermost shareability: 0 Non-cacheable, 1 coherent, 15 ignored"),
    feature("FCSE", "the fast context switch extension"),
    feature("AuxReg", "auxiliary registers"),
    feature("TCM", "tightly coupled memory"),
    feature("ShareLvl", "levels of shareability, minus one"),
    signed("OuterShr", "the outermost shareability: 0 Non-cacheable, 1 coherent, 15 ignored"),
    feature("PMSA", "memory protection without translation"),
    feature("VMSA", "translation: 5 with the long format of descriptors"),
)

MMFR1: Final = _register(
    "ID_MMFR1",
    *(1, 5),
    feature("BPred", "how little maintenance the branch predictor needs"),
    feature("L1TstCln", "test and clean of L1"),
    feature("L1Uni", "maintenance of a whole unified L1"),
    feature("L1Hvd", "maintenance of a whole split L1"),
    feature("L1UniSW", "maintenance of a unified L1 by set and way"),
    feature("L1HvdSW", "maintenance of a split L1 by set and way"),
    feature("L1UniVA", "maintenance of a unified L1 by address"),
    feature("L1HvdVA", "maintenance of a split L1 by address"),
)

MMFR2: Final = _register(
    "ID_MMFR2",
    *(1, 6),
    feature("HWAccFlg", "the access flag is set by hardware"),
    feature("WFIStall", "WFI stalls"),
    feature("MemBarr", "barriers by system registers"),
    feature("UniTLB", "maintenance of a unified TLB"),
    feature("HvdTLB", "maintenance of split TLBs"),
    feature("L1HvdRng", "maintenance of a split L1 by range"),
    feature("L1HvdBG", "prefetches into a split L1 in the background"),
    feature("L1HvdFG", "prefetches into a split L1 in the foreground"),
)

MMFR3: Final = _register(
    "ID_MMFR3",
    *(1, 7),
    feature("Supersec", "supersections: 0 there, 15 not"),
    feature("CMemSz", "bits of a cacheable physical address: 0 32, 1 36, 2 40 and more"),
    feature("CohWalk", "table walks see what was written without cleaning"),
    feature("PAN", "privileged access never"),
    feature("MaintBcst", "maintenance is broadcast"),
    feature("BPMaint", "maintenance of the branch predictor"),
    feature("CMaintSW", "maintenance of caches by set and way"),
    feature("CMaintVA", "maintenance of caches by address"),
)

MMFR4: Final = _register(
    "ID_MMFR4",
    *(2, 6),
    feature("EVT", "traps of cache identification and of maintenance"),
    feature("CCIDX", "the format of CCSIDR with more sets and ways"),
    feature("LSM", "control of load and store multiple"),
    feature("HPDS", "hierarchical permissions can be disabled"),
    feature("CnP", "common, not private, translations"),
    feature("XNX", "execute-never at stage 2 by exception level"),
    feature("AC2", "ACTLR2 and HACTLR2"),
    higher("SpecSEI", "speculation can cause SErrors"),
)

MMFR5: Final = _register(
    "ID_MMFR5",
    *(3, 6),
    zero(24),
    feature("nTLBPA", "translation caches hold no copies of physical addresses of tables"),
    feature("ETS", "enhanced translation synchronisation"),
)

ISAR0: Final = _register(
    "ID_ISAR0",
    *(2, 0),
    zero(),
    feature("Divide", "division"),
    feature("Debug", "BKPT"),
    feature("Coproc", "instructions of coprocessors"),
    feature("CmpBranch", "compare and branch"),
    feature("BitField", "bit fields"),
    feature("BitCount", "CLZ"),
    feature("Swap", "SWP"),
)

ISAR1: Final = _register(
    "ID_ISAR1",
    *(2, 1),
    feature("Jazelle", "BXJ"),
    feature("Interwork", "changes between A32 and T32"),
    feature("Immediate", "long immediates"),
    feature("IfThen", "IT"),
    feature("Extend", "sign and zero extension"),
    feature("Except_AR", "SRS, RFE and CPS"),
    feature("Except", "loads of user registers and from exceptions"),
    feature("Endian", "SETEND"),
)

ISAR2: Final = _register(
    "ID_ISAR2",
    *(2, 2),
    feature("Reversal", "reversal of bytes and bits"),
    feature("PSR_AR", "accesses to the status registers"),
    feature("MultU", "unsigned multiplication"),
    feature("MultS", "signed multiplication"),
    feature("Mult", "multiplication with addition"),
    feature("MultiAccessInt", "load and store multiple can be interrupted"),
    feature("MemHint", "memory hints"),
    feature("LoadStore", "loads and stores of two registers, and of acquire and release"),
)

ISAR3: Final = _register(
    "ID_ISAR3",
    *(2, 3),
    feature("T32EE", "T32EE"),
    feature("TrueNOP", "NOP"),
    feature("T32Copy", "copies between low registers in T32"),
    feature("TabBranch", "table branches"),
    feature("SynchPrim", "exclusives"),
    feature("SVC", "SVC"),
    feature("SIMD", "arithmetic on parts of general-purpose registers"),
    feature("Saturate", "saturating arithmetic"),
)

ISAR4: Final = _register(
    "ID_ISAR4",
    *(2, 4),
    feature("SWP_frac", "SWP where it does not lock the bus"),
    feature("PSR_M", "M-profile's accesses to the status registers"),
    feature("SynchPrim_frac", "exclusives, the minor version"),
    feature("Barrier", "DMB, DSB and ISB"),
    feature("SMC", "SMC"),
    feature("Writeback", "addressing with writeback"),
    feature("WithShifts", "addressing with shifts"),
    feature("Unpriv", "unprivileged loads and stores"),
)

ISAR5: Final = _register(
    "ID_ISAR5",
    *(2, 5),
    feature("VCMA", "complex numbers"),
    feature("RDM", "rounding doubling multiply"),
    zero(),
    feature("CRC32", "CRC32"),
    feature("SHA2", "SHA2"),
    feature("SHA1", "SHA1"),
    feature("AES", "AES"),
    feature("SEVL", "SEVL"),
)

ISAR6: Final = _register(
    "ID_ISAR6",
    *(2, 7),
    feature("CLRBHB", "the instruction that clears the branch history"),
    feature("I8MM", "products of matrices of 8-bit integers"),
    feature("BF16", "BFloat16"),
    feature("SPECRES", "prediction restriction by context"),
    feature("SB", "the speculation barrier"),
    feature("FHM", "VFMAL and VFMSL"),
    feature("DP", "dot products"),
    feature("JSCVT", "JavaScript's conversion"),
)

MVFR0: Final = _register(
    "MVFR0",
    *(3, 0),
    feature("FPRound", "rounding modes"),
    feature("FPShVec", "short vectors"),
    feature("FPSqrt", "square roots"),
    feature("FPDivide", "division"),
    feature("FPTrap", "exceptions can trap"),
    feature("FPDP", "double precision"),
    feature("FPSP", "single precision"),
    feature("SIMDReg", "registers: 1 16 of 64 bits, 2 32"),
)

MVFR1: Final = _register(
    "MVFR1",
    *(3, 1),
    feature("SIMDFMAC", "fused multiply-accumulate"),
    feature("FPHP", "half precision"),
    feature("SIMDHP", "half precision in Advanced SIMD"),
    feature("SIMDSP", "single precision in Advanced SIMD"),
    feature("SIMDInt", "integers in Advanced SIMD"),
    feature("SIMDLS", "loads and stores of Advanced SIMD"),
    feature("FPDNaN", "NaNs propagate"),
    feature("FPFtZ", "denormalised numbers need not be flushed to zero"),
)

MVFR2: Final = _register(
    "MVFR2",
    *(3, 2),
    zero(24),
    feature("FPMisc", "selection, conversions with rounding modes, minimum and maximum"),
    feature("SIMDMisc", "the same of Advanced SIMD"),
)

PFR2: Final = _register(
    "ID_PFR2",
    *(3, 4),
    zero(20),
    feature("RAS_frac", "RAS, the minor version"),
    feature("SSBS", "safe speculative stores"),
    feature("CSV3", "data of a speculative load that faults is not used to form addresses"),
)

DFR1: Final = _register(
    "ID_DFR1",
    *(3, 5),
    zero(24),
    feature("HPMN0", "HDCR.HPMN can be 0"),
    signed("MTPMU", "control of multi-threaded PMU events"),
)

AARCH64_ONLY: Final = 1
"""ID_AA64PFR0_EL1.EL0 where there is no AArch32."""


def without_aarch32(registers: Mapping[str, int]) -> bool:
    """True where these say that there is no AArch32 at EL0: what is in its registers then means nothing."""
    return registers.get("ID_AA64PFR0_EL1", 0) & 0xF == AARCH64_ONLY


def is_aarch32(name: str) -> bool:
    """True for the name of one of these registers."""
    return name in _NAMES


AARCH32_REGISTERS: Final = (
    PFR0,
    PFR1,
    PFR2,
    DFR0,
    DFR1,
    MMFR0,
    MMFR1,
    MMFR2,
    MMFR3,
    MMFR4,
    MMFR5,
    ISAR0,
    ISAR1,
    ISAR2,
    ISAR3,
    ISAR4,
    ISAR5,
    ISAR6,
    MVFR0,
    MVFR1,
    MVFR2,
)

_NAMES: Final = frozenset({"ID_AFR0_EL1", *(register.name for register in AARCH32_REGISTERS)})
