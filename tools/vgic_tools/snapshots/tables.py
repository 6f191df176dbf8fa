"""Tables of an ITS that a saved VM needs, and that are not in the memory that was saved with it.

KVM writes them to the guest's RAM only when it is asked to, and behind the back of whoever looks for pages that the
guest has changed: a snapshot of changed pages can be without them.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from vgic.layouts import gits
from vgic.memory import GuestMemory

__all__ = ["missing_tables"]

_SIZES: Final = (0x1000, 0x4000, 0x1_0000, 0x1_0000)
_LARGE: Final = 0x1_0000
_MOST: Final = 1 << 24
"""Bytes of the largest table: 256 pages of 64 KiB."""


def missing_tables(registers: Mapping[str, int], memory: GuestMemory) -> Iterator[str]:
    """Of each table of an ITS that has carried out commands: that it is not in the memory, or empty."""
    number = 0
    while any(name.startswith(f"GITS[{number}].") for name in registers):
        yield from _of_its(number, registers, memory)
        number += 1


def _of_its(number: int, registers: Mapping[str, int], memory: GuestMemory) -> Iterator[str]:
    if not registers.get(f"GITS[{number}].GITS_CREADR", 0) & gits.CREADR.mask("Offset"):
        return
    for index in range(gits.BASERS):
        value = registers.get(f"GITS[{number}].GITS_BASER{index}", 0)
        if not value & gits.BASER.mask("Valid"):
            continue
        address, size = _place(value)
        name = f"the table of GITS_BASER{index}, at {address:#x},"
        if not memory.is_ram(address, size):
            yield f"{name} is not in the memory: no event of its devices arrives"
        elif not any(memory.read(address, min(size, _MOST))):
            yield f"{name} is empty, though the ITS has carried out commands: its mappings are lost"


def _place(register: int) -> tuple[int, int]:
    """The address of a table, or of its level 1, and its size in bytes."""
    page = _SIZES[gits.BASER.field("Page_Size").extract(register)]
    address = register & gits.BASER.mask("Physical_Address")
    if page == _LARGE:
        # Bits [15:12] are bits [51:48] of the address.
        address = address & ~0xF000 | (register & 0xF000) << 36
    return address, page * (gits.BASER.field("Size").extract(register) + 1)
