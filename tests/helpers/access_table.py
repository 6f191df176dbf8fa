"""Arm's access tables of two Security states as data, and what they say that an access does: a second reference.

It knows registers by their offsets in the manual, an interrupt as four values, and nothing of the model. Where the
model narrows an access by masks, this asks the table for every field of a register, one after another.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Group(Enum):
    """What {IGRPMODR, IGROUPR} say."""

    G0 = 0b00
    G1NS = 0b01
    G1S = 0b10
    RESERVED = 0b11
    """Acts as G1NS."""

    @property
    def modifier(self) -> int:
        return self.value >> 1

    @property
    def bit(self) -> int:
        return self.value & 1

    @property
    def secure(self) -> bool:
        return self in (Group.G0, Group.G1S)


class Cell(Enum):
    """What an access gets."""

    RW = "read and write"
    RO = "read only"
    RAZ_WI = "read as zero, write ignored"
    LOWER = "the lower half of the priorities, shown and taken as all of them"


RW, RO, RAZ_WI, LOWER = Cell.RW, Cell.RO, Cell.RAZ_WI, Cell.LOWER


@dataclass(frozen=True)
class Row:
    """A register: offset for INTID 0, bits of a field, and what a Non-secure access gets with GICD_CTLR.DS = 0."""

    offset: int
    bits: int
    secure_interrupt: tuple[Cell, Cell, Cell, Cell]
    """By GICD_NSACR, 0 to 3."""
    nonsecure_interrupt: Cell
    what: str
    """The attribute of an interrupt that the field shows."""
    kind: str = "write"
    """Or "set" or "clear": a field of one bit that a 1 sets or clears."""
    two_states_only: bool = False
    """RAZ/WI for everybody with GICD_CTLR.DS = 1."""


def never(cell: Cell) -> tuple[Cell, Cell, Cell, Cell]:
    return cell, cell, cell, cell


ROWS: Final = {
    "IGROUPR": Row(0x080, 1, never(RAZ_WI), RAZ_WI, "group_bit"),
    "IGRPMODR": Row(0xD00, 1, never(RAZ_WI), RAZ_WI, "modifier", two_states_only=True),
    "NSACR": Row(0xE00, 2, never(RAZ_WI), RAZ_WI, "nsacr", two_states_only=True),
    "ISENABLER": Row(0x100, 1, never(RAZ_WI), RW, "enabled", "set"),
    "ICENABLER": Row(0x180, 1, never(RAZ_WI), RW, "enabled", "clear"),
    "ISPENDR": Row(0x200, 1, (RAZ_WI, RW, RW, RW), RW, "pending", "set"),
    "ICPENDR": Row(0x280, 1, (RAZ_WI, RAZ_WI, RW, RW), RW, "pending", "clear"),
    "ISACTIVER": Row(0x300, 1, (RAZ_WI, RAZ_WI, RO, RO), RW, "active", "set"),
    "ICACTIVER": Row(0x380, 1, (RAZ_WI, RAZ_WI, RO, RO), RW, "active", "clear"),
    "IPRIORITYR": Row(0x400, 8, never(RAZ_WI), LOWER, "priority"),
    "INMIR": Row(0xF80, 1, never(RAZ_WI), RW, "nmi"),
    "ICFGR": Row(0xC00, 2, never(RAZ_WI), RW, "config"),
    "IROUTER": Row(0x6000, 64, (RAZ_WI, RAZ_WI, RAZ_WI, RW), RW, "route"),
}

EXTENDED_OFFSETS: Final = {
    "IGROUPR": 0x1000,
    "ISENABLER": 0x1200,
    "ICENABLER": 0x1400,
    "ISPENDR": 0x1600,
    "ICPENDR": 0x1800,
    "ISACTIVER": 0x1A00,
    "ICACTIVER": 0x1C00,
    "IPRIORITYR": 0x2000,
    "INMIR": 0x3B00,
    "ICFGR": 0x3000,
    "IGRPMODR": 0x3400,
    "NSACR": 0x3600,
    "IROUTER": 0x8000,
}
"""In the Distributor, of the register of INTID 4096; a Redistributor has its extended PPIs behind the others."""

WRITABLE: Final = {"priority": 0xF8, "config": 0b10, "route": 0xFF_80FF_FFFF}
"""The bits of a field that a VM with 32 priorities keeps."""


@dataclass
class Subject:
    """An interrupt."""

    group: Group
    nsacr: int
    """GICD_NSACR of an SPI; for a private one 0, since GICR_NSACR opens no register."""
    fields: dict[str, int]


def cell(row: Row, subject: Subject, secure: bool, two_states: bool) -> Cell:
    """What the access gets of this interrupt."""
    group1 = subject.group.bit if not two_states else subject.group is not Group.G0
    if row.what == "nmi" and not group1:
        return RAZ_WI
    if row.what == "priority" and subject.fields.get("nmi"):
        return RAZ_WI
    if not two_states:
        return RAZ_WI if row.two_states_only else RW
    if secure:
        return RW
    return row.secure_interrupt[subject.nsacr] if subject.group.secure else row.nonsecure_interrupt


def expected_read(row: Row, subject: Subject, secure: bool, two_states: bool) -> int:
    """The field that a read shows."""
    found, value = cell(row, subject, secure, two_states), subject.fields[row.what]
    if found is RAZ_WI:
        return 0
    return value * 2 % 256 if found is LOWER else value


def expected_field(row: Row, subject: Subject, secure: bool, two_states: bool, written: int) -> int:
    """What is stored in the field after a write."""
    found, before = cell(row, subject, secure, two_states), subject.fields[row.what]
    if found in (RAZ_WI, RO):
        return before
    if row.kind == "set":
        return before | written
    if row.kind == "clear":
        return before & ~written
    if found is LOWER:
        written = written // 2 + 128
    return written & WRITABLE.get(row.what, (1 << row.bits) - 1)
