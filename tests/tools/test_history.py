"""Where a replay finds events again: in memory, or in the file."""

from pathlib import Path

import pytest

from mmio.trace import Event, NativeWriter, PackedWriter, open_trace, read_qemu
from qemu_log import NAME, awake, dist, evaluation, virt
from vgic_tools.replay import replay
from vgic_tools.replay.history import EventHistory, TraceHistory

LINES = [dist("read", 0xFFE8, number) for number in range(20)]
EVENTS = list(read_qemu(enumerate(LINES, 1), NAME))


def trace_of(folder: Path, name: str) -> Path:
    path = folder / name
    if name.endswith("log"):
        path.write_text("\n".join(LINES) + "\n")
        return path
    with PackedWriter(path) if name.endswith("vgpk") else NativeWriter(path) as writer:
        for event in EVENTS:
            writer.write(event)
    return path


@pytest.mark.parametrize("name", ["trace.log", "trace.jsonl", "trace.vgpk"])
def test_a_trace_is_read_again(name: str, tmp_path: Path) -> None:
    trace = open_trace(trace_of(tmp_path, name))
    history = TraceHistory(trace)
    recorded = [event._replace(line=0) for event in EVENTS]
    under_way = iter(trace)
    next(under_way)
    assert [event._replace(line=0) for event in history.events(3, 7)] == recorded[3:7]
    assert [event._replace(line=0) for event in history.events(18, 30)] == recorded[18:]
    assert history.event(5)._replace(line=0) == recorded[5]
    # The pass that is under way does not notice.
    assert [event._replace(line=0) for event in under_way] == recorded[1:]


def test_only_the_events_that_are_needed_are_remembered() -> None:
    history = EventHistory()
    for number in range(10_000):
        history.saw(EVENTS[0]._replace(line=number))
        history.needs(number - 10)
    assert history.event(9_999).line == 9_999
    assert [event.line for event in history.events(9_990, 9_995)] == list(range(9_990, 9_995))
    assert len(history.events(0, 10_000)) < 5_000


def test_a_divergence_after_many_events() -> None:
    read = dist("read", 0xFFE8, 0x3B)
    # The evaluations wait for the next operation, and are many.
    waiting = evaluation(0, 42, 0xA0, irq=1) * 3_000
    lines = [*awake(), *[read] * 9_000, *waiting, read]
    first = replay(read_qemu(enumerate(lines, 1), NAME), NAME, virt(1)).first
    assert first is not None
    place = len(awake()) + 9_000 + 1
    assert first.event.line == place
    assert lines_of(first.before) == list(range(place - 10, place))


def lines_of(events: "tuple[Event, ...] | list[Event]") -> list[int]:
    return [event.line for event in events]
