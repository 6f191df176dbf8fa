"""What KVM keeps of LPIs beside guest RAM. What is expected is what KVM 6.1, 6.12 and 7.2 did, asked live."""

import pytest

import vgic
from its_driver import RAM, RAM_SIZE, ItsDriver, Memory, vm
from kvm_its import ItsVm
from vgic import Config, Gic, MsiOutcome, Ram, Topology
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import Address, Control, Group, ItsAddress, VgicV3Device
from vgic.layouts import gicr, gits

DEVICE = 8
LPIS = 8192, 8193, 8194
"""Of events 0, 1 and 2, which go to vCPUs 0, 1 and 0."""

DELIVERED, BLOCKED = MsiOutcome.DELIVERED, MsiOutcome.BLOCKED


def guest(profile: vgic.Profile = vgic.KVM) -> ItsDriver:
    """Three vCPUs, each with the collection of its number."""
    driver, _ = vm(3, profile)
    driver.map_device(DEVICE, events=8)
    for event, cpu in enumerate((0, 1, 0)):
        driver.map_event(DEVICE, event, cpu)
    return driver


def pending(driver: ItsDriver) -> list[list[int]]:
    """The LPIs that are pending at each vCPU."""
    driver.gic.check()
    return [sorted(driver.gic.lpis(cpu).pending) for cpu in range(driver.cpus)]


def send(driver: ItsDriver, *events: int) -> list[MsiOutcome]:
    return [driver.gic.msi(DEVICE, event).outcome for event in events]


def movall(driver: ItsDriver, source: int, target: int) -> None:
    driver.send("MOVALL", RDbase=driver.rdbase(source), RDbase2=driver.rdbase(target))


def mapti(driver: ItsDriver, event: int, intid: int, collection: int) -> None:
    driver.configure(intid, 0xA3)
    driver.send("MAPTI", DeviceID=DEVICE, EventID=event, pINTID=intid, ICID=collection)


@pytest.mark.rule("ITS-34")
def test_movall_moves_lpis_for_good() -> None:
    driver = guest()
    send(driver, 0, 1)
    movall(driver, 0, 2)
    assert pending(driver) == [[], [8193], [8192]]
    driver.send("CLEAR", DeviceID=DEVICE, EventID=0)
    assert pending(driver) == [[], [8193], []]
    send(driver, 0)
    driver.send("INT", DeviceID=DEVICE, EventID=2)
    assert pending(driver) == [[], [8193], [8192, 8194]]
    driver.mask(DEVICE, 0)
    assert driver.take_all() == [(1, 8193), (2, 8194)], "INV reads the configuration where the LPI is"
    movall(driver, 2, 1)
    send(driver, 2)
    assert pending(driver) == [[], [8192, 8194], []]
    movall(driver, 0, 2)
    assert pending(driver) == [[], [8192, 8194], []]
    # In the architecture MOVALL moves no mapping (ITS-17).
    plain = guest(vgic.ARCH)
    movall(plain, 0, 2)
    send(plain, 0)
    assert pending(plain) == [[8192], [], []]


@pytest.mark.rule("ITS-34")
def test_movall_concerns_the_lpis_of_every_its() -> None:
    ram = Ram.zeroed(0x4000_0000, 0x100_0000)
    gic = Gic(Config(Topology.kvm(3), profile=vgic.KVM, its=(0x0C00_0000, 0x0C02_0000)), memory=ram)
    memory = Memory(ram)
    first, second = (ItsDriver(gic, ram, number, memory, first_lpi=8192 + 100 * number) for number in range(2))
    first.start()
    second.properties = first.properties
    second.start_its()
    for driver in (first, second):
        driver.map_collection(0, 0)
        driver.map_device(DEVICE, events=2)
        driver.map_event(DEVICE, 0, cpu=0)
    movall(second, 0, 1)
    for number in range(2):
        gic.msi(DEVICE, 0, its=number)
    assert pending(first) == [[], [8192, 8292], []]
    # A collection of one of them has the number of one of the other's.
    second.map_collection(0, 2)
    assert pending(first) == [[], [8192], [8292]]
    first.map_collection(0, 0)
    assert pending(first) == [[8192], [], [8292]]


@pytest.mark.rule("ITS-34")
def test_mapc_and_movi_take_an_lpi_back_that_movall_moved() -> None:
    driver = guest()
    movall(driver, 0, 2)
    send(driver, 0, 2)
    assert pending(driver) == [[], [], [8192, 8194]]
    driver.set_affinity(DEVICE, 0, 1)
    assert pending(driver) == [[], [8192], [8194]]
    driver.map_collection(0, 0)
    assert pending(driver) == [[8194], [8192], []]
    assert driver.take_all() == [(0, 8194), (1, 8192)]
    assert send(driver, 0, 2) == [DELIVERED, DELIVERED]
    assert pending(driver) == [[8194], [8192], []]


@pytest.mark.rule("ITS-34")
def test_what_is_mapped_after_movall_goes_where_its_collection_does() -> None:
    driver = guest()
    movall(driver, 0, 2)
    mapti(driver, 3, 8195, 0)
    driver.set_affinity(DEVICE, 1, 0)
    send(driver, 0, 1, 3)
    assert pending(driver) == [[8193, 8195], [], [8192]]


@pytest.mark.rule("ITS-35")
def test_a_collection_takes_its_pending_lpis_along() -> None:
    driver = guest()
    send(driver, 0, 1)
    driver.send("MAPC", ICID=0, RDbase=2, V=1)
    assert pending(driver) == [[], [8193], [8192]]
    send(driver, 2)
    assert pending(driver) == [[], [8193], [8192, 8194]]
    plain = guest(vgic.ARCH)
    send(plain, 0)
    plain.send("MAPC", ICID=0, RDbase=2, V=1)
    assert pending(plain) == [[8192], [], []]


@pytest.mark.rule("ITS-35")
def test_events_of_a_collection_that_was_unmapped_are_cut_off() -> None:
    driver = guest()
    send(driver, 0)
    driver.unmap_collection(0)
    assert send(driver, 0, 1, 2) == [BLOCKED, DELIVERED, BLOCKED]
    assert pending(driver) == [[8192], [8193], []]
    driver.send("MAPC", ICID=0, RDbase=1, V=1)
    assert send(driver, 0, 2) == [BLOCKED, BLOCKED]
    mapti(driver, 2, 8194, 0)
    driver.send("MOVI", DeviceID=DEVICE, EventID=0, ICID=1)
    driver.send("DISCARD", DeviceID=DEVICE, EventID=0)
    mapti(driver, 0, 8192, 0)
    assert send(driver, 0, 2) == [BLOCKED, BLOCKED]
    assert pending(driver) == [[8192], [8193], []]
    mapti(driver, 3, 8195, 0)
    assert send(driver, 3) == [DELIVERED]
    assert pending(driver) == [[8192], [8193, 8195], []]
    driver.map_device(DEVICE, events=8)
    mapti(driver, 2, 8194, 0)
    assert send(driver, 2) == [DELIVERED]
    assert pending(driver) == [[8192], [8193, 8194, 8195], []]
    # The first event could be discarded as long as its collection was mapped.
    plain = guest(vgic.ARCH)
    plain.unmap_collection(0)
    plain.map_collection(0, 1)
    assert send(plain, 0) == [DELIVERED]


@pytest.mark.rule("ITS-35")
@pytest.mark.parametrize("table", [0, 1])
def test_tables_that_are_taken_away_cut_events_off(table: int) -> None:
    driver = guest()
    send(driver, 0)
    driver.enable(False)
    register = driver.read(gits.BASER, table)
    driver.write(gits.BASER, register & ~(1 << 63), table)
    driver.write(gits.BASER, register, table)
    driver.enable()
    assert send(driver, 0) == [BLOCKED]
    for cpu in range(3):
        driver.map_collection(cpu, cpu)
    assert send(driver, 0, 1, 2) == [BLOCKED, BLOCKED, BLOCKED]
    assert pending(driver) == [[8192], [], []]
    driver.map_device(DEVICE, events=8)
    mapti(driver, 1, 8193, 2)
    assert send(driver, 1) == [DELIVERED]
    assert pending(driver) == [[8192], [], [8193]]


@pytest.mark.rule("ITS-36")
def test_a_discarded_event_leaves_its_lpi_pending() -> None:
    driver = guest()
    send(driver, 0)
    driver.send("DISCARD", DeviceID=DEVICE, EventID=0)
    driver.send("DISCARD", DeviceID=DEVICE, EventID=2)
    assert pending(driver) == [[8192], [], []]
    assert send(driver, 0, 2) == [BLOCKED, BLOCKED]
    # What is pending is moved by MOVALL, not by the collection that was.
    driver.send("MAPC", ICID=0, RDbase=1, V=1)
    assert pending(driver) == [[8192], [], []]
    movall(driver, 0, 2)
    assert driver.take_all() == [(2, 8192)]


@pytest.mark.rule("ITS-36")
@pytest.mark.parametrize("hindrance", ["the LPI is not enabled", "the Distributor is not enabled"])
def test_a_discarded_event_whose_lpi_is_not_offered_leaves_nothing(hindrance: str) -> None:
    driver = guest()
    if hindrance == "the LPI is not enabled":
        driver.mask(DEVICE, 0)
    else:
        driver.gic.write(driver.gic.config.gicd_base, 4, 0)
    send(driver, 0)
    assert pending(driver) == [[8192], [], []]
    driver.send("DISCARD", DeviceID=DEVICE, EventID=0)
    assert pending(driver) == [[], [], []]


@pytest.mark.rule("ITS-36")
@pytest.mark.parametrize("unmap", ["DISCARD", "MAPD"])
def test_an_lpi_that_is_mapped_anew_while_it_is_pending_stays_where_it_is(unmap: str) -> None:
    driver = guest()
    send(driver, 0)
    if unmap == "DISCARD":
        driver.send("DISCARD", DeviceID=DEVICE, EventID=0)
    else:
        driver.unmap_device(DEVICE)
        driver.map_device(DEVICE, events=8)
    mapti(driver, 0, 8192, 1)
    assert pending(driver) == [[8192], [], []]
    send(driver, 0)
    assert pending(driver) == [[8192], [], []]
    assert driver.take_all() == [(0, 8192)]
    # Once it has been taken it is mapped like any other.
    driver.send("DISCARD", DeviceID=DEVICE, EventID=0)
    mapti(driver, 0, 8192, 1)
    send(driver, 0)
    assert pending(driver) == [[], [8192], []]


# Carried over.


@pytest.mark.rule("ITS-34", "ITS-50")
def test_what_is_kept_is_saved_and_restored() -> None:
    driver = guest()
    movall(driver, 0, 2)
    send(driver, 1)
    driver.send("DISCARD", DeviceID=DEVICE, EventID=1)
    mapti(driver, 3, 8195, 1)
    driver.unmap_collection(1)
    saved = driver.gic.save()
    assert {name: value for name, value in saved["registers"].items() if ".lpi" in name} == {
        "GITS[0].lpi8192": 1 << 63 | 2,
        "GITS[0].lpi8193": 1 << 63 | 1 << 33 | 1 << 16 | 1,
        "GITS[0].lpi8194": 1 << 63 | 2,
        "GITS[0].lpi8195": 1 << 63 | 1 << 32 | 1 << 16 | 1,
    }
    restored = guest()
    mapti(restored, 4, 8199, 0)
    restored.gic.restore(saved)
    restored.ram.write(driver.ram.base, driver.ram.read(driver.ram.base, driver.ram.size))
    assert restored.gic.save() == saved
    for each in (driver, restored):
        each.map_collection(1, 1)
        assert send(each, 0, 2, 3) == [DELIVERED, DELIVERED, BLOCKED]
        mapti(each, 1, 8193, 0)
        send(each, 1)
        assert pending(each) == [[], [8193], [8192, 8194]]


@pytest.mark.rule("ITS-50")
@pytest.mark.parametrize(
    "name", ["GITS[0].lpi8191", "GITS[0].lpi70000", "GITS[0].lpi08192", "GITS[1].lpi8192", "GITS[0].lpi9000"]
)
def test_what_no_its_can_keep_is_refused(name: str) -> None:
    driver = guest()
    saved = driver.gic.save()
    saved["registers"][name] = 1 << 63 | 3
    with pytest.raises(vgic.VgicError):
        driver.gic.restore(saved)
    plain = guest(vgic.ARCH)
    saved = plain.gic.save()
    saved["registers"]["GITS[0].lpi9000"] = 1 << 63
    with pytest.raises(vgic.VgicError):
        plain.gic.restore(saved)


@pytest.mark.rule("ITS-34")
def test_kvms_tables_do_not_tell_where_movall_moved_an_lpi() -> None:
    machine = ItsVm((0, 1, 2))
    driver = machine.driver()
    driver.map_device(DEVICE, events=4)
    driver.map_event(DEVICE, 0, 0)
    movall(driver, 0, 2)
    send(driver, 0)
    assert pending(driver) == [[], [], [8192]]
    machine.migrate(HostCapabilities(a3v=False), driver)
    # Its bit is in the pending table of a vCPU that it does not go to any more (LPI-27).
    assert pending(driver) == [[], [], []]
    send(driver, 0)
    assert pending(driver) == [[8192], [], []]
    # It is known of what was restored where it is, and its collection.
    driver.map_collection(0, 1)
    assert pending(driver) == [[], [8192], []]


@pytest.mark.rule("LPI-27")
def test_a_vcpu_takes_only_what_goes_to_it_out_of_its_table() -> None:
    driver = guest()
    for cpu in range(3):
        driver.enable_lpis(cpu, False)
        driver.gic.write(driver.redistributor(cpu, gicr.PENDBASER), 8, driver.pending[cpu])  # Without PTZ.
        table = driver.pending[cpu] + 8192 // 8
        driver.ram.write(table, b"\x0f")  # 8192 to 8194, and 8195, which nobody has mapped.
        driver.enable_lpis(cpu)
        # What is taken stays in the table.
        assert driver.ram.read(table, 1) == b"\x0f"
    assert pending(driver) == [[8192, 8194], [8193], []]
    assert sorted(driver.take_all()) == [(0, 8192), (0, 8194), (1, 8193)]


@pytest.mark.rule("ITS-34")
def test_an_address_that_comes_later_changes_nothing() -> None:
    """A façade that has not run yet builds another GIC (KVM-15)."""
    ram = Ram.zeroed(RAM, RAM_SIZE)
    device = VgicV3Device(memory=ram)
    for _ in range(3):
        device.create_vcpu()
    its, later = device.create_its(), device.create_its()
    device.set_attr(Group.ADDR, Address.DIST, 0x0800_0000)
    device.set_attr(Group.ADDR, Address.REDIST, 0x0900_0000)
    device.set_attr(Group.CTRL, Control.INIT)
    its.set_attr(Group.ADDR, ItsAddress.ITS, 0x0808_0000)
    driver = ItsDriver(device.gic, ram)
    driver.start()
    driver.map_device(DEVICE, events=4)
    driver.map_event(DEVICE, 0, 0)
    movall(driver, 0, 2)
    later.set_attr(Group.ADDR, ItsAddress.ITS, 0x0810_0000)
    assert driver.gic is not device.gic
    driver.gic = device.gic
    send(driver, 0)
    assert pending(driver) == [[], [], [8192]]
