"""Layouts: the flat tables agree with Construct, and a declaration that contradicts itself is refused."""

from itertools import chain

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmio import AccessKind, BitLayout, FieldKind, LayoutError, RegisterLayout, layout, record, res0, res1, ro, rw
from vgic.layouts import gicd, gicr, gits, icc, its_commands, its_tables

EVERY_REGISTER = [
    *gicd.GICD,
    *gicr.RD_BASE,
    *gicr.SGI_BASE,
    *gits.CONTROL,
    *gits.TRANSLATION,
    *icc.ICC,
    *icc.ICC_OF_HIGHER_LEVELS,
]
REGISTERS = pytest.mark.parametrize(
    "register", EVERY_REGISTER, ids=[f"{register.name}@{register.offset:x}" for register in EVERY_REGISTER]
)

ENTRIES = chain.from_iterable(
    (entries.device, entries.translation, entries.collection, entries.level1)
    for entries in its_tables.FORMATS.values()
)
EVERY_LAYOUT: list[BitLayout] = [*EVERY_REGISTER, *its_commands.COMMANDS.values(), *ENTRIES]
LAYOUTS = pytest.mark.parametrize("bits", EVERY_LAYOUT, ids=[bits.name for bits in EVERY_LAYOUT])

SAMPLE = layout(
    "SAMPLE",
    0x10,
    32,
    AccessKind.RW,
    rw("high", 4, "four bits at the top"),
    res0(11),
    res1(1),
    ro("middle", 8, "eight bits"),
    rw("low", 8, "eight bits at the bottom"),
)


def by_construct(bits: BitLayout, value: int) -> dict[str, int]:
    """The named fields as Construct parses them."""
    parsed = bits.bits.parse(value.to_bytes(bits.width // 8, "big"))
    return {name: number for name, number in parsed.items() if not name.startswith("_")}


@LAYOUTS
@settings(max_examples=25)
@given(data=st.data())
def test_decode_agrees_with_construct(bits: BitLayout, data: st.DataObject) -> None:
    value = data.draw(st.integers(0, (1 << bits.width) - 1))
    # Construct insists on the pattern of padding; the reserved bits are therefore given it.
    named = sum(field.mask for field in bits.fields)
    legal = value & named | bits.ones
    assert bits.decode(legal) == by_construct(bits, legal)
    assert bits.decode(value) == bits.decode(legal)
    assert bits.reserved_bits_set(value) == value & ~named & ~bits.ones


@LAYOUTS
@settings(max_examples=25)
@given(data=st.data())
def test_encode_agrees_with_construct(bits: BitLayout, data: st.DataObject) -> None:
    fields = {field.name: data.draw(st.integers(0, (1 << field.width) - 1)) for field in bits.fields}
    value = bits.encode(fields)
    assert value == int.from_bytes(bits.bits.build(fields), "big")
    assert bits.decode(value) == fields


@LAYOUTS
def test_fields_are_named_once_and_from_the_top(bits: BitLayout) -> None:
    names = [field.name for field in bits.fields]
    assert len(set(names)) == len(names)
    assert all(field.doc for field in bits.fields)
    assert [field.lsb for field in bits.fields] == sorted((f.lsb for f in bits.fields), reverse=True)


@REGISTERS
def test_the_tables_add_up(register: RegisterLayout) -> None:
    assert register.width in (32, 64)
    assert register.writable & register.ones == 0
    assert register.writable == sum(f.mask for f in register.fields if f.kind is FieldKind.RW)


def test_a_record_has_fields_and_no_address() -> None:
    entry = record("ENTRY", 96, rw("high", 32, "the top"), res0(31), res1(1), rw("low", 32, "the bottom"))
    assert entry.encode({"high": 0xABCD, "low": 1}) == 0xABCD_0000_0001_0000_0001
    with pytest.raises(LayoutError, match="ENTRY: the fields take 32 bits of 64"):
        record("ENTRY", 64, rw("low", 32, "the bottom"))


def test_fields_are_declared_from_the_top() -> None:
    assert [(f.name, f.lsb, f.width, f.kind, f.span, f.mask) for f in SAMPLE.fields] == [
        ("high", 28, 4, FieldKind.RW, "[31:28]", 0xF000_0000),
        ("middle", 8, 8, FieldKind.RO, "[15:8]", 0x0000_FF00),
        ("low", 0, 8, FieldKind.RW, "[7:0]", 0x0000_00FF),
    ]
    assert (SAMPLE.writable, SAMPLE.ones) == (0xF000_00FF, 0x0001_0000)
    assert (SAMPLE.count, SAMPLE.stride, SAMPLE.sizes, SAMPLE.reset) == (1, 4, (4,), 0)


def test_values_are_taken_apart_and_put_together() -> None:
    assert SAMPLE.decode(0xABCD_EF12) == {"high": 0xA, "middle": 0xEF, "low": 0x12}
    assert SAMPLE.encode({"high": 0xA, "low": 0x12}) == 0xA001_0012
    assert SAMPLE.reserved_bits_set(0xFFFF_FFFF) == 0x0FFE_0000
    assert SAMPLE.reserved_bits_set(0xF001_FFFF) == 0


def test_a_single_bit_is_written_without_a_range() -> None:
    assert layout("ONE", 0, 32, AccessKind.RO, res0(27), ro("bit", 1, "one bit"), res0(4)).fields[0].span == "[4]"


@pytest.mark.parametrize(
    ("width", "sizes", "legal"), [(32, (), (4,)), (64, (), (4, 8)), (32, (1, 4), (1, 4)), (64, (8,), (8,))]
)
def test_legal_sizes_follow_the_width(width: int, sizes: tuple[int, ...], legal: tuple[int, ...]) -> None:
    register = layout("R", 0, width, AccessKind.RW, rw("all", width, "every bit"), sizes=sizes, count=3)
    assert register.sizes == legal
    assert register.stride == width // 8


@pytest.mark.parametrize(
    ("count", "first", "titles"),
    [(1, None, ["R"]), (2, None, ["R0", "R1"]), (2, 31, ["R31", "R32"])],
)
def test_array_elements_are_numbered_as_the_manuals_do(count: int, first: int | None, titles: list[str]) -> None:
    register = layout("R", 0, 32, AccessKind.RW, rw("all", 32, "every bit"), count=count, first=first)
    assert [register.title(index) for index in range(count)] == titles


@pytest.mark.parametrize(
    ("bits", "message"),
    [
        ((30, 1), "R: the fields take 31 bits of 32"),
        ((32, 1), "R: the fields take more than 32 bits at f1"),
    ],
)
def test_fields_must_fill_the_register(bits: tuple[int, ...], message: str) -> None:
    with pytest.raises(LayoutError) as caught:
        layout("R", 0, 32, AccessKind.RW, *(rw(f"f{n}", width, "a field") for n, width in enumerate(bits)))
    assert str(caught.value) == message


def test_reserved_bits_that_do_not_fit_are_refused_too() -> None:
    with pytest.raises(LayoutError) as caught:
        layout("R", 0, 32, AccessKind.RW, rw("all", 32, "every bit"), res0(1))
    assert str(caught.value) == "R: the fields take more than 32 bits at a reserved field"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"low": 256}, "SAMPLE.low has 8 bits; 0x100 does not fit"),
        ({"high": -1}, "SAMPLE.high has 4 bits; -0x1 does not fit"),
        ({"lowest": 0}, "SAMPLE has no field 'lowest'; it has high, middle, low"),
    ],
)
def test_encoding_what_does_not_fit_is_refused_by_name(fields: dict[str, int], message: str) -> None:
    with pytest.raises(LayoutError) as caught:
        SAMPLE.encode(fields)
    assert str(caught.value) == message
