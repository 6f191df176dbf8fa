"""The PL031 shows the machine's own time, from the same day on each time."""

import pytest

from vgic_tools.guests.rtc import Pl031

DR, MR, LR, IMSC = 0x0, 0x4, 0x8, 0x10
NEW_YEAR = 1_577_836_800


def test_it_counts_the_machines_seconds() -> None:
    now = [0.0]
    clock = Pl031(lambda: now[0])
    assert clock.read(DR, 4) == NEW_YEAR
    now[0] = 2.9
    assert clock.read(DR, 4) == NEW_YEAR + 2
    clock.write(LR, 4, 100)
    assert (clock.read(DR, 4), clock.read(LR, 4)) == (100, 100)
    now[0] = 12.5
    assert clock.read(DR, 4) == 110


def test_linux_knows_it_by_its_identification() -> None:
    clock = Pl031(lambda: 0.0)
    assert [clock.read(0xFE0 + 4 * number, 4) for number in range(8)] == [0x31, 0x10, 4, 0, 0x0D, 0xF0, 5, 0xB1]
    assert clock.read(0xFE2, 1) == 0


def test_its_state_is_saved_and_restored() -> None:
    clock, other = Pl031(lambda: 5.0), Pl031(lambda: 5.0)
    for register, value in ((LR, 100), (MR, 7), (IMSC, 3)):
        clock.write(register, 4, value)
    other.restore(clock.save())
    assert [other.read(register, 4) for register in (DR, MR, LR, IMSC)] == [100, 7, 100, 1]
    with pytest.raises(ValueError, match="PL031"):
        other.restore({"offset": "x"})
