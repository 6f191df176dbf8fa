"""ITS commands and table entries: the flat tables that the model reads agree with the declared layouts."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmio import BitLayout
from vgic.its.entries import NO_PAGE, Device, Entries, Event
from vgic.layouts import its_commands
from vgic.layouts.its_tables import FORMATS, QEMU, TableFormat

COMMANDS = pytest.mark.parametrize(
    ("opcode", "command"), its_commands.COMMANDS.items(), ids=[c.name for c in its_commands.COMMANDS.values()]
)
EVERY_FORMAT = pytest.mark.parametrize("layouts", FORMATS.values(), ids=FORMATS)
ADDRESSES = st.integers(0, (1 << 44) - 1).map(lambda number: number << 8)


@COMMANDS
@settings(max_examples=25)
@given(data=st.data())
@pytest.mark.rule("ITS-9")
def test_a_command_is_decoded_as_it_is_declared(opcode: int, command: BitLayout, data: st.DataObject) -> None:
    fields = {f.name: data.draw(st.integers(0, (1 << f.width) - 1)) for f in command.fields if f.name != "Opcode"}
    packet = its_commands.encode(command.name, **fields)
    assert len(packet) == its_commands.COMMAND_SIZE
    assert int.from_bytes(packet, "little") == command.encode({**fields, "Opcode": opcode})
    words = struct.unpack("<4Q", packet)
    assert its_commands.FIELDS["Opcode"].extract(words) == opcode
    assert its_commands.decode(words) == fields


@pytest.mark.rule("ITS-9")
@pytest.mark.parametrize(
    ("name", "fields", "doublewords"),
    [
        # As a Linux guest writes them.
        ("MAPD", {"DeviceID": 8, "Size": 2, "ITT_addr": 0x42EF7E, "V": 1}, (8 << 32 | 8, 2, 1 << 63 | 0x42EF7E00)),
        ("MAPC", {"ICID": 3, "RDbase": 2, "V": 1}, (9, 0, 1 << 63 | 2 << 16 | 3)),
        (
            "MAPTI",
            {"DeviceID": 8, "EventID": 1, "pINTID": 0x2001, "ICID": 3},
            (8 << 32 | 0xA, 0x2001 << 32 | 1, 3),
        ),
        ("MOVI", {"DeviceID": 16, "EventID": 4, "ICID": 1}, (16 << 32 | 1, 4, 1)),
        ("MOVALL", {"RDbase": 1, "RDbase2": 3}, (0xE, 0, 1 << 16, 3 << 16)),
        ("SYNC", {"RDbase": 3}, (5, 0, 3 << 16)),
    ],
)
def test_commands_are_encoded_as_linux_does(
    name: str, fields: dict[str, int], doublewords: tuple[int, ...]
) -> None:
    assert its_commands.encode(name, **fields) == struct.pack("<4Q", *doublewords, *[0] * (4 - len(doublewords)))


@pytest.mark.rule("ITS-9")
@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("VMAPP", {}, "no ITS command 'VMAPP'; there are MOVI, INT, CLEAR"),
        ("MAPD", {"Size": 32}, "MAPD.Size has 5 bits; 0x20 does not fit"),
        ("MAPD", {"ICID": 1}, "MAPD has no field 'ICID'"),
    ],
)
def test_what_is_no_command_is_not_encoded(name: str, fields: dict[str, int], message: str) -> None:
    with pytest.raises(its_commands.CommandError, match=message):
        its_commands.encode(name, **fields)


@pytest.mark.rule("ITS-9")
def test_an_opcode_without_a_command_has_no_fields() -> None:
    assert its_commands.name_of(0x29) == "unknown command 0x29"
    assert its_commands.decode((0x29, 0, 0, 0)) == {}


@EVERY_FORMAT
@given(itt=ADDRESSES, bits=st.integers(1, 32), intid=st.integers(8192, (1 << 24) - 1), icid=st.integers(0, 0xFFFF))
@settings(max_examples=50)
@pytest.mark.rule("ITS-28")
def test_entries_are_packed_as_they_are_declared(
    layouts: TableFormat, itt: int, bits: int, intid: int, icid: int
) -> None:
    entries = Entries(layouts)
    device = entries.pack_device(itt, bits)
    assert device == layouts.device.encode({"V": 1, "ITT_addr": itt >> 8, "Size": bits - 1})
    assert entries.device(device) == Device(itt, 1 << bits)
    event = entries.pack_event(intid, icid)
    assert event == layouts.translation.encode({**layouts.mapped, "pINTID": intid, "ICID": icid})
    assert entries.event(event) == Event(intid, icid)
    collection = entries.pack_collection(icid)
    assert collection == layouts.collection.encode({"V": 1, "RDbase": icid})
    assert entries.rdbase(collection) == icid


@EVERY_FORMAT
@pytest.mark.rule("ITS-28")
def test_zeroed_memory_maps_nothing(layouts: TableFormat) -> None:
    entries = Entries(layouts)
    assert entries.device(0) is None
    assert entries.event(0) is None
    assert entries.rdbase(0) is None
    assert entries.page(0) == NO_PAGE
    for layout in (layouts.device, layouts.translation, layouts.collection, layouts.level1):
        assert layout.width % 8 == 0


@pytest.mark.rule("ITS-42")
def test_qemus_entries_as_measured() -> None:
    entries = Entries(QEMU)
    assert entries.pack_device(0x4040_0000, 5) == 0x1010_0009
    assert entries.pack_event(0x2005, 3) == 0x3FF_0000_0003_0000_8017
    assert entries.pack_collection(1) == 0x3
    # A virtual LPI, which this ITS does not have.
    assert entries.event(0x0000_0003_0000_8015) is None
    # The page's address is taken as it is, bit 51 excepted.
    assert entries.page(1 << 63 | 1 << 51 | 0x4070_0010) == 0x4070_0010
