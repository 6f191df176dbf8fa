"""The history of a replay: who took what when, and what the model showed meanwhile."""

from collections.abc import Iterable

import pytest

import vgic
from mmio.trace import Event, Outputs, read_qemu
from qemu_log import NAME, awake, delivery, dist, icc, ppi, redist, reset, sgi, spi, virt
from recorded_guests import events, machine
from vgic_tools.replay import Result, replay
from vgic_tools.report.recorder import Recorder
from vgic_tools.report.timeline import ANY, FIQ, IRQ, Handled, Interrupt, Timeline


def watched(lines: Iterable[str], cpus: int = 1, timed: bool = False) -> Timeline:
    """The timeline of a log; a line is a microsecond after the one before."""
    stamped = (f"7@100.{at:06}:{line}" if timed else line for at, line in enumerate(lines, 1))
    return of_events(read_qemu(enumerate(stamped, 1), NAME), cpus)[0]


def of_events(trace: Iterable[Event], cpus: int) -> tuple[Timeline, Result]:
    recorder = Recorder(virt(cpus).config)
    result = replay(trace, NAME, virt(cpus), watcher=recorder)
    assert result.first is None
    return recorder.timeline, result


def end(cpu: int, intid: int) -> str:
    return icc("write", "EOIR1", cpu, intid)


def take(cpu: int, intid: int) -> str:
    return icc("read", "IAR1", cpu, intid)


START = len(awake())
"""Lines before a test's own."""


def us(line: int) -> int:
    """The time of a line, from 0, after `awake`."""
    return (START + line) * 1000


def test_an_interrupt_from_its_line_to_its_end() -> None:
    timeline = watched([*awake(), spi(42, 1), take(0, 42), spi(42, 0), end(0, 42)])
    assert timeline.handled == [[Handled(42, us(1), START + 2, 0, end=us(3))]]
    assert timeline.lines == {Interrupt(None, 42): [(us(0), 1), (us(2), 0)]}
    assert timeline.outputs == [[(us(0), IRQ), (us(1), 0)]]
    assert timeline.waiting == [[(us(0), 1), (us(1), 0)]]
    assert timeline.duration == us(3)
    assert not timeline.timed


def test_times_are_those_of_the_trace_and_never_go_back() -> None:
    lines = [*awake(), spi(42, 1), take(0, 42)]
    timeline = watched(lines, timed=True)
    assert timeline.timed
    assert timeline.origin == 100_000_001_000
    assert timeline.handled[0][0].start == us(1)
    stamped = [f"7@{200 + at if at < START else 203}.000000:{line}" for at, line in enumerate(lines)]
    timeline, _ = of_events(read_qemu(enumerate(["warning: no time here", *stamped], 1), NAME), 1)
    assert timeline.timed
    assert timeline.handled[0][0].start == timeline.duration == (START - 1) * 10**9


def test_one_that_preempts_is_inside_the_other() -> None:
    higher = redist("write", 0, 0x1041B, 0x20, size=1)
    lower = redist("write", 0, 0x1041A, 0x80, size=1)
    lines = [
        *awake(),
        higher,
        lower,
        ppi(0, 26, 1),
        take(0, 26),
        ppi(0, 27, 1),
        take(0, 27),
        end(0, 27),
        end(0, 26),
    ]
    first, second = watched(lines).handled[0]
    assert (first.intid, first.depth, first.start, first.end) == (26, 0, us(3), us(7))
    assert (second.intid, second.depth, second.start, second.end) == (27, 1, us(5), us(6))


def test_with_eoi_mode_1_it_is_active_until_dir() -> None:
    lines = [*awake(), icc("write", "CTLR", 0, 0b10), spi(42, 1), take(0, 42), spi(42, 0), end(0, 42)]
    [handled] = watched(lines).handled[0]
    assert handled.waits_for_dir
    assert (handled.end, handled.deactivated) == (us(4), None)
    [handled] = watched([*lines, icc("write", "DIR", 0, 42)]).handled[0]
    assert (handled.end, handled.deactivated) == (us(4), us(5))


def test_what_is_not_in_hand_does_not_end() -> None:
    timeline = watched([*awake(), icc("read", "IAR1", 0, 1023), ppi(0, 27, 1), take(0, 27)])
    assert [handled.end for handled in timeline.handled[0]] == [None]


def test_sgis_are_taken_where_they_were_delivered() -> None:
    lines = [*awake(2), sgi(0, 3, 0b10), delivery(1, 3), sgi(0, 3, 0b11), delivery(0, 3), delivery(1, 3)]
    lines += [take(1, 3), take(0, 3)]
    timeline = watched(lines, cpus=2)
    assert [sgi.receivers for sgi in timeline.sgis] == [[1], [0, 1]]
    assert timeline.handled[1][0].sgis == (0, 1)
    assert timeline.handled[0][0].sgis == (1,)
    assert timeline.sent() == {(0, 1): 2, (0, 0): 1}
    # The model hears of an SGI when its deliveries are known; it is pending since it was sent.
    assert timeline.waiting[1][0] == (timeline.sgis[0].time, 1)
    assert timeline.outputs[1][0] == (timeline.sgis[0].time, IRQ)
    assert timeline.waiting[0][0] == (timeline.sgis[1].time, 1)


def test_a_reset_ends_what_a_pe_has_in_hand() -> None:
    lines = [*awake(), ppi(0, 27, 1), take(0, 27), reset("0x1"), icc("write", "PMR", 0, 0xF0)]
    lines += [icc("write", "IGRPEN1", 0, 1), ppi(0, 26, 1), take(0, 26), end(0, 26)]
    first, second = watched(lines).handled[0]
    assert (first.intid, first.end) == (27, us(3))
    assert (second.intid, second.depth, second.end) == (26, 0, us(7))


def test_routes_and_accesses() -> None:
    route = 0x6000 + 8 * 42
    lines = [*awake(2), dist("write", route, 1, size=8), dist("write", route, 1, size=8)]
    lines += [dist("write", route, 0, size=4), dist("read", 0xC, 0, bad=True)]
    timeline = watched(lines, cpus=2)
    assert [to for _, to in timeline.routes[42]] == [1, 0]
    assert timeline.accesses["GICD_IROUTER", True] == 3
    assert timeline.accesses["GICR_WAKER", True] == 2
    assert timeline.accesses["GICD+0xc", False] == 1
    recorder = Recorder(vgic.Config(vgic.Topology.qemu(1), 256, vgic.ARCH))
    lines = [dist("write", route, 1 << 31, size=8)]
    replay(read_qemu(enumerate(lines, 1), NAME), NAME, virt(1, one_of_n=True), watcher=recorder)
    assert [to for _, to in recorder.timeline.routes[42]] == [ANY]


@pytest.mark.parametrize("recording", ["linux_smp1_its", pytest.param("linux_smp4_noits", marks=pytest.mark.slow)])
def test_a_real_guest_is_seen_as_its_recorder_saw_it(recording: str) -> None:
    """The recording has the outputs, too: the model's change as often, in that order and at about that time."""
    trace = events(recording, "full")
    recorder = Recorder(machine(recording).config)
    result, timeline = replay(trace, NAME, machine(recording), watcher=recorder), recorder.timeline
    assert result == replay(trace, NAME, machine(recording))
    for cpu, outputs in enumerate(timeline.outputs):
        seen: list[tuple[int, int]] = []
        for event in trace:
            if isinstance(event, Outputs) and event.cpu == timeline_cpu(recording, cpu):
                levels = event.irq * IRQ + event.fiq * FIQ
                if levels != (seen[-1][1] if seen else 0):
                    seen.append((timeline.time_of(event), levels))
        assert [levels for _, levels in outputs] == [levels for _, levels in seen]
        late = sorted(abs(ours - theirs) for (ours, _), (theirs, _) in zip(outputs, seen, strict=True))
        assert late[len(late) // 2] < 20_000
    for cpu, handled in enumerate(timeline.handled):
        taken = sum(count for (name, _), count in result.acknowledged.items() if name == timeline.cpus[cpu])
        assert len(handled) == taken
        assert all(one.end is None or one.end >= one.start for one in handled)
    assert sum(timeline.sent().values()) == result.compared["SGI deliveries"]
    arrived = {number for handled in timeline.handled for one in handled for number in one.sgis}
    assert arrived == set(range(len(timeline.sgis)))
    for signals in (timeline.outputs, timeline.waiting, timeline.lines.values()):
        for signal in signals:
            assert [time for time, _ in signal] == sorted(time for time, _ in signal)


def timeline_cpu(recording: str, cpu: int) -> int:
    """The packed affinity of a vCPU."""
    return machine(recording).config.topology.affinities[cpu]
