"""Machines from the options of a command."""

import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

import recorded_guests
import vgic
from vgic_tools.errors import UsageError
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.options import machine_from_options

RECORDING = recorded_guests.TRACES / "linux_smp4_noits"


def machine(default_cpus: int | None = None, **options: object) -> Machine:
    """The machine of the options that are given."""
    return machine_from_options(options, default_cpus=default_cpus)


def refusal(**options: object) -> str:
    with pytest.raises(UsageError) as caught:
        machine(None, **options)
    return str(caught.value)


def test_cpus() -> None:
    built = machine(cpus=18)
    assert str(built) == "18 vCPUs, 224 SPIs, 1 redistributor region, profile arch, from --cpus"
    assert built.config.topology.affinities == (*range(16), 0x100, 0x101)


def test_defaults() -> None:
    assert str(machine(default_cpus=1)) == (
        "1 vCPU, 224 SPIs, 1 redistributor region, profile arch, from the defaults"
    )
    assert len(machine(default_cpus=4, cpus=2).config.topology) == 2


@pytest.mark.parametrize("profile", ["qemu", "qemu-10.0"])
def test_qemu_counts_as_its_virt_machine_does(profile: str, tmp_path: Path) -> None:
    assert str(machine(default_cpus=4, profile=profile)) == (
        f"4 vCPUs, 256 SPIs, 1 redistributor region, profile {profile}, from the defaults"
    )
    cmdline = tmp_path / "cmd.txt"
    cmdline.write_text("qemu-system-aarch64 -M virt,gic-version=3,its=off -smp 124")
    described = machine(qemu_cmdline=cmdline, profile=profile).config
    counted = machine(cpus=124, profile=profile).config
    assert replace(counted, topology=described.topology) == described
    assert counted.topology.affinities == described.topology.affinities
    assert machine(affinities="0.0.0.0", profile=profile).config.spis == 256
    assert machine(cpus=4, profile=profile, spis=64).config.spis == 64
    regions = machine(cpus=4, profile=profile, redistributors=("0x30000000:8",)).config.redistributor_regions
    assert regions == (vgic.RedistributorRegion(0x3000_0000, 8),)
    assert len(machine(cpus=1024, profile=profile).config.topology) == 1024
    assert machine(cpus=4, profile="kvm").config.spis == 224


def test_affinities() -> None:
    built = machine(affinities="0.0.0.0, 1.2.3.4")
    assert built.config.topology.affinities == (0, 0x01020304)
    assert built.origin == "--affinities"


@pytest.mark.parametrize("option", ["qemu_cmdline", "dtb"])
def test_files(option: str) -> None:
    path = RECORDING / {"qemu_cmdline": "cmd.txt", "dtb": "virt.dtb"}[option]
    built = machine(None, **{option: path})
    assert str(built) == f"4 vCPUs, 256 SPIs, 1 redistributor region, profile qemu, from {path}"


def test_a_zero_is_a_value() -> None:
    cmdline = RECORDING.parent / "kvm_a57_smp1" / "cmd.txt"
    assert machine(qemu_cmdline=cmdline).config.list_registers == 4
    assert machine(qemu_cmdline=cmdline, list_registers=0).config.list_registers == 0
    assert machine(qemu_cmdline=cmdline, spis=0).config.spis == 0


def test_an_its_is_counted() -> None:
    assert "1 redistributor region, 1 ITS, profile arch" in str(machine(cpus=1, its=("0x8080000",)))


def test_options_change_what_a_file_says() -> None:
    built = machine(
        qemu_cmdline=RECORDING / "cmd.txt",
        profile="kvm",
        spis=64,
        priority_bits=7,
        gicd_base="0x2f000000",
        redistributors=("0x2f100000:2", "0x30000000:8"),
        its=("0x2f020000", "0x2f040000"),
    )
    assert "2 redistributor regions, 2 ITSes, profile kvm" in str(built)
    assert built.config == vgic.Config(
        topology=built.config.topology,
        spis=64,
        profile=vgic.KVM,
        priority_bits=7,
        gicd_base=0x2F00_0000,
        redistributor_regions=(
            vgic.RedistributorRegion(0x2F10_0000, 2),
            vgic.RedistributorRegion(0x3000_0000, 8),
        ),
        its=(0x2F02_0000, 0x2F04_0000),
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "say which machine it is: --machine FILE (the recording's QEMU command line, "),
        ({"cpus": 4, "dtb": Path("x")}, "--dtb and --cpus both say which vCPUs there are; give one"),
        ({"cpus": 0}, "a VM has 1 to 65536 vCPUs, not 0"),
        ({"cpus": 65_537}, "a VM has 1 to 65536 vCPUs, not 65537"),
        ({"affinities": ""}, "'' is no affinity; it is written Aff3.Aff2.Aff1.Aff0, 0 to 255 each"),
        ({"affinities": "0.0.0.1,0.0.0.1"}, "vCPUs 0 and 1 have the same affinity 0.0.0.1"),
        ({"cpus": 1, "spis": 33}, "spis is a multiple of 32 up to 960, or 988; 33 is not"),
        ({"cpus": 1, "priority_bits": 3}, "priority_bits is 4 to 8, not 3"),
        ({"cpus": 1, "gicd_base": "here"}, "--gicd-base here: not a number"),
        ({"cpus": 1, "redistributors": ("0x1000000",)}, "--redistributors 0x1000000: written ADDRESS:COUNT"),
        ({"cpus": 1, "redistributors": ("x:1",)}, "--redistributors x: not a number"),
        ({"cpus": 1, "redistributors": ("0x1000000:x",)}, "--redistributors x: not a number"),
        ({"cpus": 1, "its": ("x",)}, "--its x: not a number"),
        ({"cpus": 3, "redistributors": ("0x1000000:2",)}, "3 vCPUs need as many redistributors; the regions have"),
    ],
)
def test_refused(options: dict[str, object], message: str) -> None:
    assert refusal(**options).startswith(message)


@pytest.mark.rule("A3V-7")
def test_what_there_is_to_warn_of_is_a_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    built = machine(affinities="0.0.0.0,1.0.0.0", profile="kvm")
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert told.err.startswith("vgic: the profile kvm hides Aff3, and vCPU 1 is 1.0.0.0: ")
    # It is said once, whatever a command makes of the machine.
    vgic.Gic(dataclasses.replace(built.config, spis=32))
    machine(affinities="0.0.0.0,1.0.0.0")
    assert capsys.readouterr().err == ""


def test_what_a_hypervisor_has_is_said() -> None:
    machine = Machine(vgic.Config(vgic.Topology.qemu(1), list_registers=4, nmi=True), "a test")
    assert str(machine) == (
        "1 vCPU, 224 SPIs, 1 redistributor region, NMIs, 4 list registers, profile arch, from a test"
    )
