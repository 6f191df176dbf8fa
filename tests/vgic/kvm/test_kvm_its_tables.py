"""SAVE_TABLES and SAVE_PENDING_TABLES: what they write, and what they refuse to."""

import errno
from collections.abc import Callable

import pytest

import vgic
from its_driver import RAM, SPURIOUS
from kvm_its import RAM_SIZE, ItsVm
from kvm_its_tables import NO_RAM, NOT_MAPPED, PAGE, VALID, Tables, cte, dte, ite, small_collection_table
from kvm_vm import refused
from vgic import affinity
from vgic.host.capabilities import HostCapabilities
from vgic.its.device import Translation
from vgic.kvm import Control, Group, ItsControl
from vgic.layouts import gits

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
    assert [tables.word(tables.collection(place)) for place in range(3)] == [cte(1, 1), cte(NOT_MAPPED, 0), 0]
    tables.restore()
    assert tables.vm.gic.its().tables.kept == {1: 1}
    assert tables.vm.device.signal_msi(0x0809_0040, 2, 3) == 0
    tables.driver.map_collection(0, 0)
    assert tables.vm.device.signal_msi(0x0809_0040, 2, 3) == 1


@pytest.mark.rule("KVM-53")
def test_collections_are_listed_in_the_order_in_which_commands_named_them() -> None:
    tables = Tables()
    driver = tables.driver
    driver.map_device(3, events=4)
    driver.send("MAPTI", DeviceID=3, EventID=0, pINTID=8200, ICID=9)
    driver.map_collection(5, 1)
    driver.map_collection(0, 1)
    driver.unmap_collection(1)
    driver.map_collection(1, 0)
    tables.save()
    listed = [cte(1, 0), cte(NOT_MAPPED, 9), cte(1, 5), cte(0, 1), 0]
    assert [tables.word(tables.collection(place)) for place in range(5)] == listed
    tables.restore()
    tables.save()
    assert [tables.word(tables.collection(place)) for place in range(5)] == listed


@pytest.mark.rule("KVM-53")
def test_a_vm_that_was_saved_lists_its_collections_in_the_same_order() -> None:
    tables = Tables()
    driver, gic = tables.driver, tables.vm.gic
    driver.map_device(3, events=4)
    driver.send("MAPTI", DeviceID=3, EventID=0, pINTID=8200, ICID=9)
    driver.map_collection(5, 1)
    driver.unmap_collection(0)
    state = vgic.State.of(gic)
    registers = state.data["registers"]
    # Places, whatever has been named and unmapped before.
    assert {name: value for name, value in registers.items() if "order" in name} == {
        "GITS[0].collection_order1": 1,
        "GITS[0].collection_order9": 2,
        "GITS[0].collection_order5": 3,
    }
    driver.unmap_collection(9)
    driver.map_collection(0, 1)
    gic.restore(state.data)
    assert gic.save() == state.data
    driver.map_collection(0, 0)
    driver.map_collection(5, 0)
    tables.save()
    listed = [cte(1, 1), cte(NOT_MAPPED, 9), cte(0, 5), cte(0, 0), 0]
    assert [tables.word(tables.collection(place)) for place in range(5)] == listed
    # A state from before the order was part of it.
    old = {name: value for name, value in registers.items() if "order" not in name}
    gic.restore({**state.data, "registers": old})
    tables.save()
    assert [tables.word(tables.collection(place)) for place in range(4)] == [
        cte(1, 1),
        cte(1, 5),
        cte(NOT_MAPPED, 9),
        0,
    ]


@pytest.mark.rule("KVM-53")
@pytest.mark.parametrize(
    ("name", "value"),
    [("order1", 0), ("order1", 3), ("order5", 4), ("order5", 1 << 17), ("order05", 3), ("order65536", 3)],
)
def test_an_order_that_cannot_be_is_refused(name: str, value: int) -> None:
    tables = Tables()
    tables.driver.map_collection(5, 1)
    saved = tables.vm.gic.save()
    saved["registers"][f"GITS[0].collection_{name}"] = value
    with pytest.raises(vgic.StateError, match="collection_order"):
        tables.vm.gic.restore(saved)


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
    tables.save()
    assert tables.word(page + 8) == entry
    first = tables.word(driver.devices) & ~VALID
    assert tables.word(first + 8) == dte(0, reachable, 1)


@pytest.mark.rule("KVM-54")
@pytest.mark.parametrize("last", [31, 15], ids=["at a page's end", "within a page"])
def test_a_table_that_ram_ends_within_is_saved_as_far_as_it_goes(last: int) -> None:
    table = RAM + RAM_SIZE - 0x100
    tables = Tables(ItsVm(ram_size=table + 8 * (last + 1) - RAM))
    tables.driver.send("MAPD", DeviceID=3, Size=5, ITT_addr=table >> 8, V=1)
    for event in (1, last):
        tables.driver.map_event(3, event, cpu=1)
    tables.save()
    assert tables.word(table + 8) == ite(last - 1, 8192, 1)
    tables.restore()
    assert tables.vm.gic.its().translate(3, last) == Translation(8193, 1, 1)


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
