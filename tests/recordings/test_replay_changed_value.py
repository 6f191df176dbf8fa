"""One recorded outcome changed, in a recording of a real guest: the replay stops on that line."""

import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest
from click.testing import CliRunner

import recorded_guests
from mmio.trace import Candidate, Delivery, Outputs, Sgi, read_qemu
from vgic_tools.cli import main
from vgic_tools.replay import Result, replay

AFTER = 3_000
"""Lines that follow a changed one: evaluations and deliveries are compared when the next operation begins."""


def bit(group: int = 1, width: int = 1) -> Callable[[re.Match[str], Random], str]:
    """Flip a bit of the hexadecimal number in the first group, which has `width` bits, or bytes as a group says."""

    def change(match: re.Match[str], random: Random) -> str:
        bits = 8 * int(match[group]) if group > 1 else width
        return f"{int(match[1], 16) ^ 1 << random.randrange(bits):x}"

    return change


def decimal(lsb: int, width: int) -> Callable[[re.Match[str], Random], str]:
    """Flip one of `width` bits from bit `lsb` on of the decimal number in the first group."""
    return lambda match, random: str(int(match[1]) ^ 1 << random.randrange(lsb, lsb + width))


class Outcome(NamedTuple):
    """A kind of recorded outcome: the lines that hold it, with the value as first group, and how to change it."""

    pattern: str
    change: Callable[[re.Match[str], Random], str]


OUTCOMES = {
    "dist_read": Outcome(r"gicv3_dist_read .* data 0x(\w+) size (\d)", bit(group=2)),
    "redist_read": Outcome(r"gicv3_redist_read .* data 0x(\w+) size (\d)", bit(group=2)),
    "iar0_read": Outcome(r"gicv3_icc_iar0_read .* value 0x(\w+)", bit(width=10)),
    "iar1_read": Outcome(r"gicv3_icc_iar1_read .* value 0x(\w+)", bit(width=10)),
    "other icc reads": Outcome(r"gicv3_icc_(?!iar)\w+_read .* value 0x(\w+)", bit(width=10)),
    "send_sgi: CPU": Outcome(r"gicv3_redist_send_sgi GICv3 redistributor 0x(\w+)", bit(width=2)),
    "send_sgi: INTID": Outcome(r"gicv3_redist_send_sgi .* SGI (\d+)", decimal(0, 4)),
    # Where the priority is 255, nothing is pending, and the INTID and group are leftovers.
    "cpuif_update: irq": Outcome(r"gicv3_cpuif_update .* irq (\d+) group \d prio (?!255)", decimal(0, 8)),
    "cpuif_update: group": Outcome(
        r"gicv3_cpuif_update .* group (\d) prio (?!255)", lambda match, _: "2" if match[1] == "0" else "0"
    ),
    "cpuif_update: prio": Outcome(r"gicv3_cpuif_update .* prio (\d+)", decimal(3, 5)),
    "cpuif_set_irqs: FIQ": Outcome(r"gicv3_cpuif_set_irqs .* FIQ (\d)", decimal(0, 1)),
    "cpuif_set_irqs: IRQ": Outcome(r"gicv3_cpuif_set_irqs .* IRQ (\d)", decimal(0, 1)),
}


class Change(NamedTuple):
    """A line, counted from 1, and what it is changed to."""

    number: int
    text: str


def said(line: str) -> str:
    """What a line says, without its prefix of thread and time; nothing where it is no event of the GIC."""
    return line.partition("gicv3_")[2]


def changes(recording: str, outcome: str) -> Iterator[Change]:
    """Changes of seeded random lines among the first ones."""
    random, (pattern, change) = Random(f"{recording} {outcome}"), OUTCOMES[outcome]
    lines = recorded_guests.lines(recording, "full")[:15_000]
    found = [(number, match) for number, line in enumerate(lines, 1) if (match := re.search(pattern, line))]
    random.shuffle(found)
    for number, match in found:
        line = match.string
        text = f"{line[: match.start(1)]}{change(match, random)}{line[match.end(1) :]}"
        if not (outcome.startswith("cpuif") and said(text) in shown_around(lines, number)):
            yield Change(number, text)


def shown_around(lines: list[str], number: int) -> list[str]:
    """What the evaluation before and after that of a line says, of the same CPU.

    A recording does not tell when exactly a CPU passes from one state to the next, so a line that is changed to
    what the CPU shows just before or after may rightly pass.
    """
    same = said(lines[number - 1]).partition(" HPPI")[0]
    ends = range(number - 2, -1, -1), range(number, len(lines))
    return [next((said(lines[at]) for at in end if said(lines[at]).startswith(same)), "") for end in ends]


def replayed(recording: str, change: Change) -> Result:
    events = recorded_guests.events(recording, "full")
    changed = read_qemu([change], recording)
    number = change.number
    trace = [*events[: number - 1], *changed, *events[number : number + AFTER]]
    return replay(trace, recording, recorded_guests.machine(recording))


def lines_to_blame(recording: str, change: Change) -> range:
    """The lines of which the replay may name any.

    An evaluation is a pair of lines that do not fit together once one is changed. An SGI is its deliveries: which
    register generated it is not recorded, so another set of PEs may look like another register's.
    """
    number = change.number
    if "cpuif_update" in change.text:
        return range(number, number + 2)
    if "send_sgi" in change.text and recording.startswith("fuzz"):
        events = recorded_guests.events(recording, "full")
        sgi = next(event for event in reversed(events[:number]) if isinstance(event, Sgi))
        following = (event for event in events[number:] if not isinstance(event, Delivery | Candidate | Outputs))
        return range(sgi.line, next(following).line)
    return range(number, number + 1)


@pytest.mark.parametrize("outcome", OUTCOMES)
@pytest.mark.parametrize("recording", ["linux_smp4_noits", "fuzz_ds1_smp4"])
def test_a_changed_outcome_is_found_on_its_line(recording: str, outcome: str) -> None:
    done = 0
    for change in islice(changes(recording, outcome), 6):
        result = replayed(recording, change)
        if result.first is not None:
            assert result.first.event.line in lines_to_blame(recording, change), change
        else:
            # A bit that says that there is something that is not modelled, and that is what the summary says.
            named = [name for name in result.accepted if name.endswith(", which are not modelled")]
            assert named, f"{change} passed"
            assert "offset 0x4 " in change.text or "offset 0x8 " in change.text
        done += 1
    # Linux takes no Group 0 interrupts.
    assert done == (0 if (recording, outcome) == ("linux_smp4_noits", "iar0_read") else 6)


@pytest.mark.parametrize("outcome", ["redist_read", "iar1_read", "send_sgi: INTID", "cpuif_set_irqs: IRQ"])
def test_the_command_names_the_line_and_exits_with_1(outcome: str, tmp_path: Path) -> None:
    change = next(changes("linux_smp4_noits", outcome))
    lines = recorded_guests.lines("linux_smp4_noits", "full")
    trace = tmp_path / "trace.log"
    changed = [*lines[: change.number - 1], change.text, *lines[change.number : change.number + AFTER]]
    trace.write_text("\n".join(changed) + "\n")
    machine = str(recorded_guests.cmdline("linux_smp4_noits"))
    done = CliRunner().invoke(main, ["replay", str(trace), "--qemu-cmdline", machine])
    assert done.exit_code == 1
    assert f"\n{trace}:{change.number}, vCPU 0.0." in done.stdout
    assert "\ndiverged: 1 of" in done.stdout
