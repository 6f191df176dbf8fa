"""RESTORE_TABLES: what it reads and refuses; and tables of a hostile guest, saved and restored."""

import errno
from collections.abc import Callable
from random import Random

import pytest

import vgic
from its_driver import DISABLED, ENABLED
from kvm_its import ItsVm
from kvm_its_tables import NO_RAM, NOT_MAPPED, PAGE, VALID, Tables, cte, dte, ite, small_collection_table
from kvm_round_trips import PENDING_LPI, TABLES, TABLES_SIZE, TAKES, ModelMachine, facade, restore_pending_lpi
from kvm_vm import refused
from vgic import Ram
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import Group, ItsControl, KvmError

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
    (
        "no vCPU",
        lambda t, three, five: t.put(t.collection(0), cte(2, 0)),
        errno.EINVAL,
        "vCPU 2, which this VM does not have",
    ),
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


@pytest.mark.rule("ITS-36", "LPI-27")
def test_an_lpi_that_has_lost_its_event_is_pending_until_the_vm_moves() -> None:
    tables = Tables()
    vm, driver = tables.vm, tables.driver
    driver.map_device(3, events=2)
    lost, kept = driver.map_event(3, 0, cpu=1), driver.map_event(3, 1, cpu=1)
    vm.gic.msi(3, 0)
    driver.map_device(3, events=2)
    driver.send("MAPTI", DeviceID=3, EventID=1, pINTID=kept, ICID=1)
    vm.gic.msi(3, 1)
    assert vm.gic.lpis(1).pending.keys() == {lost, kept}
    vm.migrate(HostCapabilities(a3v=False), driver)
    assert vm.gic.lpis(1).pending.keys() == {kept}


@pytest.mark.rule("KVM-53")
def test_other_profiles_keep_nothing_that_would_have_to_be_saved() -> None:
    tables = Tables(ItsVm(profile=vgic.ARCH))
    tables.driver.map_device(3, events=2)
    tables.driver.map_event(3, 0, cpu=1)
    before = tables.contents()
    tables.save()
    tables.vm.its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
    assert tables.contents() == before


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
            restored, _ = tried(tables, ItsControl.RESTORE_TABLES)
            # What is not in RAM is not saved, unless something is mapped there; to restore from it is refused.
            assert (restored, kept) in ((0, before), (errno.EFAULT, {}))
        tables.vm.gic.check()
    save, restore = ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES
    assert answers == {(save, n) for n in (0, errno.EINVAL)} | {
        (restore, n) for n in (0, errno.EINVAL, errno.EEXIST, errno.EFAULT)
    }


@pytest.mark.rule("KVM-65")
@pytest.mark.parametrize(("enabled_first", "taken"), [(True, 8192), (False, vgic.SPURIOUS)])
def test_lpis_restored_before_the_distributor_is_enabled_never_arrive(enabled_first: bool, taken: int) -> None:
    ram = bytearray(TABLES_SIZE)
    for address, data in PENDING_LPI:
        ram[address - TABLES : address - TABLES + len(data)] = data
    device = facade(bytes(ram))
    restore_pending_lpi(device, enabled_first=enabled_first)
    with device.run() as gic:
        assert ModelMachine(gic).do(0, TAKES)[-1] == taken
