"""The tests of the extended ranges can fail: with each of these faults in the model, the named one does."""

from collections.abc import Iterator
from typing import Any, Final

import pytest

import vgic
from mmio import NOT_THERE
from named_tests import Fault, assert_noticed, assert_the_tests_pass
from vgic.cpu_interface.interface import ActivationBank, CpuInterface
from vgic.distributor import frame as distributor
from vgic.distributor.spis import SharedInterrupts
from vgic.interrupts.banks import ExtendedPpis, InterruptBank
from vgic.interrupts.extended import _Extended
from vgic.interrupts.registers import bank_words
from vgic.interrupts.words import InterruptWord
from vgic.intids import FIRST_EXTENDED_SPI
from vgic.redistributor import frame as redistributor
from vgic.state import registers as saved

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)

TESTS: Final = "tests/vgic/test_extended_ranges.py::"
ROUTES: Final = "test_spis_of_the_range_go_where_their_routes_say"
MESSAGES: Final = "test_a_message_names_any_spi"
TAKEN: Final = "test_an_interrupt_is_taken_and_finished_like_any_other"
FIELDS: Final = "test_every_register_of_an_interrupt_is_where_arm_says"
SAVED: Final = "test_a_saved_state_restores_in_any_order_and_continues"

TARGET: Final = SharedInterrupts.target
IS_ONE_OF_N: Final = SharedInterrupts.is_one_of_n
WITHDRAW_ROUTED: Final = SharedInterrupts.withdraw_routed
END: Final = CpuInterface.end_of_interrupt
PUT_MESSAGE: Final = distributor._Message.put
WORDS: Final = saved._words


def first_vcpu(self: SharedInterrupts, index: int) -> int:
    return 0 if self.first == FIRST_EXTENDED_SPI else TARGET(self, index)


def by_name(self: SharedInterrupts, index: int) -> bool:
    return self.first != FIRST_EXTENDED_SPI and IS_ONE_OF_N(self, index)


def stays(self: SharedInterrupts, affinities: set[int]) -> list[int]:
    return [] if self.first == FIRST_EXTENDED_SPI else WITHDRAW_ROUTED(self, affinities)


def as_usual(prefix: str, config: str, first_half: int = 0, **choices: bool) -> object:
    """The registers of the extended PPIs' triggers as those of the usual ones, whose first is that of SGIs."""
    return bank_words(prefix, config, 1, **choices)


def finishes_another(self: CpuInterface, group: int, intid: int) -> None:
    END(self, group, 1056 if intid == 1120 else intid)


def means_another(self: Any, owner: distributor.Distributor, index: int, value: int, *access: Any) -> None:
    PUT_MESSAGE(self, owner, index, 4096 if value == 5120 else value, *access)


def usual_words(bank: InterruptBank) -> Iterator[tuple[str, InterruptWord]]:
    return ((name, word) for name, word in WORDS(bank) if not name.endswith("E"))


FAULTS: Final[dict[str, Fault]] = {
    # SPIs of the range go to vCPU 0, or follow GICD_IROUTER<n>, or stay where they are when MPIDRs change.
    "routes-ignored": (SharedInterrupts, "target", first_vcpu, ROUTES),
    "routes-of-others": (distributor._Route, "bank", lambda self, owner: owner.spis, ROUTES),
    "moves-nothing": (SharedInterrupts, "withdraw_routed", stays, ROUTES),
    # None is 1-of-N.
    "never-1-of-n": (
        SharedInterrupts,
        "is_one_of_n",
        by_name,
        "test_1_of_n_spis_of_both_ranges_compete_for_the_same_pes",
    ),
    # GICR_ICFGR<n>E begins with what GICR_ICFGR1 has.
    "triggers-shifted": (
        redistributor,
        "bank_words",
        as_usual,
        FIELDS,
    ),
    # Extended PPIs are vCPU 0's.
    "ppis-shared": (ExtendedPpis, "target", lambda self, index: 0, "test_a_ppi_of_the_range_is_its_own_pe_alone"),
    # Messages name the usual SPIs alone.
    "no-messages": (
        distributor.Distributor,
        "spis_with",
        lambda self, intid: self.spis if self.spis.has(intid) else None,
        MESSAGES,
    ),
    # The last INTID of a range is none; or the one before it stands for the last, in messages and in EOIR.
    "last-is-none": (ActivationBank, "has", lambda self, intid: 0 <= intid - self.first < self.count - 1, TAKEN),
    "4095-is-5119": (ActivationBank, "has", lambda self, intid: -1 <= intid - self.first < self.count, MESSAGES),
    "1055-is-1119": (ActivationBank, "has", lambda self, intid: -1 <= intid - self.first < self.count, TAKEN),
    # What follows the last is the first again.
    "5120-is-4096": (distributor._Message, "put", means_another, MESSAGES),
    "1120-is-1056": (CpuInterface, "end_of_interrupt", finishes_another, TAKEN),
    # Registers, or lines and messages, of the ranges are not saved.
    "registers-not-saved": (_Extended, "kept", lambda self, owner, index, writable: NOT_THERE, SAVED),
    "lines-not-saved": (saved, "_words", usual_words, SAVED),
}


def test_the_tests_pass_without_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert_the_tests_pass(TESTS, FAULTS, monkeypatch)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_test_of_the_ranges_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_noticed(TESTS, FAULTS[fault], monkeypatch)
