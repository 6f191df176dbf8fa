"""What an access of a system register reaches from where its PE is: one of its CPU interfaces, or a trap.

Rules VCPU-19 and VCPU-20. That a register is UNDEFINED at an Exception level comes before, and is not asked here.
"""

from enum import Enum
from typing import Final

from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc
from vgic.layouts.ich import HCR

__all__ = ["GROUP0_VIRTUAL", "GROUP1_VIRTUAL", "Reach", "face_of", "is_virtual", "reach_of"]

GROUP0_VIRTUAL: Final = 1
"""Bits of a face: the registers of Group 0 are the virtual CPU interface's."""
GROUP1_VIRTUAL: Final = 2

_EL1: Final = 1
_EL3: Final = 3

_GROUP0: Final = frozenset(
    {
        *(icc.ICC_BPR0_EL1, icc.ICC_EOIR0_EL1, icc.ICC_HPPIR0_EL1, icc.ICC_IAR0_EL1, icc.ICC_IGRPEN0_EL1),
        *range(icc.ICC_AP0R0_EL1, icc.ICC_AP0R0_EL1 + 4),
    }
)
_GROUP1: Final = frozenset(
    {
        *(icc.ICC_BPR1_EL1, icc.ICC_EOIR1_EL1, icc.ICC_HPPIR1_EL1, icc.ICC_IAR1_EL1, icc.ICC_IGRPEN1_EL1),
        *(icc.ICC_NMIAR1_EL1, *range(icc.ICC_AP1R0_EL1, icc.ICC_AP1R0_EL1 + 4)),
    }
)
_SENDING: Final = frozenset({icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1})
_COMMON: Final = frozenset({icc.ICC_CTLR_EL1, icc.ICC_PMR_EL1, icc.ICC_RPR_EL1, icc.ICC_DIR_EL1})

_TRAPS: Final = {
    **dict.fromkeys(_COMMON | _SENDING, HCR.mask("TC")),
    **dict.fromkeys(_GROUP0, HCR.mask("TALL0")),
    **dict.fromkeys(_GROUP1, HCR.mask("TALL1")),
    icc.ICC_DIR_EL1: HCR.mask("TC") | HCR.mask("TDIR"),
}
"""What of ICH_HCR_EL2 traps a register."""


class Reach(Enum):
    """What an access comes to."""

    PHYSICAL = "the physical CPU interface"
    VIRTUAL = "the virtual CPU interface"
    EL2 = "a trap to EL2"
    EL3 = "a trap to EL3"


def face_of(state: PeState) -> int:
    """Which groups' registers are the virtual CPU interface's, to a PE in this state that has one."""
    if state.el != _EL1:
        return 0
    return (GROUP0_VIRTUAL if state.hcr_fmo else 0) | (GROUP1_VIRTUAL if state.hcr_imo else 0)


def is_virtual(register: int, face: int) -> bool:
    """True where the ICC encoding `register` means the virtual CPU interface's, to a PE of this face."""
    if register in _GROUP0:
        return face & GROUP0_VIRTUAL != 0
    if register in _GROUP1:
        return face & GROUP1_VIRTUAL != 0
    return face != 0 and register in _COMMON


def reach_of(state: PeState, face: int, register: int, controls: int) -> Reach:
    """What an access of a register (ICC encoding) reaches in a state; `controls` is ICH_HCR_EL2."""
    # In Secure state EL2 is known to be enabled only by what is EL2's there.
    below_el2 = state.el == _EL1 and (not state.secure or state.hcr_imo or state.hcr_fmo)
    if below_el2 and (controls & _TRAPS.get(register, 0) or (register in _SENDING and face)):
        return Reach.EL2
    if is_virtual(register, face):
        return Reach.VIRTUAL
    return Reach.EL3 if state.el != _EL3 and _traps_to_el3(state, register) else Reach.PHYSICAL


def _traps_to_el3(state: PeState, register: int) -> bool:
    """SCR_EL3.IRQ and FIQ say that what the register is about is EL3's."""
    if register in _COMMON or register in _SENDING:
        return state.scr_irq and state.scr_fiq
    return state.scr_fiq if register in _GROUP0 else state.scr_irq and register in _GROUP1
