"""A timeline as a trace for the Perfetto UI (https://ui.perfetto.dev): protobuf TracePackets with TrackEvents.

The numbers of the fields are from Perfetto's protos/perfetto/trace/: trace_packet.proto, and in track_event/
track_descriptor.proto, track_event.proto and debug_annotation.proto.
"""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, Final, NamedTuple

from vgic_tools.report.protobuf import fixed64, message, number, string
from vgic_tools.report.timeline import FIQ, IRQ, Changes, Handled, Timeline
from vgic_tools.report.words import interrupt_name, line_name

__all__ = ["write_perfetto"]

# Trace, TracePacket
_PACKET: Final = 1
_TIMESTAMP: Final = 8
_SEQUENCE: Final = 10
_TRACK_EVENT: Final = 11
_SEQUENCE_FLAGS: Final = 13
_TRACK_DESCRIPTOR: Final = 60
_CLEARED: Final = 1
"""SEQ_INCREMENTAL_STATE_CLEARED: nothing came before."""

# TrackDescriptor
_UUID: Final = 1
_TRACK_NAME: Final = 2
_PARENT: Final = 5
_COUNTER: Final = 8
_CHILD_ORDERING: Final = 11
_EXPLICIT: Final = 3
_RANK: Final = 12
_DESCRIPTION: Final = 14

# TrackEvent
_ANNOTATION: Final = 4
_TYPE: Final = 9
_BEGIN: Final = 1
_END: Final = 2
_INSTANT: Final = 3
_VALUE_CHANGED: Final = 4
_TRACK: Final = 11
_CATEGORY: Final = 22
_NAME: Final = 23
_COUNTER_VALUE: Final = 30
_FLOW: Final = 47
_LAST_FLOW: Final = 48

# DebugAnnotation
_ANNOTATION_UINT: Final = 3
_ANNOTATION_STRING: Final = 6
_ANNOTATION_NAME: Final = 10


class _Event(NamedTuple):
    time: int
    content: bytes
    """Of a TrackEvent."""


def write_perfetto(
    file: BinaryIO, timeline: Timeline, title: str, divergence: tuple[int, str] | None = None
) -> None:
    """Write a timeline; `title` says what it is of, and `divergence` when and what."""
    tracks = _Tracks(file)
    events: list[_Event] = []
    clock = "" if timeline.timed else " (a line of the trace counts as 1 µs)"
    whole = tracks.add(f"{title}{clock}")
    if divergence is not None:
        events.append(_event(divergence[0], _INSTANT, whole, f"divergence: {divergence[1]}", "divergence"))
    for cpu in timeline.busy():
        events += _vcpu(tracks, timeline, cpu)
    if timeline.lines:
        group = tracks.add("input lines")
        for line in sorted(timeline.lines, key=lambda line: (line.intid, line.cpu or 0)):
            track = tracks.add(line_name(timeline, line), group)
            events += _levels(timeline.lines[line], 1, track, "high", "line")
    for event in sorted(events, key=lambda event: event.time):
        tracks.put(number(_TIMESTAMP, event.time) + message(_TRACK_EVENT, event.content))


class _Tracks:
    """Writes packets, and gives tracks their ids, in the order in which they are to be shown."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._count = 0

    def add(self, name: str, parent: int = 0, *, counter: bool = False, description: str = "") -> int:
        """A new track."""
        self._count += 1
        content = number(_UUID, self._count) + string(_TRACK_NAME, name) + number(_RANK, self._count)
        content += number(_CHILD_ORDERING, _EXPLICIT)
        if parent:
            content += number(_PARENT, parent)
        if counter:
            content += message(_COUNTER, b"")
        if description:
            content += string(_DESCRIPTION, description)
        flags = number(_SEQUENCE_FLAGS, _CLEARED) if self._count == 1 else b""
        self.put(flags + message(_TRACK_DESCRIPTOR, content))
        return self._count

    def put(self, content: bytes) -> None:
        """Write a TracePacket."""
        self._file.write(message(_PACKET, content + number(_SEQUENCE, 1)))


def _vcpu(tracks: _Tracks, timeline: Timeline, cpu: int) -> Iterator[_Event]:
    """The tracks of a vCPU."""
    parent = tracks.add(f"vCPU {cpu} ({timeline.cpus[cpu]})")
    track = tracks.add(
        "interrupts", parent, description="From ICC_IAR to ICC_EOIR; one that preempts another is inside it."
    )
    yield from _handled(timeline, cpu, track)
    sgis = [(at, sgi) for at, sgi in enumerate(timeline.sgis) if sgi.sender == cpu]
    if sgis:
        track = tracks.add("SGIs sent", parent)
        for at, sgi in sgis:
            to = ", ".join(timeline.cpus[receiver] for receiver in sgi.receivers) or "nobody"
            flows = b"".join(fixed64(_FLOW, _flow(timeline, at, receiver)) for receiver in sgi.receivers)
            said = _annotation("line", sgi.line) + _annotation("to", to) + flows
            yield _event(sgi.time, _INSTANT, track, f"SGI {sgi.intid}", "sgi", said)
    for name, output in (("IRQ", IRQ), ("FIQ", FIQ)):
        if any(levels & output for _, levels in timeline.outputs[cpu]):
            yield from _levels(timeline.outputs[cpu], output, tracks.add(name, parent), name, "output")
    track = tracks.add(
        "waiting",
        parent,
        counter=True,
        description="Interrupts that are pending, enabled and forwarded to the vCPU.",
    )
    for time, count in timeline.waiting[cpu]:
        yield _event(time, _VALUE_CHANGED, track, "", "", number(_COUNTER_VALUE, count))
    yield from _active(tracks, timeline.handled[cpu], parent)


def _handled(timeline: Timeline, cpu: int, track: int) -> Iterator[_Event]:
    """Slices, in the order in which they begin and end."""
    open_slices: list[Handled] = []
    for handled in timeline.handled[cpu]:
        yield from _ended(open_slices, handled.depth, track)
        open_slices.append(handled)
        flows = (fixed64(_LAST_FLOW, _flow(timeline, sgi, cpu)) for sgi in handled.sgis)
        said = _annotation("INTID", handled.intid) + _annotation("line", handled.line) + b"".join(flows)
        yield _event(handled.start, _BEGIN, track, interrupt_name(handled.intid), "interrupt", said)
    yield from _ended(open_slices, 0, track)


def _ended(open_slices: list[Handled], depth: int, track: int) -> Iterator[_Event]:
    while len(open_slices) > depth:
        end = open_slices.pop().end
        if end is not None:
            yield _event(end, _END, track)


def _active(tracks: _Tracks, all_handled: Iterable[Handled], parent: int) -> Iterator[_Event]:
    """A track for each interrupt that stays active when its priority has dropped: they need not end in order."""
    of_intid: dict[int, int] = {}
    for handled in all_handled:
        if handled.waits_for_dir and handled.end is not None:
            track = of_intid.get(handled.intid)
            if track is None:
                name = f"{interrupt_name(handled.intid)} until ICC_DIR"
                track = of_intid[handled.intid] = tracks.add(name, parent)
            yield _event(handled.end, _BEGIN, track, "active", "active")
            if handled.deactivated is not None:
                yield _event(handled.deactivated, _END, track)


def _levels(changes: Changes, mask: int, track: int, name: str, category: str) -> Iterator[_Event]:
    """A slice for each time that a signal is high."""
    level = 0
    for time, value in changes:
        if value & mask != level:
            level = value & mask
            yield _event(time, _BEGIN, track, name, category) if level else _event(time, _END, track)


def _event(time: int, kind: int, track: int, name: str = "", category: str = "", more: bytes = b"") -> _Event:
    content = number(_TYPE, kind) + number(_TRACK, track)
    if name:
        content += string(_NAME, name)
    if category:
        content += string(_CATEGORY, category)
    return _Event(time, content + more)


def _annotation(name: str, value: int | str) -> bytes:
    told = string(_ANNOTATION_STRING, value) if isinstance(value, str) else number(_ANNOTATION_UINT, value)
    return message(_ANNOTATION, string(_ANNOTATION_NAME, name) + told)


def _flow(timeline: Timeline, sgi: int, receiver: int) -> int:
    """The id of the arrow from a sent SGI to one of its receivers: not 0, and different for each."""
    return sgi * len(timeline.cpus) + receiver + 1
