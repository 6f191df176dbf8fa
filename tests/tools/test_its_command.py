"""`vgic its`: what a user sees of an ITS."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recorded_guests
import vgic
from its_driver import RAM, ItsDriver, vm
from qemu_log import command, dist, icc, msi, redist
from vgic.layouts import gits
from vgic.layouts.its_commands import encode
from vgic_tools import its_walk
from vgic_tools.cli import main


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["its", *map(str, arguments)])


def rows(output: str, heading: str) -> list[list[str]]:
    """The cells of the table whose first column has this heading, without those that are empty."""
    lines = output.splitlines()
    start = next(at for at, line in enumerate(lines) if line.split()[:1] == [heading])
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
    done = run(trace)
    output = done.stdout
    assert done.exit_code == 1, "an MSI and an LPI have no mapping"
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


# A saved VM.


def driven(profile: vgic.Profile, **choices: int) -> ItsDriver:
    """A VM with three events of two devices, one of which is pending, one masked and pending."""
    driver, _ = vm(2, profile, **choices)
    driver.map_device(0x8, 4)
    driver.map_device(0x10, 2)
    for device, event, cpu in ((0x8, 0, 0), (0x8, 3, 1), (0x10, 1, 1)):
        driver.map_event(device, event, cpu)
    driver.mask(0x8, 3)
    driver.gic.msi(0x8, 0)
    driver.gic.msi(0x8, 3)
    return driver


def saved(driver: ItsDriver, folder: Path) -> tuple[Path, str]:
    """The state and the RAM of a VM in files; the second as --ram wants it."""
    state, ram = folder / "vm.state", folder / "ram.bin"
    vgic.State.of(driver.gic).to_file(state)
    ram.write_bytes(driver.ram.read(driver.ram.base, driver.ram.size))
    return state, f"--ram={ram}@{RAM:#x}"


@pytest.mark.parametrize(("profile", "indirect"), [(vgic.ARCH, True), (vgic.KVM, False), (vgic.QEMU, False)])
def test_a_saved_vm_with_its_ram(profile: vgic.Profile, indirect: bool, tmp_path: Path) -> None:
    driver = driven(profile, indirect=indirect)
    state, ram = saved(driver, tmp_path)
    done = run(state, ram)
    assert done.exit_code == 0, done.output
    assert "note" not in done.stdout
    assert f"ITS 0 at 0x8080000, profile {profile.name}, enabled" in done.stdout
    assert (
        f"devices: {'two-level ' if indirect else ''}table at {driver.devices:#x}, room for 65,536" in done.stdout
    )
    tables = done.stdout.replace("device  event ", "event  of")
    devices = rows(tables, "device")
    assert [(row[0], row[1], row[3]) for row in devices] == [("0x8", "2", "2"), ("0x10", "1", "1")]
    assert [row[:9] for row in rows(tables, "event")] == [
        ["0x8", "0x0", "8192", "0x0", "vCPU", "0.0.0.0", "pending", "enabled,", "priority"],
        ["0x8", "0x3", "8193", "0x1", "vCPU", "0.0.0.1", "pending,", "priority", "0xa0"],
        ["0x10", "0x1", "8194", "0x1", "vCPU", "0.0.0.1", "enabled,", "priority", "0xa0"],
    ]
    assert rows(tables, "collection") == [["0x0", "vCPU", "0.0.0.0", "1"], ["0x1", "vCPU", "0.0.0.1", "2"]]
    assert rows(tables, "pending") == [["vCPU", "0.0.0.0", "8192"], ["vCPU", "0.0.0.1", "8193"]]


@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=lambda profile: profile.name)
def test_a_saved_vm_without_its_ram(profile: vgic.Profile, tmp_path: Path) -> None:
    state, _ = saved(driven(profile), tmp_path)
    done = run(state)
    assert done.exit_code == 0
    assert "note: the tables are in the guest's RAM, which a state does not hold" in done.stdout
    assert "command queue: 0x10000 bytes at 0x4" in done.stdout
    # KVM's ITS keeps collections itself.
    assert ("\ncollection  target" in done.stdout) == profile.its.keeps_collections


def test_the_ram_may_be_in_pieces(tmp_path: Path) -> None:
    driver = driven(vgic.ARCH)
    state, whole = saved(driver, tmp_path)
    pieces = []
    for number, start in enumerate(range(0, driver.ram.size, driver.ram.size // 4)):
        piece = tmp_path / f"piece{number}"
        piece.write_bytes(driver.ram.read(RAM + start, driver.ram.size // 4))
        pieces.append(f"--ram={piece}@{RAM + start:#x}")
    assert run(state, *pieces).stdout == run(state, whole).stdout


def test_what_cannot_be_followed_is_named(tmp_path: Path) -> None:
    driver = driven(vgic.ARCH)
    driver.unmap_collection(0)
    driver.send("MAPTI", DeviceID=8, EventID=1, pINTID=9000, ICID=77)
    done = run(*saved(driver, tmp_path))
    assert done.exit_code == 1
    assert done.stdout.count("no MAPC maps the collection") == 2


def test_a_stalled_queue_is_a_finding(tmp_path: Path) -> None:
    driver = driven(vgic.QEMU)
    assert run(*saved(driver, tmp_path)).exit_code == 0
    table = driver.read(gits.BASER, 1)
    driver.enable(False)
    driver.write(gits.BASER, table & ~0xFFFF_FFFF_0000 | 0x1000_0000, 1)
    driver.enable()
    driver.add(encode("MAPC", ICID=1, RDbase=1, V=1))
    driver.enable(False)
    driver.write(gits.BASER, table, 1)
    done = run(*saved(driver, tmp_path))
    assert ", stalled" in done.stdout
    assert done.exit_code == 1


@pytest.mark.parametrize("unmapped", [msi(8, 1), icc("read", "IAR1", 0, 0x2009)])
def test_what_has_no_mapping_is_a_finding(unmapped: str, tmp_path: Path) -> None:
    trace = tmp_path / "boot.log"
    mapped = command(0, 9, "MAPC", ICID=3, RDbase=1, V=1)
    trace.write_text("\n".join([*mapped, unmapped]) + "\n")
    assert run(trace).exit_code == 1
    trace.write_text("\n".join(mapped) + "\n")
    assert run(trace).exit_code == 0


def test_only_so_many_entries_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, ram = saved(driven(vgic.ARCH), tmp_path)
    monkeypatch.setattr(its_walk, "MOST_LOOKUPS", 100)
    done = run(state, ram)
    assert done.exit_code == 0
    assert "table entries were looked at" in done.stdout


def test_a_saved_vm_without_an_its(tmp_path: Path) -> None:
    state = tmp_path / "vm.state"
    vgic.State.of(vgic.Gic(vgic.Config(vgic.Topology.qemu(1)))).to_file(state)
    assert run(state).stderr == f"vgic: {state}: the VM has no ITS\n"


@pytest.mark.parametrize(
    ("ram", "message"),
    [
        ("ram.bin", "--ram ram.bin: written FILE@ADDRESS"),
        ("ram.bin@here", "--ram ram.bin@here: written FILE@ADDRESS"),
        ("/nonexistent@0", "/nonexistent: No such file or directory"),
        ("empty@0", "empty: is empty"),
    ],
)
def test_ram_that_cannot_be_used(ram: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state, _ = saved(driven(vgic.ARCH), tmp_path)
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    done = run(state, "--ram", ram)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"vgic: {message}\n"


def test_ram_that_overlaps(tmp_path: Path) -> None:
    state, ram = saved(driven(vgic.ARCH), tmp_path)
    done = run(state, ram, ram)
    assert done.exit_code == 2
    assert "overlap" in done.stderr


def test_ram_goes_with_a_state(tmp_path: Path) -> None:
    trace = tmp_path / "boot.log"
    trace.write_text(dist("read", 0, 0) + "\n")
    done = run(trace, "--ram", f"{trace}@0")
    assert done.stderr == f"vgic: --ram goes with a saved state, and {trace} is none\n"


def test_a_damaged_state(tmp_path: Path) -> None:
    state, _ = saved(driven(vgic.ARCH), tmp_path)
    state.write_bytes(state.read_bytes()[:-10])
    done = run(state)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"vgic: {state}")
