"""Messages, and what a driver like Linux's does: every LPI arrives once, where it should."""

import dataclasses
from dataclasses import replace

import pytest

import vgic
from its_driver import ITS, RAM, RAM_SIZE, Heard, ItsDriver, Memory, vm
from its_life import live
from vgic import ItsError, MsiOutcome, MsiResult
from vgic.errors import ConfigError
from vgic.its.choices import ItsChoices
from vgic.its.device import Translation
from vgic.layouts import gits
from vgic.profiles import QEMU_VERSIONS
from vgic.profiles.kvm import KVM_VERSIONS

EVERY = pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
DEVICE = 0x10
DELIVERED = MsiResult(MsiOutcome.DELIVERED, None)
BY_ADDRESS = dataclasses.replace(
    vgic.ARCH, name="by address", its=ItsChoices(typer={**ItsChoices().typer, "PTA": 1})
)


@pytest.mark.rule("ITS-22")
@EVERY
@pytest.mark.parametrize("indirect", [False, True])
def test_every_message_arrives_once_where_it_should(profile: vgic.Profile, indirect: bool) -> None:
    driver, heard = vm(profile=profile, indirect=indirect)
    targets = {}
    for device in (0x8, 0x10, 0x1FFF, 0x2000, 0xFFFF):
        driver.map_device(device, 8)
        for event in range(8):
            cpu = (device + event) % 4
            targets[device, event] = (cpu, driver.map_event(device, event, cpu))
    for (device, event), (cpu, intid) in targets.items():
        assert driver.gic.its().translate(device, event) == Translation(intid, cpu, cpu)
        assert driver.gic.msi(device, event) == DELIVERED
        assert driver.gic.outputs(cpu)[0]
        assert driver.take_all() == [(cpu, intid)]
    for device, event in targets:
        driver.gic.msi(device, event)
        driver.gic.msi(device, event)
    assert sorted(driver.take_all()) == sorted(targets.values())
    assert heard.errors == []
    driver.gic.check()


@pytest.mark.rule("ITS-22", "ITS-16", "ITS-17", "ITS-18", "ITS-20")
@EVERY
@pytest.mark.parametrize("seed", range(2))
def test_what_linux_does(profile: vgic.Profile, seed: int) -> None:
    live(profile, seed)


@pytest.mark.rule("ITS-20")
@EVERY
def test_masked_lpis_wait_and_arrive_when_they_are_unmasked(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    one, other = driver.map_event(DEVICE, 0, cpu=2), driver.map_event(DEVICE, 1, cpu=2)
    driver.mask(DEVICE, 0)
    driver.gic.msi(DEVICE, 0)
    driver.gic.msi(DEVICE, 1)
    assert driver.take_all() == [(2, other)]
    # The byte alone does nothing: the configuration is cached, or in QEMU only looked at when it is invalidated.
    driver.configure(one, 0xA3)
    assert driver.take_all() == []
    driver.send("INVALL", ICID=2)
    assert driver.take_all() == [(2, one)]


@pytest.mark.rule("ITS-20")
@EVERY
def test_a_pending_lpi_is_withdrawn_when_it_is_masked(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    driver.gic.msi(DEVICE, 0)
    assert driver.gic.outputs(2)[0]
    driver.mask(DEVICE, 0)
    assert not driver.gic.outputs(2)[0]
    driver.unmask(DEVICE, 0)
    assert driver.take_all() == [(2, intid)]


@pytest.mark.rule("ITS-20")
@EVERY
def test_a_new_priority_counts_after_invalidation(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    low, high = driver.map_event(DEVICE, 0, cpu=0), driver.map_event(DEVICE, 1, cpu=0, priority=0x80)
    driver.gic.msi(DEVICE, 0)
    driver.gic.msi(DEVICE, 1)
    driver.unmask(DEVICE, 0, priority=0x40)
    assert [driver.take(0), driver.take(0)] == [low, high]


@pytest.mark.rule("ITS-25")
@EVERY
def test_a_collection_that_is_mapped_later(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.unmap_collection(3)
    driver.map_device(DEVICE, 4)
    intid = 9000
    driver.configure(intid, 0xA3)
    driver.send("MAPTI", DeviceID=DEVICE, EventID=2, pINTID=intid, ICID=3)
    blocked = MsiResult(MsiOutcome.BLOCKED, ItsError.COLLECTION_UNMAPPED)
    assert driver.gic.msi(DEVICE, 2) == blocked
    assert driver.gic.its().translate(DEVICE, 2) is ItsError.COLLECTION_UNMAPPED
    driver.map_collection(3, cpu=1)
    assert driver.take_all() == []
    assert driver.gic.msi(DEVICE, 2) == DELIVERED
    assert driver.take_all() == [(1, intid)]


@pytest.mark.rule("ITS-16")
@EVERY
def test_moving_an_event_moves_its_pending_state(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    intid, stays = driver.map_event(DEVICE, 0, cpu=0), driver.map_event(DEVICE, 1, cpu=0)
    driver.gic.msi(DEVICE, 0)
    driver.gic.msi(DEVICE, 1)
    driver.set_affinity(DEVICE, 0, 3)
    assert driver.take_all() == [(0, stays), (3, intid)]
    driver.gic.msi(DEVICE, 0)
    assert driver.take_all() == [(3, intid)]


@pytest.mark.rule("ITS-17")
@EVERY
def test_moving_all_moves_every_pending_lpi_and_no_mapping(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 8)
    moved = [driver.map_event(DEVICE, event, cpu=1) for event in range(5)]
    stays = driver.map_event(DEVICE, 5, cpu=2)
    for event in range(6):
        driver.gic.msi(DEVICE, event)
    driver.send("MOVALL", RDbase=driver.rdbase(1), RDbase2=driver.rdbase(3))
    assert driver.take_all() == [(2, stays), *((3, intid) for intid in moved)]
    # KVM's LPIs are moved with their mappings (ITS-34).
    home = 3 if profile.its.keeps_lpis else 1
    driver.gic.msi(DEVICE, 0)
    assert driver.take_all() == [(home, moved[0])]
    # What is moved to where it is stays there.
    driver.gic.msi(DEVICE, 0)
    driver.send("MOVALL", RDbase=driver.rdbase(home), RDbase2=driver.rdbase(home))
    assert driver.take_all() == [(home, moved[0])]


@pytest.mark.rule("ITS-19")
@EVERY
def test_int_and_clear(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    driver.send("INT", DeviceID=DEVICE, EventID=0)
    assert driver.take_all() == [(2, intid)]
    driver.gic.msi(DEVICE, 0)
    driver.send("CLEAR", DeviceID=DEVICE, EventID=0)
    assert driver.take_all() == []


@pytest.mark.rule("ITS-18", "ITS-13")
@EVERY
def test_a_discarded_device_stays_silent(profile: vgic.Profile) -> None:
    driver, heard = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    driver.gic.msi(DEVICE, 0)
    driver.send("DISCARD", DeviceID=DEVICE, EventID=0)
    # KVM's LPI outlives its event (ITS-36).
    assert driver.take_all() == ([(2, intid)] if profile.its.keeps_lpis else [])
    assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.EVENT_UNMAPPED)
    driver.unmap_device(DEVICE)
    assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.DEVICE_UNMAPPED)
    # Unmapping what is not mapped is no error.
    driver.unmap_device(DEVICE)
    assert heard.errors == []


@pytest.mark.rule("ITS-15")
def test_mapi_takes_the_event_for_the_intid() -> None:
    driver, _ = vm()
    driver.map_device(DEVICE, 0x4000)
    driver.configure(8200, 0xA3)
    driver.send("MAPI", DeviceID=DEVICE, EventID=8200, ICID=1)
    assert driver.gic.its().translate(DEVICE, 8200) == Translation(8200, 1, 1)
    assert driver.gic.msi(DEVICE, 8200) == DELIVERED
    assert driver.take_all() == [(1, 8200)]


@pytest.mark.rule("ITS-15", "ITS-33")
@EVERY
def test_mapping_a_mapped_event_again(profile: vgic.Profile) -> None:
    driver, heard = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    before = driver.map_event(DEVICE, 0, cpu=2)
    driver.send("MAPTI", DeviceID=DEVICE, EventID=0, pINTID=9000, ICID=1)
    kept = Translation(before, 2, 2)
    assert driver.gic.its().translate(DEVICE, 0) == (kept if profile in KVM_VERSIONS else Translation(9000, 1, 1))
    assert heard.errors == []


@pytest.mark.rule("ITS-13", "ITS-33")
@EVERY
def test_mapping_a_mapped_device_again(profile: vgic.Profile) -> None:
    driver, heard = vm(profile=profile)
    table = driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    driver.send("MAPD", DeviceID=DEVICE, Size=1, ITT_addr=table >> 8, V=1)
    kept = Translation(intid, 2, 2)
    assert driver.gic.its().translate(DEVICE, 0) == (ItsError.EVENT_UNMAPPED if profile in KVM_VERSIONS else kept)
    driver.send("MAPD", DeviceID=DEVICE, Size=1, ITT_addr=driver.memory.take(0x1000) >> 8, V=1)
    assert driver.gic.its().translate(DEVICE, 0) is ItsError.EVENT_UNMAPPED
    assert heard.errors == []


@pytest.mark.rule("ITS-33")
def test_kvm_reads_the_lpi_tables_when_an_event_is_mapped() -> None:
    for profile, expected in ((vgic.KVM, [(2, 9000)]), (vgic.ARCH, [])):
        driver, _ = vm(profile=profile)
        driver.map_device(DEVICE, 4)
        driver.configure(9000, 0xA3)
        byte = driver.pending[2] + 9000 // 8
        driver.ram.write(byte, bytes([1 << 9000 % 8]))
        driver.send("MAPTI", DeviceID=DEVICE, EventID=0, pINTID=9000, ICID=2)
        assert driver.take_all() == expected
        # KVM consumes the bit.
        assert driver.ram.read(byte, 1) == (b"\0" if expected else bytes([1 << 9000 % 8]))


@pytest.mark.rule("ITS-33")
@pytest.mark.parametrize("missing", ["PROPBASER", "PENDBASER", "collections"])
def test_kvm_maps_nothing_whose_tables_are_not_in_ram(missing: str) -> None:
    for profile in (vgic.KVM, vgic.ARCH):
        driver, heard = vm(profile=profile, started=False)
        driver.start_its()
        tables = {"PROPBASER": driver.memory.take(0x1_0000) | 15, "PENDBASER": driver.memory.take(0x1_0000)}
        for name, value in tables.items():
            register = getattr(vgic.layouts.gicr, name)
            driver.gic.write(driver.redistributor(0, register), 8, value & 15 if name == missing else value)
        if missing == "collections" and profile in KVM_VERSIONS:
            driver.enable(False)
            driver.write(vgic.layouts.gits.BASER, 1 << 63, 1)
            driver.enable(True)
        driver.send("MAPC", RDbase=0, ICID=0, V=1)
        unmapped = [("MAPC", ItsError.COLLECTION_UNREADABLE)]
        assert heard.take() == (unmapped if missing == "collections" and profile in KVM_VERSIONS else [])
        driver.map_device(DEVICE, 4)
        driver.send("MAPTI", DeviceID=DEVICE, EventID=0, pINTID=8200, ICID=0)
        error = ItsError.COLLECTION_UNREADABLE if missing == "collections" else ItsError.LPI_UNREADABLE
        assert heard.take() == ([("MAPTI", error)] if profile in KVM_VERSIONS else [])


@pytest.mark.rule("ITS-15", "ITS-33")
def test_which_intids_are_lpis_when_an_event_is_mapped() -> None:
    for profile, beyond in ((vgic.ARCH, None), (vgic.QEMU, None), (vgic.KVM, ItsError.INTID_OUT_OF_RANGE)):
        driver, heard = vm(profile=profile, started=False)
        driver.start_its()
        # The configuration table has room for INTIDs of 14 bits.
        address = driver.redistributor(0, vgic.layouts.gicr.PROPBASER)
        driver.gic.write(address, 8, driver.memory.take(0x2000) | 13)
        driver.gic.write(driver.redistributor(0, vgic.layouts.gicr.PENDBASER), 8, driver.memory.take(0x1_0000))
        driver.map_collection(0, 0)
        driver.map_device(DEVICE, 4)
        for intid, error in ((8191, ItsError.INTID_OUT_OF_RANGE), (16383, None), (16384, beyond), (65535, beyond)):
            driver.send("MAPTI", DeviceID=DEVICE, EventID=intid & 1, pINTID=intid, ICID=0)
            assert heard.take() == ([] if error is None else [("MAPTI", error)])


@pytest.mark.rule("ITS-14", "ITS-33")
@EVERY
def test_unmapping_a_collection_of_no_redistributor(profile: vgic.Profile) -> None:
    driver, heard = vm(profile=profile)
    driver.send("MAPC", ICID=3, RDbase=4)
    assert heard.take() == []


@pytest.mark.rule("ITS-33")
def test_kvm_6_1_unmaps_no_collection_of_no_redistributor() -> None:
    profile = replace(vgic.KVM, its=replace(vgic.KVM.its, mapc_always_checks_target=True))
    driver, heard = vm(profile=profile)
    driver.send("MAPC", ICID=3, RDbase=4)
    assert heard.take() == [("MAPC", ItsError.PROCESSOR_OUT_OF_RANGE)]
    assert driver.gic.its().tables.rdbase(3) == 3


@pytest.mark.rule("ITS-20", "ITS-43")
@EVERY
def test_invalidating_a_collection_that_is_not_mapped(profile: vgic.Profile) -> None:
    driver, heard = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    driver.mask(DEVICE, 0)
    driver.gic.msi(DEVICE, 0)
    driver.configure(intid, 0xA3)
    driver.send("INVALL", ICID=77)
    if profile in QEMU_VERSIONS:
        assert heard.take() == []
        assert driver.take_all() == [(2, intid)]
    else:
        assert heard.take() == [("INVALL", ItsError.COLLECTION_UNMAPPED)]
        assert driver.take_all() == []


@pytest.mark.rule("ITS-13", "ITS-43")
def test_unmapping_a_device_with_a_size_that_cannot_be() -> None:
    for profile in (vgic.ARCH, vgic.KVM, vgic.QEMU):
        driver, heard = vm(profile=profile)
        driver.map_device(DEVICE, 4)
        driver.send("MAPD", DeviceID=DEVICE, Size=31)
        refused = profile is vgic.QEMU
        assert heard.take() == ([("MAPD", ItsError.SIZE_OUT_OF_RANGE)] if refused else [])
        mapped = ItsError.EVENT_UNMAPPED if refused else ItsError.DEVICE_UNMAPPED
        assert driver.gic.its().translate(DEVICE, 0) is mapped


@pytest.mark.rule("ITS-21")
def test_sync_has_nothing_to_wait_for() -> None:
    driver, heard = vm()
    before = driver.gic.save()["registers"].copy()
    driver.send("SYNC", RDbase=(1 << 36) - 1)
    after = driver.gic.save()["registers"].copy()
    for name in ("GITS[0].GITS_CREADR", "GITS[0].GITS_CWRITER"):
        assert before.pop(name) != after.pop(name)
    assert after == before
    assert heard.errors == []


# What became of a message.


@pytest.mark.rule("ITS-23")
@EVERY
def test_what_keeps_a_message_from_being_delivered(profile: vgic.Profile) -> None:
    driver, _ = vm(profile=profile)
    driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=2)
    driver.send("MAPTI", DeviceID=DEVICE, EventID=1, pINTID=intid, ICID=2)
    driver.send("MAPD", DeviceID=9, Size=1, ITT_addr=1 << 30, V=1)
    for device, event, outcome, error in (
        (DEVICE, 4, MsiOutcome.BLOCKED, ItsError.EVENT_OUT_OF_RANGE),
        (DEVICE, 2, MsiOutcome.BLOCKED, ItsError.EVENT_UNMAPPED),
        (7, 0, MsiOutcome.BLOCKED, ItsError.DEVICE_UNMAPPED),
        (9, 0, MsiOutcome.ERROR, ItsError.UNREADABLE),
    ):
        assert driver.gic.msi(device, event) == MsiResult(outcome, error)
    driver.enable_lpis(2, False)
    assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.LPIS_DISABLED)
    address = driver.redistributor(2, vgic.layouts.gicr.PROPBASER)
    if profile not in KVM_VERSIONS:
        driver.gic.write(address, 8, driver.gic.read(address, 8) & ~0x1F)
        driver.enable_lpis(2)
        assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.LPI_OUT_OF_RANGE)
    driver.enable(False)
    assert driver.gic.msi(DEVICE, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.ITS_DISABLED)
    assert driver.take_all() == []


@pytest.mark.rule("ITS-23")
def test_tables_that_are_not_there_block() -> None:
    driver, _ = vm(started=False)
    driver.start_cpus()
    driver.start_lpis()
    driver.enable()
    assert driver.gic.msi(0, 0) == MsiResult(MsiOutcome.BLOCKED, ItsError.DEVICE_OUT_OF_RANGE)


@pytest.mark.rule("ITS-23")
@pytest.mark.parametrize(
    ("device", "event", "message"),
    [
        (0x1_0000, 0, "DeviceID 0x10000: the ITS has 16 bits of it"),
        (-1, 0, "DeviceID -0x1: the ITS has 16 bits of it"),
        (0, 0x1_0000, "EventID 0x10000: the ITS has 16 bits of it"),
    ],
)
def test_ids_that_cannot_be_are_the_embedders_mistake(device: int, event: int, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        vm()[0].gic.msi(device, event)
    assert str(caught.value) == message


@pytest.mark.rule("ITS-23")
def test_a_vm_without_memory_has_tables_that_cannot_be_read() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology([0]), its=(ITS,)))
    gic.write(ITS + gits.BASER.offset, 8, 1 << 63 | RAM)
    gic.write(ITS, 4, 1)
    assert gic.msi(0, 0) == MsiResult(MsiOutcome.ERROR, ItsError.UNREADABLE)


# Which Redistributor.


@pytest.mark.rule("ITS-24")
@pytest.mark.parametrize("profile", [vgic.ARCH, BY_ADDRESS], ids=lambda profile: profile.name)
def test_redistributors_are_named_by_number_or_by_address(profile: vgic.Profile) -> None:
    regions = (vgic.RedistributorRegion(0x1_2340_0000, 1), vgic.RedistributorRegion(0x0A00_0000, 8))
    ram, heard = vgic.Ram.zeroed(RAM, RAM_SIZE), Heard()
    topology = vgic.Topology([0x0100_0000, 0x0000_0203, 0x0000_0001])
    config = vgic.Config(topology, spis=32, profile=profile, its=(ITS,), redistributor_regions=regions)
    driver = ItsDriver(vgic.Gic(config, observer=heard, memory=ram), ram)
    by_address = profile is BY_ADDRESS
    assert gits.TYPER.decode(driver.gic.read(ITS + 8, 8))["PTA"] == by_address
    assert [driver.rdbase(cpu) for cpu in range(3)] == ([0x1_2340, 0x0A00, 0x0A02] if by_address else [0, 1, 2])
    driver.start()
    driver.map_device(DEVICE, 4)
    for cpu in range(3):
        intid = driver.map_event(DEVICE, cpu, cpu)
        driver.gic.msi(DEVICE, cpu)
        assert driver.take_all() == [(cpu, intid)]
        driver.gic.msi(DEVICE, cpu)
        driver.send("MOVALL", RDbase=driver.rdbase(cpu), RDbase2=driver.rdbase((cpu + 1) % 3))
        assert driver.take_all() == [((cpu + 1) % 3, intid)]
    assert heard.errors == []
    driver.send("MAPC", ICID=9, RDbase=0 if by_address else 3, V=1)
    # The SGI frame of a Redistributor does not name it.
    driver.send("MAPC", ICID=9, RDbase=0x0A01 if by_address else 0xFFFF, V=1)
    assert heard.take() == [("MAPC", ItsError.PROCESSOR_OUT_OF_RANGE)] * 2


@pytest.mark.rule("ITS-24")
def test_processor_numbers_do_not_follow_the_affinity() -> None:
    driver, _ = vm(cpus=2)
    driver.map_device(DEVICE, 4)
    intid = driver.map_event(DEVICE, 0, cpu=1)
    driver.gic.write_mpidrs({0: 1, 1: 0x01_0000_0000})
    driver.gic.msi(DEVICE, 0)
    assert driver.take_all() == [(1, intid)]


# Several ITSes.


@pytest.mark.rule("ITS-27")
@EVERY
def test_two_itses_share_the_lpis_and_nothing_else(profile: vgic.Profile) -> None:
    ram, heard = vgic.Ram.zeroed(RAM, RAM_SIZE), Heard()
    config = vgic.Config(vgic.Topology.clusters(4, 4), spis=32, profile=profile, its=(ITS, 0x0900_0000))
    gic = vgic.Gic(config, observer=heard, memory=ram)
    first = ItsDriver(gic, ram)
    first.start()
    second = ItsDriver(gic, ram, number=1, memory=first.memory, first_lpi=9000)
    second.properties = first.properties
    second.start_its()
    for cpu in range(4):
        second.map_collection(cpu, 3 - cpu)
    first.map_device(DEVICE, 4)
    second.map_device(DEVICE, 4)
    one, other = first.map_event(DEVICE, 0, cpu=1), second.map_event(DEVICE, 0, cpu=1)
    assert gic.msi(DEVICE, 0) == gic.msi(DEVICE, 0, its=1) == DELIVERED
    assert first.take_all() == [(1, one), (2, other)]
    first.unbind(DEVICE)
    assert gic.msi(DEVICE, 0).outcome is MsiOutcome.BLOCKED
    assert gic.msi(DEVICE, 0, its=1) == DELIVERED
    assert first.take_all() == [(2, other)]
    second.send("INT", DeviceID=5)
    assert [error.its for error in heard.errors] == [1]
    gic.check()


@pytest.mark.rule("ITS-22")
def test_pending_bits_in_the_guests_table_arrive_when_lpis_are_enabled() -> None:
    for profile in vgic.PROFILES.values():
        driver, _ = vm(profile=profile, started=False)
        driver.start_cpus()
        driver.memory = Memory(driver.ram)
        driver.start_lpis(pending_zero=False)
        driver.start_its()
        for cpu in range(4):
            driver.map_collection(cpu, cpu)
        driver.enable_lpis(1, False)
        driver.configure(9000, 0xA3)
        driver.ram.write(driver.pending[1] + 9000 // 8, bytes([1 << 9000 % 8]))
        driver.enable_lpis(1)
        # KVM takes no LPI out of the table that no ITS has mapped.
        assert driver.take_all() == ([] if profile in KVM_VERSIONS else [(1, 9000)])
