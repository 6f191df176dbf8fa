"""One recorded outcome of an ITS changed, in a recording of Linux: the replay stops on that line."""

import re
from random import Random

import pytest

import recorded_guests
from mmio.trace import Event, read_qemu
from vgic_tools.replay import Result, replay

RECORDING = "linux_smp1_its"

# The number whose bits are flipped is the first group.
OUTCOMES = {
    "its_read": (r"gicv3_its_read .* data 0x(\w+) ", 32),
    "iar1_read of an LPI": (r"gicv3_icc_iar1_read .* value 0x(\w{4})$", 10),
    "dte_read: DeviceID": (r"gicv3_its_dte_read .* DeviceID 0x(\w+)", 16),
    "dte_read: valid": (r"gicv3_its_dte_read .* valid (\d)", 1),
    "dte_read: size": (r"gicv3_its_dte_read .* size 0x(\w+)", 4),
    "dte_read: ITTaddr": (r"gicv3_its_dte_read .* ITTaddr 0x(\w+)", 32),
    "dte_write: valid": (r"gicv3_its_dte_write .* valid (\d)", 1),
    "ite_read: ITTaddr": (r"gicv3_its_ite_read .* ITTaddr 0x(\w+)", 32),
    "ite_read: EventID": (r"gicv3_its_ite_read .* EventID 0x(\w+)", 16),
    "ite_read: valid": (r"gicv3_its_ite_read .* valid (\d)", 1),
    "ite_read: intid": (r"gicv3_its_ite_read .* intid 0x(\w+)", 16),
    "ite_read: ICID": (r"gicv3_its_ite_read .* ICID 0x(\w+)", 16),
    "ite_write: intid": (r"gicv3_its_ite_write .* valid 1 .* intid 0x(\w+)", 16),
    "cte_read: ICID": (r"gicv3_its_cte_read .* ICID 0x(\w+)", 16),
    "cte_read: valid": (r"gicv3_its_cte_read .* valid (\d)", 1),
    "cte_read: RDBase": (r"gicv3_its_cte_read .* RDBase 0x(\w+)", 16),
    "cte_write: RDBase": (r"gicv3_its_cte_write .* RDBase 0x(\w+)", 16),
    "process_command: offset": (r"gicv3_its_process_command .* offset 0x(\w+)", 7),
}


def replayed(changed: str | None, number: int) -> Result:
    """The replay of the recording with another line of this number, counted from 1, or without it."""
    events: list[Event] = list(recorded_guests.events(RECORDING, "core"))
    events[number - 1 : number] = [] if changed is None else read_qemu([(number, changed)], RECORDING)
    return replay(events, RECORDING, recorded_guests.machine(RECORDING))


def lines_with(pattern: str) -> list[tuple[int, re.Match[str]]]:
    lines = enumerate(recorded_guests.lines(RECORDING, "core"), 1)
    return [(number, match) for number, line in lines if (match := re.search(pattern, line))]


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_changed_outcome_is_found_on_its_line(outcome: str) -> None:
    random = Random(outcome)
    pattern, width = OUTCOMES[outcome]
    found = lines_with(pattern)
    for number, match in random.sample(found, min(4, len(found))):
        line = match.string
        value = int(match[1], 16) ^ 1 << random.randrange(width)
        changed = f"{line[: match.start(1)]}{value:x}{line[match.end(1) :]}"
        first = replayed(changed, number).first
        assert first is not None, f"{changed} passed"
        assert first.event.line == number, changed


def test_a_dropped_message_is_found_at_the_entry_that_it_would_have_explained() -> None:
    for number, _ in Random(0).sample(lines_with("gicv3_its_translation_write"), 6):
        first = replayed(None, number).first
        assert first is not None
        assert (first.event.line, first.got) == (number + 1, "no MSI and no command that needs it")


def test_a_dropped_message_with_its_entries_is_found_where_its_lpi_is_taken() -> None:
    events = recorded_guests.events(RECORDING, "core")
    for number, _ in Random(1).sample(lines_with("gicv3_its_translation_write"), 6):
        first = replay([*events[: number - 1], *events[number + 3 :]], "", recorded_guests.machine(RECORDING)).first
        assert first is not None
        taken = next(line for line, _ in lines_with(r"gicv3_icc_iar1_read .* value 0x2\w{3}$") if line > number)
        assert (first.event.line, first.what) == (taken, "ICC_IAR1")
