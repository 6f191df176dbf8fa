"""Machines from files that are known by what is in them: MADTs, kernel logs, device trees, command lines."""

import gzip
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner

import recorded_guests
import vgic
from damage import damaged
from vgic_tools.cli import main
from vgic_tools.errors import UsageError
from vgic_tools.machines.files import describes_machine, machine_from_file

RECORDING = recorded_guests.TRACES / "linux_smp4_its"
QEMU_REGION = vgic.RedistributorRegion(0x080A_0000, 123)

BOOT = """\
[    0.000000] Linux version 6.1.0 (a compiler) #1 SMP
[    0.000000] GICv3: 224 SPIs implemented
[    0.000000] GICv3: 0 Extended SPIs implemented
[    0.000000] GICv3: GICv3 features: 16 PPIs
[    0.000000] GICv3: CPU0: found redistributor 0 region 0:0x00000000080a0000
[    0.000000] ITS [mem 0x08080000-0x0809ffff]
[    0.167327] GICv3: CPU1: found redistributor 1 region 0:0x00000000080c0000
"""


def gicc(mpidr: int, frame: int = 0, flags: int = 1) -> bytes:
    return struct.pack("<BB10xI44xQQ4x", 0x0B, 80, flags, frame, mpidr)


def gicd(base: int = 0x0800_0000, version: int = 3) -> bytes:
    return struct.pack("<BB6xQ4xB3x", 0x0C, 24, base, version)


def gicr(base: int, size: int) -> bytes:
    return struct.pack("<BB2xQI", 0x0E, 16, base, size)


def its(base: int) -> bytes:
    return struct.pack("<BB6xQ4x", 0x0F, 20, base)


def madt(*entries: bytes, oem: bytes = b"BOARD ") -> bytes:
    body = b"".join(entries)
    return struct.pack("<4sIBB6s28x", b"APIC", 44 + len(body), 5, 0, oem) + body


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "machine"


def described(path: Path, contents: bytes | str, profile: vgic.Profile = vgic.ARCH) -> vgic.Config:
    path.write_bytes(contents if isinstance(contents, bytes) else contents.encode())
    return machine_from_file(path, profile).config


def refusal(path: Path, contents: bytes | str) -> str:
    with pytest.raises(UsageError) as caught:
        described(path, contents)
    name, _, message = str(caught.value).partition(": ")
    assert name == str(path)
    assert "\n" not in message
    return message


QEMU_TABLE = madt(gicd(), gicc(0), gicc(1), gicr(0x080A_0000, 0xF6_0000), its(0x0808_0000), oem=b"BOCHS ")


def test_the_table_of_qemu(path: Path) -> None:
    assert described(path, QEMU_TABLE) == vgic.Config(
        topology=vgic.Topology.qemu(2),
        spis=256,
        profile=vgic.QEMU,
        redistributor_regions=(QEMU_REGION,),
        its=(0x0808_0000,),
    )


def test_a_table_of_a_board(path: Path) -> None:
    aff3 = 1 << 32 | 0x8000_0201  # As MPIDR_EL1 has it: Aff3 in bits 39:32.
    config = described(
        path,
        madt(
            b"\x99\x04??",  # A type of entry that nobody knows yet.
            gicc(0x8000_0000, 0x4000_0000, flags=1),
            gicc(0x8000_0001, 0x9999_0000, flags=0),  # Not there.
            gicc(0x8000_0100, 0x4002_0000, flags=8),  # Can be brought online.
            gicc(aff3, 0x5000_0000),
            gicd(0x3000_0000),
            its(0x3100_0000),
            its(0x3200_0000),
        ),
    )
    assert config.profile is vgic.ARCH
    assert config.topology.affinities == (0, 0x100, 0x0100_0201)
    assert config.gicd_base == 0x3000_0000
    assert config.redistributor_regions == (
        vgic.RedistributorRegion(0x4000_0000, 2),
        vgic.RedistributorRegion(0x5000_0000, 1),
    )
    assert config.its == (0x3100_0000, 0x3200_0000)


def test_redistributors_of_a_gicv4_are_twice_as_far_apart(path: Path) -> None:
    windows = gicr(0x4000_0000, 0x8_0000), gicr(0x5000_0000, 0x4_0000)
    config = described(path, madt(gicd(version=4), gicc(0), gicc(1), gicc(0x100), *windows))
    assert vgic.Gic(config).redistributor_bases == [0x4000_0000, 0x4004_0000, 0x5000_0000]
    assert not config.vlpi_frames
    # QEMU's is modelled with all its frames.
    table = bytearray(madt(gicd(version=4), gicc(0), gicc(1), gicc(0x100), *windows))
    table[10:16] = b"BOCHS "
    config = described(path, bytes(table))
    assert vgic.Gic(config).redistributor_bases == [0x4000_0000, 0x4004_0000, 0x5000_0000]
    assert config.vlpi_frames
    assert [region.count for region in config.redistributor_regions] == [2, 1]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (b"APIC", "the MADT ends early: 4 bytes are less than its header"),
        (madt(gicd())[:-1], "the MADT says that it has 68 bytes; there are 67"),
        (madt(b"\x0b\x00"), "the MADT's entry at byte 0x2c has a length that cannot be"),
        (madt(b"\x0b\x50"), "the MADT's entry at byte 0x2c has a length that cannot be"),
        (madt(b"\x0b"), "the MADT's entry at byte 0x2c has a length that cannot be"),
        (madt(gicd()), "the MADT names no CPU that is there with a GIC's CPU interface (GICC)"),
        (madt(gicd(), gicc(0, flags=0)), "the MADT names no CPU that is there"),
        (madt(gicc(0, 0x4000_0000)), "the MADT names 0 distributors (GICD), not one"),
        (madt(gicd(version=2), gicc(0)), "the MADT's distributor is of a GICv2: the model is a GICv3"),
        (madt(gicd(), gicc(0)), "the MADT has no address of the redistributors"),
        (madt(gicd(), b"\x0b\x28" + bytes(38)), "an entry GICC of the MADT has 40 bytes, less than 76"),
        (madt(gicd(), gicc(0), gicr(0x4000_0000, 0x1000)), "the redistributor region at 0x40000000 has room for 0"),
        (madt(gicd(), gicc(0), gicc(0), gicr(0x4000_0000, 0x4_0000)), "vCPUs 0 and 1 "),
    ],
)
def test_tables_that_describe_no_such_machine(path: Path, table: bytes, message: str) -> None:
    assert refusal(path, table).startswith(message)


def test_a_kernel_log(path: Path) -> None:
    assert described(path, BOOT) == vgic.Config(
        topology=vgic.Topology.qemu(2),
        spis=224,
        redistributor_regions=(vgic.RedistributorRegion(0x080A_0000, 2),),
        rss=False,
        its=(0x0808_0000,),
    )
    # QEMU 7.2 shows a guest 32 SPIs too few, and later versions all.
    for told, there in ((224, 256), (256, 256), (160, 192), (960, 988)):
        assert described(path, BOOT.replace("224", str(told)), vgic.QEMU).spis == there
    assert described(path, BOOT.replace("224", "160"), vgic.QEMU_10_0).spis == 160
    assert not machine_from_file(path, vgic.ARCH).tells_distributor


def test_a_kernel_log_as_people_have_it(path: Path) -> None:
    log = (
        # Of an earlier boot, which had more CPUs.
        BOOT.replace("redistributor 1 ", "redistributor 2 ")
        # As journalctl prints it, in an encoding that is no UTF-8 elsewhere in the file.
        + "Nov 28 01:02:03 board kernel: Linux version 6.12.1 (builder)\r\n\u00e9"
        + "<6>[  0.0] GICv3: 960 SPIs implemented\r\n"
        + "[  T0] GICv3: GICv3 features: 16 PPIs, RSS, DirectLPI\r\n"
        + "CPU1 comes first: GICv3: CPU1: found redistributor 100000001 region 3:0x0000000050000000\r\n"
        + "GICv3: CPU0: found redistributor 100 region 1:0x0000000040000000\r\n"
        # It went and came back.
        + "GICv3: CPU0: found redistributor 100 region 1:0x0000000040000000\r\n"
    )
    config = described(path, log.encode("latin-1"))
    assert config.topology.affinities == (0x100, 0x0100_0001)
    assert (config.spis, config.rss, config.its) == (960, None, ())
    assert [region.base for region in config.redistributor_regions] == [0x4000_0000, 0x5000_0000]


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ("Linux version 6.1\n", 'no line of the kernel log reads "GICv3: CPU0: found redistributor ..."'),
        (
            "Linux version 6.1\nGICv2m: range[mem 0x08020000-0x08020fff], SPI[80:143]\n",
            "no line of the kernel log reads \"GICv3: CPU0: found redistributor ...\"; 'GICv2m' tells of another",
        ),
        (
            BOOT.replace(" 0 Extended", " 1025 Extended"),
            "extended_spis is a multiple of 32 up to 1024; 1025 is not",
        ),
        (BOOT.replace("redistributor 1 ", "redistributor 0 "), "vCPUs 0 and 1 "),
        (BOOT.replace("224", "225"), "spis is a multiple of 32"),
    ],
)
def test_logs_that_describe_no_such_machine(path: Path, log: str, message: str) -> None:
    assert refusal(path, log).startswith(message)


def test_a_log_tells_of_the_extended_ranges(path: Path) -> None:
    log = BOOT.replace(" 0 Extended", " 1024 Extended").replace("16 PPIs", "80 PPIs, RSS")
    config = described(path, log)
    assert (config.extended_spis, config.extended_ppis) == (1024, 64)
    assert (described(path, BOOT).extended_spis, described(path, BOOT).extended_ppis) == (0, 0)


@pytest.mark.parametrize("contents", [b"", b"\0", b"nonsense", b"\xff\xfe", b"qemu 'open quote", b'{"a": 1}'])
def test_what_describes_no_machine(path: Path, contents: bytes) -> None:
    path.write_bytes(contents)
    assert describes_machine(path) is None
    with pytest.raises(UsageError, match="describes no machine: expected a QEMU command line, a device tree blob,"):
        machine_from_file(path, vgic.ARCH)


def test_how_much_a_file_says(path: Path) -> None:
    ranks = []
    for contents in (
        *(RECORDING.joinpath(name).read_bytes() for name in ("cmd.txt", "virt.dtb")),
        QEMU_TABLE,
        BOOT,
    ):
        path.write_bytes(contents.encode() if isinstance(contents, str) else contents)
        ranks.append(describes_machine(path))
    assert ranks == [0, 1, 2, 3]
    path.write_text("Linux version 6.1\n")  # Of a kernel without a GICv3.
    assert describes_machine(path) is None


def run(*arguments: object) -> str:
    outcome = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert outcome.exit_code == 0, outcome.output
    return outcome.stdout


@pytest.mark.parametrize("name", ["virt.dtb", "cmd.txt"])
def test_a_machine_by_either_option(path: Path, name: str) -> None:
    option = {"virt.dtb": "--dtb", "cmd.txt": "--qemu-cmdline"}[name]
    path.write_bytes(gzip.compress((RECORDING / name).read_bytes()))
    assert run("map", path) == run("map", "--machine", path) == run("map", option, path)


def test_a_recording_replays_on_the_machine_that_its_guest_saw(path: Path) -> None:
    """Nothing in the log says that QEMU made the machine: the trace is of QEMU."""
    log = BOOT + "".join(
        f"GICv3: CPU{cpu}: found redistributor {cpu} region 0:0x{0x080A_0000 + cpu * 0x2_0000:016x}\n"
        for cpu in (2, 3)
    )
    path.write_text(log)
    trace = RECORDING / "trace.core.log.gz"
    assert "no divergence" in run("replay", trace, "--machine", path)
    assert "profile qemu (inferred" in run("replay", trace, "--machine", path)


def test_one_file_says_which_machine_it_is(path: Path) -> None:
    path.write_text(BOOT)
    outcome = CliRunner().invoke(main, ["map", str(path), "--machine", str(path)])
    assert (outcome.exit_code, outcome.stderr) == (
        2,
        "vgic: FILE and --machine both say which machine it is; give one\n",
    )
    outcome = CliRunner().invoke(main, ["map", "--dtb", str(path), "--machine", str(path)])
    assert outcome.stderr == "vgic: --machine and --dtb both say which vCPUs there are; give one\n"
    assert "(which does not tell the distributor's address: 0x8000000 unless --gicd-base)" in run("map", path)
    assert "tell the distributor" not in run("map", path, "--gicd-base", "0x2f000000")


SAMPLES = {
    "madt": QEMU_TABLE,
    "dmesg": BOOT.encode(),
    "tree": (RECORDING / "virt.dtb").read_bytes(),
    "command line": (RECORDING / "cmd.txt").read_bytes(),
}


def survive(path: Path, sample: bytes, count: int, seed: int) -> int:
    """How many damaged copies are refused; whatever is not is a machine."""
    refusals = []
    for contents in damaged(sample, count, seed):
        path.write_bytes(contents)
        try:
            assert machine_from_file(path, vgic.ARCH).config
        except UsageError as error:
            refusals.append(str(error))
    assert not any("\n" in said for said in refusals)
    return len(refusals)


@pytest.mark.filterwarnings("ignore::vgic.VgicWarning")
@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files(path: Path, name: str) -> None:
    assert survive(path, SAMPLES[name], 200, 1) > 20


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::vgic.VgicWarning")
@pytest.mark.parametrize("name", SAMPLES)
def test_ten_thousand_damaged_files(path: Path, name: str) -> None:
    assert survive(path, SAMPLES[name], 10_000, 2) > 1000
