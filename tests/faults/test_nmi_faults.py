"""The tests of NMIs can fail: with each of these faults in the model, the named one does."""

from typing import Final

import pytest

import vgic
from mmio import NOT_THERE
from named_tests import Fault, assert_noticed, assert_the_tests_pass
from vgic.bits import bit
from vgic.cpu_interface.group import GroupState
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi import NmiGroupState, NmiInterface
from vgic.cpu_interface.nmi_registers import AcknowledgeNmi, AcknowledgeUnlessNmi
from vgic.interrupts import registers
from vgic.interrupts.banks import ExtendedPpis, InterruptBank, PrivateInterrupts
from vgic.interrupts.nmis import NmiExtendedPpis, NmiPrivateInterrupts, NmiSharedInterrupts
from vgic.interrupts.words import ALL_BITS, FullWord, full

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)

TESTS: Final = "tests/vgic/cpu_interface/test_nmi.py::"
BY_SCTLR: Final = "test_which_register_takes_it_depends_on_sctlr"
INMIR: Final = "test_a_bit_of_inmir_gives_superpriority_to_an_interrupt_of_group_1"
UNMASKED: Final = "test_pmr_masks_none_and_nothing_but_another_blocks_one"
BEFORE_ALL: Final = "test_superpriority_comes_before_every_priority_and_has_no_field"

PREEMPTS: Final = NmiInterface.superior_preempts


def pmr_masks(self: NmiInterface, group: GroupState, key: int) -> bool:
    return PREEMPTS(self, group, key) and self.pmr > 0


def takes_any(self: AcknowledgeNmi | AcknowledgeUnlessNmi, interface: CpuInterface) -> int:
    return self.taking.view(interface)


def left_queued(self: InterruptBank, number: int, nmis: int) -> None:
    word = full(self.words[number])
    word.nmi = nmis
    self.update(number, ALL_BITS)


def whole_word(self: registers._Nmi, owner: registers.BankOwner, index: int, value: int, *_: object) -> None:
    bank = owner.interrupts
    if index < len(bank.words):
        bank.set_nmis(index, value & bank.words[index].implemented)


def best_priority(self: NmiSharedInterrupts, index: int) -> int:
    """Superpriority as the priority 0x00."""
    superior = full(self.words[index >> 5]).superior() & bit(index & 31)
    return self.first + index if superior else InterruptBank.key(self, index)


FAULTS: Final[dict[str, Fault]] = {
    # An interrupt comes by its priority even with superpriority: an SPI; an SGI or PPI; an extended PPI.
    "spis-by-priority": (NmiSharedInterrupts, "key", InterruptBank.key, BEFORE_ALL),
    "own-by-priority": (NmiPrivateInterrupts, "key", PrivateInterrupts.key, BEFORE_ALL),
    "extended-by-priority": (NmiExtendedPpis, "key", ExtendedPpis.key, BEFORE_ALL),
    # It is no more than the best priority.
    "best-priority": (NmiSharedInterrupts, "key", best_priority, BEFORE_ALL),
    # A PMR of 0 masks NMIs.
    "pmr-masks": (NmiInterface, "superior_preempts", pmr_masks, UNMASKED),
    # One preempts another.
    "nmis-preempt-nmis": (NmiInterface, "superior_preempts", lambda self, group, key: True, UNMASKED),
    # ICC_AP1R0_EL1.NMI stays 0; or EOIR drops another than the NMI.
    "ap1r-without-nmi": (NmiGroupState, "take", GroupState.take, UNMASKED),
    "eoir-drops-another": (NmiGroupState, "drop", GroupState.drop, UNMASKED),
    # Group 0 of the best priority ends before an NMI.
    "group-0-ends-first": (
        NmiInterface,
        "find_running",
        CpuInterface.find_running,
        "test_active_priorities_can_be_written_with_superpriority",
    ),
    # A reset leaves it active.
    "reset-keeps-nmi": (NmiGroupState, "clear", GroupState.clear, "test_a_reset_of_the_pe_forgets_what_was_active"),
    # 1022 is never read; or ICC_NMIAR1_EL1 takes what is no NMI.
    "no-1022": (AcknowledgeUnlessNmi, "view", takes_any, BY_SCTLR),
    "nmiar-takes-all": (AcknowledgeNmi, "view", takes_any, BY_SCTLR),
    # In Group 0 the bit of INMIR counts; or can be written.
    "group-0-has-nmis": (FullWord, "superior", lambda self: self.nmi, INMIR),
    "inmir-of-group-0": (registers._Nmi, "put", whole_word, INMIR),
    # What is pending stays where it is in the queue.
    "left-queued": (InterruptBank, "set_nmis", left_queued, BEFORE_ALL),
    # The field of IPRIORITYR shows a priority; or can be written.
    "priority-shown": (registers._PriorityUnlessNmi, "view", registers._Priority.view, BEFORE_ALL),
    "priority-written": (registers._PriorityUnlessNmi, "put", registers._Priority.put, BEFORE_ALL),
    # INMIR is not saved.
    "inmir-not-saved": (
        registers._Nmi,
        "kept",
        lambda self, owner, index, writable: NOT_THERE,
        "test_a_saved_state_has_superpriority",
    ),
    # The embedder is not told.
    "sink-not-told": (
        NmiInterface,
        "update_outputs",
        CpuInterface.update_outputs,
        "test_a_sink_hears_whether_the_irq_has_superpriority",
    ),
}


def test_the_tests_pass_without_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_the_tests_pass(TESTS, FAULTS, monkeypatch)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_test_of_nmis_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(TESTS, FAULTS[fault], monkeypatch)
