"""Faults of security: mistakes that an implementation of two Security states may make, as patches of the model."""

from collections.abc import Callable
from typing import Any, Final

import vgic
from vgic.cpu_interface import two_state_registers as registers
from vgic.cpu_interface import two_states
from vgic.cpu_interface.group import GROUP1, SECURE_GROUP1, GroupState
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.registers import ActivePriorityWord, BinaryPoint, OfGroup, Pmr
from vgic.cpu_interface.two_states import TwoStateInterface
from vgic.distributor import frame as distributor
from vgic.interrupts import guards
from vgic.interrupts.banks import PrivateInterrupts
from vgic.interrupts.words import FullWord

__all__ = ["FAULTS"]


def without_settling(self: TwoStateInterface, state: vgic.PeState) -> None:
    self.pe = state
    self._follow()


def irq_at_el3(self: TwoStateInterface) -> int:
    secure = self.pe.secure or self.pe.el == 3
    return SECURE_GROUP1 if secure and not self.one_state else GROUP1


def one_eoi_mode(self: TwoStateInterface) -> None:
    self.eoi_mode = self.eoi_modes[self.bank()]


def splits_as_nonsecure(preemption_bits: int, hides: bool) -> list[GroupState]:
    offsets = ((0, False, 1), (1, True, 0), (2, False, 0))
    return [GroupState(number, preemption_bits, hides, irq, offset) for number, irq, offset in offsets]


def cbpr_for_all(self: OfGroup, interface: CpuInterface, value: int, secure: bool) -> None:
    self.keep(interface, value)
    interface.find_derived()


def shown_to_all(self: Any, interface: CpuInterface) -> int:
    return int(self.register.view(interface))


def everything(self: Any, owner: Any, index: int, *_: object) -> int:
    return guards.EVERYTHING


def one_less(self: FullWord, level: int) -> int:
    opened = {1: -1, 2: self.access_low | self.access_high, 3: self.access_high}
    return self.group1 | opened.get(level, 0)


def any_message(self: Any, owner: Any, index: int, value: int, mask: int, secure: bool) -> None:
    distributor._Message.put(self, owner, index, value, mask, secure)


FAULTS: Final[dict[str, tuple[Any, str, Callable[..., Any]]]] = {
    # The outputs stay as they were when the PE changes its state.
    "outputs-stay": (TwoStateInterface, "set_pe_state", without_settling),
    # Secure Group 1 is IRQ at EL3.
    "irq-at-el3": (TwoStateInterface, "irq_group", irq_at_el3),
    # At EL3 the EOImode of a bank counts.
    "no-eoi-mode-of-el3": (TwoStateInterface, "find_eoi_mode", one_eoi_mode),
    # DIR deactivates whatever is named.
    "dir-for-all": (TwoStateInterface, "deactivate", CpuInterface.deactivate),
    # Secure Group 1 splits priorities as Non-secure Group 1.
    "secure-splits-as-nonsecure": (two_states, "groups_of_two_states", splits_as_nonsecure),
    # Non-secure software sees PMR as it is.
    "pmr-unshifted": (registers.NonsecurePmr, "view", Pmr.view),
    # It can change PMR although that masks Secure interrupts.
    "pmr-unlocked": (registers.NonsecurePmr, "put", Pmr.put),
    # It sees the running priority as it is.
    "rpr-unshifted": (registers.NonsecureRunningPriority, "view", lambda self, interface: interface.running),
    # It takes Group 0.
    "group-0-for-all": (registers.OfOneState, "view", shown_to_all),
    # It ends what runs at Secure priorities by ICC_AP1R<n>_EL1.
    "ap1r-for-all": (registers.NonsecureActivePriorityWord, "put", ActivePriorityWord.put),
    # It writes CBPR.
    "cbpr-for-all": (registers.BankedControl, "put", cbpr_for_all),
    # EL3 takes 1020 for Non-secure.
    "1020-is-1021": (registers, "_whose", lambda group: 1020 if group == GROUP1 else 1021),
    # With CBPR, Secure software cannot write ICC_BPR1_EL1.
    "bpr1-write-lost": (registers.SecureBinaryPoint, "put", BinaryPoint.put),
    # GICR_NSACR lets Non-secure software send any SGI, or none.
    "any-sgi": (PrivateInterrupts, "lets_nonsecure", lambda self, intid, group: True),
    "no-sgi": (PrivateInterrupts, "lets_nonsecure", lambda self, intid, group: False),
    # Every field of an interrupt is open to it.
    "fields-for-all": (guards._Bits, "fields", everything),
    # GICD_NSACR opens more than it says.
    "nsacr-opens-more": (FullWord, "reached", one_less),
    # GICR_WAKER, GICD_IGROUPR and the like are.
    "secure-registers-for-all": (guards.SecureOnly, "seen", everything),
    # Priorities are shown as they are.
    "priorities-unshifted": (guards._Priorities, "view", lambda self, *where: self.word.view(*where)),
    # A Non-secure message reaches any SPI.
    "messages-for-all": (distributor._MessageOfTwoStates, "put", any_message),
}
