"""What a Non-secure hypervisor and its guest do in properties of isolation: list registers that stand for anything.

Nobody takes traps here, so an access that would trap is not made.
"""

import random
from collections.abc import Callable
from typing import Final

import vgic
from isolated_vm import INTIDS

__all__ = ["GUEST", "HYPERVISOR", "MAINTENANCE", "hypervisor_access"]

HYPERVISOR: Final = vgic.PeState(el=2, scr_fiq=True)
GUEST: Final = vgic.PeState(el=1, scr_fiq=True, hcr_imo=True, hcr_fmo=True)
MAINTENANCE: Final = 25
"""The PPI that is the hypervisor's, and so Non-secure."""

_VIRTUAL: Final = range(40, 44)
"""What the guest knows its interrupts by."""
_TAKING: Final = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
_ENDING: Final = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1, vgic.ICC_DIR_EL1)
_OF_GROUP_0: Final = (vgic.ICC_BPR0_EL1, vgic.ICC_IGRPEN0_EL1, vgic.ICC_AP0R0_EL1, vgic.ICC_IAR0_EL1)
_STATES: Final = (0b01, 0b10)
_HW: Final = 1 << 61
_EN: Final = 1
_VEOIM: Final = 1 << 9
_OPEN: Final = 0xF8 << 24 | 0b11


def hypervisor_access(rng: random.Random, is_active: Callable[[int], bool]) -> tuple[str, vgic.PeState, int, int]:
    """`mrs` or `msr`, the state of the PE, the register, and the value that is written.

    List registers stand for any interrupt, but mostly for those that are active.
    """
    share = rng.random()
    if share < 0.35:
        number = rng.randrange(len(_VIRTUAL))
        value = rng.choice(_STATES) << 62 | (_HW if rng.random() < 0.9 else 0) | rng.getrandbits(1) << 60
        some = rng.sample(INTIDS, 16)
        physical = next(filter(is_active, some), some[0])
        value |= rng.getrandbits(5) << 51 | physical << 32 | _VIRTUAL[number]
        return "msr", HYPERVISOR, vgic.ICH_LR0_EL2 + number, value
    if share < 0.45:
        return "msr", HYPERVISOR, vgic.ICH_HCR_EL2, _EN | rng.getrandbits(8)
    if share < 0.5:
        return "msr", HYPERVISOR, vgic.ICH_VMCR_EL2, _OPEN | _VEOIM * rng.getrandbits(1)
    if share < 0.55:
        return "msr", HYPERVISOR, vgic.ICH_AP1R0_EL2, 0
    if share < 0.6:
        state = rng.choice((HYPERVISOR, vgic.PeState(el=1, scr_fiq=True)))
        return rng.choice(("mrs", "msr")), state, rng.choice(_OF_GROUP_0), rng.getrandbits(8)
    if share < 0.75:
        return "mrs", GUEST, rng.choice(_TAKING), 0
    return "msr", GUEST, rng.choice(_ENDING), rng.choice(_VIRTUAL)
