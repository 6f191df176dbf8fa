"""Layouts of registers and of records in memory, declared once and walked once into flat tables.

A register's layout is data: where it is, how wide, which fields it has, how it reacts to an access. Its fields are
those of a Construct `BitStruct`, written from the most significant bit down as the architecture's manuals do:

    TYPER = layout(
        "TYPER", 0x0004, 32, RO,
        ro("ESPI_range", 5, "..."),
        res0(26),
        ro("LPIS", 1, "..."),
    )

`RegisterLayout.bits` is that `BitStruct`, made from the declaration when it is first asked for. Construct settles
what a value means: tests compare every layout with it. The model reads tables made from the same declaration
(`.fields`, `.writable`, `.ones`), because parsing by Construct costs some 10 us an access, and loading it a quarter
of what the whole model takes.

A `record` has fields only: an entry of a table or a command, whose bytes are little-endian.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import construct

__all__ = [
    "AccessKind",
    "BitLayout",
    "Declared",
    "Field",
    "FieldKind",
    "LayoutError",
    "RegisterLayout",
    "layout",
    "record",
    "res0",
    "res1",
    "ro",
    "rw",
]


class LayoutError(ValueError):
    """A declaration that contradicts itself; the message names the register."""


class AccessKind(Enum):
    """How a register reacts to an access."""

    RW = "read/write"
    RO = "read only, writes ignored"
    WO = "write only, reads as zero"
    W1S = "read/write 1 to set"
    W1C = "read/write 1 to clear"
    RAZ_WI = "reads as zero, writes ignored"


class FieldKind(Enum):
    """How the bits of a field react to an access of their register."""

    RW = "RW"
    RO = "RO"
    RES0 = "RES0"
    RES1 = "RES1"


class Field(NamedTuple):
    """A field in the flat table of a layout: bits [lsb + width - 1 : lsb]."""

    name: str
    lsb: int
    width: int
    kind: FieldKind
    doc: str

    @property
    def mask(self) -> int:
        """The bits of the field, in place."""
        return ((1 << self.width) - 1) << self.lsb

    def extract(self, value: int) -> int:
        """The field's value in a register's `value`."""
        return (value >> self.lsb) & ((1 << self.width) - 1)

    @property
    def span(self) -> str:
        """The bits as manuals write them: "[63:32]" or "[4]"."""
        return f"[{self.lsb + self.width - 1}:{self.lsb}]" if self.width > 1 else f"[{self.lsb}]"


class Declared(NamedTuple):
    """A field as it is declared: what Construct makes one of, and how it reacts to an access."""

    name: str
    """Empty where it is reserved."""
    bits: int
    kind: FieldKind
    doc: str

    def construct(self) -> "construct.Construct":
        """The field for a Construct `BitStruct`."""
        import construct

        if self.kind is FieldKind.RES1:
            return construct.Padding(self.bits, pattern=b"\x01")
        if self.kind is FieldKind.RES0:
            return construct.Padding(self.bits)
        return construct.Renamed(construct.BitsInteger(self.bits), newname=self.name, newdocs=self.doc)


def rw(name: str, bits: int, doc: str) -> Declared:
    """A field of `bits` bits that reads as it was written."""
    return Declared(name, bits, FieldKind.RW, doc)


def ro(name: str, bits: int, doc: str) -> Declared:
    """A field of `bits` bits that writes do not change."""
    return Declared(name, bits, FieldKind.RO, doc)


def res0(bits: int) -> Declared:
    """Reserved bits that read as zero and ignore writes."""
    return Declared("", bits, FieldKind.RES0, "reserved, zero")


def res1(bits: int) -> Declared:
    """Reserved bits that read as one and ignore writes."""
    return Declared("", bits, FieldKind.RES1, "reserved, one")


@dataclass(frozen=True, kw_only=True)
class BitLayout:
    """What the bits of a register, or of a record in memory, mean."""

    name: str
    width: int
    """Bits; of a register 32 or 64."""
    declared: tuple[Declared, ...] = field(repr=False)
    """The fields as they are declared, reserved ones too, most significant first."""
    fields: tuple[Field, ...] = field(default=(), repr=False)
    """The named fields, most significant first."""
    ones: int = 0
    """The bits that always read as one."""

    @cached_property
    def bits(self) -> "construct.Construct":
        """The Construct `BitStruct` of the fields; the first one that is asked for loads Construct."""
        import construct

        return construct.BitStruct(*(item.construct() for item in self.declared))

    def field(self, name: str) -> Field:
        """The named field. Raises LayoutError for a name that the register does not have."""
        for item in self.fields:
            if item.name == name:
                return item
        raise LayoutError(f"{self.name} has no field {name!r}; it has {', '.join(f.name for f in self.fields)}")

    def mask(self, name: str) -> int:
        """The bits of the named field, in place. Raises LayoutError as `field` does."""
        return self.field(name).mask

    def decode(self, value: int) -> dict[str, int]:
        """The value of every named field in `value`, most significant first."""
        return {f.name: f.extract(value) for f in self.fields}

    def encode(self, fields: Mapping[str, int]) -> int:
        """The register value with the given `fields`, the others zero, RES1 bits set.

        Raises LayoutError for a name that the register does not have or a value that does not fit.
        """
        value = self.ones
        for name, number in fields.items():
            known = self.field(name)
            if not 0 <= number < 1 << known.width:
                raise LayoutError(f"{self.name}.{name} has {known.width} bits; {number:#x} does not fit")
            value |= number << known.lsb
        return value

    def reserved_bits_set(self, value: int) -> int:
        """The bits of `value` that are set although no named field nor RES1 covers them."""
        covered = self.ones
        for f in self.fields:
            covered |= f.mask
        return value & ~covered


@dataclass(frozen=True, kw_only=True)
class RegisterLayout(BitLayout):
    """One register, or an array of equal registers `stride` bytes apart."""

    offset: int
    """Bytes from the start of the frame to the first register of the array."""
    access: AccessKind
    count: int = 1
    stride: int = 4
    """Bytes from one register of the array to the next."""
    first: int | None = None
    """The number that the manuals give to the first register, None where the name has no number."""
    sizes: tuple[int, ...] = (4,)
    """Legal access sizes in bytes."""
    reset: int = 0
    writable: int = 0
    """The bits that a write can change."""

    def title(self, index: int = 0) -> str:
        """The name of register `index` of the array, numbered in place of "<n>", or at the end."""
        if self.first is None:
            return self.name
        number = str(self.first + index)
        return self.name.replace("<n>", number) if "<n>" in self.name else self.name + number


def _walk(name: str, width: int, declared: tuple[Declared, ...]) -> Iterator[Field]:
    lsb = width
    for item in declared:
        lsb -= item.bits
        if lsb < 0:
            raise LayoutError(
                f"{name}: the fields take more than {width} bits at {item.name or 'a reserved field'}"
            )
        yield Field(item.name, lsb, item.bits, item.kind, item.doc)
    if lsb:
        raise LayoutError(f"{name}: the fields take {width - lsb} bits of {width}")


def layout(
    name: str,
    offset: int,
    width: int,
    access: AccessKind,
    *declared: Declared,
    count: int = 1,
    first: int | None = None,
    sizes: tuple[int, ...] = (),
    reset: int = 0,
) -> RegisterLayout:
    """Declare a register of `width` bits at `offset` whose fields are `declared`, most significant first.

    `count` registers of an array lie back to back, the first being number `first`. `sizes` are the legal access
    sizes in bytes; where not given, a 64-bit register takes 8 bytes or two halves of 4, any other its own width.
    Raises LayoutError where the fields do not add up to the width.
    """
    table = tuple(_walk(name, width, declared))
    writable = ones = 0
    for f in table:
        if f.kind is FieldKind.RW:
            writable |= f.mask
        elif f.kind is FieldKind.RES1:
            ones |= f.mask
    return RegisterLayout(
        name=name,
        offset=offset,
        width=width,
        access=access,
        declared=declared,
        count=count,
        stride=width // 8,
        first=0 if first is None and count > 1 else first,
        sizes=sizes or ((4, 8) if width == 64 else (width // 8,)),
        reset=reset,
        fields=tuple(f for f in table if f.name),
        writable=writable,
        ones=ones,
    )


def record(name: str, width: int, *declared: Declared) -> BitLayout:
    """Declare a record of `width` bits in memory whose fields are `declared`, most significant first.

    Raises LayoutError where the fields do not add up to the width.
    """
    table = tuple(_walk(name, width, declared))
    return BitLayout(
        name=name,
        width=width,
        declared=declared,
        fields=tuple(f for f in table if f.name),
        ones=sum(f.mask for f in table if f.kind is FieldKind.RES1),
    )
