"""The tables in guest RAM: flat and two-level, page sizes, high addresses, and tables that the guest broke."""

import dataclasses
import random

import pytest

import vgic
from its_driver import ITS, RAM, RAM_SIZE, ItsDriver, vm
from vgic import ItsError, MsiOutcome, MsiResult
from vgic.its.choices import DEVICES, ItsChoices
from vgic.its.errors import EVERY_ERROR, error_code
from vgic.its.queue import BUDGET
from vgic.its.tables import Tables
from vgic.layouts import gits
from vgic.layouts.its_commands import encode
from vgic.lpis.work import STEPS_OF_A_PIECE
from vgic.profiles import QEMU_VERSIONS
from vgic.profiles.kvm import KVM_VERSIONS

EVERY = pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
DEVICE = 0x10
VALID = 1 << 63
SIZES = {0: 0x1000, 1: 0x4000, 2: 0x1_0000, 3: 0x1_0000}


def tables(memory: vgic.GuestMemory, **fields: int) -> Tables:
    """Tables of which the device table is as GITS_BASER0 says."""
    made = Tables(memory, ItsChoices(), device_bits=16)
    made.describe(DEVICES, gits.BASER.encode({"Valid": 1, **fields}))
    return made


@pytest.mark.rule("ITS-29")
@pytest.mark.parametrize("page", SIZES)
@pytest.mark.parametrize("pages", [1, 2, 256])
def test_how_many_entries_a_table_has(page: int, pages: int) -> None:
    flat = tables(vgic.NoMemory(), Page_Size=page, Size=pages - 1).devices
    assert flat.count == min(0x1_0000, pages * SIZES[page] // 8)
    indirect = tables(vgic.NoMemory(), Page_Size=page, Size=pages - 1, Indirect=1).devices
    assert indirect.count == min(0x1_0000, pages * (SIZES[page] // 8) ** 2)
    assert tables(vgic.NoMemory(), Valid=0, Size=pages - 1).devices.count == 0


@pytest.mark.rule("ITS-29")
@pytest.mark.parametrize("page_size", [0x1000, 0x4000, 0x1_0000])
@pytest.mark.parametrize("indirect", [False, True])
def test_page_sizes(page_size: int, indirect: bool) -> None:
    driver, heard = vm(page_size=page_size, indirect=indirect)
    last = driver.gic.its().tables.devices.count - 1
    for device in (0, page_size // 8 - 1, page_size // 8, last):
        driver.map_device(device, 4)
        intid = driver.map_event(device, 0, cpu=3)
        assert driver.gic.msi(device, 0).outcome is MsiOutcome.DELIVERED
        assert driver.take_all() == [(3, intid)]
    assert heard.errors == []
    if last < 0xFFFF:
        assert driver.gic.msi(last + 1, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.DEVICE_OUT_OF_RANGE)


@pytest.mark.rule("ITS-29")
@pytest.mark.parametrize("page", [2, 3])
def test_the_address_of_large_pages_has_its_top_bits_below(page: int) -> None:
    base = 0xA_1234_5678_0000
    register = gits.BASER.encode({"Valid": 1, "Page_Size": page}) | 0x1234_5678_A000
    found = Tables(vgic.Ram.zeroed(base, 0x1_0000), ItsChoices(), device_bits=16)
    found.describe(DEVICES, register)
    assert found.devices.base == base
    found.map_device(0x1FFF, 0x4000_0100, 5)
    assert found.device(0x1FFF) == (0x4000_0100, 32)


@pytest.mark.rule("ITS-29")
def test_the_address_of_small_pages_is_as_it_is() -> None:
    for page in (0, 1):
        register = gits.BASER.encode({"Valid": 1, "Page_Size": page}) | 0x1234_5678_A000
        found = Tables(vgic.NoMemory(), ItsChoices(), device_bits=16)
        found.describe(DEVICES, register)
        assert found.devices.base == 0x1234_5678_A000


@pytest.mark.rule("ITS-29", "ITS-43")
@EVERY
def test_a_page_of_entries_that_is_not_there(profile: vgic.Profile) -> None:
    driver, heard = vm(profile=profile, indirect=True)
    driver.send("MAPD", DeviceID=DEVICE, Size=1, ITT_addr=RAM >> 8, V=1)
    quiet = profile in QEMU_VERSIONS
    assert heard.take() == ([] if quiet else [("MAPD", ItsError.DEVICE_OUT_OF_RANGE)])
    missing = ItsError.DEVICE_UNMAPPED if quiet else ItsError.DEVICE_OUT_OF_RANGE
    assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, missing)
    # A page that is not RAM.
    driver.ram.write(driver.devices, (VALID | 1 << 40).to_bytes(8, "little"))
    driver.add(encode("MAPD", DeviceID=DEVICE, Size=1, ITT_addr=RAM >> 8, V=1))
    assert heard.take() == [("MAPD", ItsError.UNREADABLE)]
    assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.ERROR, ItsError.UNREADABLE)


@pytest.mark.rule("ITS-30")
@EVERY
def test_entries_that_the_guest_wrote_itself(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    itt = driver.map_device(DEVICE, 4)
    entries = driver.gic.its().tables.entries
    size = entries.event_size
    for intid, collection, error in (
        (5, 1, ItsError.LPI_OUT_OF_RANGE),
        (0xFF_FFFF, 1, ItsError.LPI_OUT_OF_RANGE),
        (9000, 0xFFF0, ItsError.COLLECTION_UNMAPPED),
        (9000, 1, None),
    ):
        driver.ram.write(itt, entries.pack_event(intid, collection).to_bytes(size, "little"))
        outcome = MsiOutcome.DELIVERED if error is None else MsiOutcome.BLOCKED
        assert driver.gic.msi(DEVICE, 0) == MsiResult(outcome, error)
    if profile not in KVM_VERSIONS:
        driver.ram.write(driver.collections + 8, entries.pack_collection(4).to_bytes(8, "little"))
        assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.PROCESSOR_OUT_OF_RANGE)
    driver.gic.check()


@pytest.mark.rule("ITS-30")
@EVERY
@pytest.mark.parametrize("seed", range(4))
def test_random_tables_and_commands_do_no_harm(profile: vgic.Profile, seed: int) -> None:
    rng = random.Random(seed)
    driver, _ = vm(profile=profile, indirect=seed % 2 == 1)
    queue = driver.gic.its().queue
    for _ in range(25):
        for place in (driver.devices, driver.collections, RAM, driver.queue):
            driver.ram.write(place, rng.randbytes(0x400))
        for offset in range(0, 0x400, 32):
            driver.ram.write(driver.queue + offset, bytes([rng.choice([1, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15])]))
            driver.ram.write(driver.queue + offset + 4, rng.randrange(0x80).to_bytes(4, "little"))
            driver.ram.write(driver.queue + offset + 8, rng.randrange(8).to_bytes(4, "little"))
        driver.write(gits.CWRITER, rng.randrange(0, 0x400, 32) | 1)
        driver.gic.msi(rng.randrange(0x80), rng.randrange(8))
        driver.take(rng.randrange(4))
        driver.gic.check()
        if rng.randrange(4) == 0:
            for register in (gits.BASER, gits.CBASER):
                driver.enable(False)
                driver.write(register, rng.getrandbits(64), index=0)
            driver.write(gits.BASER, rng.getrandbits(32) | RAM | VALID, 1)
            driver.enable()
            driver.queue = RAM + rng.randrange(RAM_SIZE >> 16) * 0x1_0000
            driver.enable(False)
            driver.write(gits.CBASER, VALID | driver.queue | 0xF)
            driver.enable()
    assert queue.creadr & 0xF_FFE0 < queue.size


@pytest.mark.rule("ITS-10", "ITS-33")
def test_clearing_a_large_translation_table_counts() -> None:
    driver, _ = vm(profile=vgic.KVM)
    start = driver.read(gits.CWRITER)
    # 512 KiB each: 128 steps and the command.
    for index in range(6):
        driver.put(
            start + 32 * index, encode("MAPD", DeviceID=index, Size=15, ITT_addr=(RAM + 0x60_0000) >> 8, V=1)
        )
    driver.write(gits.CWRITER, start + 32 * 6)
    assert (driver.gic.its().queue.creadr - start) // 32 == -(-BUDGET // 129)
    driver.gic.its().process()
    assert driver.gic.its().queue.idle


@pytest.mark.rule("ITS-10")
def test_moving_and_rereading_many_lpis_counts() -> None:
    for profile in (vgic.ARCH, vgic.QEMU):
        driver, _ = vm(profile=profile)
        driver.map_device(DEVICE, 1024)
        for event in range(1000):
            driver.configure(8192 + event, 0xA3)
            driver.send("MAPTI", DeviceID=DEVICE, EventID=event, pINTID=8192 + event, ICID=1)
            driver.gic.msi(DEVICE, event)
        start = driver.read(gits.CWRITER)
        for index in range(64):
            driver.put(start + 32 * index, encode("INVALL", ICID=1))
        driver.write(gits.CWRITER, start + 32 * 64)
        assert 0 < (driver.gic.its().queue.creadr - start) // 32 <= BUDGET // STEPS_OF_A_PIECE + 1
        assert all(driver.gic.lpis(1).is_pending(8192 + event) for event in range(1000))


@pytest.mark.rule("ITS-11")
def test_syndromes_are_arms() -> None:
    # As Linux lists them.
    known = {
        (0x01, ItsError.EVENT_UNMAPPED): 0x010107,
        (0x01, ItsError.COLLECTION_UNMAPPED): 0x010109,
        (0x03, ItsError.EVENT_UNMAPPED): 0x010307,
        (0x04, ItsError.EVENT_UNMAPPED): 0x010507,
        (0x08, ItsError.DEVICE_OUT_OF_RANGE): 0x010801,
        (0x08, ItsError.SIZE_OUT_OF_RANGE): 0x010802,
        (0x09, ItsError.PROCESSOR_OUT_OF_RANGE): 0x010902,
        (0x09, ItsError.COLLECTION_OUT_OF_RANGE): 0x010903,
        (0x0A, ItsError.DEVICE_UNMAPPED): 0x010A04,
        (0x0A, ItsError.EVENT_OUT_OF_RANGE): 0x010A05,
        (0x0A, ItsError.INTID_OUT_OF_RANGE): 0x010A06,
        (0x0C, ItsError.EVENT_UNMAPPED): 0x010C07,
        (0x0D, ItsError.COLLECTION_UNMAPPED): 0x010D09,
        (0x0E, ItsError.PROCESSOR_OUT_OF_RANGE): 0x010E01,
        (0x0F, ItsError.EVENT_UNMAPPED): 0x010F07,
    }
    for (opcode, error), code in known.items():
        assert error_code(opcode, error) == code
    assert {error for error in EVERY_ERROR if not error_code(0x0A, error)} == {
        ItsError.PROCESSOR_OUT_OF_RANGE,
        ItsError.COMMAND_UNREADABLE,
        ItsError.COLLECTION_UNREADABLE,
        ItsError.LPI_UNREADABLE,
        ItsError.UNREADABLE,
        ItsError.UNKNOWN_COMMAND,
        ItsError.ITS_DISABLED,
        ItsError.LPIS_DISABLED,
        ItsError.LPI_OUT_OF_RANGE,
    }


@pytest.mark.rule("ITS-14", "ITS-29")
def test_a_collection_table_may_be_small_or_two_level() -> None:
    profile = dataclasses.replace(vgic.ARCH, name="mine")
    driver = vm(profile=profile, started=False)[0]
    heard = driver.gic._observer
    driver.start_lpis()
    driver.devices = driver.memory.take(0x8_0000)
    level1, page = driver.memory.take(0x1000), driver.memory.take(0x1000)
    driver.write(gits.BASER, VALID | driver.devices, 0)
    driver.write(gits.BASER, VALID | 1 << 62 | level1, 1)
    driver.queue = driver.memory.take(0x1_0000)
    driver.write(gits.CBASER, VALID | driver.queue | 0xF)
    driver.enable()
    driver.ram.write(level1 + 8 * 2, (VALID | page).to_bytes(8, "little"))
    driver.send("MAPC", ICID=0x400, RDbase=3, V=1)
    assert driver.gic.its().tables.rdbase(0x400) == 3
    assert driver.ram.read(page, 8) == (VALID | 3 << 16).to_bytes(8, "little")
    assert heard.take() == []
    driver.send("MAPC", ICID=0x200, RDbase=3, V=1)
    assert heard.take() == [("MAPC", ItsError.COLLECTION_OUT_OF_RANGE)]
    driver.enable(False)
    driver.write(gits.BASER, VALID | page, 1)
    driver.enable()
    driver.send("MAPC", ICID=0x200, RDbase=3, V=1)
    assert heard.take() == [("MAPC", ItsError.COLLECTION_OUT_OF_RANGE)]


@pytest.mark.rule("ITS-28")
def test_the_entries_of_arch_as_they_lie_in_ram() -> None:
    driver = ItsDriver(*_plain())
    driver.start()
    itt = driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 1, cpu=2)
    words = [driver.devices + 8 * DEVICE, itt + 8, driver.collections + 8 * 2]
    assert [int.from_bytes(driver.ram.read(place, 8), "little") for place in words] == [
        VALID | itt | 1,
        VALID | 2 << 32 | intid,
        VALID | 2 << 16,
    ]


def _plain() -> tuple[vgic.Gic, vgic.Ram]:
    ram = vgic.Ram.zeroed(RAM, RAM_SIZE)
    return vgic.Gic(vgic.Config(vgic.Topology.clusters(4, 4), spis=32, its=(ITS,)), memory=ram), ram


@pytest.mark.rule("ITS-32")
def test_the_entries_of_kvm_as_they_lie_in_ram() -> None:
    driver, _ = vm(profile=vgic.KVM)
    itt = driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 1, cpu=2)
    words = [driver.devices + 8 * DEVICE, itt + 8]
    assert [int.from_bytes(driver.ram.read(place, 8), "little") for place in words] == [
        VALID | itt >> 8 << 5 | 1,
        intid << 16 | 2,
    ]
    # Collections are not in their table until it is saved.
    assert not any(driver.ram.read(driver.collections, 0x1_0000))
    assert driver.gic.its().tables.kept == {0: 0, 1: 1, 2: 2, 3: 3}
    driver.enable(False)
    driver.write(gits.BASER, 0, 1)
    assert driver.gic.its().tables.kept == {}


@pytest.mark.rule("ITS-16")
@EVERY
def test_moving_an_event_changes_nothing_else_in_its_entry(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    itt = driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    layout = profile.its.entries.translation
    size = layout.width // 8
    [collection] = [field for field in layout.fields if field.name == "ICID"]
    before = int.from_bytes(driver.ram.read(itt, size), "little") | ~layout.mask("ICID") & ~layout.mask("pINTID")
    before &= (1 << layout.width) - 1
    driver.ram.write(itt, before.to_bytes(size, "little"))
    driver.send("MOVI", DeviceID=DEVICE, EventID=0, ICID=1)
    after = int.from_bytes(driver.ram.read(itt, size), "little")
    assert after == before & ~collection.mask | 1 << collection.lsb
    assert driver.gic.its().translate(DEVICE, 0) == (intid, 1, 1)
