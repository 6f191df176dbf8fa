"""Places of findings: registers in KVM's order, and the fields in which two values of one differ."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from mmio import Field
from vgic.identity.declaring import IdRegister
from vgic.identity.finding import Finding, Outcome
from vgic.identity.parts import cpu_name
from vgic.identity.registers import REGISTERS, selector_of
from vgic.identity.safe_values import Order

_ALL: Final = (1 << 64) - 1

__all__ = [
    "LEFT_ALONE",
    "MEANS_NOTHING",
    "WHOLE",
    "differing_fields",
    "hertz",
    "in_kvms_order",
    "is_more",
    "part_of",
    "reserved_mask",
    "together",
    "value_words",
    "with_part",
]

LEFT_ALONE: Final = frozenset({"MPIDR_EL1", "CSSELR_EL1", "ICH_VTR_EL2"})
"""Registers that promise nothing of the kind of CPU: KVM takes any value; the GIC's is judged by its own rules."""

WHOLE: Final = frozenset({"MIDR_EL1", "REVIDR_EL1", "AIDR_EL1", "CLIDR_EL1", "DCZID_EL0", "CNTFRQ_EL0"})
"""Registers whose fields say nothing one by one."""

MEANS_NOTHING: Final = "the VM was promised no AArch32, and what it reads of it means nothing"


def in_kvms_order(registers: Mapping[str, int]) -> list[str]:
    """Names in the order of KVM_GET_REG_LIST: caches, then by encoding; those of unknown encoding last."""

    def place(name: str) -> tuple[int, int, str]:
        selector = selector_of(name)
        if selector is not None:
            return (0, selector, name)
        if name in REGISTERS:
            return (1, REGISTERS[name].encoding, name)
        return (2, 0, name)

    return sorted(registers, key=place)


def differing_fields(register: IdRegister, one: int, other: int) -> Iterator[Field]:
    """The fields in which two values of a register differ."""
    return (field for field in register.layout.fields if (one ^ other) & field.mask)


def part_of(name: str, one: int, other: int) -> Iterator[tuple[str, int, int]]:
    """Where two values differ: fields by name with both values, "reserved" bits, or "" for the whole register."""
    if name in WHOLE or name not in REGISTERS:
        if one != other:
            yield "", one, other
        return
    register = REGISTERS[name]
    for field in differing_fields(register, one, other):
        yield field.name, field.extract(one), field.extract(other)
    reserved = reserved_mask(register)
    if (one ^ other) & reserved:
        yield "reserved", one & reserved, other & reserved


def reserved_mask(register: IdRegister) -> int:
    """The bits that no field covers."""
    return _ALL & ~sum(field.mask for field in register.layout.fields)


def with_part(name: str, value: int, part: str, of_part: int) -> int:
    """A register with one of its parts, as `part_of` gives them, replaced."""
    if not part:
        return of_part
    register = REGISTERS[name]
    if part == "reserved":
        return value & ~reserved_mask(register) | of_part
    field = register.layout.field(part)
    return value & ~field.mask | of_part << field.lsb


def is_more(register: IdRegister, field: Field, one: int, other: int) -> bool:
    """True where the field has an order, and `one` is what `other` cannot stand for."""
    safe = register.safe_values[field.name]
    return safe.order is Order.LOWER and safe.of(one, other, field.width) != one


def value_words(name: str, field: str, value: int) -> str:
    """A value as a reader knows it: a CPU by its name, a frequency in MHz, anything else as a number."""
    if (name, field) in (("MIDR_EL1", ""), ("", "targets")):
        return cpu_name(value)
    if name in ("CNTFRQ_EL0", "CNTVCT_EL0"):
        return hertz(value)
    return f"{value:#x}"


def hertz(value: int) -> str:
    """A frequency.

    >>> hertz(54_000_000)
    '54 MHz'
    """
    return f"{value / 1e6:,.6g} MHz"


def together(by_field: Iterable[Finding], chapters: Sequence[Finding]) -> list[Finding]:
    """Findings in which those of a chapter take the place of those about the same field.

    Where a chapter says that a register as a whole is refused, and which of its fields are to blame is known, these
    stay instead.
    """
    listed = list(by_field)
    blamed = {one.register for one in listed if one.field and one.outcome is Outcome.REFUSED}
    mine = [
        one for one in chapters if one.field or one.outcome is not Outcome.REFUSED or one.register not in blamed
    ]
    places = {one.place for one in mine}
    whole = {one.register for one in mine if not one.field and one.register}
    in_part = {one.register for one in mine if one.field and one.register in WHOLE}
    kept = [
        one
        for one in listed
        if one.place not in places and one.register not in whole and (one.field or one.register not in in_part)
    ]
    return [*kept, *mine]
