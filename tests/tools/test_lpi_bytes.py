"""The configuration bytes of LPIs, as far as a trace shows them."""

from collections.abc import Iterable

import pytest

from mmio.trace import read_qemu
from qemu_log import command, evaluation, icc
from vgic_tools.replay.lpi_bytes import ASSUMED_PRIORITY, START, LpiBytes

ENABLED, DISABLED = ASSUMED_PRIORITY | 3, ASSUMED_PRIORITY | 2
MAPTI = command(0, 10, "MAPTI", DeviceID=8, EventID=4, ICID=0, pINTID=0x2004)
INV = command(1, 12, "INV", DeviceID=8, EventID=4)
INVALL = command(2, 13, "INVALL")
TAKEN = icc("read", "IAR1", 0, 0x2004)


def found(lines: Iterable[str]) -> LpiBytes:
    return LpiBytes(read_qemu(enumerate(lines, 1), ""))


def test_an_lpi_is_enabled_from_the_inv_before_it_is_taken_to_the_inv_after() -> None:
    lines = [*MAPTI, *INV, "", TAKEN, "", *INV, TAKEN[:-6] + "0x3ff"]
    configured = found(lines)
    assert configured.changes(START) == {0x2004: DISABLED}
    assert configured.changes(3) == {0x2004: ENABLED}
    assert configured.changes(8) == {0x2004: DISABLED}
    assert not any(configured.changes(index) for index in range(len(lines)) if index not in (3, 8))
    assert (configured.enabled, configured.priorities) == (1, 0)


def test_invall_is_an_inv_of_every_lpi() -> None:
    other = icc("read", "IAR1", 0, 0x2006)
    configured = found([TAKEN, other, *INVALL, other, *INVALL])
    assert configured.changes(START) == {0x2004: ENABLED, 0x2006: ENABLED}
    assert configured.changes(3) == {0x2004: DISABLED, 0x2006: ENABLED}
    assert configured.changes(6) == {0x2004: DISABLED, 0x2006: DISABLED}
    assert configured.enabled == 2


def test_an_offer_tells_the_priority_too() -> None:
    configured = found(evaluation(0, 0x2004, 0x48, irq=1))
    assert configured.changes(START) == {0x2004: 0x48 | 3}
    assert (configured.enabled, configured.priorities) == (1, 1)


def test_with_two_security_states_an_offer_tells_the_byte_halved() -> None:
    trace = list(read_qemu(enumerate(evaluation(0, 0x2004, 0xD0, irq=1), 1), "a log"))
    assert LpiBytes(trace, two_states=True).changes(START) == {0x2004: 0xA0 | 3}


@pytest.mark.parametrize(
    ("offset", "value", "assumed"),
    [
        (0x420, 0xC0C0_C0C0, 0xC0),
        (0x7F8, 0x4848_4848, 0x48),
        (0x420, 0xC0C0_C0A8, ASSUMED_PRIORITY),
        (0x41C, 0xC0C0_C0C0, ASSUMED_PRIORITY),
        (0xC00, 0xC0C0_C0C0, ASSUMED_PRIORITY),
    ],
)
def test_without_an_offer_an_lpi_has_the_priority_that_the_guest_gives_spis(
    offset: int, value: int, assumed: int
) -> None:
    stores = [
        f"gicv3_dist_write GICv3 distributor write: offset {at:#x} data {data:#x} size 4 secure 0"
        for at, data in ((offset, value), (0x440, 0x1010_1010 if assumed == value & 0xFF else 0x1020_3040))
    ]
    configured = found([*stores, TAKEN])
    assert configured.assumed == assumed
    assert configured.changes(START) == {0x2004: assumed | 3}


def test_a_priority_may_change_where_the_lpi_is_invalidated() -> None:
    offers = [evaluation(0, 0x2004, priority, irq=1)[0] for priority in (0x48, 0x40)]
    configured = found([*INVALL, *MAPTI, offers[0], *INV, TAKEN, *INV, offers[1]])
    assert configured.changes(START) == {0x2004: 0x48 | 3}
    assert configured.changes(6) == {0x2004: 0x48 | 3}
    assert configured.changes(9) == {0x2004: 0x40 | 3}
    assert (configured.enabled, configured.priorities) == (1, 1)


@pytest.mark.parametrize(
    "line",
    [
        evaluation(0, 0x2004, 255, irq=0)[0],
        evaluation(0, 27, 160, irq=1)[0],
        icc("write", "EOIR1", 0, 0x2004),
        icc("read", "IAR1", 0, 1023),
        *INV,
    ],
)
def test_what_shows_nothing(line: str) -> None:
    configured = found([line])
    assert not configured.changes(START)
    assert configured.enabled == 0


def test_an_inv_of_an_event_that_is_not_mapped_is_of_no_lpi() -> None:
    assert found([*INV, TAKEN]).changes(START) == {0x2004: ENABLED}
