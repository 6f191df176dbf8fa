"""Migration streams of QEMU: read, held against what the guest did, and refused where they are damaged."""

import json
import lzma
import random
import struct
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

import vgic
from damage import survivors
from vgic import State
from vgic_tools.cli import main
from vgic_tools.errors import UsageError
from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.files import read_snapshot
from vgic_tools.snapshots.qemu_ram import PAGE, read_blocks, read_pages
from vgic_tools.snapshots.qemu_state import snapshot_of_stream
from vgic_tools.snapshots.qemu_stream import Stream
from vgic_tools.snapshots.reader import Reader
from vgic_tools.state_words import describe

HERE = Path(__file__).parents[2] / "snapshots"
STREAM = HERE / "qemu72_smp4.mig.xz"
LOG = HERE / "qemu72_smp4.log.gz"
COMMAND = HERE / "qemu72_smp4.cmd.txt"


@pytest.fixture(scope="module")
def stream() -> bytes:
    return lzma.decompress(STREAM.read_bytes())


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [str(word) for word in words])
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def small(stream: bytes) -> bytes:
    """The same VM with the pages that are not zero alone, of its RAM and its tables."""
    blocks = {name: block for name, block in Stream(stream).blocks.items() if block.pages}
    config = stream.index(b"\x03ram") - 5
    section = stream[config : config + 5 + 4 + 8]
    total = sum(block.size for block in blocks.values())
    listed = b"".join(
        bytes([len(name)]) + name.encode() + struct.pack(">Q", block.size) for name, block in blocks.items()
    )
    pages = b"".join(
        struct.pack(">Q", offset | 0x08) + bytes([len(name)]) + name.encode() + stream[place : place + PAGE]
        for name, block in blocks.items()
        for offset, place in block.pages.items()
    )
    end = struct.pack(">Q", 0x10)
    footer = b"\x7e" + section[1:5]
    devices = stream[stream.index(b"\x04", stream.rindex(footer)) :]
    made = stream[:config] + section + struct.pack(">Q", total | 4) + listed + pages + end + footer + devices
    assert snapshot_of_stream(made).state == snapshot_of_stream(stream).state
    return made


def without_description(stream: bytes) -> bytes:
    return stream[: stream.rindex(b"\0\x06")] + b"\0"


def test_the_state_is_what_the_log_of_the_same_run_replays_to() -> None:
    status, said = run("replay", LOG, "--qemu-cmdline", COMMAND, "--final-state", STREAM, "--json")
    result = json.loads(said)
    assert status == 0
    assert result["compared"]["final state"] == 62
    assert result["final_state"] == []


def test_a_state_that_differs_is_a_divergence(stream: bytes, tmp_path: Path) -> None:
    # GICD_CTLR is the first field of the GIC; the priority of INTID 36 behind 2 + 7 * 32 words.
    at = stream.index(b"\x09arm_gicv3") + 10 + 8
    changed = bytearray(stream)
    changed[at + 4 * (3 + 7 * 32) + 36] ^= 0x20
    (tmp_path / "vm.mig").write_bytes(changed)
    status, said = run("replay", LOG, "--qemu-cmdline", COMMAND, "--final-state", tmp_path / "vm.mig", "--json")
    result = json.loads(said)
    assert status == 1
    assert result["divergences"] == {"final state": 1}
    assert [item["register"] for item in result["final_state"]] == ["GICD_IPRIORITYR9"]
    status, said = run("replay", LOG, "--qemu-cmdline", COMMAND, "--final-state", tmp_path / "vm.mig")
    assert "INTID 36 0xa0 -> 0x80" in said


def test_what_the_guest_has_done_is_in_the_state() -> None:
    snapshot = read_snapshot(STREAM)
    assert snapshot.kind == "a migration stream of QEMU, machine virt-7.2"
    assert snapshot.notes == ()
    gic = snapshot.state.build(memory=snapshot.memory)
    assert gic.spi(36).active
    assert gic.spi(36).level
    assert gic.ppi(2, 27).active
    assert [gic.spi(intid).pending for intid in (39, 40, 41, 42)] == [False, True, True, False]
    assert gic.spi(36).target == 1
    assert gic.spi(38).target == 3
    assert gic.config.its == (0x0808_0000,)


def test_without_its_own_description_the_layout_of_7_2_is_taken(stream: bytes) -> None:
    assert snapshot_of_stream(without_description(stream)).state == snapshot_of_stream(stream).state


def test_what_libvirt_puts_before_it_is_skipped(stream: bytes) -> None:
    def saved(magic: bytes = b"LibvirtQemudSave", version: int = 2, compression: int = 0) -> bytes:
        head = struct.pack("<16s5I", magic, version, 100, 1, compression, 0).ljust(92, b"\0")
        return head + b"<domain/>".ljust(100, b"\0") + stream

    assert snapshot_of_stream(saved()).state == snapshot_of_stream(stream).state
    for damaged, reason in (
        (saved(b"LibvirtQemudPart"), "has not finished"),
        (saved(version=3), "of version 3"),
        (saved(compression=1), "has compressed"),
    ):
        with pytest.raises(SnapshotError, match=reason):
            snapshot_of_stream(damaged)


def test_ram_is_read_page_by_page_and_keeps_what_is_written(stream: bytes) -> None:
    memory = snapshot_of_stream(stream).memory
    assert memory is not None
    assert memory.is_ram(0x4000_0000, 1 << 27)
    assert not memory.is_ram(0x4000_0000, (1 << 27) + 1)
    block = Stream(stream).blocks["mach-virt.ram"]
    offset, place = next(iter(block.pages.items()))
    assert memory.read(0x4000_0000 + offset, PAGE) == stream[place : place + PAGE]
    assert memory.read(0x4000_0000 + offset + PAGE - 2, 4)[:2] == stream[place + PAGE - 2 : place + PAGE]
    memory.write(0x4000_0000 + offset + PAGE - 2, b"abcd")
    assert memory.read(0x4000_0000 + offset + PAGE - 3, 6)[1:5] == b"abcd"
    assert stream[place + PAGE - 2 : place + PAGE] != b"ab"


def test_a_gic_whose_ds_is_0_has_two_security_states(stream: bytes, tmp_path: Path) -> None:
    control = stream.index(b"\x09arm_gicv3") + 10 + 8 + 3
    (tmp_path / "vm.mig").write_bytes(stream[:control] + b"\x37" + stream[control + 1 :])
    registers = read_snapshot(tmp_path / "vm.mig").state.data["registers"]
    one = read_snapshot(STREAM).state
    state = read_snapshot(tmp_path / "vm.mig").state
    assert (one.config().security, state.config().security) == ("one", "two")
    assert registers["GICD_CTLR"] == 0b111
    assert registers["ICC[0].ICC_BPR1_EL1_NS"] == one.data["registers"]["ICC[0].ICC_BPR1_EL1"]


def put(stream: bytearray, part: str, cpu: int, offset: int, value: int, size: int) -> None:
    """Change what a part of a CPU, or of the Distributor, holds."""
    name = bytes([len(part)]) + part.encode()
    at = 0
    for _ in range(cpu + 1):
        at = stream.index(name, at) + len(name)
    at += 4 + offset
    stream[at : at + size] = value.to_bytes(size, "big")


def test_the_registers_of_a_hypervisor_are_in_the_state() -> None:
    stream = bytearray(lzma.decompress((HERE / "qemu100_smp2_max.mig.xz").read_bytes()))
    active, listed = 1 << 63 | 1 << 60 | 0xA0 << 48 | 42, 1 << 62 | 1 << 61 | 0x88 << 48 | 27 << 32 | 27
    hcr, lr, vmcr = 12 * 8, 13 * 8, 29 * 8
    for offset, value in {
        0: 1 << 20,
        8 * 8: 1 << 63 | 1 << 4,
        hcr: 3 << 27 | 1,
        lr: active,
        lr + 3 * 8: listed,
        vmcr: 0xF0 << 24 | 2 << 21 | 3 << 18 | 0b1011,
    }.items():
        put(stream, "arm_gicv3_cpu/virt", 1, offset, value, 8)
    snapshot = snapshot_of_stream(bytes(stream))
    gic = snapshot.state.build()
    assert snapshot.notes == ()
    assert (gic.config.list_registers, gic.config.nmi, gic.config.profile) == (4, True, vgic.QEMU_10_0)
    registers = snapshot.state.data["registers"]
    assert {name: value for name, value in registers.items() if name.startswith("ICH[1]")} == {
        "ICH[1].ICH_HCR_EL2": 3 << 27 | 1,
        "ICH[1].ICH_VMCR_EL2": 0xF0 << 24 | 2 << 21 | 3 << 18 | 0b1011,
        "ICH[1].ICH_AP0R0_EL2": 1 << 20,
        "ICH[1].ICH_AP1R0_EL2": 1 << 63 | 1 << 4,
        "ICH[1].ICH_LR0_EL2": active,
        "ICH[1].ICH_LR3_EL2": listed,
    }
    # There are four.
    put(stream, "arm_gicv3_cpu/virt", 0, lr + 4 * 8, listed, 8)
    with pytest.raises(SnapshotError, match=r"ICH_LR4_EL2 = .*: this VM has no such register"):
        snapshot_of_stream(bytes(stream))


def test_what_has_superpriority_is_in_the_state() -> None:
    stream = bytearray(lzma.decompress((HERE / "qemu100_smp2_max.mig.xz").read_bytes()))
    put(stream, "arm_gicv3_cpu/nmi", 1, 0, 1 << 27, 4)
    put(stream, "arm_gicv3/gicd_nmi", 0, 4 * 1, 1 << 10, 4)
    put(stream, "arm_gicv3/gicd_nmi", 0, 4 * 8, 1 << 31, 4)
    gic = snapshot_of_stream(bytes(stream)).state.build()
    registers = gic.save()["registers"]
    assert {name: value for name, value in registers.items() if "INMIR" in name} == {
        "GICR[1].GICR_INMIR0": 1 << 27,
        "GICD_INMIR1": 1 << 10,
        "GICD_INMIR8": 1 << 31,
    }


def changes(stream: bytes) -> Iterator[tuple[str, bytes, str]]:
    """What somebody may bring, and why it is not read."""
    gic = stream.index(b"\x09arm_gicv3") + 10 + 8
    yield "another format", b"QEVM\0\0\0\2" + stream[8:], "of version 2"
    yield "no GIC", stream.replace(b"arm_gicv3", b"arm_gicv2"), "without a GICv3"
    name = b"\x07" + struct.pack(">I", 8) + b"virt-7.2"
    capabilities = b"\x05\x1aconfiguration/capabilities" + struct.pack(">II", 1, 1) + b"\x07multifd"
    yield "multifd", stream.replace(name, name + capabilities, 1), "written with multifd"
    first = stream.index(b"\x0dmach-virt.ram", stream.index(b"\x0dmach-virt.ram") + 1) - 8
    for flag, what in ((0x40, "XBZRLE"), (0x100, "compressed pages"), (0x800, "of no known kind")):
        record = struct.pack(">Q", flag)
        yield what, stream[:first] + record + stream[first + 8 :], what
    yield "cut in the RAM", stream[: first + 100], "cut off"
    yield "cut in the GIC", stream[: gic + 100], "cut off|does not end"


@pytest.mark.parametrize("nth", range(8))
def test_what_is_not_read_is_refused_in_a_sentence(stream: bytes, tmp_path: Path, nth: int) -> None:
    _, damaged, reason = list(changes(stream))[nth]
    (tmp_path / "vm.mig").write_bytes(damaged)
    with pytest.raises(UsageError, match=reason) as refused:
        read_snapshot(tmp_path / "vm.mig")
    assert str(refused.value).startswith(f"{tmp_path / 'vm.mig'}: ")
    assert "\n" not in str(refused.value)


def damage(stream: bytes, seed: int) -> bytes:
    """Flips, truncations and splices; mostly where there is more than zeros."""
    chance = random.Random(seed)
    damaged = bytearray(stream)
    dense = (*range(400), *range(stream.index(b"\x09arm_gicv3"), len(stream)))
    for _ in range(chance.randint(1, 4)):
        at = dense[chance.randrange(len(dense))]
        match chance.randrange(4):
            case 0:
                damaged[at % len(damaged)] ^= 1 << chance.randrange(8)
            case 1:
                damaged[at % len(damaged)] = chance.choice((0, 0x7F, 0xFF, 0x80))
            case 2 if chance.random() < 0.3:
                del damaged[at:]
            case _:
                size = chance.randint(1, 64)
                other = dense[chance.randrange(len(dense))]
                damaged[at : at + chance.choice((0, size))] = damaged[other : other + size]
    return bytes(damaged)


def look_at_damage(stream: bytes, seeds: range) -> tuple[int, int]:
    """How many are read, and how many are refused; nothing else happens."""
    read = refused = 0
    for seed in seeds:
        try:
            damaged = damage(stream, seed)
            # A whole VM takes longer than all else.
            if seed % 8:
                found = Stream(damaged)
                found.device("arm_gicv3")
                found.device("arm_gicv3_its")
            else:
                assert isinstance(snapshot_of_stream(damaged).state, State)
        except SnapshotError:
            refused += 1
        else:
            read += 1
    return read, refused


def test_a_part_of_the_ram_goes_on_in_the_block_of_the_part_before() -> None:
    def page(flags: int, name: bytes, fill: int) -> bytes:
        return struct.pack(">Q", flags) + name + bytes([fill])

    listed = struct.pack(">Q", 2 * PAGE | 0x04) + b"\x01a" + struct.pack(">Q", 2 * PAGE)
    end = struct.pack(">Q", 0x10)
    reader = Reader(listed + page(0x02, b"\x01a", 1) + end + page(PAGE | 0x02 | 0x20, b"", 2) + end)
    blocks = read_blocks(reader)
    block = read_pages(reader, blocks, None)
    assert read_pages(reader, blocks, block) == blocks["a"]
    assert blocks["a"].filled == {0: 1, PAGE: 2}


def test_streams_of_other_qemus_and_of_one_cpu() -> None:
    newer, single = (read_snapshot(HERE / name) for name in ("qemu100_smp2.mig.xz", "qemu72_smp1.mig.xz"))
    assert newer.kind.endswith("machine virt-10.0")
    assert [len(each.state.config().topology) for each in (newer, single)] == [2, 1]
    assert [each.state.data["registers"]["GICR[0].GICR_CTLR"] for each in (newer, single)] == [2, 2]
    assert newer.state.data["registers"]["GICR[1].GICR_CTLR"] == 2


def test_a_stream_of_a_gicv4() -> None:
    found = read_snapshot(HERE / "qemu72_gicv4_smp2.mig.xz")
    config, registers = found.state.config(), found.state.data["registers"]
    assert config.vlpi_frames
    assert config.list_registers == 4
    assert found.notes[-1] == "the VM's GIC is a GICv4: its virtual LPIs, and the tables of vPEs, are left out"
    # As they were written, and read in the machine.
    assert {name: value for name, value in registers.items() if "GICR_VP" in name} == {
        "GICR[0].GICR_VPROPBASER": 0x4000_000F,
        "GICR[0].GICR_VPENDBASER": 0xA000_0000_4400_0000,
        "GICR[1].GICR_VPROPBASER": 0x4001_000F,
        "GICR[1].GICR_VPENDBASER": 0x4500_0000,
    }
    assert registers["GITS[0].GITS_BASER2"] == 0x8207_0000_4300_0001
    assert registers["GICR[1].GICR_ISENABLER0"] == 0x1_0000
    assert describe("GICR[0].GICR_VPENDBASER", 0xA000_0000_4400_0000).startswith("Valid 1, PendingLast 1, ")


def as_mapped(stream: bytes, most: int = 1 << 30) -> bytes:
    """The same VM as the capability mapped-ram has it written, its blocks as long as they are used, or `most`."""
    found = Stream(stream)
    head = stream[8 : stream.index(found.machine.encode()) + len(found.machine)]
    made = stream[:8] + head + b"\x05\x1aconfiguration/capabilities" + struct.pack(">II", 1, 1) + b"\x0amapped-ram"
    made += b"\x01" + struct.pack(">I", 1) + b"\x03ram" + struct.pack(">II", 0, 4)
    used = {name: block.pages for name, block in found.blocks.items() if isinstance(block.pages, dict)}
    sizes = {name: min(max(pages) + PAGE, most) for name, pages in used.items() if pages}
    made += struct.pack(">Q", sum(sizes.values()) | 4)
    for name, size in sizes.items():
        made += bytes([len(name)]) + name.encode() + struct.pack(">Q", size)
        bitmap = bytearray(-(-size // PAGE // 64) * 8)
        contents = bytearray(size)
        for offset, place in ((offset, place) for offset, place in used[name].items() if offset < size):
            bitmap[offset // PAGE // 8] |= 1 << offset // PAGE % 8
            contents[offset : offset + PAGE] = stream[place : place + PAGE]
        at = len(made) + 28
        made += struct.pack(">IQQQ", 1, PAGE, at, at + len(bitmap) + 100) + bitmap + bytes(100) + contents
    footer = b"\x7e" + struct.pack(">I", 1)
    devices = stream[found._devices_at :]
    return made + struct.pack(">Q", 0x10) + footer + devices


@pytest.fixture(scope="module")
def mapped(stream: bytes) -> bytes:
    return as_mapped(stream)


def test_ram_that_is_mapped(stream: bytes, mapped: bytes, tmp_path: Path) -> None:
    (tmp_path / "vm.mig").write_bytes(mapped)
    told, plain = read_snapshot(tmp_path / "vm.mig"), snapshot_of_stream(stream)
    assert told.state == plain.state
    assert told.memory is not None
    assert plain.memory is not None
    [block] = [block for block in Stream(stream).blocks.values() if block.name == "mach-virt.ram"]
    for offset in (*block.pages, max(block.pages) - PAGE):
        address = 0x4000_0000 + offset
        assert told.memory.read(address, PAGE) == plain.memory.read(address, PAGE)


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ((1, PAGE), (2, PAGE), "mapped RAM of version 2 with pages of 4,096 bytes, at byte "),
        ((1, PAGE), (1, 65536), "mapped RAM of version 1 with pages of 65,536 bytes, at byte "),
    ],
)
def test_mapped_ram_of_another_kind(mapped: bytes, old: tuple[int, int], new: tuple[int, int], reason: str) -> None:
    with pytest.raises(SnapshotError, match=reason):
        Stream(mapped.replace(struct.pack(">IQ", *old), struct.pack(">IQ", *new), 1))


def test_mapped_ram_that_overlaps_or_is_cut(mapped: bytes) -> None:
    at = mapped.index(struct.pack(">IQ", 1, PAGE)) + 12
    with pytest.raises(SnapshotError, match="the parts of a mapped block of RAM overlap"):
        Stream(mapped[: at + 8] + bytes(8) + mapped[at + 16 :])
    with pytest.raises(SnapshotError, match=r"cut off: [\d,]+ bytes are to come"):
        Stream(mapped[: len(mapped) // 2])


def test_what_multifd_sends_elsewhere(small: bytes, tmp_path: Path) -> None:
    pages = small.index(b"\x08\x0dmach-virt.ram", small.index(b"\x03ram")) - 7
    first = small.index(struct.pack(">Q", 0x10) + b"\x7e")
    alone = small[:pages] + struct.pack(">Q", 0x200) + small[first:]
    with pytest.raises(SnapshotError, match="the RAM went through other connections: migrate without multifd"):
        Stream(alone)
    (tmp_path / "channel").write_bytes(b"\x11\x22\x33\x44" + struct.pack(">I", 1) + bytes(16))
    with pytest.raises(UsageError, match="one of the connections of a migration with multifd"):
        read_snapshot(tmp_path / "channel")


def test_a_large_stream_is_not_loaded(mapped: bytes, tmp_path: Path) -> None:
    """A guest of 16 GiB whose memory is nearly empty: the file has holes, and what is read of it is little."""
    size = 16 << 30
    start = mapped.index(b"\x03ram") + 4 + 8
    name = b"\x0dmach-virt.ram"
    begin, bitmap = mapped[:start] + struct.pack(">Q", size | 4) + name + struct.pack(">Q", size), size // PAGE // 8
    pages = len(begin) + 28 + bitmap
    end = mapped[mapped.rindex(struct.pack(">Q", 0x10) + b"\x7e") :]
    with open(tmp_path / "vm.mig", "wb") as file:
        file.write(begin + struct.pack(">IQQQ", 1, PAGE, len(begin) + 28, pages))
        file.seek(pages + size)
        file.write(end)
    tracemalloc.start()
    told = read_snapshot(tmp_path / "vm.mig")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert told.memory is not None
    assert told.memory.read(0x4000_0000 + size - PAGE, PAGE) == bytes(PAGE)
    assert most < 50_000_000


def test_reading_tells_how_far_it_is(small: bytes) -> None:
    reached: list[int] = []
    Stream(small, reached.append)
    assert len(reached) > 2
    assert reached == sorted(reached)
    assert reached[-1] > len(small) / 3


def test_a_damaged_stream_is_read_or_refused(small: bytes) -> None:
    read, refused = look_at_damage(small, range(120))
    assert read > 5
    assert refused > 20


def test_damaged_mapped_ram_is_read_or_refused(stream: bytes) -> None:
    look_at_damage(as_mapped(stream, 2 * PAGE), range(40))


@pytest.mark.slow
def test_ten_thousand_damaged_files_with_mapped_ram(stream: bytes) -> None:
    assert survivors(Stream, as_mapped(stream, 2 * PAGE), 10_000, 3) > 100


@pytest.mark.slow
def test_ten_thousand_damaged_files_of_libvirt(small: bytes) -> None:
    """The damage is where libvirt's header is."""
    head = struct.pack("<16s5I56x", b"LibvirtQemudSave", 2, 0, 1, 0, 0) + small[:200]
    rest = small[200:]
    assert survivors(lambda data: Stream(data + rest), head, 10_000, 4) > 100


@pytest.mark.slow
@pytest.mark.parametrize("first", range(1000, 11_000, 2500))
def test_ten_thousand_damaged_streams_are_read_or_refused(small: bytes, first: int) -> None:
    look_at_damage(small, range(first, first + 2500))


def test_the_commands_take_a_stream(tmp_path: Path) -> None:
    status, said = run("state", "show", STREAM)
    assert status == 0
    assert "a migration stream of QEMU, machine virt-7.2" in said
    assert "GICD_ISACTIVER1" in said
    assert run("state", "diff", STREAM, STREAM) == (0, "no difference\n")
    status, said = run("its", STREAM)
    assert status == 0
    assert "ITS 0 at 0x8080000" in said
    status, said = run("state", "check", STREAM, "--host-no-a3v")
    assert "ICC_CTLR_EL1" in said
    status, said = run("replay", LOG, "--qemu-cmdline", COMMAND, "--cpus", "2", "--final-state", STREAM)
    assert status == 2
