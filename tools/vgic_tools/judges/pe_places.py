"""Where a judge's PE can be when it performs an operation: its state as a number, and what the PE itself does.

A place is what guest.c calls one. 0 is where a machine of one Security state begins. Some accesses and interrupts
never get to the operation: the PE traps them, or takes them elsewhere. That is no matter of the GIC's.

>>> describe(place_of(PeState(el=1, secure=True, scr_fiq=True)))
'EL1 Secure, SCR_EL3.FIQ'
"""

from functools import lru_cache
from typing import Final

from vgic.cpu_interface.pe_state import PeState
from vgic.cpu_interface.reach import Reach, face_of, reach_of
from vgic_tools.judges.model import FIQ, IRQ, IS
from vgic_tools.judges.protocol import Machine

__all__ = [
    "FIQ",
    "IRQ",
    "IS",
    "TRAPPED",
    "describe",
    "interrupted_to",
    "is_virtual",
    "leaves_beginning",
    "leaves_irqs",
    "place_of",
    "places_of",
    "shown_at",
    "state_of",
    "trapped_to",
]

_EL: Final = 3
_NS: Final = 1 << 2
_SCR_IRQ: Final = 1 << 3
_SCR_FIQ: Final = 1 << 4
_HCR_IMO: Final = 1 << 5
_HCR_FMO: Final = 1 << 6
TRAPPED: Final = {Reach.EL2: 2, Reach.EL3: 3}
"""The Exception level of a trap."""


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


@lru_cache(1 << 7)
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


def leaves_irqs(place: int) -> bool:
    """True where SCR_EL3 has IRQs taken below EL3, as firmware leaves them."""
    return not place & _SCR_IRQ


def is_virtual(place: int) -> bool:
    """True where a PE reaches its virtual CPU interface instead of the physical one, for a group at least."""
    state = state_of(place)
    return state.el == 1 and (state.hcr_imo or state.hcr_fmo)


def trapped_to(place: int, register: int, controls: int = 0) -> int:
    """The Exception level that an access of a system register is trapped to, 0 where it is not.

    `controls` are those of ICH_HCR_EL2.
    """
    state = state_of(place)
    return TRAPPED.get(reach_of(state, face_of(state), register, controls), 0)


def shown_at(place: int, physical: int, virtual: int) -> int:
    """ISR_EL1 at a place, of what is signalled physically and virtually."""
    state = state_of(place)
    shown = 0
    for signal, redirected in ((IRQ | IS, state.hcr_imo), (FIQ, state.hcr_fmo)):
        shown |= (virtual if redirected and state.el == 1 else physical) & signal
    return shown


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
