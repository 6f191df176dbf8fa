"""Which version of QEMU made a trace is told by the trace."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

import recorded_guests
import vgic
from mmio.trace import Event, open_trace, read_qemu
from qemu_log import NAME, awake, dist, virt
from vgic_tools.cli import main
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.qemu_cmdline import config_from_qemu_cmdline
from vgic_tools.replay.versions import as_recorded

NEWER = "linux612_smp4_its_qemu10"


def events(*lines: str) -> Iterator[Event]:
    return read_qemu(enumerate(lines, 1), NAME)


@pytest.mark.parametrize(
    ("recording", "profile"),
    [
        ("linux_smp1_icount", vgic.QEMU),
        ("linux_smp4_its", vgic.QEMU),
        ("linux_smp126_hi_noits", vgic.QEMU),
        (NEWER, vgic.QEMU_10_0),
    ],
)
def test_recordings(recording: str, profile: vgic.Profile) -> None:
    machine = recorded_guests.machine(recording)
    assert machine.config.profile is profile
    assert f"profile {profile.name} (inferred from GICD_TYPER)" in str(machine)


@pytest.mark.parametrize("read", ["0x37a0008", "0x37a0208"])
def test_another_difference_of_the_register_does_not_matter(read: str) -> None:
    lines = (*awake(), dist("read", 4, int(read, 16)), dist("read", 4, 0x37A_0007))
    machine = as_recorded(virt(1), events(*lines))
    assert machine.config.profile is vgic.QEMU_10_0
    assert machine.config.nmi == (read == "0x37a0208")
    assert machine.profile_origin == "inferred from GICD_TYPER"


@pytest.mark.parametrize(
    "lines",
    [
        awake(),
        [dist("write", 4, 0x37A_0008), dist("read", 8, 0x37A_0008), dist("read", 4, 8, size=1)],
        [dist("read", 4, 0x37A_0008, size=8, bad=True), dist("read", 4, 0x37A_0003)],
    ],
    ids=["no read", "no such read", "no such version"],
)
def test_a_trace_that_does_not_tell_changes_nothing(lines: list[str]) -> None:
    machine = virt(1)
    assert as_recorded(machine, events(*lines)) == machine


def test_the_profile_that_was_meant_is_kept_where_several_fit() -> None:
    for profile in (vgic.QEMU, vgic.QEMU_10_0):
        described = virt(1)
        machine = replace(described, config=replace(described.config, profile=profile, spis=0))
        assert as_recorded(machine, events(dist("read", 4, 0x37A_0000))).config == machine.config


def test_another_implementation_is_left_alone() -> None:
    machine = Machine(vgic.Config(vgic.Topology.qemu(1), 256, vgic.KVM), "a test")
    assert as_recorded(machine, events(dist("read", 4, 0x37A_0008))) == machine


def run(*arguments: str) -> tuple[int, str]:
    outcome = CliRunner().invoke(main, arguments)
    return outcome.exit_code, outcome.output


def test_the_summary_says_which_version_it_took_and_why() -> None:
    log, cmdline = recorded_guests.log(NEWER, "core"), recorded_guests.cmdline(NEWER)
    status, output = run("replay", str(log), "--qemu-cmdline", str(cmdline))
    assert (status, "profile qemu-10.0 (inferred from GICD_TYPER), from" in output) == (0, True), output
    status, output = run("replay", str(log), "--qemu-cmdline", str(cmdline), "--profile", "qemu-10.0")
    assert (status, "profile qemu-10.0, from" in output) == (0, True), output
    status, output = run("replay", str(log), "--cpus", "4", "--its", "0x8080000", "--profile", "qemu-10.0")
    assert status == 0, output


def test_a_version_that_is_named_is_not_doubted() -> None:
    log, cmdline = recorded_guests.log(NEWER, "core"), recorded_guests.cmdline(NEWER)
    status, output = run("replay", str(log), "--qemu-cmdline", str(cmdline), "--profile", "qemu")
    assert (status, "profile qemu, from" in output) == (1, True), output
    assert "ITLinesNumber       0x8  0x7" in output


def test_a_packed_trace_names_the_version(tmp_path: Path) -> None:
    log, cmdline = recorded_guests.log(NEWER, "core"), recorded_guests.cmdline(NEWER)
    packed = tmp_path / "trace.vgpk"
    assert run("convert", str(log), str(packed), "--qemu-cmdline", str(cmdline))[0] == 0
    status, output = run("replay", str(packed))
    assert (status, "profile qemu-10.0, from" in output) == (0, True), output


def test_a_state_names_the_version(tmp_path: Path) -> None:
    config = replace(config_from_qemu_cmdline(recorded_guests.cmdline(NEWER)), its=(), profile=vgic.QEMU_10_0)
    gic, file = vgic.Gic(config), tmp_path / "vm.state"
    typer = config.gicd_base + 4
    vgic.State.of(gic).to_file(file)
    assert '"qemu-10.0"' in file.read_text()
    assert vgic.State.from_file(file).build().read(typer, 4) == gic.read(typer, 4) == 0x37A_0008


def test_events_are_looked_at_no_longer_than_they_tell_something() -> None:
    def endless() -> Iterator[Event]:
        yield from open_trace(recorded_guests.log(NEWER, "core"))
        raise AssertionError("the whole trace was read")

    assert as_recorded(virt(1), endless()).config.profile is vgic.QEMU_10_0


def test_a_log_of_qemu_needs_no_profile() -> None:
    """Whoever counts vCPUs alone replays it on QEMU's virt machine: the log is QEMU's."""
    recording = recorded_guests.TRACES / "linux_smp4_noits" / "trace.core.log.gz"
    outcome = CliRunner().invoke(main, ["replay", str(recording), "--cpus", "4"])
    assert outcome.exit_code == 0, outcome.output
    assert "machine: 4 vCPUs, 256 SPIs, 1 redistributor region, profile qemu (inferred" in outcome.stdout
    outcome = CliRunner().invoke(main, ["replay", str(recording), "--cpus", "4", "--profile", "arch"])
    assert outcome.exit_code == 1
