"""The `vgic` command, as a user sees it: output, messages and exit status."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recorded_guests
import vgic
from mmio.trace import Access, PackedWriter
from qemu_log import awake, dist, icc, redist, sgi, spi
from vgic_tools.cli import main

RECORDING = recorded_guests.TRACES / "linux_smp4_noits"
CMDLINE = str(RECORDING / "cmd.txt")
DTB = str(RECORDING / "virt.dtb")
CORE = str(RECORDING / "trace.core.log.gz")
GOOD = dist("read", 0xFFE8, 0x3B) + "\n"
BAD = dist("read", 0xFFE8, 0x3A) + "\n"
QEMU = ["--cpus", "4", "--spis", "256", "--profile", "qemu"]


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    return tmp_path / "trace.log"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refusal(*arguments: object) -> str:
    """The message of a command that cannot work: one line on stderr, nothing on stdout, exit status 2."""
    outcome = run(*arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert isinstance(outcome.exception, SystemExit)
    name, _, message = outcome.stderr.removesuffix("\n").partition(": ")
    assert name == "vgic"
    assert "\n" not in message
    return message


# replay


@pytest.mark.parametrize(
    ("where", "line"),
    [
        (["--gicd-base", "0x8000000000000000"], dist("read", 0xFFE8, 0x3B)),
        (["--redistributors", "0x8000000000000000:4"], redist("read", 3, 0xFFE8, 0x3B)),
    ],
)
def test_a_machine_may_lie_anywhere(trace: Path, where: list[str], line: str) -> None:
    trace.write_text(line + "\n")
    outcome = run("replay", trace, *QEMU, *where)
    assert (outcome.exit_code, outcome.exception) == (0, None)


def test_exit_statuses(trace: Path) -> None:
    for text, status in [(GOOD, 0), (BAD, 1), ("", 2)]:
        trace.write_text(text)
        assert run("replay", trace, *QEMU).exit_code == status


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gicv3_dist_read GICv3 distributor", ":2: malformed gicv3_dist_read event: 'GICv3 distributor'"),
        ("CPU:1 [LOST 12 EVENTS]", ":2: the recorder lost events, so a replay would mean nothing: 'CPU:1 [LOST"),
        (icc("read", "PMR", 4, 0), ":2: no vCPU has affinity 0.0.0.4; the machine has 4: 0.0.0.0 to 0.0.0.3"),
        (redist("read", 0x100, 0, 0), ":2: no vCPU has affinity 0.0.1.0; the machine has 4: 0.0.0.0 to 0.0.0.3"),
        (spi(288, 1), ":2: no SPI 288: this VM's SPIs are INTIDs 32 to 287"),
        (sgi(0, 99, 1), ":2: no register can generate this SGI: its INTID, cluster or target list is too large"),
        ("\0binary", ":2: not a text file: there is a byte 0x00 that no UTF-8 text has there"),
    ],
)
def test_lines_that_cannot_be_used(trace: Path, line: str, message: str) -> None:
    trace.write_text(f"{GOOD}{line}\n{GOOD}")
    assert refusal("replay", trace, *QEMU).startswith(f"{trace}{message}")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", ": is empty"),
        (b"\x7fELF\x02\x01\xff", ":1: not a text file: there is a byte 0xff that no UTF-8 text has there"),
        (b"only\ntext\n", ": holds no trace event"),
        (gzip.compress(GOOD.encode(), mtime=0)[:-4], ":2: the gzip data ends early: the file is truncated"),
        (b'{"format":"vgic-trace","version":9}\n', ":1: version 9 of the format is unknown; known is 1"),
    ],
)
def test_files_that_cannot_be_used(trace: Path, data: bytes, message: str) -> None:
    trace.write_bytes(data)
    assert refusal("replay", trace, *QEMU) == f"{trace}{message}"
    assert refusal("convert", trace, trace.with_name("out")) == f"{trace}{message}"


def test_files_that_are_none(trace: Path) -> None:
    assert refusal("replay", trace, *QEMU) == f"{trace}: cannot be read: No such file or directory"
    assert refusal("replay", trace.parent, *QEMU) == f"{trace.parent}: there is no trace in this folder"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            [],
            "say which machine it is: --machine FILE (the recording's QEMU command line, its device tree, MADT",
        ),
        (["--cpus", "4", "--qemu-cmdline", CMDLINE], "--qemu-cmdline and --cpus both say which vCPUs there are"),
        (["--qemu-cmdline", DTB], f"{DTB}: not text"),
        (["--qemu-cmdline", CORE], f"{CORE}: has more than 1,048,576 bytes, the most that are read of such a file"),
        (["--dtb", CMDLINE], f"{CMDLINE}: not a device tree blob"),
        (["--dtb", "/nonexistent"], "/nonexistent: No such file or directory"),
        (["--cpus", "4", "--gicd-base", "0x80b0000"], "GICR region 0 (0x80a0000-0x811ffff) overlaps GICD"),
    ],
)
def test_machines_that_cannot_be(options: list[str], message: str) -> None:
    assert refusal("replay", CORE, *options).startswith(message)
    if options:
        assert refusal("map", *options).startswith(message)
        assert refusal("decode", "0x8000000", "0", *options).startswith(message)


def test_partial_last_line_is_a_warning_that_is_shown(trace: Path) -> None:
    trace.write_text(GOOD + GOOD[:-20])
    outcome = run("replay", trace, *QEMU)
    assert outcome.exit_code == 0
    notes = json.loads(run("replay", trace, *QEMU, "--json").stdout)["notes"]
    assert len(notes) == 1
    assert notes[0].startswith(f"{trace}:2: malformed gicv3_dist_read event: ")
    assert notes[0].endswith("; the file ends within this line, which is left out")
    assert f"\nnote: {notes[0]}\n" in outcome.stdout
    converted = run("convert", trace, trace.with_name("out"))
    assert converted.exit_code == 0
    assert converted.stderr == f"vgic: {notes[0]}\n"


def test_keep_going_counts(trace: Path) -> None:
    trace.write_text(BAD * 3 + GOOD)
    assert "diverged: 1 of 2 values differ; stopped there" in run("replay", trace, *QEMU).stdout
    assert "diverged: 3 of 8 values differ\n" in run("replay", trace, *QEMU, "--keep-going").stdout


def test_json(trace: Path) -> None:
    trace.write_text(BAD * 3)
    outcome = run("replay", trace, *QEMU, "--json", "--keep-going")
    data = json.loads(outcome.stdout)
    assert outcome.exit_code == 1
    assert data["trace"] == str(trace)
    assert data["divergences"] == {"GICD_PIDR2": 3}
    assert data["first_divergence"]["line"] == 1


def test_the_installed_command_shows_no_progress_bar_when_not_on_a_terminal() -> None:
    command = [sys.executable, "-P", "-m", "vgic_tools.cli", "replay", CORE, "--qemu-cmdline", CMDLINE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "no divergence: 6,608 recorded values came out the same" in done.stdout


# convert


@pytest.mark.parametrize("name", ["boot.jsonl", "boot.jsonl.gz"])
def test_a_converted_trace_gives_the_same_result(tmp_path: Path, name: str) -> None:
    native = tmp_path / name
    assert run("convert", CORE, native).output == ""
    original, converted = (
        json.loads(run("replay", trace, "--qemu-cmdline", CMDLINE, "--json").stdout) for trace in (CORE, native)
    )
    assert converted == original | {"trace": str(native)}


def test_a_packed_trace_names_its_machine(tmp_path: Path) -> None:
    packed, again = tmp_path / "boot.vgpk", tmp_path / "boot.jsonl"
    done = run("convert", CORE, packed, "--qemu-cmdline", CMDLINE)
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == "left out: 18,211 times, 0 texts\n"
    original = json.loads(run("replay", CORE, "--qemu-cmdline", CMDLINE, "--json").stdout)
    machine = original["machine"].partition(", from ")[0].removesuffix(" (inferred from GICD_TYPER)")
    for trace in (packed, again):
        expected = original | {"trace": str(trace), "machine": f"{machine}, from {trace}"}
        assert json.loads(run("replay", trace, "--json").stdout) == expected
        # Another machine may be given.
        assert "machine: 1 vCPU, " in run("replay", trace, "--cpus", "1").stdout
        # The machine goes with the trace into another format.
        assert run("convert", packed, again).exit_code == 0


def test_a_packed_trace_without_a_machine(tmp_path: Path) -> None:
    packed = tmp_path / "boot.vgpk"
    assert run("convert", CORE, packed).exit_code == 0
    assert refusal("replay", packed).startswith("say which machine it is: ")
    assert run("replay", packed, "--qemu-cmdline", CMDLINE).exit_code == 0


def test_a_packed_trace_with_a_machine_that_cannot_be(tmp_path: Path) -> None:
    packed = tmp_path / "boot.vgpk"
    with PackedWriter(packed, {"machine": {"spis": 4}}) as writer:
        writer.write(Access(1, None, None, "gicd", None, 0xFFE8, 4, 0x3B, False, False, False))
    message = refusal("replay", packed)
    assert message.startswith(f"{packed}: the machine that it names cannot be: ")
    assert run("replay", packed, *QEMU).exit_code == 0


def test_a_divergence_in_a_packed_trace(trace: Path) -> None:
    trace.write_text("qemu: warning\n" + "".join(line + "\n" for line in awake(4)) + BAD)
    packed = trace.with_name("trace.vgpk")
    assert run("convert", trace, packed, *QEMU).exit_code == 0
    outcome = run("replay", packed)
    assert outcome.exit_code == 1
    # The line of the log that it was made from.
    line = len(awake(4)) + 2
    assert f"\n{packed}:{line}: GICD_PIDR2\n" in outcome.stdout
    assert f"\n  {line:>8}  read GICD+0xffe8, 4 bytes: 0x3a  <- here\n" in outcome.stdout


def test_a_divergence_in_a_converted_trace(trace: Path) -> None:
    trace.write_text("".join(line + "\n" for line in awake(4)) + BAD)
    native = trace.with_name("native")
    assert run("convert", trace, native).exit_code == 0
    outcome = run("replay", native, *QEMU)
    assert outcome.exit_code == 1
    # The header comes first.
    line = len(awake(4)) + 2
    assert f"\n{native}:{line}: GICD_PIDR2\n" in outcome.stdout


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    missing = tmp_path / "missing" / "out"
    assert refusal("convert", CORE, missing) == f"{missing}: cannot be written: No such file or directory"
    assert refusal("convert", CORE, tmp_path) == f"{tmp_path}: cannot be written: not a regular file"
    assert list(tmp_path.iterdir()) == []


def test_a_bad_trace_leaves_an_older_output_alone(trace: Path, tmp_path: Path) -> None:
    trace.write_text(f"{GOOD}gicv3_dist_read\n{GOOD}")
    output = tmp_path / "out"
    output.write_text("older")
    assert refusal("convert", trace, output) == f"{trace}:2: malformed gicv3_dist_read event: ''"
    assert output.read_text() == "older"


# decode


def test_decode_by_name() -> None:
    outcome = run("decode", "gicr_typer", "0x301000311")
    assert outcome.exit_code == 0
    assert "GICR_TYPER = 0x0000000301000311  (read only, writes ignored)" in outcome.stdout
    assert re.search(r"\[63:32\]  Affinity_Value +0x3  Aff3.Aff2.Aff1.Aff0 of the PE", outcome.stdout)


def test_decode_by_address() -> None:
    assert "GICD_TYPER of GICD = 0x037a0007" in run("decode", "0x8000004", "0x37a0007").stdout
    assert (
        "GICR_WAKER of GICR[1.0.0.0]" in run("decode", "0x80c0014", "6", "--affinities", "0.0.0.0,1.0.0.0").stdout
    )


@pytest.mark.parametrize(
    ("register", "value", "message"),
    [
        ("GICR_TYPE", "0", "no register 'GICR_TYPE'; did you mean GICR_TYPER, "),
        ("GICD_CTLR", "zero", "'zero' is no value: write 0x... or a decimal number"),
        ("GICD_CTLR", "0x100000000", "GICD_CTLR has 32 bits; 0x100000000 does not fit"),
        ("0x63", "0", "nothing is mapped at 0x63; `vgic map` shows the machine's address map"),
        ("command", "0x55", "opcode 0x55 means no ITS command; there are 0x01 MOVI, "),
        ("DTE", "1 2", "DTE in format arch has 64 bits; 1 2 does not fit"),
    ],
)
def test_decode_refuses(register: str, value: str, message: str) -> None:
    assert refusal("decode", register, *value.split()).startswith(message)


def fields(*arguments: object) -> dict[str, str]:
    """The values that `vgic decode` shows, by field."""
    outcome = run("decode", *arguments)
    assert outcome.exit_code == 0, outcome.output
    rows = [line.split() for line in outcome.stdout.splitlines()[2:]]
    return {row[1]: row[2] for row in rows}


def test_decode_an_its_command() -> None:
    shown = fields("command", "0x80000000a", "0x200400000004", "3", "0")
    assert shown == {"ICID": "0x3", "pINTID": "0x2004", "EventID": "0x4", "DeviceID": "0x8", "Opcode": "0xa"}
    assert run("decode", "mapti", "0xa").stdout.startswith("MAPTI = 0x" + "0" * 63 + "a\n")


def test_decode_table_entries() -> None:
    assert fields("DTE", "0x8000042ef7e00002") == {"V": "1", "ITT_addr": "0x42ef7e000", "Size": "0x2"}
    event = fields("ITE", "0x300008013", "0x3ff", "--profile", "qemu")
    assert event == {
        "Doorbell": "0x3ff",
        "vPEID": "0x0",
        "ICID": "0x3",
        "pINTID": "0x2004",
        "INTTYPE": "1",
        "V": "1",
    }


def test_decode_an_address_in_an_its() -> None:
    text = run("decode", "0x8080008", "0x1f0001efb1", "--its", "0x8080000").stdout
    assert text.startswith("GITS_TYPER of GITS = 0x0000001f0001efb1  (read only")


# map


def test_map() -> None:
    outcome = run("map")
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("4 vCPUs, 224 SPIs, 1 redistributor region, profile arch, from the defaults\n")
    assert re.search(r"GICR region 0 +0x80a0000 +0x811ffff +0x80000\n", outcome.stdout)
    assert re.search(r"3 +0.0.0.3 +0x8100000 +0x8110000 +1\n", outcome.stdout)


def test_map_of_two_regions() -> None:
    text = run("map", "--dtb", recorded_guests.TRACES / "linux_smp126_hi_noits" / "virt.dtb").stdout
    last = re.findall(r"^ *\d+ +(0\.0\.\d+\.\d+) .* 1$", text, re.MULTILINE)
    # The last of each of the two regions: vCPUs 122 and 125.
    assert last == ["0.0.7.10", "0.0.7.13"]


# bench


def test_bench_refuses_what_it_cannot_use_before_it_measures(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    assert refusal("bench", missing, "--qemu-cmdline", CMDLINE).startswith(f"{missing}: cannot be read: ")
    for option in ("--json", "--plot"):
        nowhere = missing / "file"
        assert refusal("bench", CORE, "--qemu-cmdline", CMDLINE, option, nowhere) == (
            f"{nowhere}: cannot be written: there is no such folder"
        )


# help


def test_help_shows_what_there_is() -> None:
    text = run("--help").stdout
    shown = re.findall(r"^  (\w+)  ", text[text.index("Commands:") :], re.MULTILINE)
    assert shown == [
        "affinity",
        "bench",
        "boot",
        "compare",
        "convert",
        "decode",
        "exits",
        "host",
        "its",
        "map",
        "replay",
        "rules",
        "state",
    ]
    for command in shown:
        for option in ("-h", "--help"):
            outcome = run(command, option)
            assert outcome.exit_code == 0
            assert outcome.stdout.startswith(f"Usage: vgic {command} ")


def test_version() -> None:
    core = "compiled" if vgic.COMPILED else "interpreted"
    assert run("--version").stdout == f"vgic {vgic.__version__}, {core}\n"


@pytest.mark.parametrize("arguments", [["nonsense"], ["replay"], ["replay", CORE, "--nonsense"], ["decode", "X"]])
def test_usage_errors(arguments: list[str]) -> None:
    outcome = run(*arguments)
    assert (outcome.exit_code, outcome.stdout) == (2, "")
    assert "Traceback" not in outcome.stderr
    assert "Error: " in outcome.stderr
