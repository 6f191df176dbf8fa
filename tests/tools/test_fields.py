"""Register values as tables of fields."""

from io import StringIO

from vgic_tools.console import Output, Table
from vgic_tools.decode.names import find_by_name
from vgic_tools.fields import difference_table, field_table


def rows(table: Table) -> list[list[str]]:
    """The words of each row, the heading first, as far as the meaning, which is left out."""
    text = StringIO()
    Output(text).print(table)
    heading, *body = text.getvalue().splitlines()
    return [line[: heading.index("meaning")].split() for line in (heading, *body)]


def test_every_field_is_shown() -> None:
    layout = find_by_name("GICD_IROUTER42").layout
    assert rows(field_table(layout, 0x1_8002_0304)) == [
        ["bits", "field", "value"],
        ["[39:32]", "Aff3", "0x1"],
        ["[31]", "Interrupt_Routing_Mode", "1"],
        ["[23:16]", "Aff2", "0x2"],
        ["[15:8]", "Aff1", "0x3"],
        ["[7:0]", "Aff0", "0x4"],
    ]


def test_reserved_bits_are_shown() -> None:
    layout = find_by_name("GICD_IROUTER42").layout
    assert rows(field_table(layout, 1 << 24))[-1] == ["reserved", "0x1000000"]


def test_differences() -> None:
    layout = find_by_name("GICD_IROUTER42").layout
    assert rows(difference_table(layout, 0x1_0100_0304, 0x2_0000_0304)) == [
        ["bits", "field", "expected", "got"],
        ["[39:32]", "Aff3", "0x1", "0x2"],
        ["reserved", "0x1000000", "0x0"],
    ]


def test_no_difference() -> None:
    layout = find_by_name("GICD_CTLR").layout
    assert difference_table(layout, 5, 5).row_count == 0
