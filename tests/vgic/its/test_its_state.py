"""Saving and restoring a VM with an ITS: with the same RAM it goes on as if nothing had happened."""

import dataclasses
import random

import pytest

import vgic
from its_driver import ITS, RAM, RAM_SIZE, ItsDriver, vm
from vgic.its.choices import STALLING
from vgic.layouts import gits
from vgic.layouts.its_commands import COMMAND_SIZE, encode
from vgic.profiles import QEMU_VERSIONS

STALLS = dataclasses.replace(vgic.ARCH, name="stalls", its=STALLING)
PROFILES = [*vgic.PROFILES.values(), STALLS]
EVERY = pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)


def twin(driver: ItsDriver, profile: vgic.Profile, through_file: bool = True) -> ItsDriver:
    """A driver with the same memories, of a VM that was restored, with a copy of the RAM."""
    ram = vgic.Ram(RAM, bytearray(driver.ram.read(RAM, RAM_SIZE)))
    state = vgic.State.of(driver.gic)
    if through_file:
        state = vgic.State.from_bytes(state.to_bytes())
    other = ItsDriver(state.build(profile=profile, memory=ram), ram)
    names = ("queue", "queue_size", "devices", "collections", "properties", "pending", "events")
    for name in names:
        setattr(other, name, getattr(driver, name))
    return other


def busy(profile: vgic.Profile) -> ItsDriver:
    """A VM with mapped, pending, masked and unmapped events."""
    driver = vm(profile=profile)[0]
    for device in range(4):
        driver.map_device(device, 8)
        for event in range(8):
            driver.map_event(device, event, cpu=(device + event) % 4, priority=0x80 + 8 * event)
    for device, event in ((0, 0), (0, 1), (1, 3), (2, 5)):
        driver.gic.msi(device, event)
    driver.mask(0, 1)
    driver.send("DISCARD", DeviceID=3, EventID=3)
    driver.unmap_collection(3)
    return driver


def step(driver: ItsDriver, rng: random.Random) -> object:
    """Something that a guest or a device does; what it answers."""
    device, event, cpu = rng.randrange(5), rng.randrange(9), rng.randrange(4)
    match rng.randrange(9):
        case 0:
            driver.add(encode("MOVI", DeviceID=device, EventID=event, ICID=cpu))
        case 1:
            driver.add(encode("MAPC", ICID=cpu, RDbase=rng.randrange(5), V=rng.randrange(4) != 0))
        case 2:
            driver.add(encode("INVALL", ICID=cpu))
        case 3:
            driver.add(encode("MOVALL", RDbase=cpu, RDbase2=rng.randrange(4)))
        case 4:
            driver.configure(8192 + rng.randrange(32), rng.randrange(256) | 2)
            driver.add(encode(rng.choice(["INV", "DISCARD", "CLEAR", "INT"]), DeviceID=device, EventID=event))
        case 5:
            return driver.take(cpu)
        case 6:
            driver.write(gits.CWRITER, driver.read(gits.CWRITER) | rng.randrange(2))
        case _:
            return driver.gic.msi(device, event)
    return driver.read(gits.CREADR)


@pytest.mark.rule("ITS-50")
@EVERY
@pytest.mark.parametrize("seed", range(6))
def test_nobody_can_tell_a_restored_vm_from_one_that_went_on(profile: vgic.Profile, seed: int) -> None:
    rng = random.Random(seed)
    driver = busy(profile)
    for _ in range(rng.randrange(60)):
        step(driver, rng)
    other = twin(driver, profile)
    assert other.gic.save() == driver.gic.save()
    for _ in range(60):
        key = rng.random()
        assert step(driver, random.Random(key)) == step(other, random.Random(key))
        driver.gic.check()
        other.gic.check()
    assert other.gic.save() == driver.gic.save()
    assert other.ram.read(RAM, RAM_SIZE) == driver.ram.read(RAM, RAM_SIZE)


@pytest.mark.rule("ITS-50")
@EVERY
def test_a_stalled_queue_is_restored_stalled(profile: vgic.Profile) -> None:
    driver = busy(profile)
    driver.send("MAPD", DeviceID=9, Size=1, ITT_addr=1 << 28, V=1)
    offset = driver.read(gits.CWRITER)
    driver.add(encode("MAPTI", DeviceID=9, pINTID=9000))
    stalls = profile in (STALLS, *QEMU_VERSIONS)
    assert (driver.read(gits.CREADR) & 1 == 1) == stalls
    other = twin(driver, profile)
    assert other.gic.its().queue.waits == stalls
    for restored in (driver, other):
        restored.put(offset, encode("SYNC"))
        restored.write(gits.CWRITER, restored.read(gits.CWRITER) | 1)
    assert other.read(gits.CREADR) == driver.read(gits.CREADR)
    assert other.read(gits.CREADR) & ~1 == offset + COMMAND_SIZE


@pytest.mark.rule("ITS-50")
def test_what_was_left_of_the_queue_goes_on_after_restoring() -> None:
    driver = vm(queue_pages=256)[0]
    driver.write(gits.CWRITER, 0x8_0000)
    other = twin(driver, vgic.ARCH)
    assert other.gic.its().queue.creadr == driver.gic.its().queue.creadr < 0x8_0000
    assert other.gic.its().queue.unfinished
    assert other.read(gits.CREADR) == driver.read(gits.CREADR)


@pytest.mark.rule("ITS-50")
def test_registers_are_saved_by_name_and_collections_sparsely() -> None:
    driver = busy(vgic.KVM)
    registers = driver.gic.save()["registers"]
    assert {name: value for name, value in registers.items() if "collection" in name} == {
        **{f"GITS[0].collection{number}": 1 << 63 | number << 16 for number in range(3)},
        **{f"GITS[0].collection_order{number}": 1 + number for number in range(3)},
    }
    shown = {name.removeprefix("GITS[0].") for name in registers if name.startswith("GITS[0].GITS_")}
    assert shown == {"GITS_CTLR", "GITS_CBASER", "GITS_CWRITER", "GITS_CREADR", "GITS_BASER0", "GITS_BASER1"}
    assert registers["GITS[0].GITS_CBASER"] == driver.read(gits.CBASER)
    assert not any("collection" in name for name in busy(vgic.ARCH).gic.save()["registers"])


@pytest.mark.rule("ITS-50")
def test_restoring_forgets_the_collections_that_were() -> None:
    driver, other = vm(profile=vgic.KVM, cpus=2, started=False)[0], vm(profile=vgic.KVM, cpus=2)[0]
    assert other.gic.its().tables.kept
    other.gic.restore(driver.gic.save())
    assert other.gic.its().tables.kept == {}
    assert list(other.gic.its().tables.named) == []
    assert not other.gic.its().enabled


@pytest.mark.rule("ITS-50")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITS[0].GITS_BASER2", 1 << 63),
        ("GITS[0].GITS_BASER0", 0x0107 << 48),
        ("GITS[0].GITS_CTLR", 3),
        ("GITS[0].GITS_CREADR", 2),
        ("GITS[0].GITS_CREADR", 0xF_FFE0),
        ("GITS[0].GITS_CWRITER", 1),
        ("GITS[0].collection0", 1 << 16),
        ("GITS[0].collection65536", 1 << 63),
        ("GITS[0].collection00", 1 << 63),
        ("GITS[0].waits_for_retry", 1),
        ("GITS[1].GITS_CTLR", 1),
    ],
)
def test_a_state_that_an_its_cannot_have_is_refused(name: str, value: int) -> None:
    gic = vm(profile=vgic.KVM)[0].gic
    before = gic.save()
    with pytest.raises(vgic.StateError, match=r"GITS\["):
        gic.restore({"vm": before["vm"], "registers": {**before["registers"], name: value}})
    assert gic.save() == before


@pytest.mark.rule("ITS-50")
def test_the_state_says_which_itses_there_are() -> None:
    driver = vm()[0]
    assert driver.gic.save()["vm"]["its"] == [ITS]
    assert vgic.State.from_bytes(vgic.State.of(driver.gic).to_bytes()).config().its == (ITS,)


@pytest.mark.rule("ITS-32", "ITS-50")
def test_kvms_collections_stay_when_their_table_becomes_smaller() -> None:
    driver = vm(profile=vgic.KVM)[0]
    driver.send("MAPC", ICID=0xFFFF, RDbase=2, V=1)
    driver.enable(False)
    driver.write(gits.BASER, driver.read(gits.BASER, 1) & ~0xFF, 1)
    driver.enable()
    driver.gic.check()
    assert driver.gic.its().tables.rdbase(0xFFFF) == 2
    assert twin(driver, vgic.KVM).gic.its().tables.rdbase(0xFFFF) == 2
