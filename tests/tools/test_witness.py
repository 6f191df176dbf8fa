"""What is said about a divergence."""

import pytest

from mmio.trace import Candidate, Event
from qemu_log import awake, delivery, dist, evaluation, icc, redist, replayed, sgi, spi
from vgic_tools.replay import Divergence

READS = [dist("read", 0xFFE8, 0x3B)] * 12


def diverged(*lines: str, cpus: int = 1) -> Divergence:
    first = replayed(lines, cpus=cpus).first
    assert first is not None
    return first


def lines_of(events: list[Event]) -> list[int]:
    return [event.line for event in events]


def test_the_ten_events_before() -> None:
    first = diverged(*READS, dist("read", 0xFFE8, 0x3A))
    assert lines_of([*first.before, first.event]) == list(range(3, 14))


def test_the_events_before_one_that_others_follow() -> None:
    # Evaluations are compared when the next operation begins: what lies between comes after it.
    wrong = evaluation(0, 42, 0xA0, irq=1)
    right = evaluation(0, 0, 255, irq=0)
    first = diverged(*READS, *right * 20, *wrong, *right * 20, READS[0])
    assert isinstance(first.event, Candidate)
    assert lines_of([*first.before, first.event]) == list(range(43, 54))


def test_there_may_be_few_before() -> None:
    assert diverged(dist("read", 0xFFE8, 0)).before == ()


def test_a_distributor_register() -> None:
    first = diverged(*awake(), dist("read", 0x104, 0b11 << 10))
    assert (first.what, first.place) == ("GICD_ISENABLER1", "")
    assert (first.expected, first.got) == ("0xc00", "0x400")
    assert first.interrupts == (
        "INTID 43: idle, disabled; group 0, priority 0x00, level, line low, routed to 0.0.0.0 (vCPU 0)",
    )


def test_a_redistributor_register() -> None:
    first = diverged(*awake(2), redist("read", 1, 0x10100, 0xFFFF_FFFE), cpus=2)
    assert (first.what, first.place) == ("GICR_ISENABLER0", "0.0.0.1")
    assert first.interrupts == ("INTID 0: enabled; group 1, priority 0x00, edge, private to vCPU 1",)


def test_a_part_of_a_register_is_shown_in_its_place() -> None:
    first = diverged(redist("read", 0, 0xC, 0x100), dist("read", 0, 0))
    assert (first.what, first.expected, first.got) == ("GICR_TYPER", "0x100", "0x0")
    assert (first.expected_value, first.got_value) == (0x100 << 32, 0)
    first = diverged(dist("read", 0x42A, 0x80, size=1))
    assert first.what == "GICD_IPRIORITYR10"
    assert first.interrupts[0].startswith("INTID 42: ")


def test_a_place_without_a_register() -> None:
    first = diverged(dist("read", 0xC004, 1))
    assert (first.what, first.layout, first.interrupts) == ("GICD+0xc004", None, ())


def test_an_access_that_is_wider_than_its_register() -> None:
    first = diverged(dist("read", 0x100, 0xFFFF_FFFF_0000_0000, size=8))
    assert (first.what, first.got) == ("GICD_ISENABLER0", "0x0")


def test_an_acknowledgement_shows_both_interrupts() -> None:
    first = diverged(*awake(), spi(42, 1), icc("read", "IAR1", 0, 43))
    assert (first.what, first.place, first.expected, first.got) == ("ICC_IAR1", "0.0.0.0", "0x2b", "0x2a")
    assert [text.partition(":")[0] for text in first.interrupts] == ["INTID 42", "INTID 43"]
    assert first.interrupts[0].startswith("INTID 42: pending active enabled; group 1, ")


def test_another_system_register() -> None:
    first = diverged(*awake(), icc("read", "PMR", 0, 0xF0))
    assert (first.what, first.expected, first.got, first.interrupts) == ("ICC_PMR", "0xf0", "0xf8", ())


def test_an_offer_shows_what_is_offered_and_what_the_model_offers() -> None:
    first = diverged(*awake(), spi(42, 1), *evaluation(0, 50, 0xA0, irq=1), *READS)
    assert first.what == "highest pending interrupts"
    assert first.place == "0.0.0.0"
    assert first.expected == "INTID 50, group 1, priority 0xa0"
    assert first.got == "INTID 42, group 1, priority 0x00"
    assert [text.partition(":")[0] for text in first.interrupts] == ["INTID 42", "INTID 50"]


def test_deliveries_show_the_sgi() -> None:
    first = diverged(*awake(2), sgi(0, 3, 0b10), delivery(0, 3), READS[0], cpus=2)
    assert (first.expected, first.got) == ("SGI 3 at 0.0.0.0", "SGI 3 at 0.0.0.1")
    assert first.interrupts[0].startswith("INTID 3: ")


@pytest.mark.parametrize("intid", [1023, 1000])
def test_intids_that_the_machine_lacks_are_left_out(intid: int) -> None:
    first = diverged(*awake(), spi(42, 1), icc("read", "IAR1", 0, intid))
    assert [text.partition(":")[0] for text in first.interrupts] == ["INTID 42"]
