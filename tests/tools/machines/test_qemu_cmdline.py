"""Machines from QEMU command lines."""

from pathlib import Path

import pytest

import recorded_guests
import vgic
from vgic_tools.errors import UsageError
from vgic_tools.machines.qemu_cmdline import config_from_qemu_cmdline

LOW, HIGH = vgic.RedistributorRegion(0x080A_0000, 123), vgic.RedistributorRegion(0x40_0000_0000, 512)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cmd.txt"


def config(path: Path, arguments: str) -> vgic.Config:
    path.write_text(f"qemu-system-aarch64 {arguments}")
    return config_from_qemu_cmdline(path)


def refusal(path: Path) -> str:
    """The message about a file, which it names first."""
    with pytest.raises(UsageError) as caught:
        config_from_qemu_cmdline(path)
    name, _, message = str(caught.value).partition(": ")
    assert name == str(path)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("recording", "cpus"),
    [
        ("linux_smp1_icount", 1),
        ("linux_smp4_its", 4),
        ("linux_smp4_noits", 4),
        ("linux_smp126_hi_noits", 126),
        ("fuzz_ds1_smp4", 4),
    ],
)
def test_recordings(recording: str, cpus: int) -> None:
    config = config_from_qemu_cmdline(recorded_guests.cmdline(recording))
    assert config == vgic.Config(
        topology=config.topology,
        spis=256,
        profile=vgic.QEMU,
        priority_bits=5,
        gicd_base=0x0800_0000,
        redistributor_regions=(LOW, HIGH) if cpus > 123 else (LOW,),
        its=(0x0808_0000,) if recording in ("linux_smp4_its", "fuzz_ds1_smp4") else (),
    )
    assert config.topology.affinities == vgic.Topology.qemu(cpus).affinities


@pytest.mark.parametrize(
    "machine",
    [
        "-machine virt,gic-version=3",
        "-M virt,gic-version=3",
        "--machine type=virt-7.2,gic-version=3,its=off",
        "-M virt -M gic-version=3",
        "-machine virt,gic-version=2 -M gic-version=3,secure=on -machine secure=off",
    ],
)
def test_machine(path: Path, machine: str) -> None:
    assert len(config(path, f"{machine} -cpu max").topology) == 1


@pytest.mark.parametrize(
    ("smp", "cpus"),
    [
        ("", 1),
        ("-smp 4", 4),
        ("-smp cpus=4", 4),
        ("-smp 2,maxcpus=8,sockets=8", 2),
        ("-smp maxcpus=8", 8),
        ("-smp sockets=2,clusters=2,cores=2,threads=1", 8),
        ("-smp 2 -smp 17", 17),
        ("-smp 512", 512),
    ],
)
def test_smp(path: Path, smp: str, cpus: int) -> None:
    assert config(path, f"-M virt,gic-version=3 {smp}").topology.affinities == vgic.Topology.qemu(cpus).affinities


@pytest.mark.parametrize(
    ("machine", "its"),
    [
        ("virt", True),
        ("virt,its=on", True),
        ("virt,its=y", True),
        ("virt,its=off", False),
        ("virt,its=false", False),
        ("virt,its=off -M its=on", True),
        ("virt-7.2", True),
        ("virt-6.2", True),
        ("virt-6.1", False),
        ("virt-6.1,its=on", False),
        ("virt-2.12", False),
        ("virt-10.0", True),
    ],
)
def test_its(path: Path, machine: str, its: bool) -> None:
    assert config(path, f"-M gic-version=3 -M {machine}").its == ((0x0808_0000,) if its else ())


@pytest.mark.parametrize(
    ("machine", "profile", "priority_bits"),
    [
        ("virt", vgic.QEMU, 5),
        ("virt-7.0", vgic.QEMU, 8),
        ("virt-7.1", vgic.QEMU, 5),
        ("virt-7.2", vgic.QEMU, 5),
        ("virt-8.0", vgic.QEMU_10_0, 5),
        ("virt-10.0", vgic.QEMU_10_0, 5),
    ],
)
def test_versions_of_the_machine(path: Path, machine: str, profile: vgic.Profile, priority_bits: int) -> None:
    described = config(path, f"-M {machine},gic-version=3")
    assert (described.profile, described.priority_bits) == (profile, priority_bits)


def test_a_machine_without_lpis_reads_as_measured(path: Path) -> None:
    described = config(path, "-M virt-6.1,gic-version=3")
    gic = vgic.Gic(described)
    assert gic.read(described.gicd_base + 0x4, 4) == 0x378_0007
    redistributor = gic.redistributor_bases[0]
    assert (gic.read(redistributor, 4), gic.read(redistributor + 8, 8)) == (0, 0x100_0010)
    assert gic.sysreg_read(0, vgic.ICC_CTLR_EL1) == 0x8F00


def test_regions_as_needed(path: Path) -> None:
    assert config(path, "-M virt,gic-version=3 -smp 123").redistributor_regions == (LOW,)
    assert config(path, "-M virt,gic-version=3 -smp 124").redistributor_regions == (LOW, HIGH)


def test_a_gicv4(path: Path) -> None:
    gicv4 = "-M virt,gic-version=4,virtualization=on -smp"
    small, large = config(path, f"{gicv4} 61"), config(path, f"{gicv4} 317")
    assert small.vlpi_frames
    assert (small.list_registers, small.its) == (4, (0x0808_0000,))
    assert small.redistributor_regions == (vgic.RedistributorRegion(0x080A_0000, 61),)
    regions = (vgic.RedistributorRegion(0x080A_0000, 61), vgic.RedistributorRegion(0x40_0000_0000, 256))
    assert large.redistributor_regions == regions
    bases = vgic.Gic(large).redistributor_bases
    assert (bases[1], bases[60], bases[61]) == (0x080E_0000, 0x080A_0000 + 60 * 0x4_0000, 0x40_0000_0000)
    assert not config(path, "-M virt,gic-version=3,virtualization=on").vlpi_frames


@pytest.mark.parametrize("continued", ["\\\n", " \\\n", " \\ \n    ", "\n", " \\\r\n", " \\\n# a comment\n"])
def test_several_lines(path: Path, continued: str) -> None:
    arguments = continued.join(["-M virt,gic-version=3", "-smp 4", "-append 'a -smp 2'"])
    assert len(config(path, f"{arguments}\n# -smp 9\n").topology) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("-smp 4", "-machine is not given: only QEMU's virt machine is known"),
        ("-M raspi3b", "-machine raspi3b: only QEMU's virt machine is known"),
        ("-M virt", "-machine gic-version=2: the model is a GICv3"),
        ("-M virt,gic-version=2", "-machine gic-version=2: the model is a GICv3"),
        ("-M virt,gic-version=max", "-machine gic-version=max: the model is a GICv3"),
        ("-M virt,gic-version=3,secure=maybe", "-machine secure=maybe: expected on or off"),
        ("-M virt,gic-version=3,its=t", "-machine its=t: expected on or off"),
        ("-M virt,gic-version=3 -smp 0", "-smp 0: QEMU's virt machine has 1 to 512 CPUs"),
        ("-M virt,gic-version=3 -smp 513", "-smp 513: QEMU's virt machine has 1 to 512 CPUs"),
        ("-M virt,gic-version=4 -smp 318", "-smp 318: QEMU's virt machine has 1 to 317 CPUs"),
        ("-M virt,gic-version=3 -smp four", "-smp four: QEMU's virt machine has 1 to 512 CPUs"),
        ("-M virt,gic-version=3 -smp cores=-1", "-smp cores=-1: QEMU's virt machine has 1 to 512 CPUs"),
        ("-append 'no end", "not a command line: No closing quotation"),
    ],
)
def test_refused(path: Path, arguments: str, message: str) -> None:
    path.write_text(f"qemu-system-aarch64 {arguments}")
    assert refusal(path) == message


@pytest.mark.parametrize(
    ("arguments", "security", "reset_group"),
    [
        ("-M virt,gic-version=3 -kernel Image", "one", None),
        ("-M virt,gic-version=3,secure=on", "two", None),
        ("-M virt,gic-version=3,secure=on -kernel Image", "two", 1),
        ("-M virt,gic-version=3,secure=on -kernel Image -bios bl1.bin", "two", None),
        ("-M virt,gic-version=3,secure=on,pflash0=code -kernel Image", "two", None),
        ("-M virt,gic-version=3,secure=on -kernel Image -drive if=pflash,file=code", "two", None),
        ("-M virt,gic-version=3,secure=on -kernel Image -drive if=none,file=disk", "two", 1),
    ],
)
def test_two_security_states_and_who_has_the_interrupts(
    path: Path, arguments: str, security: str, reset_group: int | None
) -> None:
    found = config(path, arguments)
    assert (found.security, found.reset_group) == (security, reset_group)


@pytest.mark.parametrize("text", ["", "\n# qemu-system-aarch64\n", "ls -l", "{}"])
def test_no_command_line(path: Path, text: str) -> None:
    path.write_text(text)
    assert refusal(path) == "not a QEMU command line"


def test_no_file(path: Path) -> None:
    assert refusal(path) == "No such file or directory"
    assert refusal(path.parent) == "Is a directory"
    path.write_bytes(b"qemu-system-aarch64 \xff\xfe\0")
    assert refusal(path) == "not text"
