"""Arm's tables of two Security states as data: who takes, finishes and sends which interrupt, and by which signal.

Source: IHI 0069's register pages of ICC_IAR0_EL1, ICC_HPPIR0_EL1, ICC_EOIR0_EL1, ICC_DIR_EL1 and ICC_SGI1R_EL1 and
their neighbours, Arm's GICv3 software guide (SGIs), and the GIC-600 manual, table 4-2 (signals). GICD_CTLR.DS is 0.
Groups are in the order: Group 0, Secure Group 1, Non-secure Group 1.
"""

from typing import Final

from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.cpu_interface.pe_state import PeState

__all__ = ["DEACTIVATES", "FINISHES", "GROUPS", "READERS", "SENDS", "SIGNALS", "TAKES", "TAKES_NMIS"]

GROUPS: Final = (GROUP0, SECURE_GROUP1, GROUP1)

READERS: Final = {
    "EL3": PeState(3, secure=True),
    "EL3 of Non-secure": PeState(3),
    "Secure EL1": PeState(1, secure=True),
    "Non-secure EL2": PeState(2),
    "Non-secure EL1": PeState(1),
}

ITSELF: Final = 5
"""Stands for the INTID that is pending."""

TAKES: Final = {
    # ICC_IAR0_EL1, ICC_HPPIR0_EL1                     ICC_IAR1_EL1, ICC_HPPIR1_EL1
    "EL3": ((ITSELF, 1020, 1021), (1023, ITSELF, ITSELF)),
    "EL3 of Non-secure": ((ITSELF, 1020, 1021), (1023, ITSELF, ITSELF)),
    "Secure EL1": ((ITSELF, 1023, 1023), (1023, ITSELF, 1023)),
    "Non-secure EL2": ((1023, 1023, 1023), (1023, 1023, ITSELF)),
    "Non-secure EL1": ((1023, 1023, 1023), (1023, 1023, ITSELF)),
}
"""What a reader gets of an interrupt of each group."""

TAKES_NMIS: Final = {
    # Of Secure Group 1, of Non-secure Group 1; Group 0 has none.
    "EL3": (ITSELF, ITSELF),
    "EL3 of Non-secure": (ITSELF, ITSELF),
    "Secure EL1": (ITSELF, 1023),
    "Non-secure EL2": (1023, ITSELF),
    "Non-secure EL1": (1023, ITSELF),
}
"""What ICC_NMIAR1_EL1 gets of an interrupt with superpriority; where SCTLR_ELx.NMI is 1 ICC_IAR1_EL1 gets 1022."""

SIGNALS: Final = {
    "EL3": ("FIQ", "FIQ", "FIQ"),
    "EL3 of Non-secure": ("FIQ", "FIQ", "FIQ"),
    "Secure EL1": ("FIQ", "IRQ", "FIQ"),
    "Non-secure EL2": ("FIQ", "FIQ", "IRQ"),
    "Non-secure EL1": ("FIQ", "FIQ", "IRQ"),
}

FINISHES: Final = {
    # ICC_EOIR0_EL1             ICC_EOIR1_EL1
    "EL3": ((True, False, False), (False, True, True)),
    "EL3 of Non-secure": ((True, False, False), (False, True, True)),
    "Secure EL1": ((True, False, False), (False, True, False)),
    "Non-secure EL2": ((False, False, False), (False, False, True)),
    "Non-secure EL1": ((False, False, False), (False, False, True)),
}
"""Whether a write drops the priority and, without EOImode, deactivates."""

DEACTIVATES: Final = {
    # SCR_EL3.IRQ, FIQ: none, FIQ, IRQ. With both, the write is trapped, but at EL3.
    "EL3": ((True, True, True), (True, True, True), (True, True, True)),
    "EL3 of Non-secure": ((True, True, True), (True, True, True), (True, True, True)),
    "Secure EL1": ((True, True, True), (False, True, True), (True, False, False)),
    "Non-secure EL2": ((False, False, True), (False, False, True), (False, False, False)),
    "Non-secure EL1": ((False, False, True), (False, False, True), (False, False, False)),
}
"""Whether ICC_DIR_EL1 does, where EOImode is 1."""

NEVER: Final = 4
"""More than any GICR_NSACR allows."""

SENDS: Final = {
    # ICC_SGI0R_EL1, ICC_SGI1R_EL1, ICC_ASGI1R_EL1
    "Secure": ((0, NEVER, NEVER), (NEVER, 0, NEVER), (NEVER, NEVER, 0)),
    "Non-secure": ((1, NEVER, NEVER), (1, 2, 0), (1, 2, NEVER)),
}
"""From which field of the target's GICR_NSACR on an SGI is sent that is of each group there."""
