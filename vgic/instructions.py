"""From an instruction that was trapped to the system register that it accesses, for emulators and hypervisors.

    access = vgic.sysreg_of_esr(esr)                    # or sysreg_of_instruction(word)
    if access is not None and not access.write:
        value = gic.mrs(cpu, access.register)           # None: UNDEFINED

Arm ARM (DDI 0487), "MRS", "MSR (register)", and ESR_ELx, ISS encodings for exceptions from MSR, MRS and System
instructions (EC 0x18), MCR and MRC (0x03), and MCRR and MRRC (0x04) access to coprocessor 0b1111. Rule API-15 in
specs/embedding.md.
"""

from typing import Final, NamedTuple

from vgic.layouts.icc import ICC, ICC_ASGI1R_EL1, ICC_OF_HIGHER_LEVELS, ICC_SGI0R_EL1, ICC_SGI1R_EL1, sysreg

__all__ = ["SysRegAccess", "sysreg_of_esr", "sysreg_of_instruction"]


class SysRegAccess(NamedTuple):
    """An access to a system register."""

    register: int
    """Encoding, as `vgic.ICC_*` and `vgic.sysreg` have it."""
    write: bool
    """MSR, MCR or MCRR; else MRS, MRC or MRRC."""
    rt: int
    """The general-purpose register; in AArch64 31 is XZR."""
    rt2: int | None = None
    """The one that has the upper 32 bits, of MCRR and MRRC alone."""


_MSR_MRS: Final = 0xD510_0000
_MSR_MRS_MASK: Final = 0xFFD0_0000
"""All but L, o0 and what comes below."""

_EC_MCR_MRC: Final = 0x03
_EC_MCRR_MRRC: Final = 0x04
_EC_MSR_MRS: Final = 0x18

# AArch32 has the same registers by the same op1, CRn, CRm and op2, and no op0.
_AARCH32: Final = frozenset(
    layout.offset + index for layout in (*ICC, *ICC_OF_HIGHER_LEVELS) for index in range(layout.count)
)
_SGIS_BY_OPC1: Final = {0: ICC_SGI1R_EL1, 1: ICC_ASGI1R_EL1, 2: ICC_SGI0R_EL1}
_SGI_CRM: Final = 12
_64_BITS: Final = frozenset(_SGIS_BY_OPC1.values())


def sysreg_of_instruction(word: int) -> SysRegAccess | None:
    """The access of an A64 instruction (32 bits), None where it is neither MRS nor MSR (register).

    >>> sysreg_of_instruction(0xD538CC01)  # MRS X1, ICC_IAR1_EL1
    SysRegAccess(register=50784, write=False, rt=1, rt2=None)
    """
    if word & ~0xFFFF_FFFF or word & _MSR_MRS_MASK != _MSR_MRS:
        return None
    encoding = sysreg(2 | word >> 19 & 1, word >> 16 & 7, word >> 12 & 0xF, word >> 8 & 0xF, word >> 5 & 7)
    return SysRegAccess(encoding, not word >> 21 & 1, word & 0x1F)


def sysreg_of_esr(esr: int) -> SysRegAccess | None:
    """The access of which a trap's ESR_ELx (64 bits) tells, None for another exception class.

    Of AArch32 only accesses to the registers of the GIC are told. Whoever has the ISS of a trapped MSR or MRS alone
    puts its class before it: `0x18 << 26 | iss`.
    """
    kind, rt, write = esr >> 26 & 0x3F, esr >> 5 & 0x1F, not esr & 1
    op1, crn, crm, op2 = esr >> 14 & 7, esr >> 10 & 0xF, esr >> 1 & 0xF, esr >> 17 & 7
    if kind == _EC_MSR_MRS:
        op0 = esr >> 20 & 3
        # Lower ones are System instructions, such as AT and TLBI.
        return SysRegAccess(sysreg(op0, op1, crn, crm, op2), write, rt) if op0 >= 2 else None
    if kind == _EC_MCR_MRC:
        encoding = sysreg(3, op1, crn, crm, op2)
        return SysRegAccess(encoding, write, rt) if encoding in _AARCH32 - _64_BITS else None
    if kind == _EC_MCRR_MRRC and crm == _SGI_CRM and (esr >> 16 & 0xF) in _SGIS_BY_OPC1:
        return SysRegAccess(_SGIS_BY_OPC1[esr >> 16 & 0xF], write, rt, esr >> 10 & 0x1F)
    return None
