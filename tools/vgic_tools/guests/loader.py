"""What a guest begins with: kernels, ELF programs and flat binaries, and where they go in its memory.

Linux, Documentation/arch/arm64/booting.rst (the Image header); the ELF specification; and the header of EFI zboot
images, in which newer kernels come compressed (linux/drivers/firmware/efi/libstub, *known*).
"""

import struct
import zlib
from typing import Final, NamedTuple

from vgic_tools.errors import UsageError

__all__ = ["Program", "Segment", "place_initrd", "program_in"]


class Segment(NamedTuple):
    """Bytes at a physical address."""

    address: int
    content: bytes


class Program(NamedTuple):
    """What is loaded, and where it begins."""

    kind: str
    """In words: "arm64 Linux kernel"."""
    segments: tuple[Segment, ...]
    entry: int
    """Physical address of the first instruction."""
    end: int
    """The first address beyond all that the program needs, memory that it clears itself included."""
    wants_device_tree: bool = False
    """It begins as Linux does: with the address of the device tree in X0."""


_IMAGE: Final = struct.Struct("<8x QQQ 24x 4s 4x")
"""text_offset, image_size, flags, magic."""
_IMAGE_MAGIC: Final = b"ARM\x64"
_IMAGE_ALIGNMENT: Final = 0x20_0000
_BIG_ENDIAN: Final = 1

_ZBOOT: Final = struct.Struct("<2s2x 4s II 8x 32s")
"""MZ, "zimg", offset and size of the compressed kernel, how it is compressed."""

_ELF: Final = struct.Struct("<4s BBB 9x HH I QQQ I HHH")
"""Magic, class, data, version, type, machine, version, entry, phoff, shoff, flags, ehsize, phentsize, phnum."""
_SEGMENT: Final = struct.Struct("<II QQQ QQ Q")
"""Type, flags, offset, virtual and physical address, size in the file and in memory, alignment."""
_AARCH64: Final = 183
_PT_LOAD: Final = 1

_PAGE: Final = 0x1_0000

_MOST: Final = 1 << 28
"""Bytes that a compressed kernel may have."""


def program_in(data: bytes, name: str, ram: range, flat_at: int | None = None) -> Program:
    """The program in a file called `name`, recognised by its content, for a machine with this RAM.

    What is none of the known kinds is a flat binary, which begins at `flat_at`, or else where RAM does. Raises
    UsageError where it is damaged, not for AArch64, or does not fit.
    """
    if data[:4] == b"\x7fELF":
        program = _elf(data, name)
    elif data[4:8] == b"zimg" and data[:2] == b"MZ":
        program = _kernel(_out_of_zboot(data, name), name, ram)
    elif data[56:60] == _IMAGE_MAGIC:
        program = _kernel(data, name, ram)
    elif data[:4] in (b"\x27\x05\x19\x56", b"\xd0\x0d\xfe\xed"):
        raise UsageError(f"{name}: an image for U-Boot; give the kernel in it (dumpimage takes it out)")
    elif not data:
        raise UsageError(f"{name}: is empty")
    else:
        start = ram.start if flat_at is None else flat_at
        program = Program("flat binary", (Segment(start, data),), start, start + len(data))
    # What is told to go elsewhere, such as into flash memory, is looked at by whoever has that.
    if flat_at is None:
        _check_room(name, range(min(segment.address for segment in program.segments), program.end), ram)
    return program


def place_initrd(data: bytes, name: str, ram: range, above: int) -> Segment:
    """Where an initial RAM file system goes: on a page above the kernel. Raises UsageError without room."""
    start = -(-above // _PAGE) * _PAGE
    if start + len(data) > ram.stop:
        needed = start + len(data) - ram.start
        raise UsageError(f"{name}: needs RAM of {needed:,} bytes with what is below it; there are {len(ram):,}")
    return Segment(start, data)


def _check_room(name: str, wanted: range, ram: range) -> None:
    if wanted.start < ram.start or wanted.stop > ram.stop:
        raise UsageError(
            f"{name}: needs the memory from {wanted.start:#x} to {wanted.stop - 1:#x};"
            f" RAM is from {ram.start:#x} to {ram.stop - 1:#x}"
        )


def _kernel(data: bytes, name: str, ram: range) -> Program:
    if len(data) < _IMAGE.size:
        raise UsageError(f"{name}: ends within the header of an arm64 Linux kernel")
    text_offset, image_size, flags, magic = _IMAGE.unpack_from(data)
    if magic != _IMAGE_MAGIC:
        raise UsageError(f"{name}: what is compressed in it is no arm64 Linux kernel")
    if flags & _BIG_ENDIAN:
        raise UsageError(f"{name}: a big-endian kernel, which the machine does not run")
    start = -(-ram.start // _IMAGE_ALIGNMENT) * _IMAGE_ALIGNMENT + text_offset
    # Before Linux 3.17 the header has no size.
    size = max(image_size, len(data))
    return Program("arm64 Linux kernel", (Segment(start, data),), start, start + size, wants_device_tree=True)


def _out_of_zboot(data: bytes, name: str) -> bytes:
    """The kernel in an EFI zboot image."""
    if len(data) < _ZBOOT.size:
        raise UsageError(f"{name}: ends within the header of a compressed kernel")
    _, _, offset, size, method = _ZBOOT.unpack_from(data)
    packed = data[offset : offset + size]
    how = method.split(b"\0")[0].decode("ascii", "replace")
    if how != "gzip":
        raise UsageError(f"{name}: a kernel compressed with {how!r}; only gzip is taken out of an EFI image")
    try:
        unpacking = zlib.decompressobj(wbits=31)
        kernel = unpacking.decompress(packed, _MOST)
    except zlib.error as error:
        raise UsageError(f"{name}: the compressed kernel in it is damaged: {error}") from error
    if not unpacking.eof:
        raise UsageError(f"{name}: the compressed kernel in it is cut off, or has more than {_MOST:,} bytes")
    return kernel


def _elf(data: bytes, name: str) -> Program:
    if len(data) < _ELF.size:
        raise UsageError(f"{name}: ends within the header of an ELF file")
    _, bits, order, _, _, machine, _, entry, table, _, _, _, entry_size, count = _ELF.unpack_from(data)
    if (bits, order, machine) != (2, 1, _AARCH64):
        raise UsageError(f"{name}: an ELF file, but not for little-endian AArch64")
    segments, end = [], 0
    for index in range(count):
        place = table + index * entry_size
        if place + _SEGMENT.size > len(data):
            raise UsageError(f"{name}: the program headers of the ELF file are cut off")
        kind, _, offset, _, address, in_file, in_memory, _ = _SEGMENT.unpack_from(data, place)
        if kind != _PT_LOAD or not in_memory:
            continue
        if offset + in_file > len(data) or in_file > in_memory:
            raise UsageError(f"{name}: segment {index} of the ELF file is cut off")
        segments.append(Segment(address, data[offset : offset + in_file]))
        end = max(end, address + in_memory)
    if not segments:
        raise UsageError(f"{name}: an ELF file with nothing to load")
    return Program("ELF program", tuple(segments), entry, end)
