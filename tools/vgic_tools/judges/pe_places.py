"""Where a judge's PE can be when it performs an operation: its state as a number, and what the PE itself does.

A place is what guest.c calls one. 0 is where a machine of one Security state begins. Some accesses and interrupts
never get to the operation: the PE traps them, or takes them elsewhere. That is no matter of the GIC's.

>>> describe(place_of(PeState(el=1, secure=True, scr_fiq=True)))
'EL1 Secure, SCR_EL3.FIQ'
"""

from typing import Final

from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc
from vgic_tools.judges.protocol import Machine

__all__ = [
    "FIQ",
    "IRQ",
    "describe",
    "interrupted_to",
    "is_virtual",
    "leaves_beginning",
    "place_of",
    "places_of",
    "state_of",
    "trapped_to",
]

IRQ: Final = 0x80
"""Of ISR_EL1."""
FIQ: Final = 0x40

_EL: Final = 3
_NS: Final = 1 << 2
_SCR_IRQ: Final = 1 << 3
_SCR_FIQ: Final = 1 << 4
_HCR_IMO: Final = 1 << 5
_HCR_FMO: Final = 1 << 6

_GROUP0: Final = frozenset(
    {
        *(icc.ICC_BPR0_EL1, icc.ICC_EOIR0_EL1, icc.ICC_HPPIR0_EL1, icc.ICC_IAR0_EL1, icc.ICC_IGRPEN0_EL1),
        *range(icc.ICC_AP0R0_EL1, icc.ICC_AP0R0_EL1 + 4),
    }
)
_GROUP1: Final = frozenset(
    {
        *(icc.ICC_BPR1_EL1, icc.ICC_EOIR1_EL1, icc.ICC_HPPIR1_EL1, icc.ICC_IAR1_EL1, icc.ICC_IGRPEN1_EL1),
        *range(icc.ICC_AP1R0_EL1, icc.ICC_AP1R0_EL1 + 4),
    }
)
_SENDING: Final = frozenset({icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1})
_COMMON: Final = frozenset({icc.ICC_CTLR_EL1, icc.ICC_PMR_EL1, icc.ICC_RPR_EL1, icc.ICC_DIR_EL1}) | _SENDING


def place_of(state: PeState) -> int:
    """The number of a state."""
    return (
        state.el
        | (not state.secure) * _NS
        | state.scr_irq * _SCR_IRQ
        | state.scr_fiq * _SCR_FIQ
        | state.hcr_imo * _HCR_IMO
        | state.hcr_fmo * _HCR_FMO
    )


def state_of(place: int) -> PeState:
    """The state of a place that is not 0."""
    return PeState(
        el=place & _EL,
        secure=not place & _NS,
        scr_irq=bool(place & _SCR_IRQ),
        scr_fiq=bool(place & _SCR_FIQ),
        hcr_imo=bool(place & _HCR_IMO),
        hcr_fmo=bool(place & _HCR_FMO),
    )


def describe(place: int) -> str:
    """A place, as people read it."""
    state = state_of(place)
    bits = {
        "SCR_EL3.IRQ": state.scr_irq,
        "SCR_EL3.FIQ": state.scr_fiq,
        "HCR_EL2.IMO": state.hcr_imo,
        "HCR_EL2.FMO": state.hcr_fmo,
    }
    name = f"EL{state.el} {'Secure' if state.secure else 'Non-secure'}"
    return ", ".join([name, *(bit for bit, is_set in bits.items() if is_set)])


def places_of(machine: Machine) -> tuple[int, ...]:
    """The places that there are on a machine, the most usual first; none where operations name none."""
    states: list[PeState] = []
    controls = [(False, False), (False, True), (True, False), (True, True)] if machine.secure else [(False, False)]
    for scr_irq, scr_fiq in controls:
        if machine.secure:
            states += [PeState(el, True, scr_irq, scr_fiq) for el in (3, 1)]
            states += [PeState(3, False, scr_irq, scr_fiq), PeState(1, False, scr_irq, scr_fiq)]
        if machine.virtualization:
            states.append(PeState(2, False, scr_irq, scr_fiq))
            redirections = [(True, True), (False, False), (True, False), (False, True)]
            states += [PeState(1, False, scr_irq, scr_fiq, imo, fmo) for imo, fmo in redirections]
    return tuple(dict.fromkeys(map(place_of, states)))


def leaves_beginning(place: int) -> bool:
    """True where the PE of a machine with EL3, which begins there, goes to another Exception level."""
    return place != 0 and place & _EL != _EL


def is_virtual(place: int) -> bool:
    """True where a PE reaches its virtual CPU interface instead of the physical one, for a group at least."""
    state = state_of(place)
    return state.el == 1 and (state.hcr_imo or state.hcr_fmo)


def trapped_to(place: int, register: int) -> int:
    """The Exception level that an access of a system register is trapped to, 0 where it is not.

    ICH_HCR_EL2 can have more of them trap. Source: Arm's ICC_* register pages, the access pseudocode.
    """
    state = state_of(place)
    if state.el == 3:
        return 0
    redirected = {True: state.hcr_imo, False: state.hcr_fmo}
    if register in _COMMON:
        if is_virtual(place):
            return 2 if register in _SENDING else 0
        return 3 if state.scr_irq and state.scr_fiq else 0
    if register in _GROUP0 or register in _GROUP1:
        irq = register in _GROUP1
        if state.el == 1 and redirected[irq]:
            return 0
        return 3 if (state.scr_irq if irq else state.scr_fiq) else 0
    return 0


def interrupted_to(place: int, signals: int) -> int:
    """The Exception level that a PE takes these (as in ISR_EL1) to, whatever PSTATE masks; 0 where it does not."""
    state = state_of(place)
    for signal, scr, hcr in ((IRQ, state.scr_irq, state.hcr_imo), (FIQ, state.scr_fiq, state.hcr_fmo)):
        if signals & signal:
            if scr and state.el < 3:
                return 3
            if hcr and state.el < 2:
                return 2
    return 0
