"""Profiles: identification, registers that an implementation lacks, and honest advertisement."""

import dataclasses

import pytest

import vgic
from guest import Guest
from mmio import Refusal
from offsets import GICD, GICR, ID
from vgic import ARCH, KVM, PROFILES, QEMU
from vgic.layouts import gicd, gicr, gits, icc, ich
from vgic.profiles import KVM_VERSIONS

EVERY = pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
MESSAGES = {GICD.SETSPI_NSR, GICD.CLRSPI_NSR, GICD.SETSPI_SR, GICD.CLRSPI_SR}


def identification(guest: Guest, frame: int) -> list[int]:
    """PIDR4 to PIDR7, PIDR0 to PIDR3, CIDR0 to CIDR3."""
    return [guest.read(frame + offset) for offset in range(ID.PIDR4, 0x1_0000, 4)]


@pytest.mark.rule("ACC-15", "ACC-16", "ACC-17")
@pytest.mark.parametrize(
    ("profile", "gicd_iidr", "gicr_iidr"),
    [
        (ARCH, 0x5600_043B, 0x5600_043B),
        (KVM, 0x4B00_343B, 0x4B00_043B),
        (QEMU, 0x0000_043B, 0x0000_043B),
    ],
    ids=["arch", "kvm", "qemu"],
)
def test_implementers(profile: vgic.Profile, gicd_iidr: int, gicr_iidr: int) -> None:
    guest = Guest(2, profile=profile)
    guest.set_gicd(GICD.IIDR, 0xFFFF_FFFF)
    assert guest.gicd(GICD.IIDR) == gicd_iidr
    assert [guest.gicr(GICR.IIDR, cpu=cpu) for cpu in guest.cpus] == [gicr_iidr] * 2


@pytest.mark.rule("ACC-15", "ACC-17")
@pytest.mark.parametrize("profile", [ARCH, QEMU], ids=["arch", "qemu"])
def test_coresight_identification(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile)
    rest = [0xB4, 0x3B, 0, 0x0D, 0xF0, 0x05, 0xB1]
    assert identification(guest, guest.config.gicd_base) == [0x44, 0, 0, 0, 0x92, *rest]
    assert identification(guest, guest.gic.redistributor_bases[0]) == [0x44, 0, 0, 0, 0x93, *rest]


@pytest.mark.rule("ACC-16")
def test_kvm_identifies_its_architecture_version_only() -> None:
    guest = Guest(profile=KVM)
    only_pidr2 = [0x3B if offset == ID.PIDR2 else 0 for offset in range(ID.PIDR4, 0x1_0000, 4)]
    assert identification(guest, guest.config.gicd_base) == only_pidr2
    assert identification(guest, guest.gic.redistributor_bases[0]) == only_pidr2


@pytest.mark.rule("ACC-13", "ACC-14")
@pytest.mark.parametrize(
    ("profile", "value"), [(ARCH, 0), (KVM, 0xFFFF_FFFF), (QEMU, 0)], ids=["arch", "kvm", "qemu"]
)
def test_statusr(profile: vgic.Profile, value: int) -> None:
    guest = Guest(profile=profile)
    guest.read(guest.config.gicd_base + 0xF000)  # a hole, which a STATUSR would report
    assert guest.gicd(GICD.STATUSR) == value
    guest.set_gicd(GICD.STATUSR, 0)
    assert guest.gicd(GICD.STATUSR) == value
    guest.set_gicr(GICR.STATUSR, 0xFFFF_FFFF)
    assert guest.gicr(GICR.STATUSR) == 0


@pytest.mark.rule("ACC-18", "ACC-21")
@pytest.mark.parametrize(
    ("profile", "lacking"),
    [(ARCH, set()), (KVM, MESSAGES), (QEMU, MESSAGES | {GICD.TYPER2})],
    ids=["arch", "kvm", "qemu"],
)
def test_distributor_registers_that_an_implementation_lacks(profile: vgic.Profile, lacking: set[int]) -> None:
    guest = Guest(profile=profile)
    for offset in sorted(MESSAGES | {GICD.TYPER2}):
        guest.heard.accesses.clear()
        guest.set_gicd(offset, 0)
        told = [access.refusal for access in guest.heard.accesses]
        assert (Refusal.HOLE in told) == (offset in lacking)


@pytest.mark.rule("ACC-21")
@pytest.mark.parametrize(("profile", "told"), [(ARCH, 0), (KVM, 0), (QEMU, 1)], ids=["arch", "kvm", "qemu"])
def test_qemu_lacks_syncr(profile: vgic.Profile, told: int) -> None:
    guest = Guest(profile=profile)
    assert guest.gicr(GICR.SYNCR) == 0
    assert len(guest.heard.accesses) == told


@pytest.mark.rule("ACC-18", "ACC-21")
@pytest.mark.parametrize("profile", [KVM, QEMU], ids=["kvm", "qemu"])
def test_messages_have_no_effect_where_there_are_none(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile).boot()
    guest.setup(40, edge=True)
    guest.set_gicd(GICD.SETSPI_NSR, 40)
    assert not guest.gic.spi(40).pending
    assert guest.gicd(GICD.TYPER) >> 16 & 1 == 0


@pytest.mark.rule("DIST-5", "DIST-11")
@EVERY
def test_typer2_is_zero(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile)
    guest.set_gicd(GICD.TYPER2, 0xFFFF_FFFF)
    assert guest.gicd(GICD.TYPER2) == 0


@pytest.mark.rule("AFF-9", "ROUTE-5", "SGI-10")
@EVERY
def test_affinity_level_3_is_advertised_alike_everywhere(profile: vgic.Profile) -> None:
    guest = Guest(profile=profile)
    a3v = profile not in KVM_VERSIONS
    assert guest.gicd(GICD.TYPER) >> 24 & 1 == a3v
    assert guest.mrs(vgic.ICC_CTLR_EL1) >> 15 & 1 == a3v
    guest.route(40, 0xFF_0000_0000)
    assert (guest.gicd(GICD.IROUTER + 8 * 40 + 4) != 0) == a3v


@pytest.mark.rule("API-9")
@EVERY
def test_a_profile_names_registers_and_fields_that_exist(profile: vgic.Profile) -> None:
    frames = (gicd.GICD, gicr.RD_BASE, gicr.SGI_BASE, gicr.VLPI_BASE, gits.CONTROL, gits.TRANSLATION, ich.ICH)
    names = {layout.name for frame in frames for layout in frame}
    for mentioned in (profile.fixed, profile.writable, profile.absent):
        assert set(mentioned) <= names
    for layout, fields in (
        (gicd.TYPER, profile.distributor_typer),
        (gicr.TYPER, profile.redistributor_typer),
        (gicr.CTLR, profile.redistributor_ctlr),
        (icc.CTLR, profile.cpu_interface_ctlr),
        (gits.TYPER, profile.its.typer),
    ):
        assert set(fields) <= {field.name for field in layout.fields}


@pytest.mark.rule("API-9")
def test_profiles_are_data_and_cannot_be_changed_by_accident() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ARCH.name = "other"
    changed = dataclasses.replace(ARCH, name="mine", reset_group=1)
    assert Guest(profile=changed).gicr(GICR.SGI_BASE + 0x80) == 0xFFFF_FFFF
