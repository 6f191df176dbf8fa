"""Guest memory: what an embedder gives the model, and how the model uses it."""

import mmap

import pytest

import vgic
from vgic.memory import UNREADABLE, read_word, write_word

BASE = 0x4000_0000


@pytest.mark.rule("MEM-1")
def test_what_is_no_ram_reads_as_unreadable_and_takes_nothing() -> None:
    buffer = bytearray(range(16))
    ram = vgic.Ram(BASE, buffer)
    for address, size in ((BASE - 1, 1), (BASE - 1, 2), (BASE + 16, 1), (BASE + 9, 8), (0, 8), (1 << 70, 8)):
        assert not ram.is_ram(address, size)
        assert read_word(ram, address, size) == UNREADABLE
        assert not write_word(ram, address, size, 0)
    assert buffer == bytearray(range(16))
    assert read_word(ram, BASE + 8, 8) == 0x0F0E_0D0C_0B0A_0908
    assert read_word(ram, BASE, 16) != UNREADABLE


@pytest.mark.rule("MEM-1")
def test_a_vm_without_memory_has_no_ram_anywhere() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology([0])))
    for address in (0, BASE, 1 << 63):
        assert not gic.memory.is_ram(address, 1)
        assert read_word(gic.memory, address, 8) == UNREADABLE
        assert not write_word(gic.memory, address, 8, 1)


@pytest.mark.rule("MEM-2")
def test_words_are_little_endian() -> None:
    buffer = bytearray(8)
    ram = vgic.Ram(BASE, buffer)
    assert write_word(ram, BASE + 1, 4, 0x1122_3344)
    assert buffer.hex() == "0044332211000000"
    assert read_word(ram, BASE + 1, 4) == 0x1122_3344
    assert read_word(ram, BASE, 8) == 0x11_2233_4400


@pytest.mark.rule("MEM-3")
@pytest.mark.parametrize("kind", ["bytearray", "memoryview", "mmap"])
def test_ram_is_the_buffer_and_no_copy_of_it(kind: str) -> None:
    buffer: bytearray | mmap.mmap = mmap.mmap(-1, 4096) if kind == "mmap" else bytearray(4096)
    ram = vgic.Ram(BASE, memoryview(buffer).cast("I") if kind == "memoryview" else buffer)
    assert (ram.base, ram.size, ram.end) == (BASE, 4096, BASE + 4096)
    ram.write(BASE + 7, b"guest")
    assert bytes(buffer[7:12]) == b"guest"
    buffer[8] = ord("U")
    assert ram.read(BASE + 7, 5) == b"gUest"


@pytest.mark.rule("MEM-3")
def test_memory_that_cannot_be_written_is_refused() -> None:
    with pytest.raises(vgic.ConfigError, match="0x40000000"):
        vgic.Ram(BASE, memoryview(b"constant"))


@pytest.mark.rule("MEM-3")
def test_several_stretches_of_ram() -> None:
    low, high = vgic.Ram.zeroed(0x1000, 0x1000), vgic.Ram.zeroed(0x8000, 0x1000)
    ram = vgic.RamRegions([high, low])
    ram.write(0x8FF8, b"the high")
    ram.write(0x1000, b"the low")
    assert (high.read(0x8FF8, 8), low.read(0x1000, 7)) == (b"the high", b"the low")
    assert read_word(ram, 0x8FF8, 1) == ord("t")
    for address in (0xFFF, 0x1FFF, 0x2000, 0x7FFF, 0x9000):
        assert read_word(ram, address, 2) == UNREADABLE
    assert not vgic.RamRegions([]).is_ram(0, 1)


@pytest.mark.rule("MEM-3")
def test_an_access_across_a_seam_is_outside() -> None:
    ram = vgic.RamRegions([vgic.Ram.zeroed(0x1000, 0x1000), vgic.Ram.zeroed(0x2000, 0x1000)])
    assert not ram.is_ram(0x1FFF, 2)
    assert ram.is_ram(0x1FFE, 2)


@pytest.mark.rule("MEM-3")
def test_stretches_that_overlap_are_refused_by_their_addresses() -> None:
    with pytest.raises(vgic.ConfigError, match="0x1000 and the RAM at 0x1fff"):
        vgic.RamRegions([vgic.Ram.zeroed(0x1FFF, 0x1000), vgic.Ram.zeroed(0x1000, 0x1000)])
