"""The Redistributors: where they are, what they say of themselves, sleep, and the private interrupts' registers."""

import pytest

import vgic
from guest import Guest
from offsets import BANK, GICR
from vgic import ARCH, KVM, QEMU, RedistributorRegion, Topology

PROFILES = pytest.mark.parametrize("profile", [ARCH, KVM, QEMU], ids=lambda profile: profile.name)
ALL = 0xFFFF_FFFF
SGI = GICR.SGI_BASE
LAST = 1 << 4


def last_bits(guest: Guest) -> list[int]:
    return [guest.gicr(GICR.TYPER, 8, cpu) >> 4 & 1 for cpu in guest.cpus]


@pytest.mark.rule("RED-1")
def test_redistributors_lie_in_vcpu_order_two_frames_each() -> None:
    guest = Guest(Topology([7, 3, 0x0100_0000]))
    assert guest.gic.redistributor_bases == [0x080A_0000, 0x080C_0000, 0x080E_0000]
    assert [guest.gicr(GICR.TYPER + 4, 4, cpu) for cpu in guest.cpus] == [7, 3, 0x0100_0000]
    for cpu in guest.cpus:
        guest.set_gicr(SGI + BANK.ISENABLER, 1 << cpu, cpu=cpu)
    assert [guest.gicr(SGI + BANK.ISENABLER, 4, cpu) for cpu in guest.cpus] == [1, 2, 4]


@pytest.mark.rule("RED-1")
def test_regions_are_filled_one_after_the_other() -> None:
    regions = (
        RedistributorRegion(0x0A00_0000, 2),
        RedistributorRegion(0x0900_0000, 1),
        RedistributorRegion(0x0B00_0000, 4),
    )
    guest = Guest(4, regions=regions)
    assert guest.gic.redistributor_bases == [0x0A00_0000, 0x0A02_0000, 0x0900_0000, 0x0B00_0000]
    assert [guest.gicr(GICR.TYPER, 8, cpu) >> 32 for cpu in guest.cpus] == [0, 1, 2, 3]
    # What a region has room for but no vCPU fills is not there.
    assert guest.read(0x0B02_0000 + GICR.WAKER) == 0
    assert guest.heard.accesses[-1].refusal.name == "UNMAPPED"


@pytest.mark.rule("RED-1")
def test_a_region_that_no_vcpu_needs_is_empty() -> None:
    guest = Guest(1, regions=(RedistributorRegion(0x0900_0000, 1), RedistributorRegion(0x0A00_0000, 1)))
    assert [region.name for region in guest.gic.map] == ["GICD", "GICR region 0"]


@pytest.mark.rule("RED-3")
def test_one_run_of_redistributors_has_one_last() -> None:
    assert last_bits(Guest(4)) == [0, 0, 0, 1]
    assert last_bits(Guest(1)) == [1]


@pytest.mark.rule("RED-3")
def test_every_run_of_redistributors_has_its_last() -> None:
    regions = (RedistributorRegion(0x0900_0000, 2), RedistributorRegion(0x0A00_0000, 3))
    assert last_bits(Guest(4, regions=regions)) == [0, 1, 0, 1]


@pytest.mark.rule("RED-3")
@pytest.mark.parametrize(
    ("first", "second", "last"),
    [
        (0x0900_0000, 0x0904_0000, [0, 0, 0, 1]),
        (0x0904_0000, 0x0900_0000, [0, 1, 0, 0]),
    ],
    ids=["ascending", "descending"],
)
def test_regions_that_touch_are_one_run(first: int, second: int, last: list[int]) -> None:
    regions = (RedistributorRegion(first, 2), RedistributorRegion(second, 2))
    assert last_bits(Guest(4, regions=regions)) == last


@pytest.mark.rule("RED-2", "RED-10", "RED-20", "AFF-5", "AFF-9")
@pytest.mark.parametrize(
    ("profile", "typer"),
    [
        (ARCH, 0x0102_0304_0000_0130),
        (KVM, 0x0002_0304_0000_0110),
        (QEMU, 0x0102_0304_0100_0111),
    ],
    ids=lambda value: value.name if isinstance(value, vgic.Profile) else None,
)
def test_typer_names_the_pe(profile: vgic.Profile, typer: int) -> None:
    guest = Guest(Topology([0, 0x0102_0304]), profile=profile)
    assert guest.gicr(GICR.TYPER, 8, cpu=1) == typer
    assert guest.gicr(GICR.TYPER, 4, cpu=1) == typer & ALL
    assert guest.gicr(GICR.TYPER + 4, 4, cpu=1) == typer >> 32
    guest.set_gicr(GICR.TYPER, (1 << 64) - 1, 8, cpu=1)
    assert guest.gicr(GICR.TYPER, 8, cpu=1) == typer


@pytest.mark.rule("RED-2")
def test_processor_number_has_16_bits() -> None:
    guest = Guest(Topology.clusters(600, 256), spis=0)
    assert guest.gicr(GICR.TYPER, 8, cpu=599) == 0x0000_0257_0002_5730


@pytest.mark.rule("RED-4")
def test_a_pe_is_asleep_until_it_is_woken() -> None:
    guest = Guest()
    assert guest.gicr(GICR.WAKER) == 0b110
    guest.set_gicr(GICR.WAKER, 0)
    assert guest.gicr(GICR.WAKER) == 0
    guest.set_gicr(GICR.WAKER, 0b100)
    assert guest.gicr(GICR.WAKER) == 0
    guest.set_gicr(GICR.WAKER, ALL)
    assert guest.gicr(GICR.WAKER) == 0b110


@pytest.mark.rule("RED-5")
def test_a_sleeping_pe_is_sent_nothing_and_loses_nothing() -> None:
    guest = Guest(2).boot()
    guest.setup(27, cpu=1)
    guest.setup(40)
    guest.line(27, True, cpu=1)
    guest.route(40, 1)
    guest.line(40, True)
    assert guest.irq(1)
    guest.set_gicr(GICR.WAKER, 0b10, cpu=1)
    assert not guest.irq(1)
    assert guest.mrs(vgic.ICC_HPPIR1_EL1, 1) == vgic.SPURIOUS
    assert guest.ack(1) == vgic.SPURIOUS
    assert guest.bit(BANK.ISPENDR, 27, 1) == guest.bit(BANK.ISPENDR, 40) == 1
    guest.set_gicr(GICR.WAKER, 0, cpu=1)
    guest.take(27, 1)


@pytest.mark.rule("RED-6")
def test_kvm_never_sleeps() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(27)
    guest.line(27, True)
    guest.set_gicr(GICR.WAKER, 0b10)
    assert guest.gicr(GICR.WAKER) == 0
    assert guest.irq()
    assert Guest(profile=KVM).gicr(GICR.WAKER) == 0


@pytest.mark.rule("RED-7")
def test_qemu_keeps_waker_and_sends_all_the_same() -> None:
    guest = Guest(profile=QEMU).boot()
    guest.setup(27)
    guest.set_gicr(GICR.WAKER, 0b10)
    assert guest.gicr(GICR.WAKER) == 0b110
    guest.line(27, True)
    guest.take(27)


@pytest.mark.rule("RED-8", "RED-9", "DIST-10")
@PROFILES
def test_private_interrupts_at_reset(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile)
    kvm = profile is KVM
    assert guest.gicr(SGI + BANK.IGROUPR) == (ALL if kvm else 0)
    for register in (BANK.ISENABLER, BANK.ICENABLER):
        assert guest.gicr(SGI + register) == (0xFFFF if kvm else 0)
    for register in (BANK.ISPENDR, BANK.ICPENDR, BANK.ISACTIVER, BANK.ICACTIVER):
        assert guest.gicr(SGI + register) == 0
    assert [guest.gicr(SGI + BANK.IPRIORITYR + n) for n in range(0, 32, 4)] == [0] * 8
    assert guest.gicr(SGI + BANK.ICFGR) == 0xAAAA_AAAA
    assert guest.gicr(SGI + BANK.ICFGR + 4) == 0


@pytest.mark.rule("RED-8", "DIST-11")
def test_sgi_base_registers_that_this_configuration_empties() -> None:
    guest = Guest()
    for register in (BANK.IGRPMODR, BANK.NSACR):
        guest.set_gicr(SGI + register, ALL)
        assert guest.gicr(SGI + register) == 0
    assert guest.heard.accesses == []


@pytest.mark.rule("RED-11")
@PROFILES
def test_sgis_are_edge_triggered(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile)
    guest.set_gicr(SGI + BANK.ICFGR, 0)
    assert guest.gicr(SGI + BANK.ICFGR) == 0xAAAA_AAAA
    assert guest.gic.interrupt(0, 15).edge_triggered


@pytest.mark.rule("RED-12")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_ppis_can_be_made_edge_triggered(profile: vgic.Profile) -> None:
    guest = Guest(2, profile=profile).boot()
    guest.setup(30, cpu=1)
    guest.set_gicr(SGI + BANK.ICFGR + 4, 0b11 << 2 * (30 - 16), cpu=1)
    assert guest.gicr(SGI + BANK.ICFGR + 4, cpu=1) == 0b10 << 2 * (30 - 16)
    assert guest.gicr(SGI + BANK.ICFGR + 4, cpu=0) == 0
    guest.pulse(30, cpu=1)
    guest.take(30, 1)


@pytest.mark.rule("RED-13")
def test_kvm_keeps_ppis_level_sensitive() -> None:
    guest = Guest(profile=KVM).boot()
    guest.setup(30)
    guest.set_gicr(SGI + BANK.ICFGR + 4, ALL)
    assert guest.gicr(SGI + BANK.ICFGR + 4) == 0
    guest.pulse(30)
    assert guest.bit(BANK.ISPENDR, 30) == 0


@pytest.mark.rule("RED-14", "RED-15", "RED-16")
@pytest.mark.parametrize(
    ("profile", "at_reset", "written"),
    [(ARCH, 0, 0), (KVM, 0b110, 0b110), (QEMU, 0b010, 0b011)],
    ids=["arch", "kvm", "qemu"],
)
def test_ctlr_without_lpis(profile: vgic.Profile, at_reset: int, written: int) -> None:
    guest = Guest(profile=profile, one_of_n=False)
    assert guest.gicr(GICR.CTLR) == at_reset
    guest.set_gicr(GICR.CTLR, ALL)
    assert guest.gicr(GICR.CTLR) == written
    guest.set_gicr(GICR.CTLR, 0)
    assert guest.gicr(GICR.CTLR) == at_reset


@pytest.mark.rule("RED-14", "RED-16")
@pytest.mark.parametrize("offset", [GICR.PROPBASER, GICR.PENDBASER], ids=["PROPBASER", "PENDBASER"])
@pytest.mark.parametrize(
    ("profile", "mask"), [(ARCH, 0), (KVM, 0), (QEMU, (1 << 64) - 1)], ids=["arch", "kvm", "qemu"]
)
def test_table_registers_without_lpis(profile: vgic.Profile, mask: int, offset: int) -> None:
    guest = Guest(2, profile=profile)
    value = 0x0123_4567_89AB_CDEF
    guest.set_gicr(offset, value, 8, cpu=1)
    assert guest.gicr(offset, 8, cpu=1) == value & mask
    assert guest.gicr(offset, 8, cpu=0) == 0


@pytest.mark.rule("RED-14")
def test_syncr_is_never_busy() -> None:
    guest = Guest()
    assert guest.gicr(GICR.SYNCR) == 0
    assert guest.heard.accesses == []
