"""An ITS's registers: what there is, what can be written and when, in every profile."""

import dataclasses

import pytest

import vgic
from its_driver import ITS, RAM, ItsDriver, vm
from mmio import Refusal, RegisterLayout
from vgic.errors import ConfigError
from vgic.its.choices import ItsChoices
from vgic.its.device import ITS_SIZE
from vgic.layouts import gits
from vgic.profiles.kvm import KVM_VERSIONS

ALL_64 = (1 << 64) - 1
VALID = 1 << 63
ENABLED = 1
QUIESCENT = 1 << 31
TRANSLATER = 0x1_0040


def off(profile: vgic.Profile = vgic.ARCH) -> ItsDriver:
    """An ITS as after reset."""
    return vm(profile=profile, started=False)[0]


@pytest.mark.rule("ITS-1")
def test_an_its_is_two_frames_where_the_config_says() -> None:
    config = vgic.Config(vgic.Topology([0]), its=(0x0900_0000, 0x0A00_0000))
    gic = vgic.Gic(config)
    places = {region.name: (region.base, region.size) for region in gic.map if region.name.startswith("GITS")}
    assert places == {"GITS[0]": (0x0900_0000, ITS_SIZE), "GITS[1]": (0x0A00_0000, ITS_SIZE)}
    assert [gic.its(number).number for number in (0, 1)] == [0, 1]
    found = gic.map.locate(0x0A00_0000 + TRANSLATER)
    assert found is not None
    assert found.register is gits.TRANSLATER
    assert found.owner == "GITS[1]"
    assert vgic.Gic(vgic.Config(vgic.Topology([0]), its=(ITS,))).map.locate(ITS).owner == "GITS"


@pytest.mark.rule("ITS-4")
@pytest.mark.parametrize("profile", [vgic.ARCH, vgic.KVM, vgic.QEMU], ids=lambda profile: profile.name)
def test_a_table_has_pages_of_64_kib_at_reset(profile: vgic.Profile) -> None:
    driver = off(profile)
    found = [gits.BASER.field("Page_Size").extract(driver.read(gits.BASER, index)) for index in range(gits.BASERS)]
    assert found == [2, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.rule("ITS-1")
@pytest.mark.parametrize("number", [-1, 1])
def test_an_its_that_is_not_there_is_refused(number: int) -> None:
    gic = off().gic
    with pytest.raises(ConfigError, match=f"no ITS {number}: this VM has 1"):
        gic.its(number)
    with pytest.raises(ConfigError, match=f"no ITS {number}"):
        gic.msi(0, 0, its=number)


@pytest.mark.rule("ITS-2", "ITS-31", "ITS-40")
@pytest.mark.parametrize(
    ("profile", "typer", "iidr", "pidr0", "entry"),
    [
        (vgic.ARCH, 0x1EF71, 0x5600_043B, 0x94, 8),
        (vgic.KVM, 0x1EF71, 0x4B00_043B, 0x92, 8),
        (vgic.QEMU, 0x1F_0001_EFB1, 0x0000_043B, 0x94, 12),
    ],
)
def test_what_an_its_says_of_itself(profile: vgic.Profile, typer: int, iidr: int, pidr0: int, entry: int) -> None:
    driver = off(profile)
    assert driver.read(gits.TYPER) == typer
    assert gits.TYPER.decode(typer)["ITT_entry_size"] + 1 == entry
    assert driver.gic.read(ITS + 0x0C, 4) << 32 | driver.gic.read(ITS + 0x08, 4) == typer
    assert driver.read(gits.IIDR) == iidr
    assert driver.gic.read(ITS + 0xFFE0, 4) == pidr0
    assert driver.gic.read(ITS + 0xFFE8, 4) == 0x3B
    for register in (gits.TYPER, gits.IIDR):
        driver.write(register, 0)
    assert (driver.read(gits.TYPER), driver.read(gits.IIDR)) == (typer, iidr)


@pytest.mark.rule("ITS-3", "ITS-31", "ITS-40")
@pytest.mark.parametrize(
    ("profile", "off_idle", "on_idle", "on_waiting"),
    [
        (vgic.ARCH, QUIESCENT, ENABLED, ENABLED),
        (vgic.KVM, QUIESCENT, ENABLED | QUIESCENT, ENABLED),
        (vgic.QEMU, QUIESCENT, ENABLED | QUIESCENT, ENABLED | QUIESCENT),
    ],
)
def test_control(profile: vgic.Profile, off_idle: int, on_idle: int, on_waiting: int) -> None:
    driver = off(profile)
    assert driver.read(gits.CTLR) == off_idle
    driver.start()
    assert driver.read(gits.CTLR) == on_idle
    driver.write(gits.CTLR, 0xFFFF_FFFF)
    assert driver.read(gits.CTLR) == on_idle
    driver.gic.its().queue.waits = True
    driver.gic.its().queue.creadr = 32
    assert driver.read(gits.CTLR) == on_waiting


TABLES = {
    # What reads back where all ones and where zeros were written, for devices and for collections.
    "arch": ((0xF9E7 << 48 | 0xFFFF_FFFF_FFFF, 0xFCE7 << 48 | 0xFFFF_FFFF_FFFF), (0x0107 << 48, 0x0407 << 48)),
    # 64 KiB pages, collections in a flat table; cacheability as KVM can offer it.
    "kvm": (
        (0xF907 << 48 | 0xFFFF_FFFF_FEFF, 0xBC07 << 48 | 0xFFFF_FFFF_FEFF),
        (0x1907 << 48 | 0x200, 0x1C07 << 48 | 0x200),
    ),
    # Measured.
    "qemu": ((0xF9E7_FFFF_FFFF_FFFF, 0xFCE7_FFFF_FFFF_FFFF), (0x0107 << 48, 0x0407 << 48)),
}


@pytest.mark.rule("ITS-4", "ITS-31", "ITS-40")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_table_registers(profile: vgic.Profile) -> None:
    driver = off(profile)
    for value, expected in zip((ALL_64, 0), TABLES[profile.name.partition("-")[0]], strict=True):
        for index in range(gits.BASERS):
            driver.write(gits.BASER, value, index)
        found = [driver.read(gits.BASER, index) for index in range(gits.BASERS)]
        assert [hex(value) for value in found] == [hex(value) for value in (*expected, 0, 0, 0, 0, 0, 0)]


@pytest.mark.rule("ITS-4")
def test_a_table_register_is_written_in_halves_in_either_order() -> None:
    whole = 0xF800_1234_5678_0605
    for order in ((0, 4), (4, 0)):
        driver = off()
        for half in order:
            driver.gic.write(ITS + gits.BASER.offset + half, 4, whole >> 8 * half & 0xFFFF_FFFF)
        assert driver.read(gits.BASER) == whole | 0x0107 << 48


@pytest.mark.rule("ITS-5")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
@pytest.mark.parametrize("register", [gits.CBASER, gits.BASER])
def test_tables_and_queue_stay_while_the_its_is_enabled(profile: vgic.Profile, register: RegisterLayout) -> None:
    driver = vm(profile=profile)[0]
    before = driver.read(register), driver.read(gits.CREADR)
    assert before[1] != 0
    driver.write(register, RAM)
    assert (driver.read(register), driver.read(gits.CREADR)) == before
    driver.enable(False)
    driver.write(register, RAM)
    assert driver.read(register) != before[0]


@pytest.mark.rule("ITS-6", "ITS-31")
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_a_new_queue_starts_at_its_beginning(profile: vgic.Profile) -> None:
    driver = vm(profile=profile)[0]
    driver.enable(False)
    assert driver.read(gits.CREADR) == driver.read(gits.CWRITER) != 0
    writer = driver.read(gits.CWRITER)
    driver.gic.write(ITS + gits.CBASER.offset + 4, 4, 0)
    assert driver.read(gits.CREADR) == 0
    assert driver.read(gits.CWRITER) == (0 if profile in KVM_VERSIONS else writer)


@pytest.mark.rule("ITS-6", "ITS-31", "ITS-40")
@pytest.mark.parametrize(
    ("profile", "shown", "used"),
    [(vgic.ARCH, 0x5000, 0), (vgic.KVM, 0, 0), (vgic.QEMU, 0x5000, 0x5000)],
)
def test_a_queue_that_is_not_aligned(profile: vgic.Profile, shown: int, used: int) -> None:
    driver = vm(profile=profile)[0]
    driver.enable(False)
    place = driver.memory.take(0x1_0000)
    driver.write(gits.CBASER, VALID | place | 0x5000)
    assert driver.read(gits.CBASER) & 0xF000 == shown
    driver.write(gits.CWRITER, 0)
    driver.queue, driver.queue_size = place + used, 0x1000
    driver.enable()
    device = driver.map_device(7, 2)
    assert driver.gic.its().tables.device(7).itt == device


@pytest.mark.rule("ITS-31")
@pytest.mark.parametrize("missing", ["queue", "devices", "collections", None])
def test_kvm_enables_nothing_without_its_tables(missing: str | None) -> None:
    for profile in (vgic.KVM, vgic.ARCH):
        driver = off(profile)
        driver.write(gits.CBASER, 0 if missing == "queue" else VALID | RAM)
        driver.write(gits.BASER, 0 if missing == "devices" else VALID | RAM, 0)
        driver.write(gits.BASER, 0 if missing == "collections" else VALID | RAM, 1)
        driver.enable()
        assert driver.gic.its().enabled == (missing is None or profile is vgic.ARCH)


@pytest.mark.rule("ITS-40")
def test_only_qemus_read_pointer_can_be_written() -> None:
    for profile, expected in ((vgic.ARCH, 0), (vgic.KVM, 0), (vgic.QEMU, ALL_64 - 1)):
        driver = off(profile)
        driver.write(gits.CREADR, ALL_64)
        assert driver.read(gits.CREADR) == expected


@pytest.mark.rule("ITS-2")
def test_what_is_not_implemented_is_a_hole_or_reads_as_zero() -> None:
    driver, heard = vm(started=False)
    for offset, size in ((0x18, 4), (0x40, 4), (gits.CTLR.offset, 4), (gits.CWRITER.offset, 8)):
        assert driver.gic.read(ITS + offset, size) in (0, QUIESCENT)
    assert heard.accesses == []
    for offset, size, refusal in (
        (0x48, 8, Refusal.HOLE),
        (0x00, 8, Refusal.WIDTH),
        (0x80, 2, Refusal.WIDTH),
        (0x84, 8, Refusal.MISALIGNED),
        (TRANSLATER, 4, Refusal.WRITE_ONLY),
    ):
        assert driver.gic.read(ITS + offset, size) == 0
        assert heard.accesses.pop().refusal is refusal


@pytest.mark.rule("ITS-26")
@pytest.mark.parametrize("size", [2, 4])
def test_a_vcpus_own_store_to_the_translater(size: int) -> None:
    mine = dataclasses.replace(vgic.ARCH, its=ItsChoices(translater_device=5))
    for profile, device in ((vgic.ARCH, 0), (mine, 5), (vgic.QEMU, 0), (vgic.KVM, 0)):
        driver, heard = vm(profile=profile)
        driver.map_device(device, 4)
        intid = driver.map_event(device, 3, cpu=1)
        driver.gic.write(ITS + TRANSLATER, size, 3)
        expected = [] if profile in (vgic.ARCH, vgic.KVM) else [(1, intid)]
        assert driver.take_all() == expected
        # KVM has no such register.
        assert (len(heard.accesses) == 1) == (profile in KVM_VERSIONS)
        # A store to the upper half of the register names no event.
        driver.gic.write(ITS + TRANSLATER + 2, 2, 3)
        assert driver.take_all() == []
