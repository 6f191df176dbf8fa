"""Traces for Perfetto, read back with Perfetto's own classes."""

import io
from collections import defaultdict
from pathlib import Path

import pytest
from click.testing import CliRunner
from google.protobuf.unknown_fields import UnknownFieldSet
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace, TrackDescriptor, TrackEvent

import recorded_guests
from small_timeline import small_timeline
from vgic_tools.cli import main
from vgic_tools.report import protobuf
from vgic_tools.report.perfetto import write_perfetto


class Read:
    """What a trace says, track by track."""

    def __init__(self, data: bytes) -> None:
        trace = Trace()
        trace.ParseFromString(data)
        self.tracks = {
            packet.track_descriptor.uuid: packet.track_descriptor
            for packet in trace.packet
            if packet.HasField("track_descriptor")
        }
        self.events: dict[str, list[tuple[int, TrackEvent]]] = defaultdict(list)
        for packet in trace.packet:
            assert packet.trusted_packet_sequence_id == 1
            if packet.HasField("track_event"):
                self.events[self.path(packet.track_event.track_uuid)].append((packet.timestamp, packet.track_event))
            for message in (packet, packet.track_event, packet.track_descriptor):
                assert not len(UnknownFieldSet(message))

    def path(self, uuid: int) -> str:
        """The names of a track and of those that it is in."""
        track = self.tracks[uuid]
        assert track.child_ordering == TrackDescriptor.EXPLICIT
        return f"{self.path(track.parent_uuid)}/{track.name}" if track.parent_uuid else track.name

    def told(self, path: str) -> list[tuple[int, str]]:
        """The events of a track: when, and "B SGI 3", "E", "I SGI 3" or the counter's value."""
        kinds = {TrackEvent.TYPE_SLICE_BEGIN: "B ", TrackEvent.TYPE_SLICE_END: "E", TrackEvent.TYPE_INSTANT: "I "}
        return [
            (time, kinds.get(event.type, str(event.counter_value)) + event.name)
            for time, event in self.events[path]
        ]


def read(divergence: tuple[int, str] | None = None) -> Read:
    file = io.BytesIO()
    write_perfetto(file, small_timeline(), "a <test>", divergence)
    return Read(file.getvalue())


def test_interrupts_are_nested_slices() -> None:
    assert read().told("vCPU 1 (1.0.0.0)/interrupts") == [
        (20_000, "B PPI 27"),
        (40_000, "B SGI 3"),
        (50_000, "E"),
        (60_000, "E"),
        (80_000, "B LPI 8195"),
    ]
    assert read().told("vCPU 1 (1.0.0.0)/SGI 3 until ICC_DIR") == [(50_000, "B active"), (70_000, "E")]


def test_an_sgi_flows_from_its_sender_to_its_receiver() -> None:
    found = read()
    [(_, sent)] = found.events["vCPU 0 (0.0.0.0)/SGIs sent"]
    taken = next(event for _, event in found.events["vCPU 1 (1.0.0.0)/interrupts"] if event.name == "SGI 3")
    assert list(sent.flow_ids) == list(taken.terminating_flow_ids) != []
    assert {note.name: note.uint_value or note.string_value for note in sent.debug_annotations} == {
        "line": 8,
        "to": "1.0.0.0",
    }
    assert {note.name: note.uint_value for note in taken.debug_annotations} == {"INTID": 3, "line": 9}


def test_outputs_lines_and_what_waits() -> None:
    found = read()
    assert found.told("vCPU 1 (1.0.0.0)/IRQ") == [
        (10_000, "B IRQ"),
        (20_000, "E"),
        (30_000, "B IRQ"),
        (40_000, "E"),
    ]
    assert found.told("vCPU 1 (1.0.0.0)/FIQ") == [(30_000, "B FIQ"), (90_000, "E")]
    assert found.told("vCPU 1 (1.0.0.0)/waiting") == [(10_000, "2"), (20_000, "1"), (40_000, "0")]
    assert found.told("input lines/SPI 42") == [(5_000, "B high")]
    assert len(found.told("input lines/PPI 27 of 1.0.0.0")) == 4
    counters = [track.name for track in found.tracks.values() if track.HasField("counter")]
    assert counters == ["waiting", "waiting"]


def test_the_divergence_and_what_is_idle() -> None:
    assert read((33_000, "GICD_CTLR")).told("a <test>") == [(33_000, "I divergence: GICD_CTLR")]
    quiet = small_timeline()
    quiet.timed = False
    quiet.sgis.clear()
    file = io.BytesIO()
    write_perfetto(file, quiet, "boot")
    found = Read(file.getvalue())
    paths = {found.path(uuid) for uuid in found.tracks}
    assert "boot (a line of the trace counts as 1 µs)" in paths
    assert not [path for path in paths if path.startswith("vCPU 0")]


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 1 << 32, (1 << 64) - 1])
def test_numbers_of_every_size(value: int) -> None:
    event = TrackEvent()
    event.ParseFromString(protobuf.number(11, value) + protobuf.fixed64(47, value))
    assert (event.track_uuid, list(event.flow_ids)) == (value, [value])


def test_a_real_boot(tmp_path: Path) -> None:
    out = tmp_path / "boot.pftrace"
    trace, cmdline = recorded_guests.log("linux_smp4_its", "core"), recorded_guests.cmdline("linux_smp4_its")
    words = ["replay", str(trace), "--qemu-cmdline", str(cmdline), "--perfetto", str(out)]
    assert CliRunner().invoke(main, words).exit_code == 0
    found = Read(out.read_bytes())
    begun = ended = 0
    sent: list[int] = []
    taken: list[int] = []
    for cpu in range(4):
        slices = found.events[f"vCPU {cpu} (0.0.0.{cpu})/interrupts"]
        begun += sum(event.type == TrackEvent.TYPE_SLICE_BEGIN for _, event in slices)
        ended += sum(event.type == TrackEvent.TYPE_SLICE_END for _, event in slices)
        taken += [flow for _, event in slices for flow in event.terminating_flow_ids]
        sent += [
            flow for _, event in found.events[f"vCPU {cpu} (0.0.0.{cpu})/SGIs sent"] for flow in event.flow_ids
        ]
    # counts.txt beside the recording has them.
    assert (begun, ended, len(sent)) == (4990, 4987, 1391)
    assert len(set(sent)) == len(sent)
    assert sorted(taken) == sorted(sent)
