"""Device attributes by number: the groups of KVM's GICv3 and ITS devices, and how their attributes are packed.

Source: Linux, Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic-its.rst; the numbers are those of the
kernel's ABI.
"""

from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Final

from mmio import FRAME_SIZE, RegisterLayout
from vgic import affinity
from vgic.layouts import gicd, gicr, gits, icc

__all__ = [
    "ADDR_UNDEFINED",
    "KEYED",
    "MAX_REGIONS",
    "SYSREGS",
    "Address",
    "Control",
    "Group",
    "ItsAddress",
    "ItsControl",
    "RegionAttr",
    "attr_key",
    "attr_offset",
    "describe",
    "is_one_of",
    "level_attr",
    "level_info",
    "register_at",
    "register_attr",
]


class Group(IntEnum):
    """The groups of attributes."""

    ADDR = 0
    DIST_REGS = 1
    CPU_REGS = 2
    NR_IRQS = 3
    CTRL = 4
    REDIST_REGS = 5
    CPU_SYSREGS = 6
    LEVEL_INFO = 7
    ITS_REGS = 8
    MAINT_IRQ = 9


KEYED: Final = frozenset({Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO})
"""Groups whose attributes name a vCPU by its MPIDR."""


class Address(IntEnum):
    """Attributes of the group ADDR of a GIC."""

    DIST = 2
    REDIST = 3
    REDIST_REGION = 5


class ItsAddress(IntEnum):
    """Attributes of the group ADDR of an ITS."""

    ITS = 4


class Control(IntEnum):
    """Attributes of the group CTRL of a GIC."""

    INIT = 0
    SAVE_PENDING_TABLES = 3


class ItsControl(IntEnum):
    """Attributes of the group CTRL of an ITS."""

    INIT = 0
    SAVE_TABLES = 1
    RESTORE_TABLES = 2
    RESET = 4


def is_one_of(kinds: type[IntEnum], number: int) -> bool:
    """True where a number is one of these kinds."""
    return any(number == kind for kind in kinds)


ADDR_UNDEFINED: Final = (1 << 64) - 1
"""What an address reads as before it is set."""

MAX_REGIONS: Final = 1 << 12
"""REDIST_REGION has 12 bits for the index."""

_OFFSET: Final = 0xFFFF_FFFF
_INFO_SHIFT: Final = 10
_INTID: Final = (1 << _INFO_SHIFT) - 1


def register_attr(packed: int, offset: int) -> int:
    """The attribute of a register: the vCPU's packed affinity in [63:32], the offset or encoding in [31:0]."""
    return affinity.to_kvm_key(packed) | offset


def attr_key(attr: int) -> int:
    """The packed affinity that an attribute names a vCPU by."""
    return affinity.from_kvm_key(attr)


def attr_offset(attr: int) -> int:
    """Bits [31:0] of an attribute: offset, system register encoding, or LEVEL_INFO's info and vINTID."""
    return attr & _OFFSET


def level_attr(packed: int, intid: int, info: int = 0) -> int:
    """The attribute of LEVEL_INFO: info in [31:10], 0 for the line level, and the first of 32 INTIDs in [9:0]."""
    return register_attr(packed, info << _INFO_SHIFT | intid)


def level_info(attr: int) -> tuple[int, int]:
    """(info, vINTID) of an attribute of LEVEL_INFO."""
    return attr_offset(attr) >> _INFO_SHIFT, attr & _INTID


@dataclass(frozen=True)
class RegionAttr:
    """The value of REDIST_REGION: count [63:52], base [51:16], flags [15:12], index [11:0]."""

    base: int
    """Physical address, a multiple of 64 KiB."""
    count: int
    index: int
    flags: int = 0

    @classmethod
    def unpack(cls, value: int) -> "RegionAttr":
        """From 64 bits."""
        return cls(value & 0xF_FFFF_FFFF_0000, value >> 52 & 0xFFF, value & 0xFFF, value >> 12 & 0xF)

    def pack(self) -> int:
        """To 64 bits; every part must fit in its field."""
        return self.count << 52 | self.base | self.flags << 12 | self.index


_FRAMES: Final = {
    Group.DIST_REGS: (gicd.GICD,),
    Group.REDIST_REGS: (gicr.RD_BASE, gicr.SGI_BASE),
    Group.ITS_REGS: (gits.CONTROL,),
}
_WHOLE: Final = frozenset({Group.CPU_SYSREGS, Group.ITS_REGS})
"""Groups whose registers of 64 bits are one attribute, not two halves."""

_PLAIN_SYSREGS: Final = ("PMR", "BPR0", "BPR1", "CTLR", "SRE", "IGRPEN0", "IGRPEN1")
_SYSREG_NAMES: Final = {f"ICC_{name}_EL1" for name in (*_PLAIN_SYSREGS, "AP0R<n>", "AP1R<n>")}

SYSREGS: Final = {
    layout.offset + element: (layout, element, 0)
    for layout in icc.ICC
    if layout.name in _SYSREG_NAMES
    for element in range(layout.count)
}
"""The system registers that userspace can access: encoding to layout, index, and 0."""


@cache
def _slots(group: Group) -> dict[int, tuple[RegisterLayout, int, int]]:
    if group is Group.CPU_SYSREGS:
        return SYSREGS
    return {
        page * FRAME_SIZE + layout.offset + element * layout.stride + half: (layout, element, half)
        for page, layouts in enumerate(_FRAMES.get(group, ()))
        for layout in layouts
        for element in range(layout.count)
        for half in range(0, 4 if group in _WHOLE else layout.width // 8, 4)
    }


def register_at(group: int, offset: int) -> tuple[RegisterLayout, int, int] | None:
    """Layout, index and byte (0, or 4 for an upper half) of a register by its group and offset, None in a hole.

    `offset` is the low half of the attribute; for system registers, their encoding.
    """
    return _slots(Group(group)).get(offset)


def describe(group: int, attr: int) -> str:
    """An attribute as a person would name it: "REDIST_REGS GICR_CTLR of 0.0.0.1".

    >>> describe(Group.DIST_REGS, 0x6104), describe(Group.CPU_SYSREGS, register_attr(1, icc.ICC_PMR_EL1))
    ('DIST_REGS GICD_IROUTER32 [63:32]', 'CPU_SYSREGS ICC_PMR_EL1 of 0.0.0.1')
    """
    if not is_one_of(Group, group):
        return f"group {group} attribute {attr:#x}"
    known = Group(group)
    of = f" of {affinity.text(attr_key(attr))}" if known in KEYED else ""
    return f"{known.name} {_named(known, attr)}{of}"


_KINDS: Final[dict[Group, tuple[type[IntEnum], ...]]] = {
    Group.ADDR: (Address, ItsAddress),
    Group.CTRL: (Control, ItsControl),
}


def _named(group: Group, attr: int) -> str:
    offset = attr_offset(attr)
    match group:
        case Group.ADDR | Group.CTRL:
            names = (kind(attr).name for kind in _KINDS[group] if is_one_of(kind, attr))
            return next(names, f"attribute {attr:#x}")
        case Group.DIST_REGS | Group.REDIST_REGS | Group.CPU_SYSREGS | Group.ITS_REGS:
            found = register_at(group, offset)
            if found is None:
                return f"{'encoding' if group is Group.CPU_SYSREGS else 'offset'} {offset:#x}"
            layout, element, half = found
            halves = layout.width == 64 and group not in _WHOLE
            return layout.title(element) + (f" [{8 * half + 31}:{8 * half}]" if halves else "")
        case Group.LEVEL_INFO:
            info, intid = level_info(attr)
            return f"info {info} of INTIDs {intid} to {intid + 31}"
    return f"attribute {attr:#x}"
