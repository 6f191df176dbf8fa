"""The generic timers and the machine's clock."""

from vgic import sysreg
from vgic_tools.guests.clock import LOOK, Clock
from vgic_tools.guests.timer import NEVER, Timers

CNTVCT, CNTV_TVAL, CNTV_CTL, CNTV_CVAL = (sysreg(3, 3, 14, *rest) for rest in ((0, 2), (3, 0), (3, 1), (3, 2)))


def test_a_timer_raises_its_line_when_it_is_due_and_lowers_it_when_it_is_moved() -> None:
    levels: list[bool] = []
    clock = Clock()
    timers = Timers(clock, lambda level: None, levels.append)
    timers.write(CNTV_CVAL, 1000)
    timers.write(CNTV_CTL, 1)
    assert (timers.deadline, levels) == (1000, [])
    clock.charge(1000)
    timers.go_on(clock.now)
    assert (timers.deadline, levels) == (NEVER, [True])
    assert timers.read(CNTV_CTL) & 0b111 == 0b101
    timers.write(CNTV_TVAL, 500)
    assert levels == [True, False]


def test_a_masked_timer_shows_its_status_only() -> None:
    levels: list[bool] = []
    timers = Timers(Clock(), lambda level: None, levels.append)
    timers.write(CNTV_CVAL, 0)
    timers.write(CNTV_CTL, 0b11)
    assert (timers.read(CNTV_CTL), levels, timers.deadline) == (0b111, [], NEVER)


def test_a_tval_is_signed() -> None:
    clock = Clock()
    clock.charge(100)
    timers = Timers(clock, lambda level: None, lambda level: None)
    timers.write(CNTV_TVAL, 0xFFFF_FFFF)
    assert timers.read(CNTV_CVAL) == 99


def test_no_two_looks_see_the_same_time_and_a_slice_takes_at_least_as_long() -> None:
    clock = Clock()
    timers = Timers(clock, lambda level: None, lambda level: None)
    assert [timers.read(CNTVCT), timers.read(CNTVCT)] == [LOOK, 2 * LOOK]
    clock.charge(10)
    assert clock.now == 2 * LOOK


def test_what_was_saved_goes_on() -> None:
    levels: list[bool] = []
    clock = Clock()
    old = Timers(clock, lambda level: None, lambda level: None)
    old.write(CNTV_CVAL, 7)
    old.write(CNTV_CTL, 1)
    clock.charge(8)
    new = Timers(clock, lambda level: None, levels.append)
    new.restore(old.save())
    assert (new.save(), levels) == (old.save(), [True])
