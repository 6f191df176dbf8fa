"""Programs in files: recognised, placed, and refused with the reason."""

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic_tools.errors import UsageError
from vgic_tools.guests.loader import place_initrd, program_in

RAM = range(0x4000_0000, 0x4800_0000)
CODE = b"\x1f\x20\x03\xd5" * 64


def image(text_offset: int = 0, size: int = 0x10000, flags: int = 0b1010) -> bytes:
    return (
        b"MZ@\xfa"
        + bytes(4)
        + struct.pack("<QQQ", text_offset, size, flags)
        + bytes(24)
        + b"ARM\x64"
        + bytes(4)
        + CODE
    )


def zboot(kernel: bytes, how: bytes = b"gzip") -> bytes:
    packed = gzip.compress(kernel, mtime=0)
    return b"MZ\0\0zimg" + struct.pack("<II8x32s", 64, len(packed), how).ljust(56, b"\0") + packed


def elf(machine: int = 183, address: int = 0x4010_0000, kind: int = 1, in_memory: int = 0x2000) -> bytes:
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 2, machine, 1, address + 4, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return head + struct.pack("<IIQQQQQQ", kind, 5, 120, 0xFFFF_0000, address, len(CODE), in_memory, 4096) + CODE


def test_a_kernel_goes_to_a_2_mib_boundary_and_its_offset() -> None:
    program = program_in(image(0x8_0000, 0x20_0000), "Image", range(0x4010_0000, 0x4800_0000))
    assert (program.kind, program.entry, program.end) == ("arm64 Linux kernel", 0x4028_0000, 0x4048_0000)
    assert program.segments[0].address == program.entry
    assert program.wants_device_tree


def test_a_kernel_in_an_efi_image_is_taken_out() -> None:
    assert program_in(zboot(image()), "vmlinuz", RAM) == program_in(image(), "Image", RAM)


def test_an_elf_program_goes_where_it_says() -> None:
    program = program_in(elf(), "guest.elf", RAM)
    assert (program.kind, program.entry, program.end) == ("ELF program", 0x4010_0004, 0x4010_2000)
    assert program.segments == ((0x4010_0000, CODE),)
    assert not program.wants_device_tree


def test_anything_else_is_a_flat_binary() -> None:
    assert program_in(CODE, "guest.bin", RAM).entry == RAM.start
    flash = program_in(CODE, "flash.fd", RAM, flat_at=0)
    assert (flash.entry, flash.segments[0].address) == (0, 0)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (image(flags=1), "big-endian"),
        (
            image(size=1 << 30),
            "needs the memory from 0x40000000 to 0x7fffffff; RAM is from 0x40000000 to 0x47ffffff",
        ),
        (zboot(image(), b"zstd22"), "compressed with 'zstd22'"),
        (zboot(image())[:100], "cut off"),
        (zboot(b"no kernel" * 20), "no arm64 Linux kernel"),
        (elf(machine=62), "not for little-endian AArch64"),
        (elf(kind=4), "nothing to load"),
        (elf(address=0x8000_0000), "RAM is from"),
        (elf(in_memory=8), "segment 0 of the ELF file is cut off"),
        (elf()[:100], "program headers of the ELF file are cut off"),
        (elf()[:40], "ends within the header"),
        (b"\x27\x05\x19\x56" + bytes(80), "an image for U-Boot"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_loaded_is_refused_by_name(data: bytes, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as refused:
        program_in(data, "some/file", RAM)
    assert str(refused.value).startswith("some/file: ")


WHOLE = [image(), zboot(image()), elf()]


@given(st.sampled_from(WHOLE), st.data())
def test_a_damaged_file_is_refused_or_loaded_within_ram(whole: bytes, data: st.DataObject) -> None:
    damaged = bytearray(whole[: data.draw(st.integers(0, len(whole)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
        if damaged:
            damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        program = program_in(bytes(damaged), "damaged", RAM)
    except UsageError:
        return
    for segment in program.segments:
        assert RAM.start <= segment.address
        assert segment.address + len(segment.content) <= program.end <= RAM.stop


def test_the_initrd_goes_above_the_kernel_or_says_what_it_needs() -> None:
    assert place_initrd(b"x" * 100, "initrd", RAM, 0x4012_3456).address == 0x4013_0000
    with pytest.raises(UsageError, match="initrd: needs RAM of 134,283,264 bytes"):
        place_initrd(bytes(0x1_0000), "initrd", RAM, RAM.stop)
