"""How an identification register is declared: its layout, and the safe value of each field, on one line a field."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from mmio.layout import AccessKind, Declared, RegisterLayout, layout, res0, res1, ro
from vgic.identity.safe_values import EXACT, HIGHER, HIGHER_OR_ZERO, LOWER, SIGNED_LOWER, SafeValue

__all__ = [
    "IdRegister",
    "exact",
    "feature",
    "higher",
    "higher_or_zero",
    "id_register",
    "one",
    "signed",
    "system_register",
    "zero",
]


class IdField(NamedTuple):
    """A field, or reserved bits, and what is safe where two CPUs differ."""

    declared: Declared
    safe: SafeValue


@dataclass(frozen=True)
class IdRegister:
    """An identification register: where its fields are, and which of their values are safe."""

    layout: RegisterLayout
    safe_values: Mapping[str, SafeValue]
    """By the name of the field."""

    @property
    def name(self) -> str:
        """Arm's name: "ID_AA64PFR0_EL1"."""
        return self.layout.name

    @property
    def encoding(self) -> int:
        """op0 [15:14], op1 [13:11], CRn [10:7], CRm [6:3], op2 [2:0]."""
        return self.layout.offset


def system_register(op0: int, op1: int, crn: int, crm: int, op2: int) -> int:
    """The encoding of a system register, 16 bits, as `IdRegister.encoding`."""
    return op0 << 14 | op1 << 11 | crn << 7 | crm << 3 | op2


def feature(name: str, doc: str, bits: int = 4) -> IdField:
    """An unsigned field of which the lower value is safe."""
    return IdField(ro(name, bits, doc), LOWER)


def signed(name: str, doc: str, bits: int = 4) -> IdField:
    """A signed field of which the lower value is safe: all ones, -1, below 0."""
    return IdField(ro(name, bits, doc), SIGNED_LOWER)


def higher(name: str, doc: str, bits: int = 4) -> IdField:
    """A field of which the higher value is safe."""
    return IdField(ro(name, bits, doc), HIGHER)


def higher_or_zero(name: str, doc: str, bits: int = 4) -> IdField:
    """A field of which zero is safe, because it promises nothing, or else the higher value."""
    return IdField(ro(name, bits, doc), HIGHER_OR_ZERO)


def exact(name: str, doc: str, bits: int = 4, safe: int = 0) -> IdField:
    """A field whose values do not compare: `safe` can stand for two that differ."""
    return IdField(ro(name, bits, doc), EXACT(safe))


def zero(bits: int = 4) -> IdField:
    """Reserved bits that read as zero."""
    return IdField(res0(bits), EXACT())


def one(bits: int = 1) -> IdField:
    """Reserved bits that read as one."""
    return IdField(res1(bits), EXACT())


def id_register(name: str, op0: int, op1: int, crn: int, crm: int, op2: int, *fields: IdField) -> IdRegister:
    """Declare a register of 64 bits whose `fields` are listed most significant first.

    Raises LayoutError where they do not add up to 64 bits.
    """
    encoding = system_register(op0, op1, crn, crm, op2)
    made = layout(name, encoding, 64, AccessKind.RO, *(field.declared for field in fields))
    safe_values = {field.declared.name: field.safe for field in fields if field.declared.name}
    return IdRegister(made, safe_values)
