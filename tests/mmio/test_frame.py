"""A frame: from offset and size to a register and its bytes."""

import pytest

from device import ALL, LAYOUTS, Device, Stored, device_frame
from mmio import ILLEGAL, AccessKind, Frame, LayoutError, Refusal, layout, rw

SIZES = (1, 2, 4, 8)


def only(name: str, offset: int, width: int = 32, count: int = 1):
    return layout(name, offset, width, AccessKind.RW, rw("all", width, "every bit"), count=count)


@pytest.mark.rule("ACC-1", "ACC-2", "ACC-3")
@pytest.mark.parametrize(
    ("offset", "sizes"), [(0x000, {4}), (0x100, {1, 4}), (0x200, {2, 4}), (0x300, {4, 8}), (0x500, {4})]
)
def test_a_register_takes_its_sizes_and_no_other(offset: int, sizes: set[int]) -> None:
    frame, device = device_frame(), Device()
    for size in SIZES:
        readable = size in sizes and frame.refusal(offset, size, False) is not Refusal.WRITE_ONLY
        assert (frame.read(device, offset, size, False) != ILLEGAL) == readable
        assert frame.write(device, offset, size, 0, False) == (size in sizes)
        assert frame.refusal(offset, size, True) == (None if size in sizes else Refusal.WIDTH)


@pytest.mark.rule("ACC-1")
@pytest.mark.parametrize(("offset", "size"), [(0x002, 4), (0x101, 4), (0x201, 2), (0x304, 8), (0x302, 4)])
def test_misaligned_accesses_are_refused(offset: int, size: int) -> None:
    frame, device = device_frame(), Device()
    assert frame.read(device, offset, size, False) == ILLEGAL
    assert not frame.write(device, offset, size, 1, False)
    assert frame.refusal(offset, size, False) is Refusal.MISALIGNED
    assert device.writes == []


@pytest.mark.rule("ACC-5")
@pytest.mark.parametrize("offset", [0x008, 0x110, 0x2FC, 0x310, 0xFFFC])
def test_holes_are_refused(offset: int) -> None:
    frame, device = device_frame(), Device()
    assert frame.read(device, offset, 4, False) == ILLEGAL
    assert not frame.write(device, offset, 4, 1, False)
    assert frame.refusal(offset, 4, True) is Refusal.HOLE
    assert frame.register_at(offset) is None


@pytest.mark.rule("ACC-2")
def test_a_byte_is_a_lane_of_its_register() -> None:
    frame, device = device_frame(), Device()
    frame.write(device, 0x108, 4, 0x4433_2211, False)
    assert [frame.read(device, 0x108 + lane, 1, False) for lane in range(4)] == [0x11, 0x22, 0x33, 0x44]
    frame.write(device, 0x10A, 1, 0xAAEE, False)
    assert frame.read(device, 0x108, 4, False) == 0x44EE_2211
    assert device.writes[-1] == ("BYTES", 2, 0x44EE_2211, 0x00FF_0000, False)


@pytest.mark.rule("ACC-3")
def test_half_words_reach_their_half() -> None:
    frame, device = device_frame(), Device()
    frame.write(device, 0x200, 2, 0x1_2345, False)
    frame.write(device, 0x202, 2, 0x6789, False)
    assert device.writes == [
        ("SEND", 0, 0x2345, 0x0000_FFFF, False),
        ("SEND", 0, 0x6789_0000, 0xFFFF_0000, False),
    ]


@pytest.mark.rule("ACC-4")
@pytest.mark.parametrize("order", [(0, 4), (4, 0)])
def test_a_64_bit_register_in_halves_in_either_order(order: tuple[int, int]) -> None:
    frame, device = device_frame(), Device()
    frame.write(device, 0x308, 8, 0x1111_2222_3333_4444, False)
    halves = {0: 0x5555_6666, 4: 0x7777_8888}
    frame.write(device, 0x308 + order[0], 4, halves[order[0]], False)
    assert frame.read(device, 0x308 + order[0], 4, False) == halves[order[0]]
    untouched = {0: 0x3333_4444, 4: 0x1111_2222}[order[1]]
    assert frame.read(device, 0x308 + order[1], 4, False) == untouched
    frame.write(device, 0x308 + order[1], 4, halves[order[1]], False)
    assert frame.read(device, 0x308, 8, False) == 0x7777_8888_5555_6666
    assert frame.read(device, 0x300, 8, False) == 0


@pytest.mark.rule("ACC-8", "ACC-9")
def test_each_register_has_the_kind_that_its_layout_declares() -> None:
    frame, device = device_frame(), Device()
    for offset in (0x000, 0x004, 0x200, 0x400, 0x500):
        frame.write(device, offset, 4, 0b0110, False)
    frame.write(device, 0x404, 4, 0b0010, False)
    values = [frame.read(device, offset, 4, False) for offset in (0x000, 0x004, 0x200, 0x400, 0x404, 0x500)]
    assert values == [0b0110, 0x1234_5678, ILLEGAL, 0b0100, 0b0100, 0]


@pytest.mark.rule("ACC-9", "ACC-10")
def test_directions_that_a_register_lacks_are_known() -> None:
    frame = device_frame()
    assert frame.refusal(0x004, 4, True) is Refusal.READ_ONLY
    assert frame.refusal(0x004, 4, False) is None
    assert frame.refusal(0x200, 4, False) is Refusal.WRITE_ONLY
    assert frame.refusal(0x200, 4, True) is None
    device = Device()
    offsets = (0x000, 0x004, 0x200, 0x500, 0x600)
    assert [frame.write(device, offset, 4, 1, False) for offset in offsets] == [True, False, True, True, False]
    reads = [frame.read(device, offset, 4, False) for offset in offsets]
    assert reads == [1, 0x1234_5678, ILLEGAL, 0, ILLEGAL]


@pytest.mark.rule("ACC-11")
def test_a_frame_serves_any_number_of_owners() -> None:
    frame, one, other = device_frame(), Device(), Device()
    frame.write(one, 0x000, 4, 1, False)
    frame.write(other, 0x000, 4, 2, False)
    assert (frame.read(one, 0x000, 4, False), frame.read(other, 0x000, 4, False)) == (1, 2)


@pytest.mark.rule("ACC-19")
def test_the_security_state_reaches_the_word() -> None:
    frame, device = device_frame(), Device()
    frame.write(device, 0x000, 4, 1, True)
    frame.write(device, 0x000, 4, 2, False)
    assert [write[-1] for write in device.writes] == [True, False]


@pytest.mark.rule("ACC-10")
def test_a_register_is_found_by_any_of_its_bytes() -> None:
    frame = device_frame()
    for offset in (0x308, 0x30B, 0x30C, 0x30F):
        found = frame.register_at(offset)
        assert found is not None
        assert (found[0].name, found[1]) == ("WIDE", 1)


@pytest.mark.rule("ACC-15", "ACC-18", "ACC-20")
def test_an_implementation_may_differ_from_the_layouts() -> None:
    words = {"CONTROL": Stored("CONTROL")}
    frame = Frame(
        "DEVICE",
        [LAYOUTS[0], LAYOUTS[1], only("GONE", 0x600)],
        words,
        fixed={"TYPE": 7, "ELSEWHERE": 1},
        writable={"CONTROL": 0xF0},
        absent={"GONE"},
    )
    device = Device()
    frame.write(device, 0x000, 4, 0xFF, False)
    assert frame.read(device, 0x000, 4, False) == 0xF0
    assert frame.read(device, 0x004, 4, False) == 7
    assert frame.refusal(0x600, 4, False) is Refusal.HOLE


@pytest.mark.rule("ACC-20")
def test_bits_that_an_implementation_has_as_ones_are_not_stored() -> None:
    frame = Frame(
        "DEVICE", [LAYOUTS[0]], {"CONTROL": Stored("CONTROL")}, writable={"CONTROL": 0xF3}, ones={"CONTROL": 6}
    )
    device = Device()
    frame.write(device, 0x000, 4, 0xFF, False)
    assert (device.words["CONTROL0"], frame.read(device, 0x000, 4, False)) == (0xF1, 0xF7)
    frame.write(device, 0x000, 4, 0, False)
    assert (device.words["CONTROL0"], frame.read(device, 0x000, 4, False)) == (0, 6)


@pytest.mark.rule("ACC-12")
@pytest.mark.parametrize(
    ("layouts", "words", "message"),
    [
        ([], ["R"], "frame F has no register R"),
        ([only("R", 0)], [], "R is read/write and has no state behind it"),
        ([only("R", 0x14, 64)], ["R"], "frame F: R at 0x14 is not aligned to 8 bytes"),
        ([only("R", 0x0, 32, 4), only("S", 0xC)], ["R", "S"], "frame F: S and R meet at 0xc"),
        ([only("R", 0x0, 64, 2), only("S", 0xC)], ["R", "S"], "frame F: S and R meet at 0xc"),
        ([only("R", 0xFFFC, 32, 2)], ["R"], "frame F: R1 and R meet at 0x10000"),
    ],
)
def test_layouts_that_contradict_each_other_are_refused_by_name(
    layouts: list, words: list[str], message: str
) -> None:
    with pytest.raises(LayoutError) as caught:
        Frame("F", layouts, {name: Stored(name) for name in words})
    assert str(caught.value) == message


@pytest.mark.rule("ACC-9")
@pytest.mark.parametrize("kind", [AccessKind.WO, AccessKind.W1S, AccessKind.W1C, AccessKind.RW])
def test_a_register_that_can_be_written_needs_state(kind: AccessKind) -> None:
    with pytest.raises(LayoutError) as caught:
        Frame("F", [layout("R", 0, 32, kind, ALL)], {})
    assert str(caught.value) == f"R is {kind.value} and has no state behind it"
