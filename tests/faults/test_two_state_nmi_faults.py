"""The tests of NMIs with two Security states can fail: with each of these faults the named one does."""

from typing import Final

import pytest

import vgic
from named_tests import Fault, assert_noticed, assert_the_tests_pass
from vgic.cpu_interface.group import GROUP1, SECURE_GROUP1, GroupState
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.nmi import NmiGroupState
from vgic.cpu_interface.nmi_registers import (
    AcknowledgeNmi,
    AcknowledgeUnlessNmi,
    RunningNmiOfEither,
    nmi_active,
    with_nmis,
)
from vgic.cpu_interface.pending import superior_key
from vgic.cpu_interface.two_state_nmis import TwoStateNmiInterface
from vgic.cpu_interface.two_states import TwoStateInterface
from vgic.interrupts import guards
from vgic.interrupts.banks import InterruptBank, PrivateInterrupts
from vgic.interrupts.nmis import NmiPrivateInterrupts

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)

TESTS: Final = "tests/vgic/cpu_interface/test_two_state_nmis.py::"
ORDER: Final = "test_it_comes_before_what_has_the_best_priority_of_its_state"
PMR: Final = "test_pmr_masks_a_nonsecure_one_by_values_of_secure"
SEEN: Final = "test_who_sees_that_one_is_active"
TAKEN: Final = "test_what_a_reader_gets_of_an_nmi_of_each_group"


def best_of_all(self: NmiPrivateInterrupts, index: int) -> int:
    superior = self.words[0].superior() >> index & 1
    return superior_key(index) if superior else PrivateInterrupts.key(self, index)


def preempts_all(self: TwoStateNmiInterface, group: GroupState, key: int) -> bool:
    assert isinstance(group, NmiGroupState)
    return not group.nmi_active


def either(self: RunningNmiOfEither, interface: CpuInterface) -> int:
    active = nmi_active(interface, GROUP1) or nmi_active(interface, SECURE_GROUP1)
    return with_nmis(self.running.view(interface), active, False)


def shown_to_all(self: RunningNmiOfEither, interface: CpuInterface) -> int:
    secure, nonsecure = nmi_active(interface, SECURE_GROUP1), nmi_active(interface, GROUP1)
    return with_nmis(self.running.view(interface), secure, nonsecure)


FAULTS: Final[dict[str, Fault]] = {
    # Superpriority of Non-secure interrupts comes before what is Secure.
    "best-of-all": (NmiPrivateInterrupts, "key", best_of_all, ORDER),
    # PMR masks no Non-secure NMI; or that of 0x80 none in Secure state.
    "pmr-masks-none": (TwoStateNmiInterface, "_is_masked", lambda self: False, PMR),
    "secure-at-0x80": (TwoStateNmiInterface, "_is_masked", lambda self: self.pmr < 0x80, PMR),
    # A Non-secure NMI interrupts what has a priority of Secure.
    "preempts-secure": (
        TwoStateNmiInterface,
        "superior_preempts",
        preempts_all,
        "test_a_nonsecure_one_interrupts_nothing_that_has_a_priority_of_secure",
    ),
    # GICD_CTLR.DS changes nothing of what is active; or pending.
    "ds-leaves-active": (
        TwoStateNmiInterface,
        "set_one_state",
        TwoStateInterface.set_one_state,
        "test_an_active_one_counts_as_the_best_of_all_once_ds_is_set",
    ),
    "ds-leaves-pending": (
        InterruptBank,
        "set_best_of_group1",
        lambda self, best: None,
        "test_once_ds_is_set_it_counts_as_the_best_of_all",
    ),
    # Non-secure readers are told of Secure NMIs; or find their own where Secure's are.
    "rpr-of-either": (RunningNmiOfEither, "view", either, SEEN),
    "rpr-for-all": (RunningNmiOfEither, "view", shown_to_all, SEEN),
    # 1022 is never read; or ICC_NMIAR1_EL1 takes what is no NMI.
    "no-1022": (AcknowledgeUnlessNmi, "view", lambda self, interface: self.taking.view(interface), TAKEN),
    "nmiar-takes-all": (
        AcknowledgeNmi,
        "view",
        lambda self, interface: self.taking.view(interface),
        "test_the_register_for_nmis_takes_nothing_else",
    ),
    # Non-secure accesses reach the bits of Secure interrupts.
    "inmir-is-open": (
        guards._Bits,
        "fields",
        lambda self, owner, index, level: guards.EVERYTHING,
        "test_superpriority_of_secure_interrupts_is_secure",
    ),
    # Group 0 ends before an NMI of the same priority.
    "group-0-ends-first": (
        TwoStateNmiInterface,
        "find_running",
        CpuInterface.find_running,
        "test_of_the_same_running_priority_superpriority_ends_first",
    ),
    # The embedder is not told.
    "sink-not-told": (
        TwoStateNmiInterface,
        "update_outputs",
        CpuInterface.update_outputs,
        "test_a_sink_hears_of_it_where_the_signal_is_irq",
    ),
}


def test_the_tests_pass_without_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_the_tests_pass(TESTS, FAULTS, monkeypatch)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_test_of_nmis_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(TESTS, FAULTS[fault], monkeypatch)
