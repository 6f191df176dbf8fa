"""The state that each PE of a replay is in, where the machine has two Security states or NMIs.

A recording shows the Security state of an access to a frame, but neither whose it is nor the state in which a PE
accesses a system register. Where QEMU started a kernel itself that state is Non-secure for good. Where firmware
ran, a PE begins at EL3, and what it does later cannot be told: a divergence is then no verdict.
"""

from dataclasses import replace
from typing import Final

import vgic
from vgic.cpu_interface.pe_state import AFTER_RESET

__all__ = ["begin", "carry", "learn_sctlr_nmi", "rise", "states_are_known"]

_EL3: Final = 3


def states_are_known(config: vgic.Config) -> bool:
    """True where the machine tells the Security state of all its PEs, at all times."""
    return not config.two_states or config.reset_group == 1


def begin(gic: vgic.Gic) -> None:
    """Put the PEs into the state in which they execute their first instruction."""
    if gic.config.two_states:
        first = vgic.PeState() if states_are_known(gic.config) else AFTER_RESET
        for cpu in range(len(gic.config.topology)):
            gic.set_pe_state(cpu, first)


def rise(gic: vgic.Gic, cpu: int) -> vgic.PeState:
    """Put a PE into EL3 for an access that nobody else can make; the state in which it was."""
    before = gic.pe_state(cpu)
    if before.el != _EL3:
        gic.set_pe_state(cpu, replace(before, el=_EL3))
    return before


def learn_sctlr_nmi(gic: vgic.Gic, cpu: int, nmi: bool) -> bool:
    """Give a PE this SCTLR_ELx.NMI; False where it had it."""
    state = gic.pe_state(cpu)
    if state.sctlr_nmi == nmi:
        return False
    gic.set_pe_state(cpu, replace(state, sctlr_nmi=nmi))
    return True


def carry(old: vgic.Gic, new: vgic.Gic) -> None:
    """Put the PEs of a GIC into the state in which those of another are."""
    if old.config.two_states:
        for cpu in range(len(old.config.topology)):
            new.set_pe_state(cpu, old.pe_state(cpu))
