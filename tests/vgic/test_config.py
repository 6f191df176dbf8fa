"""Config: what a VM's GIC may consist of."""

import pytest

import vgic
from vgic import (
    ARCH,
    KVM,
    KVM_7_2,
    PROFILES,
    QEMU,
    QEMU_10_0,
    Config,
    ConfigError,
    RedistributorRegion,
    Topology,
    profile_named,
)
from vgic.config import REDISTRIBUTOR_SIZE

TWO = Topology.kvm(2)


@pytest.mark.rule("API-3")
@pytest.mark.parametrize("spis", [0, 32, 960, 988])
def test_legal_numbers_of_spis(spis: int) -> None:
    assert Config(TWO, spis=spis).spis == spis


@pytest.mark.rule("API-3")
@pytest.mark.parametrize("spis", [-32, 31, 33, 987, 989, 992])
def test_other_numbers_of_spis_are_refused(spis: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(TWO, spis=spis)
    assert str(caught.value) == f"spis is a multiple of 32 up to 960, or 988; {spis} is not"


@pytest.mark.rule("API-3")
@pytest.mark.parametrize("bits", [3, 9])
def test_priority_bits_are_4_to_8(bits: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Config(TWO, priority_bits=bits)
    assert str(caught.value) == f"priority_bits is 4 to 8, not {bits}"


@pytest.mark.rule("API-3", "RED-1")
def test_one_region_holds_every_redistributor_by_default() -> None:
    assert Config(TWO).redistributor_regions == (RedistributorRegion(0x080A_0000, 2),)
    assert REDISTRIBUTOR_SIZE == 0x2_0000


@pytest.mark.rule("API-3")
def test_a_region_without_room_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        Config(TWO, redistributor_regions=(RedistributorRegion(0x0900_0000, 0),))
    assert str(caught.value) == "the redistributor region at 0x9000000 has room for 0 vCPUs"


@pytest.mark.rule("API-3")
def test_every_vcpu_needs_a_redistributor() -> None:
    regions = (RedistributorRegion(0x0900_0000, 1), RedistributorRegion(0x0A00_0000, 2))
    with pytest.raises(ConfigError) as caught:
        Config(Topology.kvm(4), redistributor_regions=regions)
    assert str(caught.value) == "4 vCPUs need as many redistributors; the regions have room for 3"


@pytest.mark.rule("API-9")
def test_profiles_go_by_name() -> None:
    assert dict(PROFILES) == {"arch": ARCH, "kvm": KVM, "kvm-7.2": KVM_7_2, "qemu": QEMU, "qemu-10.0": QEMU_10_0}
    assert profile_named("kvm") is KVM
    assert Config(TWO).profile is ARCH


@pytest.mark.rule("API-9")
def test_an_unknown_profile_is_refused_with_the_known_ones_named() -> None:
    with pytest.raises(ConfigError) as caught:
        profile_named("gem5")
    assert str(caught.value) == "no profile 'gem5'; there are arch, kvm, kvm-7.2, qemu, qemu-10.0"


@pytest.mark.rule("ACC-12")
@pytest.mark.parametrize(
    ("base", "message"),
    [
        (
            0x0801_8000,
            "GICR region 0 at 0x8018000, 0x40000 bytes: base and size must be multiples of 0x10000,"
            " the size not zero",
        ),
        (0x0800_0000, "GICR region 0 (0x8000000-0x803ffff) overlaps GICD (0x8000000-0x800ffff)"),
    ],
)
def test_frames_that_cannot_be_placed_are_refused_by_name(base: int, message: str) -> None:
    config = Config(TWO, redistributor_regions=(RedistributorRegion(base, 2),))
    with pytest.raises(ValueError, match="GICR region 0") as caught:
        vgic.Gic(config)
    assert str(caught.value) == message


@pytest.mark.rule("API-3")
def test_another_choice_of_1_of_n_is_refused() -> None:
    with pytest.raises(vgic.ConfigError) as refused:
        vgic.Config(vgic.Topology.kvm(1), one_of_n_choice="Rotate")  # type: ignore[arg-type]
    assert str(refused.value) == "one_of_n_choice is first or rotate, not Rotate"


@pytest.mark.rule("API-3", "SEC-10")
def test_how_many_security_states_there_are() -> None:
    assert not vgic.Config(vgic.Topology.kvm(1)).two_states
    for profile in (vgic.ARCH, vgic.QEMU):
        assert vgic.Config(vgic.Topology.kvm(1), profile=profile, security="two").two_states
    with pytest.raises(vgic.ConfigError) as refused:
        vgic.Config(vgic.Topology.kvm(1), security="three")  # type: ignore[arg-type]
    assert str(refused.value) == "security is one or two, the number of Security states; not three"
    with pytest.raises(vgic.ConfigError) as refused:
        vgic.Config(vgic.Topology.kvm(1), profile=vgic.KVM, security="two")
    assert str(refused.value) == "the profile kvm has one Security state, and security is two"
