"""Register values as tables of fields."""

from collections.abc import Iterator
from typing import Final

from mmio import BitLayout, Field
from vgic import Topology
from vgic_tools.console import Table, styled, table
from vgic_tools.identities import interrupt_text, pe_text

__all__ = ["difference_table", "differing_fields", "field_table"]

_INTIDS: Final = ("INTID", "pINTID")
_NAMED: Final = ("the SGI", "the SPI", "the LPI")
_AFFINITY: Final = "Affinity_Value"


def field_table(layout: BitLayout, value: int, topology: Topology | None = None) -> Table:
    """The fields of one value, most significant first, with what they mean.

    `topology` tells which vCPU has an affinity, where the machine is known.
    """
    shown = table("bits", "field", "value", "meaning", right=("bits", "value"))
    for field in layout.fields:
        number = field.extract(value)
        text = f"{number:#x}" if field.width > 1 else str(number)
        shown.add_row(field.span, field.name, text, _meaning(field, number, topology))
    reserved = layout.reserved_bits_set(value)
    if reserved:
        shown.add_row("", styled("reserved", "red"), f"{reserved:#x}", "bits that no field covers")
    return shown


def _meaning(field: Field, number: int, topology: Topology | None) -> str:
    if field.doc in _NAMED:
        return f"{field.doc}: {number}"
    if field.name in _INTIDS:
        return f"{field.doc}: {interrupt_text(number)}"
    if field.name == _AFFINITY:
        return f"{field.doc}: {pe_text(number, topology)}"
    return field.doc


def difference_table(layout: BitLayout, expected: int, got: int) -> Table:
    """The fields in which two values differ; reserved bits too."""
    shown = table("bits", "field", "expected", "got", "meaning", right=("bits", "expected", "got"))
    for row in differing_fields(layout, expected, got):
        shown.add_row(*row)
    return shown


def differing_fields(layout: BitLayout, expected: int, got: int) -> Iterator[tuple[str, str, str, str, str]]:
    """Bits, name, both values and meaning of the fields in which two values differ; reserved bits too."""
    for field in layout.fields:
        old, new = field.extract(expected), field.extract(got)
        if old != new:
            yield field.span, field.name, f"{old:#x}", f"{new:#x}", field.doc
    old, new = layout.reserved_bits_set(expected), layout.reserved_bits_set(got)
    if old != new:
        yield "", "reserved", f"{old:#x}", f"{new:#x}", "bits that no field covers"
