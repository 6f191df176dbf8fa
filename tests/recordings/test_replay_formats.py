"""The verdict on a recording does not depend on the format that it is in."""

import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import pytest
from test_replay_changed_value import AFTER, OUTCOMES, Change, changes

import recorded_guests
from mmio.trace import Event, NativeWriter, PackedWriter, open_trace, read_qemu
from vgic_tools.replay import Result, replay
from vgic_tools.replay.report import as_json

RECORDINGS = [
    ("linux_smp1_icount", "core"),
    ("linux_smp4_noits", "core"),
    pytest.param("linux_smp126_hi_noits", "core", marks=pytest.mark.slow),
    pytest.param("fuzz_ds1_smp4", "core", marks=pytest.mark.slow),
    pytest.param("linux_smp1_icount", "full", marks=pytest.mark.slow),
    pytest.param("linux_smp4_noits", "full", marks=pytest.mark.slow),
    pytest.param("fuzz_ds1_smp4", "full", marks=pytest.mark.slow),
]


class Formats:
    """One trace in every format."""

    def __init__(self, folder: Path, lines: list[str], events: Iterable[Event]) -> None:
        self.text = folder / "trace.log"
        self.text.write_text("\n".join(lines) + "\n")
        self.native = folder / "trace.jsonl"
        self.packed = folder / "trace.vgpk"
        with NativeWriter(self.native) as native, PackedWriter(self.packed) as packed:
            for event in events:
                native.write(event)
                packed.write(event)

    def results(self, recording: str, keep_going: bool) -> list[Result]:
        """Of the text, the native and the packed file, and of the events of the text without a file."""
        machine = recorded_guests.machine(recording)
        results = [
            replay(open_trace(path), "trace", machine, keep_going) for path in (self.text, self.native, self.packed)
        ]
        return [*results, replay(iter(open_trace(self.text)), "trace", machine, keep_going)]


def verdict(result: Result, header: int = 0) -> dict[str, object]:
    """All that a result says, without texts that a packed file leaves out; a file's `header` lines do not count."""
    data = json.loads(json.dumps(as_json(result)))
    first = data["first_divergence"]
    if first is not None:
        first["line"] -= header
        for event in first["before"]:
            event["line"] -= header
            if event["event"].startswith("gicv3_"):
                event["event"] = event["event"].partition(" ")[0]
    return data


@pytest.mark.parametrize(("recording", "kind"), RECORDINGS)
def test_a_recording_in_every_format(recording: str, kind: str, tmp_path: Path) -> None:
    lines, events = recorded_guests.lines(recording, kind), recorded_guests.events(recording, kind)
    text, *others = Formats(tmp_path, lines, events).results(recording, keep_going=True)
    assert not text.diverged
    assert text.events == len(lines)
    for other in others:
        assert verdict(other) == verdict(text)


def changed(lines: list[str], change: Change) -> list[str]:
    return [*lines[: change.number - 1], change.text, *lines[change.number : change.number + AFTER]]


def check_changed_outcome(recording: str, change: Change, keep_going: bool, folder: Path) -> None:
    """The replay of every format finds the change on the same line, for the same reason, with the same counts."""
    lines = changed(recorded_guests.lines(recording, "full"), change)
    formats = Formats(folder, lines, read_qemu(enumerate(lines, 1), recording))
    text, native, packed, without_file = formats.results(recording, keep_going)
    # A bit that says that there is something that is not modelled is named instead.
    assert text.diverged or any(name.endswith(", which are not modelled") for name in text.accepted)
    assert verdict(packed) == verdict(text)
    # What is not recorded is found by reading a trace again, which events without a file cannot be.
    known = verdict(text) | {"undecided": verdict(without_file)["undecided"]}
    assert verdict(without_file) == known
    assert verdict(native, header=1) == verdict(text)


@pytest.mark.parametrize(
    ("recording", "outcome", "keep_going"),
    [
        ("linux_smp4_noits", "redist_read", False),
        ("linux_smp4_noits", "other icc reads", True),
        ("fuzz_ds1_smp4", "iar1_read", False),
        ("fuzz_ds1_smp4", "send_sgi: CPU", True),
        ("fuzz_ds1_smp4", "cpuif_update: irq", False),
        ("fuzz_ds1_smp4", "cpuif_set_irqs: IRQ", True),
    ],
)
def test_a_changed_outcome_in_every_format(recording: str, outcome: str, keep_going: bool, tmp_path: Path) -> None:
    check_changed_outcome(recording, next(changes(recording, outcome)), keep_going, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("recording", ["linux_smp4_noits", "fuzz_ds1_smp4"])
def test_more_changed_outcomes_in_every_format(recording: str, outcome: str, tmp_path: Path) -> None:
    for change in islice(changes(recording, outcome), 3):
        for keep_going in (False, True):
            check_changed_outcome(recording, change, keep_going, tmp_path)
