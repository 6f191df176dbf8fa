"""What a trace tells of an ITS."""

from collections import Counter
from collections.abc import Iterable

from mmio.trace import read_qemu
from qemu_log import command, icc, msi, redist
from vgic_tools.its_history import EventMapping, History


def history(lines: Iterable[str]) -> History:
    return History(read_qemu(enumerate(lines, 1), ""))


MAPC = command(0, 9, "MAPC", ICID=3, RDbase=1, V=1)
MAPD = command(1, 8, "MAPD", DeviceID=8, Size=2, ITT_addr=0x42EF7E, V=1)
MAPTI = command(2, 10, "MAPTI", DeviceID=8, EventID=4, ICID=3, pINTID=0x2004)
MAPPED = [*MAPC, *MAPD, *MAPTI]


def test_what_is_mapped() -> None:
    found = history(MAPPED)
    [device], [event], [collection] = found.devices, found.events, found.collections
    assert (device.device, device.bits, device.address, device.mapped, device.unmapped) == (
        8,
        3,
        0x42EF7E00,
        4,
        None,
    )
    assert event == EventMapping(8, 4, 8196, [3], mapped=6)
    assert (collection.collection, collection.targets, collection.mapped) == (3, [1], 2)
    assert found.commands == {"MAPC": 1, "MAPD": 1, "MAPTI": 1}
    assert found.mapping(8, 4) is event
    assert found.mapping(8, 3) is None
    assert found.mapping(None, None) is None


def test_mapi_takes_the_event_for_the_intid() -> None:
    [event] = history([*MAPD, *command(2, 11, "MAPI", DeviceID=8, EventID=0x2005, ICID=0)]).events
    assert (event.event, event.intid) == (0x2005, 0x2005)


def test_messages_commands_and_acknowledgements_belong_to_their_event() -> None:
    lines = [
        msi(8, 4),
        *MAPPED,
        msi(8, 4),
        *command(3, 3, "INT", DeviceID=8, EventID=4),
        icc("read", "IAR1", 1, 0x2004),
        icc("read", "IAR1", 0, 0x2004),
        icc("read", "IAR1", 0, 0x2005),
        icc("read", "HPPIR1", 0, 0x2004),
        icc("write", "EOIR1", 1, 0x2004),
    ]
    found = history(lines)
    [event] = found.events
    assert (event.messages, event.commands, event.taken) == (1, 1, Counter({0: 1, 1: 1}))
    assert found.unmapped == {(8, 4): 1}
    assert found.unexplained == {0x2005: 1}


def test_an_event_moves_and_ends() -> None:
    moved = [*MAPPED, *command(3, 1, "MOVI", DeviceID=8, EventID=4, ICID=7)]
    [event] = history(moved).events
    assert (event.collections, event.unmapped) == ([3, 7], None)
    [event] = history([*moved, *command(4, 15, "DISCARD", DeviceID=8, EventID=4)]).events
    assert event.unmapped == 10


def test_a_device_takes_its_events_along() -> None:
    for valid in (0, 1):
        again = command(3, 8, "MAPD", DeviceID=8, Size=0, ITT_addr=0, V=valid)
        found = history([*MAPPED, *again])
        assert found.events[0].unmapped == found.devices[0].unmapped == 8
        assert len(found.devices) == 1 + valid


def test_a_mapping_may_be_replaced() -> None:
    found = history([*MAPPED, *command(3, 10, "MAPTI", DeviceID=8, EventID=4, ICID=3, pINTID=0x2006), msi(8, 4)])
    assert [(event.intid, event.unmapped, event.messages) for event in found.events] == [
        (8196, 8, 0),
        (8198, None, 1),
    ]


def test_a_collection_is_retargeted_and_unmapped() -> None:
    lines = [
        *MAPC,
        *MAPC,
        *command(1, 9, "MAPC", ICID=3, RDbase=2, V=1),
        *command(2, 9, "MAPC", ICID=3, RDbase=0, V=0),
        *command(3, 9, "MAPC", ICID=3, RDbase=0, V=0),
        *MAPC,
    ]
    collections = history(lines).collections
    assert [(item.targets, item.mapped, item.unmapped) for item in collections] == [([1, 2], 2, 8), ([1], 12, None)]


def test_processors_are_named_by_what_the_guest_read() -> None:
    found = history([redist("read", 0x100, 8, 0x0000_0100_0000_1011, size=8), redist("write", 1, 8, 0, size=8)])
    assert found.processors == {16: 0x100}


def test_commands_for_what_is_not_there_are_only_counted() -> None:
    names = ("MOVI", "DISCARD", "INT", "INV", "CLEAR")
    found = history(
        [
            *(line for name in names[1:] for line in command(0, 0, name, DeviceID=8, EventID=4)),
            *command(0, 1, "MOVI", DeviceID=8, EventID=4, ICID=0),
            *command(0, 14, "MOVALL", RDbase1=0, RDbase2=1),
        ]
    )
    assert (found.events, found.devices, found.collections) == ([], [], [])
    assert found.commands.total() == 6
