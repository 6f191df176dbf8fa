"""Topology: which vCPU has which affinity."""

import pickle

import pytest

import vgic
from vgic import MAX_VCPUS, AffinityError, ConfigError, Topology, VgicError
from vgic.topology import NO_VCPU, AffinityIndex


@pytest.mark.rule("AFF-8")
@pytest.mark.parametrize("layout", [Topology.kvm, Topology.qemu])
def test_standard_layouts_put_16_vcpus_in_a_cluster(layout) -> None:
    affinities = layout(512).affinities
    assert affinities[:2] == (0, 1)
    assert affinities[15:17] == (0x0F, 0x100)
    assert affinities[511] == 0x1F0F


@pytest.mark.rule("AFF-8")
def test_clusters_carry_from_aff1_into_aff2() -> None:
    topology = Topology.clusters(1025, 4)
    assert topology.affinities[4 * 255 + 3] == 0xFF03
    assert topology.affinities[1024] == 0x1_0000


@pytest.mark.rule("AFF-7")
def test_any_affinities_may_be_used_and_are_found() -> None:
    topology = Topology.from_text(["255.255.255.255", "0.0.0.7", "3.0.0.0"])
    assert topology.affinities == (0xFFFF_FFFF, 7, 0x0300_0000)
    assert len(topology) == 3
    assert [topology.find(packed) for packed in topology.affinities] == [0, 1, 2]
    assert topology.find(0) is None


@pytest.mark.rule("AFF-7")
def test_affinities_that_nobody_has_any_more_take_no_room() -> None:
    index = AffinityIndex(Topology([0, 1, 0x100]))
    room = total_size(index)
    for packed in range(0x1_0000, 0x1_8000, 16):
        index.move({2: packed})
        assert (index.find(packed), index.find(packed - 16)) == (2, NO_VCPU)
    index.move({2: 0x100})
    assert (index.find(0x100), index.find(0)) == (2, 0)
    assert total_size(index) <= room + 1024


def total_size(index: AffinityIndex) -> int:
    """Bytes of what it keeps by affinity."""
    return len(pickle.dumps(index._ranges))


@pytest.mark.rule("AFF-7")
def test_an_affinity_that_two_vcpus_share_is_refused_with_both_named() -> None:
    with pytest.raises(AffinityError) as caught:
        Topology([0x0100_0000, 1, 2, 0x0100_0000])
    assert str(caught.value) == "vCPUs 0 and 3 have the same affinity 1.0.0.0"


@pytest.mark.rule("AFF-7")
@pytest.mark.parametrize("packed", [-1, 1 << 32])
def test_an_affinity_of_more_than_32_bits_is_refused(packed: int) -> None:
    with pytest.raises(AffinityError) as caught:
        Topology([0, packed])
    assert str(caught.value) == f"vCPU 1: affinity {packed:#x} does not fit in 32 bits"


@pytest.mark.rule("API-3")
@pytest.mark.parametrize("count", [0, MAX_VCPUS + 1])
def test_number_of_vcpus_is_what_processor_number_can_hold(count: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Topology(range(count))
    assert str(caught.value) == f"a VM has 1 to 65536 vCPUs, not {count}"


@pytest.mark.rule("API-3")
def test_more_vcpus_than_there_can_be_are_not_made() -> None:
    taken = iter(range(1 << 62))
    with pytest.raises(ConfigError):
        Topology(taken)
    assert next(taken) == MAX_VCPUS + 1
    for make in (Topology.kvm, Topology.qemu, lambda cpus: Topology.clusters(cpus, 1)):
        with pytest.raises(ConfigError) as caught:
            make(1 << 62)
        assert str(caught.value) == f"a VM has 1 to 65536 vCPUs, not {1 << 62}"


@pytest.mark.rule("API-3")
def test_as_many_vcpus_as_processor_number_can_hold() -> None:
    assert Topology.clusters(MAX_VCPUS, 256).affinities[-1] == 0xFFFF


@pytest.mark.rule("API-3")
@pytest.mark.parametrize("size", [0, 257])
def test_a_cluster_is_what_aff0_can_hold(size: int) -> None:
    with pytest.raises(ConfigError) as caught:
        Topology.clusters(4, size)
    assert str(caught.value) == f"a cluster has 1 to 256 vCPUs, not {size}"


@pytest.mark.rule("API-2")
def test_every_error_is_a_value_error_of_this_library() -> None:
    assert issubclass(AffinityError, VgicError)
    assert issubclass(ConfigError, VgicError)
    assert issubclass(VgicError, ValueError)


@pytest.mark.rule("AFF-6")
def test_a_topology_prints_its_first_affinities() -> None:
    assert repr(Topology.kvm(2)) == "<Topology of 2 vCPUs: 0.0.0.0, 0.0.0.1>"
    assert repr(Topology.kvm(5)) == "<Topology of 5 vCPUs: 0.0.0.0, 0.0.0.1, 0.0.0.2, 0.0.0.3, ...>"


@pytest.mark.rule("RED-2")
def test_processor_numbers_are_different_ones_of_16_bits() -> None:
    assert Topology([5, 1]).processors == (0, 1)
    gic = vgic.Gic(vgic.Config(Topology([5, 1], processors=[9, 0xFFFF])))
    shown = [gic.read(base + 8, 8) >> 8 & 0xFFFF for base in gic.redistributor_bases]
    assert shown == [9, 0xFFFF]
    for bad, message in (
        ([1], "2 vCPUs cannot have 1 processor numbers"),
        ([0, 1, 2], "2 vCPUs cannot have 3 processor numbers"),
        ([3, 3], "vCPUs 0 and 1 have the same processor number 3"),
        ([0, 1 << 16], "vCPU 1: processor number 65536 is no number of 16 bits"),
        ([0, "1"], "vCPU 1: processor number '1' is no number of 16 bits"),
    ):
        with pytest.raises(ConfigError, match=f"^{message}$"):
            Topology([5, 1], processors=bad)  # type: ignore[arg-type]
