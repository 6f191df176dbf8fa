"""`vgic its`: what a user sees of an ITS."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recorded_guests
from qemu_log import command, dist, icc, msi, redist
from vgic_tools.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["its", *map(str, arguments)])


def rows(output: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, without those that are empty."""
    lines = output.splitlines()
    start = next(at for at, line in enumerate(lines) if line.split()[:1] == [heading] and "lines" in line)
    end = next((at for at in range(start, len(lines)) if not lines[at].strip() or "note:" in lines[at]), len(lines))
    return [line.split() for line in lines[start + 1 : end]]


@pytest.mark.parametrize("recording", ["linux_smp1_its", "linux_smp4_its"])
def test_a_recording_of_linux(recording: str) -> None:
    done = run(recorded_guests.log(recording, "core"))
    assert done.exit_code == 0
    assert "note" not in done.stdout
    devices = rows(done.stdout, "device")
    assert [row[0] for row in devices] == ["0x8", "0x10"]
    if recording == "linux_smp4_its":
        assert "92 MSIs of 11 mappings of 8 events" in done.stdout
        assert ["0x8", "0x3", "8195", "0x2", "vCPU", "0.0.0.2", "57", "0.0.0.2:", "57", "7744-19704"] in rows(
            done.stdout.replace("device  EventID", "#"), "device"
        )
        assert [row[:3] for row in rows(done.stdout, "collection")] == [
            [f"{number:#x}", "vCPU", f"0.0.0.{number}"] for number in range(4)
        ]


def test_a_trace_written_by_hand(tmp_path: Path) -> None:
    trace = tmp_path / "boot.log"
    lines = [
        msi(8, 1),
        *command(0, 9, "MAPC", ICID=3, RDbase=1, V=1),
        *command(1, 8, "MAPD", DeviceID=8, Size=2, ITT_addr=0x42EF7E, V=1),
        *command(2, 10, "MAPTI", DeviceID=8, EventID=4, ICID=3, pINTID=0x2004),
        *command(3, 10, "MAPTI", DeviceID=8, EventID=5, ICID=4, pINTID=0x2005),
        *command(4, 3, "INT", DeviceID=8, EventID=4),
        icc("read", "IAR1", 0, 0x2009),
    ]
    trace.write_text("\n".join(lines) + "\n")
    output = run(trace).stdout
    assert rows(output, "device") == [["0x8", "3", "0x42ef7e00", "2", "0", "5-"]]
    assert rows(output, "collection") == [["0x3", "processor", "0x1", "1", "3-"]]
    assert "not mapped  " in output
    assert "note: 1 MSIs of device 0x8, event 0x1, not mapped" in output
    assert "note: LPI 8201 was taken 1 times, and never mapped" in output
    trace.write_text("\n".join([redist("read", 0x100, 8, 0x0000_0100_0000_0100, size=8), *lines]) + "\n")
    assert rows(run(trace).stdout, "collection") == [["0x3", "vCPU", "0.0.1.0", "1", "4-"]]


def test_a_trace_without_an_its(tmp_path: Path) -> None:
    trace = tmp_path / "boot.log"
    trace.write_text(dist("read", 0, 0) + "\n")
    done = run(trace)
    assert (done.exit_code, done.stdout) == (0, f"{trace}: no ITS command and no MSI\n")


def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    done = run(tmp_path / "none")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"vgic: {tmp_path / 'none'}: cannot be read: No such file or directory\n"
