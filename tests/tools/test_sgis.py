"""SGIs: the register that is the likeliest, and the line to blame where the deliveries are others."""

import pytest

from qemu_log import awake, delivery, dist, icc, redist, replayed, sgi
from vgic_tools.replay import Result


def delivered(*lines: str, targets: int = 0b1110, complete: bool = True) -> Result:
    """The result of an SGI 3 from PE 0 of four; the generating line is number 24."""
    end = [dist("read", 0xFFE8, 0x3B)] if complete else []
    return replayed([*awake(4), sgi(0, 3, targets), *lines, *end], cpus=4)


def test_everyone_is_reached() -> None:
    result = delivered(*(delivery(cpu, 3) for cpu in (1, 2, 3)))
    assert result.first is None
    assert result.compared["SGI deliveries"] == 3
    assert result.inputs["SGIs by ICC_SGI1R"] == 1


def test_all_others() -> None:
    lines = [*awake(3), sgi(1, 5, 0, irm=1), delivery(0, 5), delivery(2, 5), icc("read", "IAR1", 2, 5)]
    assert replayed(lines, cpus=3).first is None


def test_group_0_comes_from_another_register() -> None:
    lines = [redist("write", 1, 0x10080, 0xFFFF_FFF7)]
    result = replayed([*awake(2), *lines, sgi(0, 3, 0b10), delivery(1, 3)], cpus=2)
    assert result.first is None
    assert result.inputs["SGIs by ICC_SGI0R or ICC_ASGI1R"] == 1


@pytest.mark.parametrize(
    ("deliveries", "line"),
    [
        # A PE that is no target; another INTID; one PE twice for another; one too many; one too few.
        ([(1, 3), (0, 3), (3, 3)], 26),
        ([(1, 3), (2, 3), (3, 4)], 27),
        ([(2, 3), (2, 3), (3, 3)], 25),
        ([(1, 3), (2, 3), (3, 3), (3, 3)], 28),
        ([(1, 3), (2, 3)], 24),
    ],
)
def test_the_line_to_blame(deliveries: list[tuple[int, int]], line: int) -> None:
    first = delivered(*(delivery(cpu, intid) for cpu, intid in deliveries)).first
    assert first is not None
    assert first.what == "SGI deliveries"
    assert first.event.line == line
    assert first.expected == ", ".join(f"SGI {intid} at 0.0.0.{cpu}" for cpu, intid in deliveries)
    assert first.got == "SGI 3 at 0.0.0.1, SGI 3 at 0.0.0.2, SGI 3 at 0.0.0.3"


def test_deliveries_may_be_missing_at_the_end_of_a_trace() -> None:
    for count in range(4):
        result = delivered(*(delivery(1 + cpu, 3) for cpu in range(count)), complete=False)
        assert result.first is None
        assert result.compared["SGI deliveries"] == count
    assert delivered(delivery(0, 3), complete=False).first is not None
    assert delivered(delivery(1, 3), delivery(1, 3), complete=False).first is not None
