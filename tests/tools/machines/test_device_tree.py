"""Machines from device trees."""

import re
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import fdt
import pytest

import recorded_guests
import vgic
from vgic_tools.errors import UsageError
from vgic_tools.machines.device_tree import config_from_device_tree

TREES = Path(__file__).parents[2] / "trees"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "virt.dtb"


def refusal(path: Path) -> str:
    """The message about a file, which it names first."""
    with pytest.raises(UsageError) as caught:
        config_from_device_tree(path, 256)
    name, _, message = str(caught.value).partition(": ")
    assert name == str(path)
    assert "\n" not in message
    return message


def tree() -> fdt.FDT:
    """Two vCPUs, the second with Aff3, and a GIC with two redistributor regions."""
    made = fdt.FDT()
    made.set_property("#address-cells", 2)
    made.set_property("#size-cells", 2)
    made.set_property("device_type", "cpu", "/cpus/cpu@0", create=True)
    made.set_property("reg", [0, 0], "/cpus/cpu@0")
    made.set_property("device_type", "cpu", "/cpus/cpu@1", create=True)
    made.set_property("reg", [1, 0x8002_0304], "/cpus/cpu@1")
    made.set_property("compatible", ["arm,gic-v3", "other"], "/gic", create=True)
    made.set_property("#redistributor-regions", 2, "/gic")
    regions = [(0x2F00_0000, 0x1_0000), (0x2F10_0000, 0x2_0000), (0x80_0000_0000, 0x10_0000), (0x9999_0000, 0x1000)]
    cells = [cell for region in regions for number in region for cell in divmod(number, 1 << 32)]
    made.set_property("reg", cells, "/gic")
    return made


def write(path: Path, made: fdt.FDT) -> Path:
    path.write_bytes(made.to_dtb(version=17))
    return path


@pytest.mark.parametrize(
    ("recording", "cpus"), [("linux_smp4_its", 4), ("linux_smp4_noits", 4), ("linux_smp126_hi_noits", 126)]
)
def test_recordings(recording: str, cpus: int) -> None:
    config = config_from_device_tree(recorded_guests.TRACES / recording / "virt.dtb", 256)
    low, high = vgic.RedistributorRegion(0x080A_0000, 123), vgic.RedistributorRegion(0x40_0000_0000, 512)
    assert config == vgic.Config(
        topology=config.topology,
        spis=256,
        profile=vgic.QEMU,
        gicd_base=0x0800_0000,
        redistributor_regions=(low, high) if cpus > 123 else (low,),
        its=(0x0808_0000,) if recording == "linux_smp4_its" else (),
    )
    assert config.topology.affinities == vgic.Topology.qemu(cpus).affinities


def test_redistributors_further_apart_than_they_need_to_be(path: Path) -> None:
    made = tree()
    made.set_property("redistributor-stride", [0, 0x4_0000], "/gic")
    made.set_property("#redistributor-regions", 1, "/gic")
    made.set_property("reg", [0, 0x2F00_0000, 0, 0x1_0000, 0, 0x2F10_0000, 0, 0x20_0000], "/gic")
    gic = vgic.Gic(config_from_device_tree(write(path, made), 32))
    assert gic.redistributor_bases == [0x2F10_0000, 0x2F14_0000]


def test_affinities_and_regions(path: Path) -> None:
    config = config_from_device_tree(write(path, tree()), 32)
    assert config.topology.affinities == (0, 0x0102_0304)
    assert config.gicd_base == 0x2F00_0000
    assert config.redistributor_regions == (
        vgic.RedistributorRegion(0x2F10_0000, 1),
        vgic.RedistributorRegion(0x80_0000_0000, 8),
    )
    assert config.spis == 32


def test_narrow_addresses_and_one_region(path: Path) -> None:
    made = tree()
    made.set_property("#address-cells", 1)
    made.set_property("#size-cells", 1)
    made.remove_property("#redistributor-regions", "/gic")
    made.set_property("reg", [0x2F00_0000, 0x1_0000, 0x2F10_0000, 0x20_0000, 0x2C00_0000, 0x2000], "/gic")
    config = config_from_device_tree(write(path, made), 32)
    assert config.gicd_base == 0x2F00_0000
    assert config.redistributor_regions == (vgic.RedistributorRegion(0x2F10_0000, 16),)


def test_several_its(path: Path) -> None:
    made = tree()
    for name, base in (("/gic/its@0", 0x2F20_0000), ("/gic/its@1", 0x90_0000_0000)):
        made.set_property("compatible", "arm,gic-v3-its", name, create=True)
        made.set_property("reg", [base >> 32, base & 0xFFFF_FFFF, 0, 0x2_0000], name)
    made.set_property("#address-cells", 2, "/gic")
    made.set_property("#size-cells", 2, "/gic")
    made.set_property("ranges", None, "/gic")
    assert config_from_device_tree(write(path, made), 32).its == (0x2F20_0000, 0x90_0000_0000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda made: made.remove_node("cpus"), 'no node has device_type = "cpu"'),
        (lambda made: made.remove_node("gic"), "0 nodes are compatible with arm,gic-v3, not one"),
        (
            lambda made: made.set_property("compatible", "arm,gic-v3", "/gic2", create=True),
            "2 nodes are compatible with arm,gic-v3, not one",
        ),
        (
            lambda made: made.set_property("compatible", "arm,gic-v3-its", "/gic/its@0", create=True),
            "its@0 has no reg",
        ),
        (
            lambda made: made.set_property("redistributor-stride", [0, 0x2_8000], "/gic"),
            "redistributor-stride 0x28000 is no multiple of 0x10000 that has room for a redistributor",
        ),
        (
            lambda made: made.set_property("#redistributor-regions", 4, "/gic"),
            "gic has 4 reg entries, too few for 4 regions",
        ),
        (lambda made: made.remove_property("reg", "/gic"), "gic has 0 reg entries, too few for 2 regions"),
        (
            lambda made: made.set_property("reg", [0, 0], "/cpus/cpu@1"),
            "vCPUs 0 and 1 have the same affinity 0.0.0.0",
        ),
        (
            lambda made: made.set_property("reg", [0] * 16, "/gic"),
            "the redistributor region at 0x0 has room for 0 vCPUs",
        ),
    ],
)
def test_trees_that_describe_no_such_machine(path: Path, change: Callable[[fdt.FDT], None], message: str) -> None:
    made = tree()
    change(made)
    assert refusal(write(path, made)) == message


def test_a_tree_that_is_a_gic(path: Path) -> None:
    made = fdt.FDT()
    made.set_property("compatible", "arm,gic-v3")
    made.set_property("device_type", "cpu")
    assert refusal(write(path, made)) == "/ has 0 reg entries, too few for 1 regions"


@pytest.mark.parametrize("data", [b"", b"garbage", b"\xd0\x0d\xfe\xed" + bytes(100), bytes(1000)])
def test_garbage(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    assert refusal(path) == "not a device tree blob"


# Nodes in their place


def recorded(name: str) -> vgic.Config:
    return config_from_device_tree(TREES / f"{name}.dtb", 256)


@pytest.mark.skipif(shutil.which("dtc") is None, reason="needs dtc")
@pytest.mark.parametrize("name", ["narrow", "ranges"])
def test_the_blobs_are_those_of_their_sources(name: str, tmp_path: Path) -> None:
    made = tmp_path / "made.dtb"
    subprocess.run(["dtc", "-q", "-O", "dtb", "-o", made, TREES / f"{name}.dts"], check=True)
    assert made.read_bytes() == (TREES / f"{name}.dtb").read_bytes()


def test_ranges_of_every_bus_above_translate_an_address() -> None:
    config = recorded("ranges")
    assert config.gicd_base == 0x8_61C0_0000
    assert config.redistributor_regions == (vgic.RedistributorRegion(0x8_61D0_0000, 4),)


def test_what_is_disabled_or_on_a_disabled_bus_is_not_there() -> None:
    # Of three GICs one, and of its two ITSes one.
    assert recorded("ranges").its == (0x8_61C2_0000,)


def test_a_cpu_that_failed_is_not_there_and_one_that_waits_is() -> None:
    assert recorded("ranges").topology.affinities == (0, 0x0100_0100)


def test_bytes_that_could_be_text_are_an_address() -> None:
    config = recorded("narrow")
    assert config.gicd_base == 0x5040_0000
    assert config.redistributor_regions == (
        vgic.RedistributorRegion(0x5050_0000, 16),
        vgic.RedistributorRegion(0x5070_0000, 2),
    )
    assert config.topology.affinities == (0, 0x0002_0304)


def edited(name: str, path: Path, *changes: tuple[bytes, bytes]) -> Path:
    """A blob with bytes replaced by as many others."""
    data = (TREES / f"{name}.dtb").read_bytes()
    for old, new in changes:
        assert data.count(old) == 1
        assert len(old) == len(new)
        data = data.replace(old, new)
    path.write_bytes(data)
    return path


def test_what_was_taken_out_of_a_blob_leaves_no_trace(path: Path) -> None:
    # A boot loader overwrites a property, its header of three words and its value, with NOP tokens.
    stride = re.compile(re.escape(struct.pack(">II", 3, 8)) + b"...." + re.escape(struct.pack(">II", 0, 0x20000)))
    data, replaced = stride.subn(struct.pack(">5I", 4, 4, 4, 4, 4), (TREES / "narrow.dtb").read_bytes())
    assert replaced == 1
    path.write_bytes(data)
    config = config_from_device_tree(path, 256)
    assert (config.gicd_base, len(config.redistributor_regions)) == (0x5040_0000, 2)


def test_an_address_that_no_range_holds(path: Path) -> None:
    # The range of the innermost bus starts a page too high.
    old = struct.pack(">IIII", 0, 0x5040_0000, 0x2C0_0000, 0x40_0000)
    edited("ranges", path, (old, struct.pack(">IIII", 0, 0x5041_0000, 0x2C0_0000, 0x40_0000)))
    assert refusal(path) == "no ranges of inner hold interrupt-controller@50400000 at 0x50400000, 0x10000 bytes"


def test_a_bus_without_ranges_hides_what_is_on_it(path: Path) -> None:
    made = tree()
    made.set_property("compatible", "arm,gic-v3-its", "/gic/its@0", create=True)
    made.set_property("reg", [0, 0x2F20_0000, 0x2_0000], "/gic/its@0")
    assert refusal(write(path, made)) == "gic has no ranges, so its@0 on it has no address that a CPU can use"


@pytest.mark.parametrize("status", ["disabled", "reserved", "fail", "fail-sss", "no"])
def test_a_gic_that_is_not_there(path: Path, status: str) -> None:
    made = tree()
    made.set_property("status", status, "/gic")
    message = "0 nodes are compatible with arm,gic-v3, not one (1 with those that are disabled)"
    assert refusal(write(path, made)) == message
    made.set_property("status", "okay", "/gic")
    assert config_from_device_tree(write(path, made), 32).gicd_base == 0x2F00_0000


def test_no_cpu_is_left(path: Path) -> None:
    made = tree()
    for cpu in ("/cpus/cpu@0", "/cpus/cpu@1"):
        made.set_property("status", "fail", cpu)
    assert refusal(write(path, made)) == "all 2 CPUs have failed"


def test_numbers_that_are_too_wide(path: Path) -> None:
    made = tree()
    made.set_property("#address-cells", 0xFFFF_FFFF)
    assert refusal(write(path, made)) == "/ has #address-cells 4294967295, more than 4"


def test_regions_beyond_any_number(path: Path) -> None:
    made = tree()
    made.set_property("#redistributor-regions", 0xFFFF_FFFF, "/gic")
    assert refusal(write(path, made)) == "gic has 4 reg entries, too few for 4294967295 regions"


def test_nodes_without_end(path: Path) -> None:
    nodes = struct.pack(">II", 1, 0x6E00_0000) * 100_000
    path.write_bytes(
        struct.pack(">10I", 0xD00D_FEED, 56 + len(nodes), 56, 40, 40, 17, 16, 0, 0, 0) + bytes(16) + nodes
    )
    assert refusal(path) == "not a device tree blob"


def test_truncated(path: Path) -> None:
    whole = write(path, tree()).read_bytes()
    for length in range(0, len(whole) - 8, 7):
        path.write_bytes(whole[:length])
        assert refusal(path)


def test_no_file(path: Path) -> None:
    assert refusal(path) == "No such file or directory"
    assert refusal(path.parent) == "Is a directory"
