"""The guest's RAM in a QEMU migration stream: where each page of it is.

QEMU, docs/devel/migration; the records are those of migration/ram.c (read, and checked against streams of 7.2).
With the capability mapped-ram there are none: each page has its place in the file (checked against files of 10.0).
"""

from typing import Final, NamedTuple

from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.reader import Buffer, Reader

__all__ = ["Block", "MappedPages", "StreamRam", "read_blocks", "read_pages"]

PAGE: Final = 4096

_ZERO: Final = 0x02
_TOTAL: Final = 0x04
_PAGE: Final = 0x08
_END: Final = 0x10
_CONTINUE: Final = 0x20
_SYNC: Final = 0x200 | 0x400
"""Marks between passes that carry nothing."""
_FLAGS: Final = PAGE - 1

_REFUSED: Final = {0x40: "XBZRLE pages", 0x80: "RDMA", 0x100: "compressed pages"}

_MOST_BLOCKS: Final = 4096

_MAPPED_VERSION: Final = 1


class MappedPages:
    """The pages of a block that lies in the file as it lay in memory, with a bitmap of those that are not zero.

    The bitmap has a bit for each page, in words of a little-endian host.
    """

    def __init__(self, data: Buffer, bitmap: int, pages: int) -> None:
        self._data = data
        self._bitmap = bitmap
        self._pages = pages

    def get(self, offset: int) -> int | None:
        """Where the page at this offset in the block is in the file; None where it is zero."""
        page = offset // PAGE
        there = self._data[self._bitmap + page // 8] >> page % 8 & 1
        return self._pages + offset if there else None


class Block(NamedTuple):
    """A stretch of memory of the VM, by QEMU's name."""

    name: str
    size: int
    pages: dict[int, int] | MappedPages
    """By offset in the block: where in the stream a page begins. Those that are left out are zero."""
    filled: dict[int, int]
    """By offset in the block: the byte that a page is full of."""


def read_blocks(reader: Reader, mapped: bool = False) -> dict[str, Block]:
    """Which blocks there are: how the RAM's section begins. Where it is mapped, all of the blocks are here."""
    total = reader.u64()
    if total & _FLAGS != _TOTAL:
        raise SnapshotError(f"the RAM does not begin with its size, at byte {reader.at - 8:#x}")
    left = total & ~_FLAGS
    blocks: dict[str, Block] = {}
    while left > 0:
        name, size = reader.name(), reader.u64()
        if not 0 < size <= left or size % PAGE or len(blocks) >= _MOST_BLOCKS:
            raise SnapshotError(f"a block of RAM has {size:,} bytes of {left:,}, at byte {reader.at - 8:#x}")
        blocks[name] = Block(name, size, _mapped(reader, size) if mapped else {}, {})
        left -= size
    return blocks


def _mapped(reader: Reader, size: int) -> MappedPages:
    """Where a block of `size` bytes is in the file; goes on behind it."""
    at = reader.at
    version, page, bitmap, pages = reader.u32(), reader.u64(), reader.u64(), reader.u64()
    if version != _MAPPED_VERSION or page != PAGE:
        raise SnapshotError(
            f"mapped RAM of version {version} with pages of {page:,} bytes, at byte {at:#x}; version"
            f" {_MAPPED_VERSION} and pages of {PAGE:,} are read"
        )
    if bitmap < reader.at or pages < bitmap + size // PAGE // 8:
        raise SnapshotError(f"the parts of a mapped block of RAM overlap, at byte {at:#x}")
    reader.at = pages
    reader.skip(size)
    return MappedPages(reader.data, bitmap, pages)


def read_pages(reader: Reader, blocks: dict[str, Block], block: Block | None) -> Block | None:
    """The pages of a part of the RAM, up to its end. The last copy of a page counts.

    `block` is what the part before it ended in, which a part may go on with; the result is for the next.
    """
    while True:
        record = reader.u64()
        flags, offset = record & _FLAGS, record & ~_FLAGS
        if flags == _END:
            return block
        if flags & _SYNC:
            continue
        for flag, what in _REFUSED.items():
            if flags & flag:
                raise SnapshotError(f"the RAM is sent with {what}, which are not read: migrate without them")
        if flags & ~(_ZERO | _PAGE | _CONTINUE) or not flags & (_ZERO | _PAGE):
            raise SnapshotError(f"a record of the RAM is of no known kind ({flags:#x}), at byte {reader.at - 8:#x}")
        if not flags & _CONTINUE:
            name = reader.name()
            block = blocks.get(name)
        if block is None or offset >= block.size:
            raise SnapshotError(f"a page is in no block of RAM, at byte {reader.at:#x}")
        if isinstance(block.pages, MappedPages):
            raise SnapshotError(f"a page is sent though its block is mapped, at byte {reader.at:#x}")
        block.pages.pop(offset, None)
        block.filled.pop(offset, None)
        if flags & _PAGE:
            block.pages[offset] = reader.skip(PAGE)
        elif fill := reader.u8():
            block.filled[offset] = fill


class StreamRam:
    """RAM of a stream as `vgic.GuestMemory`. What is written to it stays here."""

    def __init__(self, stream: Buffer, block: Block, base: int) -> None:
        self._stream = stream
        self._block = block
        self.base = base
        self._written: dict[int, bytearray] = {}

    def is_ram(self, address: int, size: int) -> bool:
        """True within the block."""
        return self.base <= address and address + size <= self.base + self._block.size

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address` on."""
        pieces = []
        for page, start, stop in self._pieces(address, size):
            pieces.append(self._page(page)[start:stop])
        return b"".join(pieces)

    def write(self, address: int, data: bytes) -> None:
        """Store `data` from `address` on."""
        done = 0
        for page, start, stop in self._pieces(address, len(data)):
            kept = self._written.setdefault(page, bytearray(self._page(page)))
            kept[start:stop] = data[done : done + stop - start]
            done += stop - start

    def _pieces(self, address: int, size: int) -> list[tuple[int, int, int]]:
        """Offset of each page, and the bytes of it that are meant."""
        pieces, at, end = [], address - self.base, address - self.base + size
        while at < end:
            page = at - at % PAGE
            stop = min(end - page, PAGE)
            pieces.append((page, at - page, stop))
            at = page + PAGE
        return pieces

    def _page(self, offset: int) -> bytes:
        if offset in self._written:
            return bytes(self._written[offset])
        place = self._block.pages.get(offset)
        if place is not None:
            return bytes(self._stream[place : place + PAGE])
        return bytes([self._block.filled.get(offset, 0)]) * PAGE
