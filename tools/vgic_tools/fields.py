"""Register values as tables of fields."""

from rich.table import Table

from mmio import BitLayout

__all__ = ["difference_table", "field_table"]


def field_table(layout: BitLayout, value: int) -> Table:
    """The fields of one value, most significant first, with what they mean."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("bits", "field", "value", "meaning"):
        table.add_column(heading, justify="right" if heading in ("bits", "value") else "left")
    for field in layout.fields:
        number = field.extract(value)
        table.add_row(field.span, field.name, f"{number:#x}" if field.width > 1 else str(number), field.doc)
    reserved = layout.reserved_bits_set(value)
    if reserved:
        table.add_row("", "[red]reserved[/red]", f"{reserved:#x}", "bits that no field covers")
    return table


def difference_table(layout: BitLayout, expected: int, got: int) -> Table:
    """The fields in which two values differ; reserved bits too."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("bits", "field", "expected", "got", "meaning"):
        table.add_column(heading, justify="left" if heading in ("field", "meaning") else "right")
    for field in layout.fields:
        old, new = field.extract(expected), field.extract(got)
        if old != new:
            table.add_row(field.span, field.name, f"{old:#x}", f"{new:#x}", field.doc)
    old, new = layout.reserved_bits_set(expected), layout.reserved_bits_set(got)
    if old != new:
        table.add_row("", "reserved", f"{old:#x}", f"{new:#x}", "bits that no field covers")
    return table
