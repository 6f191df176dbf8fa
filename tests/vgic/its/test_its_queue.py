"""The command queue: order, wrap, what is wrong with a command and what becomes of the next, bounded work."""

import dataclasses

import pytest

import vgic
from its_driver import ITS, RAM, RAM_SIZE, Heard, ItsDriver, vm
from vgic import ItsError
from vgic.its.choices import STALLING, ItsChoices
from vgic.its.queue import BUDGET
from vgic.layouts import gits
from vgic.layouts.its_commands import COMMAND_SIZE, encode
from vgic.profiles.kvm import KVM_VERSIONS

STALLS = dataclasses.replace(vgic.ARCH, name="stalls", its=STALLING)
STALLED = 1
RETRY = 1
DEVICE, EVENTS = 0x10, 4
NOWHERE = 0x1_0000_0000
"""An address at which there is no RAM."""


def mapped(profile: vgic.Profile = vgic.ARCH, **choices: int) -> tuple[ItsDriver, Heard, int]:
    """A VM with a device whose event 0 goes to vCPU 1, and the LPI of that."""
    driver, heard = vm(profile=profile, **choices)
    driver.map_device(DEVICE, EVENTS)
    return driver, heard, driver.map_event(DEVICE, 0, cpu=1)


@pytest.mark.rule("ITS-7")
def test_commands_are_executed_in_order_and_at_once() -> None:
    driver, heard, intid = mapped()
    start = driver.read(gits.CWRITER)
    for index, name in enumerate(("INT", "CLEAR", "INT", "DISCARD", "INT")):
        driver.put(start + index * COMMAND_SIZE, encode(name, DeviceID=DEVICE, EventID=0))
    assert driver.read(gits.CREADR) == start
    driver.write(gits.CWRITER, start + 3 * COMMAND_SIZE)
    assert driver.read(gits.CREADR) == start + 3 * COMMAND_SIZE
    assert driver.gic.lpis(1).is_pending(intid)
    driver.write(gits.CWRITER, start + 5 * COMMAND_SIZE)
    # Discarding took the pending state away, and the event is no more.
    assert not driver.gic.lpis(1).is_pending(intid)
    assert heard.take() == [("INT", ItsError.EVENT_UNMAPPED)]


@pytest.mark.rule("ITS-7")
def test_nothing_is_read_while_the_its_is_disabled() -> None:
    driver, _, intid = mapped()
    driver.enable(False)
    before = driver.read(gits.CREADR)
    driver.add(encode("INT", DeviceID=DEVICE))
    assert driver.read(gits.CREADR) == before
    assert not driver.gic.lpis(1).is_pending(intid)
    driver.enable()
    assert driver.read(gits.CREADR) == before + COMMAND_SIZE
    assert driver.gic.lpis(1).is_pending(intid)


@pytest.mark.rule("ITS-7")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
@pytest.mark.parametrize("pages", [1, 2])
def test_the_queue_wraps(profile: vgic.Profile, pages: int) -> None:
    driver, heard, intid = mapped(profile, queue_pages=pages)
    slots = pages * 0x1000 // COMMAND_SIZE
    positions = set()
    for number in range(3 * slots):
        driver.send("INT", DeviceID=DEVICE, EventID=0)
        assert driver.take(1) == intid, number
        positions.add(driver.read(gits.CREADR))
    assert positions == {COMMAND_SIZE * slot for slot in range(slots)}
    assert heard.errors == []


@pytest.mark.rule("ITS-7")
def test_several_commands_wrap_at_once() -> None:
    driver, _, _ = mapped(queue_pages=1)
    while driver.read(gits.CWRITER) != 0x1000 - COMMAND_SIZE:
        driver.sync(0)
    driver.put(0x1000 - COMMAND_SIZE, encode("MAPD", DeviceID=0x20, Size=1, ITT_addr=RAM >> 8, V=1))
    driver.put(0, encode("MAPD", DeviceID=0x21, Size=2, ITT_addr=RAM >> 8, V=1))
    driver.write(gits.CWRITER, COMMAND_SIZE)
    assert driver.read(gits.CREADR) == COMMAND_SIZE
    assert [driver.gic.its().tables.device(device).events for device in (0x20, 0x21)] == [4, 8]


@pytest.mark.rule("ITS-8", "ITS-31")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_a_write_pointer_beyond_the_queue(profile: vgic.Profile) -> None:
    driver, _, intid = mapped(profile, queue_pages=1)
    before = driver.read(gits.CWRITER)
    driver.put(before, encode("INT", DeviceID=DEVICE))
    driver.write(gits.CWRITER, 0x1000)
    kept = profile not in KVM_VERSIONS
    assert driver.read(gits.CWRITER) == (0x1000 if kept else before)
    assert driver.read(gits.CREADR) == before
    driver.write(gits.CWRITER, before + COMMAND_SIZE)
    assert driver.read(gits.CREADR) == before + COMMAND_SIZE
    assert driver.take(1) == intid


@pytest.mark.rule("ITS-8")
def test_no_queue_no_commands() -> None:
    driver, heard, _ = mapped()
    driver.enable(False)
    driver.write(gits.CBASER, driver.read(gits.CBASER) & ~(1 << 63))
    driver.enable()
    driver.write(gits.CWRITER, 4 * COMMAND_SIZE)
    assert driver.read(gits.CREADR) == 0
    assert heard.errors == []


BAD: list[tuple[str, bytes, ItsError, int]] = [
    # The profile arch: what is wrong, and Arm's syndrome for it.
    ("unknown opcode", b"\x29".ljust(32, b"\0"), ItsError.UNKNOWN_COMMAND, 0),
    ("all zero", bytes(32), ItsError.UNKNOWN_COMMAND, 0),
    ("device", encode("MAPD", DeviceID=0x1_0000, V=1), ItsError.DEVICE_OUT_OF_RANGE, 0x01_0801),
    ("device to unmap", encode("MAPD", DeviceID=0x1_0000), ItsError.DEVICE_OUT_OF_RANGE, 0x01_0801),
    # Both at once: which device it is comes first.
    ("device and size", encode("MAPD", DeviceID=0x1_0000, Size=16, V=1), ItsError.DEVICE_OUT_OF_RANGE, 0x01_0801),
    ("size", encode("MAPD", DeviceID=DEVICE, Size=16, V=1), ItsError.SIZE_OUT_OF_RANGE, 0x01_0802),
    ("processor", encode("MAPC", ICID=9, RDbase=4, V=1), ItsError.PROCESSOR_OUT_OF_RANGE, 0x01_0902),
    ("device of event", encode("MAPTI", DeviceID=9, pINTID=8192), ItsError.DEVICE_UNMAPPED, 0x01_0A04),
    (
        "device beyond, of event",
        encode("MAPTI", DeviceID=0x1_0000, pINTID=8192),
        ItsError.DEVICE_OUT_OF_RANGE,
        0x01_0A01,
    ),
    (
        "event",
        encode("MAPTI", DeviceID=DEVICE, EventID=EVENTS, pINTID=8192),
        ItsError.EVENT_OUT_OF_RANGE,
        0x01_0A05,
    ),
    ("intid", encode("MAPTI", DeviceID=DEVICE, pINTID=8191), ItsError.INTID_OUT_OF_RANGE, 0x01_0A06),
    ("large intid", encode("MAPTI", DeviceID=DEVICE, pINTID=0x1_0000), ItsError.INTID_OUT_OF_RANGE, 0x01_0A06),
    ("event as intid", encode("MAPI", DeviceID=DEVICE, EventID=1), ItsError.INTID_OUT_OF_RANGE, 0x01_0B06),
    ("event to move", encode("MOVI", DeviceID=DEVICE, EventID=1), ItsError.EVENT_UNMAPPED, 0x01_0107),
    ("collection", encode("MOVI", DeviceID=DEVICE, ICID=77), ItsError.COLLECTION_UNMAPPED, 0x01_0109),
    ("event of INT", encode("INT", DeviceID=DEVICE, EventID=1), ItsError.EVENT_UNMAPPED, 0x01_0307),
    ("event of CLEAR", encode("CLEAR", DeviceID=DEVICE, EventID=1), ItsError.EVENT_UNMAPPED, 0x01_0507),
    ("event of INV", encode("INV", DeviceID=DEVICE, EventID=1), ItsError.EVENT_UNMAPPED, 0x01_0C07),
    ("event of DISCARD", encode("DISCARD", DeviceID=DEVICE, EventID=1), ItsError.EVENT_UNMAPPED, 0x01_0F07),
    ("device of INT", encode("INT", DeviceID=9), ItsError.DEVICE_UNMAPPED, 0x01_0304),
    ("collection of INVALL", encode("INVALL", ICID=77), ItsError.COLLECTION_UNMAPPED, 0x01_0D09),
    ("source", encode("MOVALL", RDbase=4), ItsError.PROCESSOR_OUT_OF_RANGE, 0x01_0E01),
    ("target", encode("MOVALL", RDbase2=4), ItsError.PROCESSOR_OUT_OF_RANGE, 0x01_0E01),
]
EVERY_BAD = pytest.mark.parametrize(
    ("command", "error", "code"), [row[1:] for row in BAD], ids=[row[0] for row in BAD]
)


@pytest.mark.rule("ITS-11")
@EVERY_BAD
def test_a_bad_command_is_skipped_and_reported(command: bytes, error: ItsError, code: int) -> None:
    driver, heard, intid = mapped()
    before = driver.ram.read(RAM, RAM_SIZE)
    offset = driver.read(gits.CWRITER)
    driver.add(command)
    assert driver.read(gits.CREADR) == offset + COMMAND_SIZE
    [reported] = heard.errors
    assert (reported.its, reported.offset, reported.error, reported.code) == (0, offset, error, code)
    assert not reported.stalled
    assert driver.gic.its().last_error == reported
    # It changed nothing but the queue that it is in, and the next command runs.
    after = bytearray(driver.ram.read(RAM, RAM_SIZE))
    place = driver.queue + offset - RAM
    after[place : place + COMMAND_SIZE] = before[place : place + COMMAND_SIZE]
    assert after == before
    driver.send("INT", DeviceID=DEVICE, EventID=0)
    assert driver.take(1) == intid


@pytest.mark.rule("ITS-12")
@EVERY_BAD
def test_where_bad_commands_stall_the_queue_waits_for_retry(command: bytes, error: ItsError, code: int) -> None:
    driver, heard, intid = mapped(STALLS)
    offset = driver.read(gits.CWRITER)
    driver.put(offset + COMMAND_SIZE, encode("INT", DeviceID=DEVICE, EventID=0))
    driver.put(offset, command)
    driver.write(gits.CWRITER, offset + 2 * COMMAND_SIZE)
    assert driver.read(gits.CREADR) == offset | STALLED
    [reported] = heard.errors
    assert (reported.error, reported.code, reported.stalled) == (error, code, True)
    # Nothing but Retry goes on, and it reads the command again.
    driver.write(gits.CWRITER, offset + 2 * COMMAND_SIZE)
    driver.enable(False)
    driver.enable()
    assert driver.read(gits.CREADR) == offset | STALLED
    driver.write(gits.CWRITER, offset + 2 * COMMAND_SIZE | RETRY)
    assert driver.read(gits.CREADR) == offset | STALLED
    assert driver.read(gits.CWRITER) == offset + 2 * COMMAND_SIZE
    assert len(heard.errors) == 2
    assert driver.take_all() == []
    driver.put(offset, encode("SYNC"))
    driver.write(gits.CWRITER, offset + 2 * COMMAND_SIZE | RETRY)
    assert driver.read(gits.CREADR) == offset + 2 * COMMAND_SIZE
    assert driver.take_all() == [(1, intid)]


@pytest.mark.rule("ITS-12")
def test_a_new_queue_is_not_stalled() -> None:
    driver, _, intid = mapped(STALLS)
    driver.add(bytes(32))
    assert driver.read(gits.CREADR) & STALLED
    driver.enable(False)
    driver.write(gits.CBASER, driver.read(gits.CBASER))
    driver.write(gits.CWRITER, 0)
    driver.enable()
    assert driver.read(gits.CREADR) == 0
    driver.send("INT", DeviceID=DEVICE, EventID=0)
    assert driver.take(1) == intid


def unreadable(driver: ItsDriver, what: str) -> None:
    """Let a table, or the queue from the next command on, be where there is no RAM."""
    if what == "events":
        driver.send("MAPD", DeviceID=DEVICE, Size=1, ITT_addr=NOWHERE >> 8, V=1)
        return
    driver.enable(False)
    if what == "queue":
        # The last page of RAM, and 15 beyond.
        driver.queue = RAM + RAM_SIZE - 0x1_0000
        driver.write(gits.CBASER, gits.CBASER.encode({"Valid": 1, "Size": 31}) | driver.queue)
        driver.queue_size = 0x2_0000
        driver.write(gits.CWRITER, 0)
    else:
        index = ("devices", "collections").index(what)
        driver.write(gits.BASER, driver.read(gits.BASER, index) & ~(0xFFFF_FFFF << 16) | NOWHERE, index)
    driver.enable()


MEMORY_ERRORS = {
    "devices": ItsError.UNREADABLE,
    "events": ItsError.UNREADABLE,
    "collections": ItsError.COLLECTION_UNREADABLE,
    "queue": ItsError.COMMAND_UNREADABLE,
}
UNREADABLE_FOR = {
    # What each of these commands does when the table, in QEMU: it stalls or is skipped.
    "devices": {"MAPD": "stalls", "MAPTI": "stalls", "INT": "stalls", "MAPC": "runs"},
    "events": {"MAPTI": "stalls", "INT": "stalls", "DISCARD": "stalls", "INV": "stalls", "MOVI": "stalls"},
    "collections": {
        "MAPC": "stalls",
        "INV": "stalls",
        "MOVI": "stalls",
        "INT": "skips",
        "CLEAR": "skips",
        "DISCARD": "skips",
        "INVALL": "runs",
        "MAPTI": "runs",
    },
    "queue": {"SYNC": "skips"},
}
CASES = [(what, name) for what, names in UNREADABLE_FOR.items() for name in names]


def command_of(name: str) -> bytes:
    """A command that would succeed if its tables could be read."""
    fields = {
        "MAPD": {"DeviceID": 3, "V": 1},
        "MAPC": {"ICID": 3, "V": 1},
        "MAPTI": {"DeviceID": DEVICE, "pINTID": 9000},
        "SYNC": {},
        "INVALL": {"ICID": 1},
    }
    return encode(name, **fields.get(name, {"DeviceID": DEVICE}))


@pytest.mark.rule("ITS-11", "ITS-41")
@pytest.mark.parametrize("profile", [vgic.ARCH, STALLS, vgic.QEMU], ids=lambda profile: profile.name)
@pytest.mark.parametrize(("what", "name"), CASES)
def test_memory_that_cannot_be_read(profile: vgic.Profile, what: str, name: str) -> None:
    driver, heard, _ = mapped(profile)
    unreadable(driver, what)
    if what == "queue":
        driver.queue_size = 0x2_0000
        driver.gic.write(ITS + gits.CREADR.offset, 8, 0x1_0000)
        driver.gic.its().queue.set_reader(0x1_0000)
        driver.write(gits.CWRITER, 0x1_0000 + COMMAND_SIZE)
        offset = 0x1_0000
    else:
        offset = driver.read(gits.CWRITER)
        driver.add(command_of(name))
    outcome = UNREADABLE_FOR[what][name]
    if profile is not vgic.QEMU:
        runs = outcome == "runs" and name != "INVALL"
        outcome = "runs" if runs else "stalls" if profile is STALLS else "skips"
    if outcome == "runs":
        assert heard.errors == []
    else:
        assert [(error.error, error.stalled) for error in heard.errors] == [
            (MEMORY_ERRORS[what], outcome == "stalls")
        ]
    assert driver.read(gits.CREADR) == (offset | STALLED if outcome == "stalls" else offset + COMMAND_SIZE)
    driver.gic.check()


@pytest.mark.rule("ITS-41")
def test_qemus_queue_goes_on_at_any_write_and_stays_marked() -> None:
    driver, heard, intid = mapped(vgic.QEMU)
    driver.send("MAPD", DeviceID=3, Size=1, ITT_addr=NOWHERE >> 8, V=1)
    offset = driver.read(gits.CWRITER)
    driver.add(encode("MAPTI", DeviceID=3, pINTID=9000))
    driver.put(offset + COMMAND_SIZE, encode("INT", DeviceID=DEVICE, EventID=0))
    for _ in range(3):
        assert driver.read(gits.CREADR) == offset | STALLED
    assert len(heard.errors) == 1
    # Only a write of the register's lower half tries again.
    driver.gic.write(ITS + gits.CWRITER.offset + 4, 4, 0)
    assert len(heard.errors) == 1
    driver.write(gits.CWRITER, offset + COMMAND_SIZE)
    assert len(heard.errors) == 2
    driver.write(gits.CTLR, 1)
    assert len(heard.errors) == 3
    driver.put(offset, encode("SYNC"))
    driver.write(gits.CWRITER, offset + 2 * COMMAND_SIZE)
    assert driver.read(gits.CREADR) == offset + 2 * COMMAND_SIZE | STALLED
    assert driver.take(1) == intid
    driver.write(gits.CREADR, driver.read(gits.CREADR))
    assert driver.read(gits.CREADR) == offset + 2 * COMMAND_SIZE


@pytest.mark.rule("ITS-10")
def test_an_access_takes_a_bounded_number_of_steps_and_the_rest_waits() -> None:
    driver, heard, _ = mapped(queue_pages=256)
    slots = 256 * 0x1000 // COMMAND_SIZE
    start = driver.read(gits.CWRITER)
    # Memory that was not written is zero, which is no command.
    driver.write(gits.CWRITER, 0)
    steps = [len(heard.errors)]
    while driver.gic.its().queue.creadr:
        driver.read(gits.CREADR)
        steps.append(len(heard.errors) - sum(steps))
    assert steps == [BUDGET] * (slots // BUDGET - 1) + [BUDGET - start // COMMAND_SIZE]


@pytest.mark.rule("ITS-10")
def test_a_full_queue_of_linuxs_size_is_done_when_it_has_been_polled() -> None:
    driver, _, _ = mapped()
    start = driver.read(gits.CWRITER)
    driver.ram.write(driver.queue, encode("SYNC") * 2048)
    end = (start - COMMAND_SIZE) % driver.queue_size
    driver.write(gits.CWRITER, end)
    polls = 0
    while driver.read(gits.CREADR) != end:
        polls += 1
    assert polls <= 2048 // BUDGET


@pytest.mark.rule("ITS-10")
def test_the_embedder_can_let_the_queue_go_on() -> None:
    driver, _, _ = mapped(queue_pages=256)
    driver.write(gits.CWRITER, (BUDGET + 10) * COMMAND_SIZE + driver.read(gits.CWRITER))
    queue = driver.gic.its().queue
    assert not queue.idle
    driver.gic.its().process()
    assert queue.idle


@pytest.mark.rule("ITS-40", "ITS-10")
def test_a_read_starts_nothing_that_no_access_has_left() -> None:
    driver, _, intid = mapped(vgic.QEMU)
    driver.send("INT", DeviceID=DEVICE, EventID=0)
    assert driver.take(1) == intid
    again = driver.read(gits.CREADR) - COMMAND_SIZE
    driver.write(gits.CREADR, again)
    for _ in range(2):
        assert driver.read(gits.CREADR) == again
        driver.read(gits.CTLR)
    assert driver.take_all() == []
    driver.write(gits.CWRITER, driver.read(gits.CWRITER))
    assert driver.take(1) == intid


class Meddler:
    """A line sink that writes ITS registers when a line rises, as a vCPU that runs at once may."""

    def __init__(self) -> None:
        self.gic: vgic.Gic | None = None
        self.writes: list[tuple[int, int, int]] = []

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        gic = self.gic
        if gic is not None and irq:
            for address, size, value in self.writes:
                gic.write(address, size, value)


@pytest.mark.rule("ITS-10")
@pytest.mark.parametrize(
    "writes",
    [
        [(gits.CTLR.offset, 4, 0), (gits.CBASER.offset, 8, 0)],
        [(gits.CTLR.offset, 4, 0), (gits.CBASER.offset, 8, 1 << 63 | RAM), (gits.CTLR.offset, 4, 1)],
        [(gits.CWRITER.offset, 8, 0)],
        [(gits.CTLR.offset, 4, 0), (gits.BASER.offset, 8, 0), (gits.CTLR.offset, 4, 1)],
    ],
)
def test_registers_may_be_written_while_a_command_is_executed(writes: list[tuple[int, int, int]]) -> None:
    ram, meddler = vgic.Ram.zeroed(RAM, RAM_SIZE), Meddler()
    gic = vgic.Gic(vgic.Config(vgic.Topology.clusters(2, 2), spis=32, its=(ITS,)), lines=meddler, memory=ram)
    driver = ItsDriver(gic, ram)
    driver.start()
    driver.map_device(DEVICE, EVENTS)
    driver.map_event(DEVICE, 0, cpu=1)
    meddler.gic = gic
    meddler.writes = [(ITS + offset, size, value) for offset, size, value in writes]
    start = driver.read(gits.CWRITER)
    for index in range(4):
        driver.put(start + index * COMMAND_SIZE, encode("INT", DeviceID=DEVICE, EventID=0))
    driver.write(gits.CWRITER, start + 4 * COMMAND_SIZE)
    gic.check()


@pytest.mark.rule("ITS-11")
def test_an_observer_that_knows_nothing_of_an_its_is_fine() -> None:
    class Plain:
        def illegal_access(self, access: object) -> None: ...

        def illegal_sysreg(self, access: object) -> None: ...

    ram = vgic.Ram.zeroed(RAM, RAM_SIZE)
    for observer in (Plain(), None):
        gic = vgic.Gic(vgic.Config(vgic.Topology([0]), spis=32, its=(ITS,)), observer=observer, memory=ram)
        driver = ItsDriver(gic, ram)
        driver.start()
        driver.send("INT", DeviceID=1)
        assert gic.its().last_error is not None
        assert gic.its().last_error.error is ItsError.DEVICE_UNMAPPED


@pytest.mark.rule("ITS-12")
def test_the_architectures_reactions_are_a_choice_of_the_profile() -> None:
    assert ItsChoices().stalls_on == frozenset()
    assert STALLING.stalls_on == frozenset(ItsError)
