"""QEMU's migration streams: `migrate "exec:cat > vm.mig"`, or what libvirt has saved.

The sections of the RAM are read one after the other. Devices come behind them: those that are asked for are found
by name, and decoded by the stream's own description at its end, which tells each field of the version that wrote
it. Where there is none (suppress-vmdesc), the layouts of QEMU 7.2 are taken.
"""

import json
import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from vgic_tools.snapshots.errors import SnapshotError
from vgic_tools.snapshots.qemu_layouts import FIXED
from vgic_tools.snapshots.qemu_ram import Block, read_blocks, read_pages
from vgic_tools.snapshots.reader import Buffer, Reader

__all__ = ["LONGEST_MAGIC", "MAGIC", "Fields", "Stream", "is_stream"]

MAGIC: Final = b"QEVM"
_VERSION: Final = 3
_CHANNEL: Final = b"\x11\x22\x33\x44"
"""What all connections of a migration with multifd but the first begin with."""
_LIBVIRT: Final = b"LibvirtQemudSave"
_LIBVIRT_UNFINISHED: Final = b"LibvirtQemudPart"
LONGEST_MAGIC: Final = len(_LIBVIRT)
"""Bytes that `is_stream` looks at."""
_LIBVIRT_HEADER: Final = struct.Struct("<16s5I")
_LIBVIRT_SIZE: Final = 92
_LIBVIRT_VERSION: Final = 2

_EOF, _START, _PART, _END, _FULL, _SUBSECTION, _VMDESC, _CONFIGURATION, _COMMAND = range(9)
_FOOTER: Final = 0x7E

_LARGEST_DESCRIPTION: Final = 1 << 23
_DEEPEST: Final = 16
_MOST_ELEMENTS: Final = 1 << 16

Value = int | bytes | list["Value"] | dict[str, "Value"]
Fields = dict[str, Value]
"""By name: numbers, bytes of what is no number, lists, and structures."""

Description = Mapping[str, object]


def is_stream(start: bytes) -> bool:
    """True where a file that begins like this is a migration stream, or holds one."""
    return start.startswith((MAGIC, _CHANNEL, _LIBVIRT, _LIBVIRT_UNFINISHED))


class Stream:
    """A stream. Raises SnapshotError where it is damaged, or written in a way that is not read."""

    def __init__(self, data: Buffer, advance: Callable[[int], None] = lambda at: None) -> None:
        """`advance` is told now and then how many bytes have been read."""
        if data[:4] == _CHANNEL:
            raise SnapshotError(
                "one of the connections of a migration with multifd, which has nothing but pages: migrate without"
            )
        self.data = data
        self._advance = advance
        reader = Reader(data, _start(data))
        if reader.take(4) != MAGIC:
            raise SnapshotError("no migration stream of QEMU")
        if (version := reader.u32()) != _VERSION:
            raise SnapshotError(f"a migration stream of version {version}; version {_VERSION} is read")
        self.machine = ""
        """The machine type, such as virt-7.2; empty where the stream does not say."""
        self.blocks: dict[str, Block] = {}
        """The RAM, by QEMU's names."""
        self._devices_at = self._read_ram(reader)
        self._descriptions = _descriptions(data)

    def device(self, name: str) -> Fields | None:
        """The fields of a device, those of subsections under their names; None where there is no such device."""
        wanted = name.encode()
        head = bytes([len(wanted)]) + wanted
        at = self._devices_at - 1
        while (at := self.data.find(head, at + 1)) >= 0:
            if at < 5 or self.data[at - 5] not in (_START, _FULL):
                continue
            section = Reader(self.data, at - 4).u32()
            reader = Reader(self.data, at + len(head))
            reader.skip(8)
            return self._decoded(name, section, reader)
        return None

    def _decoded(self, name: str, section: int, reader: Reader) -> Fields:
        description = self._descriptions.get(name)
        start, footer = reader.at, bytes([_FOOTER]) + section.to_bytes(4, "big")
        if description is None:
            if self._descriptions or name not in FIXED:
                raise SnapshotError(f"the stream does not describe its device {name}")
            description = FIXED[name](lambda size: self.data[start + size : start + size + 5] == footer)
        fields = _structure(reader, description, 0) if description is not None else {}
        if description is None or reader.take(5) != footer:
            raise SnapshotError(f"the device {name}, at byte {start:#x}, does not end where its fields do")
        return fields

    def _read_ram(self, reader: Reader) -> int:
        """Read up to the last part of the RAM; where the devices begin."""
        sections: dict[int, str] = {}
        devices_at = reader.at
        block: Block | None = None
        mapped = sent = False
        while True:
            at = reader.at
            self._advance(at)
            kind = reader.u8()
            match kind:
                case 0x07:
                    self.machine = reader.take(reader.u32()).decode("utf-8", "replace")
                    mapped = _capabilities(reader)
                case 0x08:
                    reader.number(2)
                    reader.take(reader.number(2))
                case 0x01 | 0x02 | 0x03:
                    section = reader.u32()
                    if kind == _START:
                        sections[section] = reader.name()
                        reader.skip(8)
                    name = sections.get(section, "")
                    if name != "ram":
                        if self.blocks:
                            return devices_at
                        raise SnapshotError(
                            f"section {name!r}, at byte {at:#x}, is sent in pieces; only RAM is read so"
                        )
                    if kind == _START:
                        self.blocks = read_blocks(reader, mapped)
                    block = read_pages(reader, self.blocks, block)
                    sent = sent or block is not None
                    _check_footer(reader, section)
                    devices_at = reader.at
                case 0x00 | 0x04 | 0x06:
                    if self.blocks and not sent and not mapped:
                        raise SnapshotError("the RAM went through other connections: migrate without multifd")
                    return at
                case _:
                    raise SnapshotError(f"a section of no known kind ({kind:#x}), at byte {at:#x}")


def _start(data: Buffer) -> int:
    """Where the stream begins: at once, or behind what libvirt puts before it."""
    if data[:16] == _LIBVIRT_UNFINISHED:
        raise SnapshotError("libvirt has not finished saving this VM")
    if data[:16] != _LIBVIRT:
        return 0
    if len(data) < _LIBVIRT_SIZE:
        raise SnapshotError("cut off within the header of libvirt")
    _, version, length, _, compression, _ = _LIBVIRT_HEADER.unpack_from(data)
    if version != _LIBVIRT_VERSION:
        raise SnapshotError(f"a file of libvirt of version {version}; version {_LIBVIRT_VERSION} is read")
    if compression:
        raise SnapshotError('libvirt has compressed the stream: save with save_image_format = "raw", or unpack it')
    return _LIBVIRT_SIZE + int(length)


def _capabilities(reader: Reader) -> bool:
    """Read the subsections of the configuration, which say how the stream was written: True where RAM is mapped."""
    mapped = False
    while reader.at < len(reader.data) and reader.data[reader.at] == _SUBSECTION:
        reader.u8()
        name = reader.name()
        reader.u32()
        match name:
            case "configuration/target-page-bits":
                bits = reader.u32()
                if bits != 12:
                    raise SnapshotError(f"pages of {1 << min(bits, 63):,} bytes; those of 4,096 are read")
            case "configuration/capabilities":
                names = [reader.name() for _ in range(min(reader.u32(), 64))]
                for capability in names:
                    if capability in ("multifd", "postcopy-ram", "x-ignore-shared", "xbzrle"):
                        raise SnapshotError(f"written with {capability}: migrate without that capability")
                mapped = "mapped-ram" in names
            case "configuration/uuid":
                reader.skip(16)
            case _:
                raise SnapshotError(f"the configuration has a part that is not known: {name}")
    return mapped


def _check_footer(reader: Reader, section: int) -> None:
    at = reader.at
    if reader.u8() != _FOOTER or reader.u32() != section:
        raise SnapshotError(f"a section does not end with its number, at byte {at:#x}")


def _descriptions(data: Buffer) -> dict[str, Description]:
    """What the stream says of its devices, by name; empty where it says nothing."""
    size = len(data)
    lowest = max(0, size - _LARGEST_DESCRIPTION)
    at = size
    while (at := data.rfind(bytes([_EOF, _VMDESC]), lowest, at)) >= 0:
        if at + 6 <= size and int.from_bytes(data[at + 2 : at + 6], "big") == size - at - 6:
            break
    else:
        return {}
    try:
        description = json.loads(data[at + 6 :])
        return {device["name"]: device for device in reversed(description["devices"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SnapshotError(f"the stream's own description, at byte {at + 6:#x}, is damaged") from error


def _structure(reader: Reader, description: Description, depth: int) -> Fields:
    """The fields of a structure, and of its subsections where they are there."""
    if depth > _DEEPEST:
        raise SnapshotError("the stream describes structures within structures without end")
    fields: Fields = {}
    for field in _listed(description, "fields"):
        name, kind = _text(field, "name"), field.get("type")
        count = _count(field)
        for _ in range(count if count is not None else 1):
            inner = field.get("struct")
            value = (
                _structure(reader, inner, depth + 1)
                if isinstance(inner, dict)
                else _simple(reader, str(kind), _size(field))
            )
            # QEMU 10 leaves the index of an array's last element out, which may be its only one.
            repeated = isinstance(fields.get(name), list)
            if count is None and "index" not in field and not repeated:
                fields[name] = value
            else:
                kept = fields.setdefault(name, [])
                if not isinstance(kept, list):
                    raise SnapshotError(f"the stream describes {name} twice")
                kept.append(value)
    for subsection in _listed(description, "subsections"):
        name = _text(subsection, "vmsd_name")
        at = reader.at
        if reader.u8() != _SUBSECTION or reader.name() != name:
            raise SnapshotError(f"the subsection {name} is not where it is described, at byte {at:#x}")
        reader.u32()
        fields[name] = _structure(reader, subsection, depth + 1)
    return fields


def _simple(reader: Reader, kind: str, size: int) -> Value:
    """A number where it is one by its type; else the bytes."""
    data = reader.take(size)
    numeric = size <= 8 and kind.startswith(("uint", "int", "bool"))
    return int.from_bytes(data, "big") if numeric else data


def _listed(description: Description, name: str) -> Iterator[Description]:
    items = description.get(name, [])
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise SnapshotError(f"the stream's own description is damaged: {name} is no list of objects")
    return iter(items)


def _text(description: Description, name: str) -> str:
    text = description.get(name)
    if not isinstance(text, str):
        raise SnapshotError(f"the stream's own description is damaged: {name} is no text")
    return text


def _size(field: Description) -> int:
    size = field.get("size")
    if not isinstance(size, int) or not 0 <= size <= _LARGEST_DESCRIPTION:
        raise SnapshotError(f"the stream's own description is damaged: a field of {size} bytes")
    return size


def _count(field: Description) -> int | None:
    """How often a field is repeated; None where it is no array."""
    count = field.get("array_len")
    if count is not None and (not isinstance(count, int) or not 0 <= count <= _MOST_ELEMENTS):
        raise SnapshotError(f"the stream's own description is damaged: an array of {count} elements")
    return count
