"""The address map: which frame of which device, and what becomes of an access that none takes."""

import pytest

from device import LAYOUTS, Device, Listener, Stored, device_frame
from mmio import (
    FRAME_SIZE,
    NOT_THERE,
    AddressMap,
    Frame,
    FrameArray,
    IllegalAccess,
    MapError,
    Refusal,
    Region,
    StoredWord,
)

BASE = 0x4000_0000
ALL_64 = (1 << 64) - 1


def build(devices: int = 2, frames: int = 2) -> tuple[AddressMap, list[Device], Listener]:
    """A map with one array of devices at BASE, all frames of one device being alike."""
    listener = Listener()
    owners = [Device() for _ in range(devices)]
    address_map = AddressMap(listener)
    frame = device_frame()
    labels = [f"device {n}" for n in range(devices)]
    address_map.add(FrameArray("devices", BASE, [frame] * frames, owners, labels))
    return address_map, owners, listener


@pytest.mark.rule("ACC-11", "RED-1")
@pytest.mark.parametrize(("page", "owner"), [(0, 0), (1, 0), (2, 1), (3, 1)])
def test_frames_of_one_device_lie_together(page: int, owner: int) -> None:
    address_map, owners, _ = build()
    address_map.write(BASE + page * FRAME_SIZE, 4, 5)
    assert [device.words for device in owners] == [{"CONTROL0": 5} if n == owner else {} for n in range(2)]
    assert address_map.read(BASE + page * FRAME_SIZE, 4) == 5


@pytest.mark.rule("ACC-4")
@pytest.mark.parametrize("offsets", [(0x308, 0x30C), (0x30C, 0x308)])
def test_halves_in_either_order_through_the_map(offsets: tuple[int, int]) -> None:
    address_map, _, listener = build()
    for offset in offsets:
        address_map.write(BASE + offset, 4, offset)
    assert address_map.read(BASE + 0x308, 8) == 0x30C << 32 | 0x308
    assert [address_map.read(BASE + offset, 4) for offset in offsets] == list(offsets)
    assert listener.heard == []


@pytest.mark.rule("ACC-1", "ACC-5", "ACC-9", "ACC-10")
@pytest.mark.parametrize(
    ("address", "size", "write", "read"),
    [
        (0, 4, Refusal.UNMAPPED, Refusal.UNMAPPED),
        (-4, 4, Refusal.UNMAPPED, Refusal.UNMAPPED),
        (BASE - 4, 4, Refusal.UNMAPPED, Refusal.UNMAPPED),
        (BASE + 4 * FRAME_SIZE, 4, Refusal.UNMAPPED, Refusal.UNMAPPED),
        (BASE, 0, Refusal.SIZE, Refusal.SIZE),
        (BASE, 3, Refusal.SIZE, Refusal.SIZE),
        (BASE, 16, Refusal.SIZE, Refusal.SIZE),
        (BASE + 0x600, 4, Refusal.HOLE, Refusal.HOLE),
        (BASE, 8, Refusal.WIDTH, Refusal.WIDTH),
        (BASE + 0x100, 2, Refusal.WIDTH, Refusal.WIDTH),
        (BASE + 2, 4, Refusal.MISALIGNED, Refusal.MISALIGNED),
        (BASE + 0x304, 8, Refusal.MISALIGNED, Refusal.MISALIGNED),
        (BASE + 0x004, 4, Refusal.READ_ONLY, None),
        (BASE + 0x200, 4, None, Refusal.WRITE_ONLY),
        (BASE + 0x500, 4, None, None),
        (BASE + 0x000, 4, None, None),
    ],
)
@pytest.mark.parametrize("secure", [False, True])
def test_what_has_no_effect_reads_zero_and_is_told_with_the_reason(
    address: int, size: int, write: Refusal | None, read: Refusal | None, secure: bool
) -> None:
    address_map, owners, listener = build()
    address_map.write(address, size, 0xABCD, secure)
    told = [] if write is None else [IllegalAccess(address, size, 0xABCD, secure, write)]
    assert listener.heard == told
    if write is not None:
        assert all(device.writes == [] for device in owners)
    listener.heard.clear()
    value = address_map.read(address, size, secure)
    told = [] if read is None else [IllegalAccess(address, size, None, secure, read)]
    assert listener.heard == told
    if read is not None:
        assert value == 0


@pytest.mark.rule("ACC-1", "ACC-5")
def test_a_refused_access_leaves_the_neighbours_alone() -> None:
    address_map, owners, _ = build()
    address_map.write(BASE + 0x308, 8, ALL_64)
    before = dict(owners[0].words)
    for offset, size in ((0x304, 8), (0x309, 4), (0x308, 1), (0x308, 2), (0x310, 4), (0x2FC, 8)):
        address_map.write(BASE + offset, size, 0)
    assert owners[0].words == before


@pytest.mark.rule("ACC-10")
def test_nobody_needs_to_listen() -> None:
    address_map = AddressMap()
    address_map.add(FrameArray("devices", BASE, [device_frame()], [Device()], ["device"]))
    assert address_map.read(0, 4) == 0
    assert address_map.read(BASE + 0x200, 4) == 0
    address_map.write(BASE + 0x004, 4, 1)
    assert address_map.read(BASE + 0x004, 4) == 0x1234_5678


@pytest.mark.rule("ACC-12")
@pytest.mark.parametrize(
    ("base", "size", "message"),
    [
        (BASE, 1, "other (0x40000000-0x4000ffff) overlaps devices (0x40000000-0x4003ffff)"),
        (BASE - FRAME_SIZE, 2, "other (0x3fff0000-0x4000ffff) overlaps devices (0x40000000-0x4003ffff)"),
        (BASE - FRAME_SIZE, 9, "other (0x3fff0000-0x4007ffff) overlaps devices (0x40000000-0x4003ffff)"),
        (BASE + 3 * FRAME_SIZE, 1, "other (0x40030000-0x4003ffff) overlaps devices (0x40000000-0x4003ffff)"),
    ],
)
def test_overlaps_are_refused_with_both_named(base: int, size: int, message: str) -> None:
    address_map, _, _ = build()
    with pytest.raises(MapError) as caught:
        address_map.add(Region("other", base, size * FRAME_SIZE))
    assert str(caught.value) == message
    assert [region.name for region in address_map] == ["devices"]


@pytest.mark.rule("ACC-12")
@pytest.mark.parametrize(
    ("base", "size", "shown"),
    [
        (BASE + 0x1000, FRAME_SIZE, "odd at 0x40001000, 0x10000 bytes"),
        (BASE, 0x8000, "odd at 0x40000000, 0x8000 bytes"),
        (BASE, 0, "odd at 0x40000000, 0x0 bytes"),
        (-FRAME_SIZE, FRAME_SIZE, "odd at -0x10000, 0x10000 bytes"),
    ],
)
def test_regions_are_whole_frames(base: int, size: int, shown: str) -> None:
    with pytest.raises(MapError) as caught:
        AddressMap().add(Region("odd", base, size))
    assert str(caught.value) == f"{shown}: base and size must be multiples of 0x10000, the size not zero"


@pytest.mark.rule("ACC-12")
def test_a_region_is_no_larger_than_an_offset_can_be() -> None:
    memory = AddressMap()
    memory.add(Region("large", 0, 1 << 62))
    assert memory.read((1 << 62) - 4, 4) == 0
    with pytest.raises(MapError) as caught:
        memory.add(Region("everything", 1 << 62, 1 << 63))
    assert str(caught.value) == (
        "everything at 0x4000000000000000: 0x8000000000000000 bytes are more than 0x4000000000000000"
    )


@pytest.mark.rule("ACC-12")
def test_a_region_lies_within_the_addresses_of_64_bits() -> None:
    memory = AddressMap()
    memory.add(Region("last", (1 << 64) - 0x10000, 0x10000))
    with pytest.raises(MapError) as caught:
        memory.add(Region("beyond", (1 << 64) - 0x20000, 0x30000))
    assert str(caught.value) == "beyond at 0xfffffffffffe0000 reaches beyond the addresses of 64 bits"


@pytest.mark.rule("ACC-12")
def test_regions_may_touch_and_are_kept_in_order() -> None:
    address_map, _, _ = build()
    address_map.add(Region("above", BASE + 4 * FRAME_SIZE, FRAME_SIZE))
    address_map.add(Region("below", BASE - FRAME_SIZE, FRAME_SIZE))
    assert [region.name for region in address_map] == ["below", "devices", "above"]
    assert str(address_map) == (
        "0x00003fff0000-0x00003fffffff     0x10000  below\n"
        "0x000040000000-0x00004003ffff     0x40000  devices\n"
        "0x000040040000-0x00004004ffff     0x10000  above"
    )
    for address, name in ((BASE - 1, "below"), (BASE, "devices"), (BASE + 4 * FRAME_SIZE, "above")):
        found = address_map.find(address)
        assert found is not None
        assert found.name == name
    assert address_map.find(BASE + 5 * FRAME_SIZE) is None


@pytest.mark.rule("ACC-5", "ACC-10")
def test_a_region_without_registers_is_one_hole() -> None:
    listener = Listener()
    address_map = AddressMap(listener)
    address_map.add(Region("reserved", BASE, FRAME_SIZE))
    assert address_map.read(BASE + 8, 4) == 0
    address_map.write(BASE + 8, 4, 1)
    assert [access.refusal for access in listener.heard] == [Refusal.HOLE, Refusal.HOLE]
    location = address_map.locate(BASE + 8)
    assert location is not None
    assert (location.owner, location.offset, location.register) == ("reserved", 8, None)


@pytest.mark.rule("ACC-10")
def test_an_address_can_be_explained() -> None:
    address_map, _, _ = build()
    location = address_map.locate(BASE + 3 * FRAME_SIZE + 0x30C)
    assert location is not None
    assert location.register is not None
    assert (location.region.name, location.owner, location.offset) == ("devices", "device 1", FRAME_SIZE + 0x30C)
    assert (location.register.name, location.element) == ("WIDE", 1)
    hole = address_map.locate(BASE + 0x600)
    assert hole is not None
    assert (hole.owner, hole.register) == ("device 0", None)
    assert address_map.locate(0) is None


@pytest.mark.rule("ACC-5")
def test_alternating_between_regions() -> None:
    address_map, owners, _ = build(1, 1)
    other = Device()
    address_map.add(FrameArray("other", BASE + FRAME_SIZE, [device_frame()], [other], ["other"]))
    for value in range(4):
        address_map.write(BASE + value % 2 * FRAME_SIZE, 4, value)
    assert (owners[0].words, other.words) == ({"CONTROL0": 2}, {"CONTROL0": 3})


class Kept(StoredWord[Device]):
    """State of a device that has got its word; a read shows nothing of it, and a write changes nothing."""

    def get(self, owner: Device, index: int) -> int:
        return owner.words.get("KEPT", 0)

    def view(self, owner: Device, index: int, secure: bool) -> int:
        return 0

    def kept(self, owner: Device, index: int, writable: int) -> int:
        return writable if "KEPT" in owner.words else NOT_THERE

    def keep(self, owner: Device, index: int, value: int) -> None:
        owner.words["KEPT"] = value


@pytest.mark.rule("SAVE-4")
def test_what_a_register_stores_is_read_and_kept_past_the_guests_rules() -> None:
    words = {"CONTROL": Kept(), "BYTES": Stored("BYTES")}
    frame = Frame("F", [LAYOUTS[0], LAYOUTS[2]], words, writable={"CONTROL": 0xFF00}, ones={"CONTROL": 0x1})
    has_not, has = Device(BYTES0=7), Device(KEPT=0x1200)
    array = FrameArray("devices", BASE, [frame], [has_not, has], ["one", "other"])
    assert [array.stored(FRAME_SIZE * device) for device in (0, 1)] == [0, 0x1201]
    assert array.read(FRAME_SIZE, 4, False) == 1
    array.keep(0, 0xFFFF)
    array.keep(FRAME_SIZE, 0xAABB_CCDD)
    assert (has_not.words, has.words) == ({"BYTES0": 7}, {"KEPT": 0xCC00})
    # No state of its device, a hole, and a region without registers.
    nowhere = Region("nothing", 0, 0)
    for region, offset in ((array, 0x100), (array, 0x600), (nowhere, 0)):
        region.keep(offset, 1)
        assert region.stored(offset) == 0
    assert has_not.words == {"BYTES0": 7}
