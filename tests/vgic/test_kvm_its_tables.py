"""SAVE_TABLES, RESTORE_TABLES and SAVE_PENDING_TABLES: what they write, read, refuse, and what it costs.

Entries are put together here by hand, not with the model's layouts.
"""

import errno
from collections.abc import Callable
from random import Random

import pytest

import vgic
from its_driver import DISABLED, ENABLED, RAM, SPURIOUS
from kvm_its import RAM_SIZE, ItsVm
from kvm_vm import refused
from vgic import Ram, affinity
from vgic.host import HostCapabilities
from vgic.kvm import Control, Group, ItsControl, KvmError
from vgic.layouts import gits

VALID = 1 << 63
NOT_MAPPED = 0xFFFF_FFFF
PAGE = 0x1_0000
NO_RAM = 0x1000_0000


def dte(next_device: int, itt: int, id_bits: int) -> int:
    return VALID | next_device << 49 | itt >> 8 << 5 | id_bits - 1


def ite(next_event: int, intid: int, collection: int) -> int:
    return next_event << 48 | intid << 16 | collection


def cte(rdbase: int, collection: int) -> int:
    return VALID | rdbase << 16 | collection


class Tables:
    """A VM whose guest has set up its ITS; its tables, entry by entry."""

    def __init__(self, vm: ItsVm | None = None, **choices: int) -> None:
        self.vm = ItsVm() if vm is None else vm
        self.driver = self.vm.driver(**choices)

    @property
    def ram(self) -> Ram:
        return self.vm.ram

    def word(self, address: int) -> int:
        return int.from_bytes(self.ram.read(address, 8), "little")

    def put(self, address: int, value: int) -> None:
        self.ram.write(address, value.to_bytes(8, "little"))

    def device(self, device: int) -> int:
        """The address of a device's entry in a flat table."""
        return self.driver.devices + 8 * device

    def collection(self, place: int) -> int:
        return self.driver.collections + 8 * place

    def save(self) -> None:
        self.vm.its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)

    def restore(self) -> None:
        """Into an ITS that knows nothing, but has its registers."""
        its = self.vm.gic.its()
        its.tables.kept.clear()
        self.vm.its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
        self.vm.gic.check()

    def contents(self) -> bytes:
        return self.ram.read(RAM, RAM_SIZE)

    def two_devices(self) -> tuple[int, int]:
        """Devices 3 and 5, with two events and one; their translation tables."""
        tables = self.driver.map_device(3, events=16), self.driver.map_device(5, events=2)
        for device, event, cpu in ((3, 2, 0), (3, 9, 1), (5, 1, 1)):
            self.driver.map_event(device, event, cpu)
        return tables


# Saving.


@pytest.mark.rule("KVM-53")
def test_saved_tables_are_linked_lists() -> None:
    tables = Tables()
    three, five = tables.two_devices()
    assert tables.word(tables.device(3)) == dte(0, three, 4)
    assert tables.word(tables.collection(0)) == 0
    tables.save()
    assert tables.word(tables.device(3)) == dte(2, three, 4)
    assert tables.word(tables.device(5)) == dte(0, five, 1)
    assert tables.word(three + 8 * 2) == ite(7, 8192, 0)
    assert tables.word(three + 8 * 9) == ite(0, 8193, 1)
    assert tables.word(five + 8 * 1) == ite(0, 8194, 1)
    assert [tables.word(tables.collection(place)) for place in range(3)] == [cte(0, 0), cte(1, 1), 0]
    # The VM that was saved may go on, and be saved again after more has been mapped.
    assert tables.vm.gic.msi(3, 2).outcome is vgic.MsiOutcome.DELIVERED
    tables.driver.unbind(3)
    tables.driver.map_device(0x10, events=2)
    tables.save()
    assert tables.word(tables.device(3)) == 0
    assert tables.word(tables.device(5)) == dte(11, five, 1)


@pytest.mark.rule("KVM-53")
def test_what_lies_further_than_a_link_reaches_is_found_all_the_same() -> None:
    tables = Tables()
    near, far = tables.driver.map_device(0x10, events=2), tables.driver.map_device(0xF010, events=2)
    tables.driver.map_event(0xF010, 0, cpu=1)
    tables.save()
    assert tables.word(tables.device(0x10)) == dte(0x3FFF, near, 1)
    assert tables.word(tables.device(0xF010)) == dte(0, far, 1)
    tables.restore()
    assert tables.vm.gic.msi(0xF010, 0).outcome is vgic.MsiOutcome.DELIVERED


@pytest.mark.rule("KVM-53")
def test_a_full_collection_table_has_no_end() -> None:
    tables = Tables()
    driver = tables.driver
    driver.enable(False)
    driver.write(gits.BASER, gits.BASER.encode({"Valid": 1, "Page_Size": 2}) | driver.collections, 1)
    driver.enable()
    kept = tables.vm.gic.its().tables.kept
    kept.update(dict.fromkeys(range(PAGE // 8 - 1), 1))
    beyond = tables.collection(PAGE // 8)
    tables.put(beyond - 8, 1)
    tables.put(beyond, 0x55)
    tables.save()
    assert tables.word(beyond - 8) == 0
    kept[PAGE // 8 - 1] = 0
    tables.save()
    assert tables.word(beyond - 8) == cte(0, PAGE // 8 - 1)
    assert tables.word(beyond) == 0x55
    before = dict(kept)
    tables.restore()
    assert kept == before


@pytest.mark.rule("KVM-53")
def test_a_collection_that_only_events_name_is_saved_as_not_mapped() -> None:
    tables = Tables()
    tables.two_devices()
    tables.driver.unmap_collection(0)
    tables.save()
    assert [tables.word(tables.collection(place)) for place in range(3)] == [cte(NOT_MAPPED, 0), cte(1, 1), 0]
    tables.restore()
    assert tables.vm.gic.its().tables.kept == {1: 1}
    assert tables.vm.device.signal_msi(0x0809_0040, 2, 3) == 0
    tables.driver.map_collection(0, 0)
    assert tables.vm.device.signal_msi(0x0809_0040, 2, 3) == 1


@pytest.mark.rule("KVM-60")
def test_a_processor_is_its_number_whatever_its_affinity() -> None:
    affinities = [affinity.pack(3, 0, 1, 7), affinity.pack(0, 0, 0, 0), affinity.pack(1, 2, 0, 200)]
    tables = Tables(ItsVm(affinities, a3v=True))
    driver = tables.driver
    # Bits of RDbase above the number are reserved.
    driver.send("MAPC", ICID=7, RDbase=0xA_0002, V=1)
    tables.save()
    entries = [tables.word(tables.collection(place)) for place in range(5)]
    assert entries == [cte(0, 0), cte(1, 1), cte(2, 2), cte(2, 7), 0]
    driver.map_device(1, events=2)
    intid = driver.map_event(1, 0, cpu=2)
    for a3v in (True, False):
        tables.vm.migrate(HostCapabilities(a3v=a3v), driver)
        assert tables.vm.gic.affinity(2) == affinities[2]
        tables.vm.gic.msi(1, 0)
        assert [driver.take(cpu) for cpu in range(3)] == [SPURIOUS, SPURIOUS, intid]
    for cpu, packed in enumerate(reversed(affinities)):
        tables.vm.device.set_mpidr(cpu, affinity.to_mpidr(packed))
    tables.vm.gic.msi(1, 0)
    assert tables.vm.gic.affinity(2) == affinities[0]
    assert [driver.take(cpu) for cpu in range(3)] == [SPURIOUS, SPURIOUS, intid]


@pytest.mark.rule("KVM-54")
def test_what_cannot_be_reached_is_left_alone() -> None:
    tables = Tables(indirect=True)
    driver = tables.driver
    reachable = driver.map_device(1, events=2)
    driver.map_device(0x4001, events=2)
    driver.map_device(0x8001, events=2)
    driver.map_device(0xC001, events=2)
    page = tables.word(driver.devices + 8 * 4) & ~VALID
    entry = tables.word(page + 8)
    assert entry & VALID
    tables.put(driver.devices + 8 * 2, 0)
    tables.put(driver.devices + 8 * 4, page)
    tables.put(driver.devices + 8 * 6, VALID | NO_RAM)
    nowhere = NO_RAM + PAGE
    driver.send("MAPD", DeviceID=2, Size=0, ITT_addr=nowhere >> 8, V=1)
    tables.save()
    assert tables.word(page + 8) == entry
    first = tables.word(driver.devices) & ~VALID
    assert tables.word(first + 8) == dte(1, reachable, 1)
    assert tables.word(first + 16) == dte(0, nowhere, 1)
    tables.restore()


@pytest.mark.rule("KVM-54")
def test_without_tables_there_is_nothing_to_save() -> None:
    vm = ItsVm()
    vm.its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)
    vm.its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
    assert not any(vm.ram.read(RAM, RAM_SIZE))


Spoil = Callable[[Tables, int, int], object]

IN_THE_WAY: list[tuple[str, Spoil, str]] = [
    ("low INTID", lambda t, three, five: t.put(three, ite(0, 8191, 0)), "event 0 of device 0x3: INTID 8191"),
    ("high INTID", lambda t, three, five: t.put(five, ite(0, 0x1_0000, 0)), "event 0 of device 0x5: INTID 65536"),
    ("size", lambda t, three, five: t.put(t.device(1), dte(0, NO_RAM, 17)), "device 0x1 has 0x20000 events"),
    ("shared", lambda t, three, five: t.put(t.device(4), dte(0, five, 1)), "overlap"),
    ("in the table", lambda t, three, five: t.put(t.device(1), dte(0, t.device(0x1000), 1)), "overlap"),
    ("in the list", lambda t, three, five: t.put(t.device(1), dte(0, t.collection(0x1000), 1)), "overlap"),
]


def small_collection_table(tables: Tables, three: int, five: int) -> None:
    """With room for 8,192, of which event 0 of device 5 names another."""
    driver = tables.driver
    driver.enable(False)
    driver.write(gits.BASER, gits.BASER.encode({"Valid": 1, "Page_Size": 2}) | driver.collections, 1)
    tables.put(five, ite(0, 8200, 0x2000))


IN_THE_WAY.append(("collection", small_collection_table, "event 0 of device 0x5: collection 8192 is beyond"))


@pytest.mark.rule("KVM-54", "KVM-58")
@pytest.mark.parametrize(
    ("spoil", "reason"), [case[1:] for case in IN_THE_WAY], ids=[case[0] for case in IN_THE_WAY]
)
def test_tables_that_could_not_be_restored_are_not_saved(spoil: Spoil, reason: str) -> None:
    """What the guest wrote there itself: no command does."""
    tables = Tables()
    spoil(tables, *tables.two_devices())
    before = tables.contents()
    assert reason in refused(errno.EINVAL, tables.save)
    assert tables.contents() == before


@pytest.mark.rule("KVM-54")
def test_a_level_1_table_within_another_is_not_saved() -> None:
    tables = Tables(indirect=True)
    tables.driver.map_device(1, events=2)
    page = tables.word(tables.driver.devices) & ~VALID
    tables.put(page + 8 * 2, dte(0, tables.driver.devices, 1))
    assert "overlap" in refused(errno.EINVAL, tables.save)


@pytest.mark.rule("KVM-54")
def test_a_collection_table_outside_ram_is_not_saved() -> None:
    tables = Tables()
    tables.two_devices()
    tables.driver.enable(False)
    tables.driver.write(gits.BASER, gits.BASER.encode({"Valid": 1, "Page_Size": 2}) | NO_RAM, 1)
    before = tables.contents()
    assert "not in RAM" in refused(errno.EFAULT, tables.save)
    assert tables.contents() == before
    assert "not in RAM" in refused(errno.EFAULT, tables.restore)


# Restoring.


def saved() -> tuple[Tables, int, int]:
    tables = Tables()
    three, five = tables.two_devices()
    tables.save()
    return tables, three, five


@pytest.mark.rule("KVM-57")
def test_restoring_follows_the_links() -> None:
    tables, three, _ = saved()
    # These lie behind the first entry, and none links to them.
    tables.put(three + 8 * 5, ite(0, 1, 0))
    tables.put(tables.device(4), dte(0, three, 31))
    tables.put(tables.device(6), dte(0, three, 31))
    tables.put(tables.collection(3), cte(99, 0))
    tables.restore()
    assert tables.vm.gic.its().tables.kept == {0: 0, 1: 1}
    assert tables.vm.gic.msi(3, 9).outcome is vgic.MsiOutcome.DELIVERED
    # Before the first, entry by entry is looked at.
    tables.put(three, ite(0, 1, 0))
    refused(errno.EINVAL, tables.restore)


Change = Callable[[Tables, int, int], object]

INCONSISTENT: list[tuple[str, Change, int, str]] = [
    ("no vCPU", lambda t, three, five: t.put(t.collection(0), cte(2, 0)), errno.EINVAL, "vCPU 2, the VM has 2"),
    (
        "twice",
        lambda t, three, five: t.put(t.collection(1), cte(0, 0)),
        errno.EEXIST,
        "collection 0 is there already",
    ),
    (
        "missing",
        lambda t, three, five: t.put(t.collection(0), 0),
        errno.EINVAL,
        "event 2 of device 0x3: collection 0",
    ),
    ("INTID", lambda t, three, five: t.put(three + 16, ite(7, 5, 0)), errno.EINVAL, "INTID 5 is no LPI"),
    ("next event", lambda t, three, five: t.put(three + 16, ite(14, 8192, 0)), errno.EINVAL, "beyond the device's"),
    ("size", lambda t, three, five: t.put(t.device(3), dte(2, three, 17)), errno.EINVAL, "device 0x3 has 0x20000"),
    ("shared", lambda t, three, five: t.put(t.device(3), dte(2, five, 1)), errno.EINVAL, "overlap"),
]


@pytest.mark.rule("KVM-57", "KVM-58")
@pytest.mark.parametrize(
    ("change", "number", "reason"), [case[1:] for case in INCONSISTENT], ids=[case[0] for case in INCONSISTENT]
)
def test_inconsistent_tables_are_refused_and_change_nothing(change: Change, number: int, reason: str) -> None:
    tables, three, five = saved()
    change(tables, three, five)
    before = tables.contents()
    assert reason in refused(number, tables.restore)
    assert tables.contents() == before
    assert tables.vm.gic.its().tables.kept == {}


@pytest.mark.rule("KVM-57")
def test_a_collection_beyond_the_table_is_refused() -> None:
    tables, _, five = saved()
    small_collection_table(tables, 0, five)
    tables.put(tables.collection(0), cte(0, 0x2000))
    assert "collection 8192 is beyond the table of 8192" in refused(errno.EINVAL, tables.restore)


@pytest.mark.rule("KVM-57")
def test_tables_are_restored_once() -> None:
    tables, _, _ = saved()
    tables.restore()
    again = refused(errno.EEXIST, lambda: tables.vm.its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES))
    assert again == "EEXIST: ITS 0: CTRL RESTORE_TABLES: collection 0 is there already"


@pytest.mark.rule("KVM-59")
def test_restoring_reads_configuration_and_pending_bits() -> None:
    tables, _, _ = saved()
    driver = tables.driver
    bank = tables.vm.gic.lpis(1)
    driver.configure(8193, ENABLED | 0x40)
    driver.configure(8194, DISABLED | 0x20)
    tables.ram.write(driver.pending[1] + (8192 >> 3), b"\x06")
    # That of a vCPU that the LPI does not go to.
    tables.ram.write(driver.pending[0] + (8192 >> 3), b"\x02")
    tables.restore()
    assert bank.pending == {8193: ENABLED | 0x40, 8194: DISABLED | 0x20}
    assert tables.ram.read(driver.pending[1] + (8192 >> 3), 1) == b"\0"
    assert tables.ram.read(driver.pending[0] + (8192 >> 3), 1) == b"\x02"
    # Both are cached: what the guest changes counts from INV on.
    driver.configure(8194, ENABLED)
    assert driver.take_all() == [(1, 8193)]
    driver.send("INV", DeviceID=5, EventID=1)
    assert driver.take_all() == [(1, 8194)]


@pytest.mark.rule("KVM-53")
def test_other_profiles_keep_nothing_that_would_have_to_be_saved() -> None:
    tables = Tables(ItsVm(profile=vgic.ARCH))
    tables.driver.map_device(3, events=2)
    tables.driver.map_event(3, 0, cpu=1)
    before = tables.contents()
    tables.save()
    tables.vm.its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
    assert tables.contents() == before


# Pending tables.


@pytest.mark.rule("KVM-34")
def test_pending_lpis_are_saved_in_the_pending_tables() -> None:
    tables = Tables()
    driver, device = tables.driver, tables.vm.device
    driver.map_device(1, events=16)
    for event in range(12):
        driver.map_event(1, event, cpu=event % 2)
    for event in (0, 2, 3, 11):
        tables.vm.gic.msi(1, event)
    driver.mask(1, 11)
    for pending in driver.pending:
        tables.ram.write(pending, b"\xff" * 1024)
    device.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    size = 0x1_0000 >> 3
    tables_after = [tables.ram.read(pending, size) for pending in driver.pending]
    for table, bits in zip(tables_after, (0b101, 1 << 3 | 1 << 11), strict=True):
        assert table[:1024] == b"\xff" * 1024
        assert int.from_bytes(table[1024:], "little") == bits
    # The VM goes on; what is no longer pending is not saved again.
    assert driver.take_all() == [(0, 8192), (0, 8194), (1, 8195)]
    device.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    assert not any(tables.ram.read(driver.pending[0] + 1024, size - 1024))


@pytest.mark.rule("KVM-34")
def test_pending_tables_of_a_vcpu_without_lpis_are_not_written() -> None:
    tables = Tables()
    tables.driver.enable_lpis(1, False)
    tables.ram.write(tables.driver.pending[1] + 1024, b"\x55")
    tables.vm.device.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    assert tables.ram.read(tables.driver.pending[1] + 1024, 1) == b"\x55"


# A hostile guest.


class Counting:
    """Guest RAM that counts how often it is asked, read and written."""

    def __init__(self, ram: Ram) -> None:
        self.ram = ram
        self.accesses = 0

    def is_ram(self, address: int, size: int) -> bool:
        self.accesses += 1
        return self.ram.is_ram(address, size)

    def read(self, address: int, size: int) -> bytes:
        assert size <= 4096
        self.accesses += 1
        return self.ram.read(address, size)

    def write(self, address: int, data: bytes) -> None:
        self.accesses += 1
        self.ram.write(address, data)


def tried(tables: Tables, control: int) -> tuple[int, int]:
    """The number with which SAVE_TABLES or RESTORE_TABLES is refused, 0 if it is not, and how often RAM is used."""
    counting, gic = Counting(tables.ram), tables.vm.gic
    gic.memory = counting
    try:
        tables.vm.its.set_attr(Group.CTRL, control)
    except KvmError as error:
        return error.errno or 0, counting.accesses
    finally:
        gic.memory = tables.ram
    return 0, counting.accesses


@pytest.mark.rule("KVM-58")
def test_a_table_for_every_device_is_not_read_for_each_of_them() -> None:
    """65,536 devices with 65,536 events each, all in one place, would take hours."""
    tables = Tables()
    itt = tables.driver.memory.take(PAGE * 8)
    entry = dte(1, itt, 16).to_bytes(8, "little")
    tables.ram.write(tables.driver.devices, entry * PAGE)
    tables.ram.write(itt, ite(1, 8192, 0).to_bytes(8, "little") * PAGE)
    for control in (ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES):
        number, accesses = tried(tables, control)
        assert number == errno.EINVAL
        assert accesses < 1000


def scribble(tables: Tables, random: Random, page: int, indirect: bool) -> None:
    """A few entries that may be sound, in tables that are otherwise empty."""
    ram, driver = tables.ram, tables.driver
    ram.write(driver.devices, bytes(PAGE if indirect else 8 * PAGE))
    ram.write(driver.collections, bytes(0x100))
    ram.write(page, bytes(PAGE))
    if indirect:
        tables.put(driver.devices + 8 * random.randrange(8), VALID | page)
        tables.put(driver.devices + 8 * random.randrange(8), random.choice((VALID | NO_RAM, page, 0)))
    for _ in range(random.randrange(4)):
        itt = random.choice((page + 0x100 * random.randrange(128, 256), NO_RAM, random.getrandbits(52) & ~0xFF))
        where = (page if indirect else driver.devices) + 8 * random.randrange(0x200)
        tables.put(where, dte(random.choice((0, 1, 8, 0x3FFF)), itt, random.choice((1, 2, 5, 16, 17))))
    for _ in range(random.randrange(40)):
        where = page + PAGE // 2 + 8 * random.randrange(PAGE // 16)
        tables.put(
            where, ite(random.choice((0, 1, 7)), random.choice((8191, 8192, 9000, 9001)), random.randrange(3))
        )
    for place in range(random.randrange(4)):
        tables.put(tables.collection(place), cte(random.choice((0, 1, 1, 1, 2, NOT_MAPPED)), random.randrange(4)))


@pytest.mark.rule("KVM-58")
@pytest.mark.parametrize("indirect", [False, True], ids=["flat", "two-level"])
def test_random_tables_are_saved_or_refused(indirect: bool) -> None:
    tables = Tables(indirect=indirect)
    page = tables.driver.memory.take(PAGE)
    kept = tables.vm.gic.its().tables.kept
    answers: set[tuple[int, int]] = set()
    for seed in range(200):
        random = Random(seed)
        scribble(tables, random, page, indirect)
        kept.clear()
        # First as found, which nobody has linked; then what was saved, which can be restored.
        for control in (ItsControl.RESTORE_TABLES, ItsControl.SAVE_TABLES):
            number, accesses = tried(tables, control)
            assert accesses < 2000
            answers.add((control, number))
        if not number:
            before = dict(kept)
            kept.clear()
            tables.restore()
            assert kept == before
        tables.vm.gic.check()
    save, restore = ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES
    assert answers == {(save, 0), (save, errno.EINVAL)} | {(restore, n) for n in (0, errno.EINVAL, errno.EEXIST)}
