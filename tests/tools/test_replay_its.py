"""Replaying what a trace shows of an ITS, on logs that are written by hand."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmio.trace import (
    CollectionEntry,
    Command,
    CommandStart,
    DeviceEntry,
    Event,
    EventEntry,
    Message,
    TraceError,
    open_trace,
    read_qemu,
)
from qemu_log import (
    NAME,
    QUEUE,
    awake,
    command,
    cte,
    dist,
    dte,
    evaluation,
    gits,
    icc,
    ite,
    msi,
    redist,
    replayed,
    virt,
    with_its,
)
from vgic_tools.replay import ReplayError, Result, replay

GITS = 0x0808_0000
ITT = 0x4400_0000


def lookups(collection: int = 0, target: int = 0, direction: str = "read") -> list[str]:
    """What the ITS reads when event 3 of device 8 is signalled."""
    return [
        dte("read", 8, 1, 4, ITT),
        ite(direction, ITT, 3, 1, 0x2003, collection),
        cte("read", collection, 1, target),
    ]


UNNEEDED = "no MSI and no command that needs it"

MAPC = [*command(0, 9, "MAPC", ICID=0, RDbase=0, V=1), cte("write", 0, 1, 0)]
MAPD = [*command(1, 8, "MAPD", DeviceID=8, Size=4, ITT_addr=ITT >> 8, V=1), dte("write", 8, 1, 4, ITT >> 8)]
MAPTI = [*command(2, 10, "MAPTI", DeviceID=8, EventID=3, ICID=0, pINTID=0x2003), *lookups(direction="write")[:2]]
INV = [*command(3, 12, "INV", DeviceID=8, EventID=3), *lookups()]
MAPPED = [*awake(), *with_its(), *MAPC, *MAPD, *MAPTI, *INV, gits("write", 0x88, 0x80)]

MSI = [msi(8, 3), *lookups()]
TAKEN = [icc("read", "IAR1", 0, 0x2003), icc("write", "EOIR1", 0, 0x2003)]
BOOT = [*MAPPED, *MSI, *TAKEN]


def run(lines: Sequence[str], cpus: int = 1) -> Result:
    return replayed(lines, cpus, its=(GITS,))


def first(lines: Sequence[str], cpus: int = 1) -> tuple[str, str, str]:
    """The line at which the replay stops, and what was expected and found there."""
    divergence = run(lines, cpus).first
    assert divergence is not None
    return lines[divergence.event.line - 1], divergence.expected, divergence.got


def last(lines: Sequence[str], line: str) -> int:
    """Where a line is for the last time."""
    return len(lines) - 1 - lines[::-1].index(line)


def changed(lines: Sequence[str], old: str, new: str) -> list[str]:
    """The lines with another one in the last place of an old one."""
    at = last(lines, old)
    return [*lines[:at], new, *lines[at + 1 :]]


def test_a_message_becomes_pending_and_is_taken() -> None:
    result = run(BOOT)
    assert result.first is None
    assert (result.inputs["MSIs"], result.inputs["ITS commands"]) == (1, 4)
    assert result.acknowledged == {("0.0.0.0", "LPI"): 1}
    assert result.compared["ITS commands"] == 4
    assert result.compared["device table entries"] == 4
    assert result.compared["translation table entries"] == 3
    assert result.compared["collection table entries"] == 3
    assert result.accepted == {
        "LPIs enabled, because they were taken or offered": 1,
        "priorities of LPIs, assumed to be 0xa0": 1,
    }


def test_a_device_that_writes_elsewhere_signals_nothing() -> None:
    beside = MSI[0].replace("offset 0x40", "offset 0x44")
    result = run([*MAPPED, beside])
    assert result.accepted["writes of devices beside GITS_TRANSLATER"] == 1
    assert result.inputs["MSIs"] == 0
    assert first([*MAPPED, beside, MSI[1]])[2] == UNNEEDED


def test_each_lpi_is_taken_once() -> None:
    assert first([*BOOT, TAKEN[0]]) == (TAKEN[0], "0x2003", "0x3ff")


def test_another_acknowledgement_is_found_on_its_line() -> None:
    for value in (0x2002, 27):
        line = icc("read", "IAR1", 0, value)
        assert first(changed(BOOT, TAKEN[0], line)) == (line, f"{value:#x}", "0x3ff")
    lines = [*BOOT, *MSI, line]
    assert first(lines) == (line, "0x1b", "0x2003")


def test_a_divergence_shows_the_lpis_concerned() -> None:
    divergence = run([*MAPPED, *MSI, icc("read", "IAR1", 0, 0x2002), *TAKEN]).first
    assert divergence is not None
    assert divergence.interrupts == (
        "INTID 8194: enabled; group 1, priority 0xa0, LPI of vCPU 0",
        "INTID 8195: enabled; group 1, priority 0xa0, LPI of vCPU 0",
    )
    offers = [evaluation(0, intid, 0x48, irq=1)[0] for intid in (0x2003, 0x2004)]
    divergence = run([*MAPPED, *MSI, *offers, dist("read", 4, 0x37A0007)]).first
    assert divergence is not None
    assert divergence.interrupts == (
        "INTID 8195: pending enabled; group 1, priority 0x48, LPI of vCPU 0",
        "INTID 8196: enabled; group 1, priority 0x48, LPI of vCPU 0",
    )


def test_a_message_that_is_missing_is_found_where_it_was() -> None:
    lines = [*MAPPED, *MSI[1:], *TAKEN]
    assert first(lines) == (MSI[1], f"table at {ITT:#x} for 5 bits of EventID", UNNEEDED)
    again = [*MAPPED, *MSI, *MSI[1:], *TAKEN]
    assert first(again)[2] == UNNEEDED
    divergence = run(again).first
    assert divergence is not None
    assert divergence.event.line == len([*MAPPED, *MSI]) + 1


def test_a_message_of_before_explains_no_entry_of_later() -> None:
    lines = [*BOOT, dist("read", 4, 0x37A0007), cte("read", 0, 1, 0)]
    assert first(lines)[2] == UNNEEDED


@pytest.mark.parametrize(
    ("old", "new", "got"),
    [
        (MSI[1], dte("read", 8, 1, 4, ITT + 0x100), f"table at {ITT:#x} for 5 bits of EventID"),
        (MSI[1], dte("read", 8, 1, 3, ITT), f"table at {ITT:#x} for 5 bits of EventID"),
        (MSI[1], dte("read", 8, 0, 4, ITT), f"table at {ITT:#x} for 5 bits of EventID"),
        (MSI[1], dte("read", 9, 1, 4, ITT), UNNEEDED),
        (MSI[2], ite("read", ITT, 3, 1, 0x2004, 0), "INTID 8195, collection 0x0"),
        (MSI[2], ite("read", ITT, 3, 1, 0x2003, 1), "INTID 8195, collection 0x0"),
        (MSI[2], ite("read", ITT, 4, 1, 0x2003, 0), UNNEEDED),
        (MSI[2], ite("read", ITT + 0x100, 3, 1, 0x2003, 0), "invalid"),
        (MSI[2], MSI[1], UNNEEDED),
        (MSI[3], cte("write", 0, 1, 0), UNNEEDED),
        (MSI[2], MSI[2].replace("inttype 1", "inttype 0"), "INTID 8195, collection 0x0"),
        (MSI[3], cte("read", 0, 1, 1), "target 0x0"),
        (MAPC[2], cte("write", 0, 1, 1), "target 0x0"),
        (MAPD[2], dte("write", 8, 1, 4, (ITT >> 8) + 1), f"table at {ITT:#x} for 5 bits of EventID"),
        (MAPTI[3], ite("write", ITT, 3, 1, 0x2004, 0), "INTID 8195, collection 0x0"),
    ],
)
def test_another_table_entry_is_found_on_its_line(old: str, new: str, got: str) -> None:
    lines = changed(BOOT, old, new)
    at, _, found = first(lines)
    assert (at, found) == (new, got)
    divergence = run(lines).first
    assert divergence is not None
    assert divergence.event.line == last(BOOT, old) + 1


def test_entries_that_are_not_valid_say_no_more() -> None:
    lines = [*MAPPED, msi(9, 1), dte("read", 9, 0, 31, 0xFFFF), msi(8, 5), MSI[1], ite("read", ITT, 5, 0, 7, 7)]
    result = run(lines)
    assert result.first is None
    assert result.inputs["MSIs, blocked"] == 2


def test_entries_are_compared_as_they_were_before_and_after_each_command() -> None:
    moved = [
        *command(4, 9, "MAPC", ICID=1, RDbase=1, V=1),
        cte("write", 1, 1, 1),
        *command(5, 1, "MOVI", DeviceID=8, EventID=3, ICID=1),
        *lookups(),
        cte("read", 1, 1, 1),
        ite("write", ITT, 3, 1, 0x2003, 1),
        *command(6, 15, "DISCARD", DeviceID=8, EventID=3),
        *lookups(1, 1),
        ite("write", ITT, 3, 0, 0, 0),
        gits("write", 0x88, 0xE0),
    ]
    lines = [*awake(2), *with_its(2), *MAPPED[len([*awake(), *with_its()]) :], *moved]
    assert run(lines, 2).first is None


def test_a_pending_lpi_moves_and_is_discarded() -> None:
    start = [*awake(2), *with_its(2), *MAPPED[len([*awake(), *with_its()]) :]]
    to_1 = [
        *command(4, 9, "MAPC", ICID=1, RDbase=1, V=1),
        *command(5, 1, "MOVI", DeviceID=8, EventID=3, ICID=1),
        gits("write", 0x88, 0xC0),
    ]
    taken = icc("read", "IAR1", 1, 0x2003)
    assert run([*start, *MSI, *to_1, taken], 2).first is None
    assert first([*start, *MSI, *to_1, TAKEN[0]], 2) == (TAKEN[0], "0x2003", "0x3ff")
    gone = [*command(6, 15, "DISCARD", DeviceID=8, EventID=3), gits("write", 0x88, 0xE0)]
    assert first([*start, *MSI, *to_1, *gone, taken], 2) == (taken, "0x2003", "0x3ff")


def test_offers_between_the_commands_are_compared() -> None:
    # Disabled until the second INV, the LPI waits; between it and SYNC, the PE is offered the LPI.
    waiting = [*MAPPED, *MSI, *evaluation(0, 0, 255, irq=0)]
    offered = evaluation(0, 0x2003, 0x58, irq=1)
    inv = [
        *command(4, 12, "INV", DeviceID=8, EventID=3),
        *lookups(),
        *offered,
        *command(5, 5, "SYNC"),
        gits("write", 0x88, 0xC0),
        *evaluation(0, 0, 255, irq=0),
        *TAKEN,
    ]
    result = run([*waiting, *inv])
    assert result.first is None
    assert result.compared["highest pending interrupts"] == 3
    assert result.accepted["priorities of LPIs, as they were offered"] == 1
    assert first([*waiting, *evaluation(0, 0x2004, 0x58, irq=1), *inv])[0].startswith("gicv3_cpuif_update")


def test_a_command_in_another_place_is_found_on_its_line() -> None:
    wrong = command(3, 8, "MAPD")[0].replace("0x3:", "0x4:")
    lines = changed(BOOT, command(1, 8, "MAPD")[0], wrong)
    assert first(lines)[0] == wrong


def test_commands_that_the_model_does_not_take_are_found() -> None:
    off = gits("write", 0, 0)
    lines = [*awake(), *with_its(), off, *MAPC, gits("write", 0x88, 0x20)]
    at, expected, got = first(lines)
    assert at == MAPC[0]
    assert expected.startswith("command MAPC: collection 0x0")
    assert got == "not taken, GITS_CREADR is 0x0"


def test_commands_may_have_waited_for_the_its_to_be_enabled() -> None:
    setup = with_its()
    body = MAPPED[len([*awake(), *setup]) :]
    assert body[-1] == gits("write", 0x88, 0x80)
    lines = [*awake(), *setup[:-1], body[-1], *body[:-1], setup[-1], *MSI, *TAKEN]
    result = run(lines)
    assert result.first is None
    assert result.inputs["ITS commands"] == 4


def test_the_queue_wraps() -> None:
    count = 0x1000 // 32
    syncs = [line for slot in range(4, count) for line in command(slot, 5, "SYNC")]
    wrapped = [*command(0, 15, "DISCARD", DeviceID=8, EventID=3), gits("write", 0x88, 0x20)]
    result = run([*BOOT, *syncs, gits("write", 0x88, 0), *wrapped, gits("read", 0x90, 0x20)])
    assert result.first is None
    assert result.inputs["ITS commands"] == count + 1


def test_a_command_that_means_nothing_is_skipped() -> None:
    unknown = [command(4, 0x55, "")[0], "gicv3_its_cmd_unknown GICv3 ITS: unknown command 0x55"]
    result = run([*BOOT, *unknown, gits("write", 0x88, 0xA0), gits("read", 0x90, 0xA0)])
    assert result.first is None
    assert result.inputs["ITS commands"] == 5


def test_commands_may_lack_either_of_their_lines() -> None:
    lines = [line for line in BOOT if "process_command" not in line]
    assert run(lines).first is None
    without = [line for line in BOOT if "gicv3_its_cmd_" not in line]
    assert run(without).first is not None


def test_commands_that_the_trace_does_not_show_are_counted() -> None:
    result = run([*awake(), *with_its(), gits("write", 0x88, 0x40)])
    assert result.accepted == {"ITS commands that the trace does not show": 2}


def test_a_cut_before_the_access_leaves_commands_open() -> None:
    result = run([*awake(), *with_its(), *MAPC, *MAPD])
    assert result.first is None
    assert result.accepted == {"ITS commands after the last operation": 2}


def test_pages_of_a_two_level_table_are_made_up() -> None:
    indirect = gits("write", 0x100, 3 << 62 | QUEUE + 0x1_0000 | 0x200, size=8)
    lines = changed(BOOT, gits("write", 0x100, 1 << 63 | QUEUE + 0x1_0000 | 0x200, size=8), indirect)
    result = run(lines)
    assert result.first is None
    assert result.accepted["pages of two-level tables, at made-up addresses"] == 1


def test_a_trace_that_can_be_gone_through_only_once() -> None:
    events = read_qemu(enumerate(BOOT, 1), NAME)
    result = replay(events, NAME, virt(1, its=(GITS,)))
    assert result.first is None
    assert result.acknowledged["0.0.0.0", "LPI"] == 1


def test_a_machine_without_an_its_predicts_no_lpi() -> None:
    result = replayed(BOOT)
    assert result.accepted["events of an ITS, which the machine does not have"] == 19
    assert result.accepted["LPI acknowledgements"] == 1


def test_a_trace_does_not_tell_its_from_its() -> None:
    with pytest.raises(ReplayError, match=r"^boot\.log: a trace does not tell the 2 ITSes of the machine apart"):
        replayed(BOOT, its=(GITS, 0x0900_0000))


def test_an_offset_beyond_the_its() -> None:
    with pytest.raises(ReplayError, match=r"^boot\.log:1: offset 0x20000 is beyond the ITS"):
        run([gits("read", 0x20000, 0)])


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (Command(7, None, None, "MAPD", device=8, size=32, valid=True), "MAPD.Size has 5 bits; 0x20 does not fit"),
        (Command(7, None, None, "FOO"), "no ITS command 'FOO'; there are MOVI, INT, "),
    ],
)
def test_commands_that_no_queue_can_hold(command: Command, message: str) -> None:
    with pytest.raises(ReplayError) as caught:
        replay([command], NAME, virt(1, its=(GITS,)))
    assert str(caught.value).startswith(f"{NAME}:7: {message}")


def test_a_file_that_breaks_off_is_replayed_up_to_there(tmp_path: Path) -> None:
    file = tmp_path / NAME
    wrong = changed(BOOT, TAKEN[0], icc("read", "IAR1", 0, 27))
    file.write_text("\n".join([*wrong, "gicv3_its_cmd_inv nonsense", ""]))
    divergence = replay(open_trace(file), NAME, virt(1, its=(GITS,))).first
    assert divergence is not None
    assert divergence.event.line == last(wrong, icc("read", "IAR1", 0, 27)) + 1
    file.write_text("\n".join([*BOOT, "gicv3_its_cmd_inv nonsense", ""]))
    with pytest.raises(TraceError, match="malformed gicv3_its_cmd_inv event"):
        replay(open_trace(file), NAME, virt(1, its=(GITS,)))


numbers = st.sampled_from([0, 1, 3, 8, 0x2003, 0xFFFF, (1 << 24) - 1, (1 << 32) - 1, (1 << 64) - 1])
maybe = st.none() | numbers
at_line_0 = (st.just(0), st.none(), st.none())
its_events = st.one_of(
    st.builds(Message, *at_line_0, numbers, st.sampled_from([0, 0x40]), st.just(4), numbers),
    st.builds(CommandStart, *at_line_0, numbers, numbers),
    st.builds(
        Command,
        *at_line_0,
        st.sampled_from(["MAPD", "MAPC", "MAPTI", "MAPI", "MOVI", "MOVALL", "DISCARD", "INT", "INV", "INVALL"]),
        *[maybe] * 8,
        st.none() | st.booleans(),
    ),
    st.builds(DeviceEntry, *at_line_0, numbers, st.booleans(), numbers, numbers, st.booleans()),
    st.builds(
        EventEntry,
        *at_line_0,
        numbers,
        numbers,
        st.booleans(),
        st.booleans(),
        *[numbers] * 4,
        st.booleans(),
    ),
    st.builds(CollectionEntry, *at_line_0, numbers, st.booleans(), numbers, st.booleans()),
    st.sampled_from(list(read_qemu(enumerate([*BOOT, gits("write", 0x88, 0x100)], 1), NAME))),
)


@given(st.lists(its_events, max_size=30))
def test_whatever_a_trace_says_is_replayed_or_refused(events: list[Event]) -> None:
    setup = list(read_qemu(enumerate([*awake(), *with_its()], 1), NAME))
    with suppress(ReplayError):
        replay([*setup, *events], NAME, virt(1, its=(GITS,)), keep_going=True)


def test_a_stop_before_the_its_is_set_up() -> None:
    assert run([redist("read", 0, 0x70, 1, size=8)]).first is not None
