"""The scanner of QEMU logs says what the parser says, line by line."""

from random import Random

import pytest

import recorded_guests
from collected import Collector, kept
from mmio.trace import CpuReset, Event, Text, TraceError, read_qemu
from mmio.trace import scanner as module
from mmio.trace.records import Packer
from mmio.trace.scanner import QemuScanner

SAID = "gicv3_icc_iar1_read GICv3 ICC_IAR1 read cpu 0x1 value 0x1b"
PREFIXES = [
    "",
    "7@1.000000:",
    "7@1.000001:",
    "8@1.000002:",
    "4294967295@99999999999.999999:",
    "2025-07-21T18:43:28.089797Z ",
    "2025-07-21T18:43:28.189797Z ",
    "2025-07-21T18:43:29Z ",
    "2025-07-21T18:43:29.1Z ",
    # None of these is a prefix, so the line is text.
    "7@1.00000:",
    "7@1.0000001:",
    "7@1.00000a:",
    "7@1.000000Z ",
    "7@.000000:",
    "@1.000000:",
    "7@1.000000 ",
    "77777777777@1.000000:",
    "7@123456789012.000000:",
    " 7@1.000000:",
    "2025-07-21T18:43:28.089797: ",
    "2025-07-21T18:43:28.089797Z",
    "2025-07-21T18:43:28.0897971Z ",
    "1.000000:",
    "٣@1.000000:",
]


def parsed(lines: list[str]) -> list[Event] | str:
    """The events of the lines, or what is wrong with them."""
    try:
        return [kept(event) for event in read_qemu(enumerate(lines, 1), "log")]
    except TraceError as error:
        return str(error)


def scanned(lines: list[str], block: int = 1000) -> list[Event] | str:
    """The same, by the scanner, in blocks of that many lines."""
    packer = Packer()
    sink = Collector(packer.tables)
    scanner = QemuScanner("log", packer)
    try:
        for count in range(0, len(lines), block):
            scanner.scan([line.encode() for line in lines[count : count + block]], count, sink)
    except TraceError as error:
        return str(error)
    assert scanner.found_event == any(not isinstance(event, Text) for event in sink.events)
    return sink.events


@pytest.mark.parametrize(
    ("recording", "kind"),
    [
        ("linux_smp1_icount", "core"),
        ("linux_smp4_noits", "core"),
        ("linux_smp126_hi_noits", "core"),
        ("fuzz_ds1_smp4", "core"),
        pytest.param("linux_smp4_noits", "full", marks=pytest.mark.slow),
        pytest.param("linux_smp1_icount", "full", marks=pytest.mark.slow),
        pytest.param("fuzz_ds1_smp4", "full", marks=pytest.mark.slow),
    ],
)
def test_every_line_of_a_recording(recording: str, kind: str) -> None:
    expected = [kept(event) for event in recorded_guests.events(recording, kind)]
    assert scanned(recorded_guests.lines(recording, kind)) == expected


def test_every_prefix_after_every_other() -> None:
    lines = [prefix + SAID for first in PREFIXES for second in PREFIXES for prefix in (first, second)]
    expected = parsed(lines)
    assert len(expected) == len(lines)
    assert scanned(lines) == expected
    assert scanned(lines, block=1) == expected


@pytest.mark.parametrize("digit", ["/", ":", "x", "\x7f"])
@pytest.mark.parametrize("place", range(6))
def test_a_fraction_that_is_not_of_six_digits(digit: str, place: int) -> None:
    """After a line of the same stamp, whose beginning the scanner remembers."""
    fraction = "089797"[:place] + digit + "089797"[place + 1 :]
    for prefix in ("28.089797Z ", "28.089797:"):
        good = f"2025-02-28T18:43:{prefix}"
        bad = good.replace("089797", fraction)
        lines = [good + SAID, bad + SAID, good + SAID]
        assert scanned(lines) == parsed(lines)


@pytest.mark.parametrize("prefix", ["2025-02-30T18:43:28.089797Z ", "2025-02-30T18:43:28Z "])
def test_a_time_that_does_not_exist(prefix: str) -> None:
    lines = [SAID, "2025-02-28T18:43:28.089797Z " + SAID, prefix + SAID]
    expected = parsed(lines)
    assert isinstance(expected, str)
    assert "malformed time stamp" in expected
    assert scanned(lines) == expected


def mutated(line: str, random: Random) -> str:
    """The line with a character changed, taken out, put in or exchanged with the next."""
    at = random.randrange(len(line))
    other = chr(random.choice((random.randrange(32, 127), random.randrange(48, 58), 0xE9, 0x2028)))
    match random.randrange(4):
        case 0:
            return line[:at] + other + line[at + 1 :]
        case 1:
            return line[:at] + line[at + 1 :]
        case 2:
            return line[:at] + other + line[at:]
    return line[:at] + line[at + 1 : at + 2] + line[at : at + 1] + line[at + 2 :]


@pytest.mark.parametrize("recording", ["linux_smp4_noits", "linux_smp1_icount", "fuzz_ds1_smp4"])
def test_lines_that_are_not_quite_right(recording: str) -> None:
    random = Random(recording)
    lines = recorded_guests.lines(recording, "full")
    wrong = 0
    for _ in range(3_000):
        at = random.randrange(1, len(lines) - 1)
        # The right line before and after, so that what the scanner remembers matters.
        these = [lines[at - 1], lines[at], mutated(lines[at], random), lines[at], lines[at + 1]]
        expected = parsed(these)
        wrong += isinstance(expected, str)
        assert scanned(these) == expected, these[2]
    assert wrong > 500


@pytest.mark.parametrize("said", ["CPU:1 [LOST 12 EVENTS]", "Dropped_Event", "gicv3_dist_read x"])
def test_errors_name_the_line(said: str) -> None:
    lines = [SAID, "7@1.000000:" + said]
    assert scanned(lines) == parsed(lines)
    assert str(scanned(lines)).startswith("log:2: ")


def test_the_thread_is_the_line_s_own() -> None:
    said = "guest_cpu_reset cpu=0x55e30a100b80 "
    lines = [f"{prefix}{said}" for prefix in ("7@1.000000:", "8@1.000000:", "", "7@1.000001:")]
    events = scanned(lines)
    assert events == parsed(lines)
    assert [event.thread for event in events if isinstance(event, CpuReset)] == [7, 8, None, 7]


@pytest.mark.parametrize("name", ["_MOST_RECORDS", "_MOST_STAMPS"])
@pytest.mark.skipif(not (module.__file__ or "").endswith(".py"), reason="a compiled module's constants are fixed")
def test_what_is_remembered_is_bounded(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, name, 3)
    lines = recorded_guests.lines("fuzz_ds1_smp4", "core")[:3_000]
    stamped = [f"{number % 5}@{number % 7}.000000:{line}" for number, line in enumerate(lines)]
    beyond = [
        f"gicv3_dist_write GICv3 distributor write: offset {1 << 32 | number:#x} data 0x0 size 4 secure 0"
        for number in range(9)
    ]
    assert scanned(stamped + beyond) == parsed(stamped + beyond)


def test_a_sink_may_have_enough() -> None:
    packer = Packer()
    sink = Collector(packer.tables, most=2)
    assert QemuScanner("log", packer).scan([SAID.encode()] * 5, 10, sink)
    assert sink.indices == [10, 11]
