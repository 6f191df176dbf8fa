"""Layouts by hand: who gets which affinity, what reaches whom, what fits."""

from array import array

import pytest

import vgic
from vgic import affinity
from vgic_tools.affinity.layout_study import LayoutPoint, layout_study, measure_layout
from vgic_tools.affinity.layouts import LAYOUTS, topology_from_file
from vgic_tools.affinity.reach import by_target_lists
from vgic_tools.errors import UsageError


@pytest.mark.parametrize(
    ("name", "vcpus", "last"),
    [
        ("kvm", 512, "0.0.31.15"),
        ("qemu", 126, "0.0.7.13"),
        ("qemu-gicv2", 512, "0.0.63.7"),
        ("aff0-256", 512, "0.0.1.255"),
        ("two-sockets", 512, "0.1.15.15"),
        ("two-sockets", 5, "0.1.0.1"),
        ("two-sockets", 8192, "0.1.255.15"),
        ("sparse-aff3", 33, "2.0.0.0"),
        ("sparse-aff3", 65_536, "255.0.15.15"),
        ("threads", 512, "0.63.7.0"),
        ("threads", 65_536, "31.255.7.0"),
    ],
)
def test_the_last_vcpu_of_a_layout(name, vcpus, last):
    assert affinity.text(LAYOUTS[name].topology(vcpus).affinities[-1]) == last


@pytest.mark.parametrize(
    ("name", "vcpus", "without_rss", "with_rss"),
    [
        ("kvm", 1, 0, 0),
        ("kvm", 16, 1, 1),
        ("kvm", 17, 2, 2),
        ("kvm", 512, 32, 32),
        ("qemu-gicv2", 512, 64, 64),
        ("aff0-256", 512, 2, 32),
        ("threads", 512, 511, 511),
    ],
)
def test_sgi_writes_by_target_list(name, vcpus, without_rss, with_rss):
    topology = LAYOUTS[name].topology(vcpus)
    assert len(by_target_lists(topology, 0, rss=False)) == without_rss
    assert len(by_target_lists(topology, 0, rss=True)) == with_rss


def test_a_target_list_in_bits():
    topology = vgic.Topology.from_text(["0.0.0.0", "1.2.3.16", "1.2.3.31"])
    assert by_target_lists(topology, 0, rss=True) == [1 << 48 | 1 << 44 | 2 << 32 | 3 << 16 | 0x8001]
    assert by_target_lists(topology, 0, rss=False) == []


def test_the_row_of_a_sparse_layout():
    row = measure_layout(LayoutPoint("sparse-aff3", 40))
    assert (row.highest, row.needs_aff3, row.needs_rss, row.fits_kvm) == ("2.0.0.7", True, False, True)
    assert (row.sgi_writes, row.sgi_unreached, row.sgi_writes_rss, row.sgi_writes_irm) == (3, 0, 3, 1)
    assert (row.frames, row.address_space, row.regions_virt, row.regions_kvm) == (80, 40 * 0x2_0000, 1, 1)
    assert (row.typer_reads, row.pidr2_reads, row.walk_by, row.walk_map) == (2 * 820, 40, "model", "virt")
    assert row.lost_without_a3v == 24  # All but the 16 whose Aff3 is 0.
    assert row.bytes_per_vcpu is not None


def test_the_row_of_a_wide_cluster():
    row = measure_layout(LayoutPoint("aff0-256", 40))
    assert (row.needs_aff3, row.needs_rss) == (False, True)
    assert (row.sgi_writes, row.sgi_unreached, row.sgi_writes_rss) == (1, 24, 3)
    assert row.lost_without_a3v == 0


def test_more_vcpus_than_kvm_or_virt_have_room_for():
    row = measure_layout(LayoutPoint("kvm", 2048))
    assert (row.fits_kvm, row.regions_kvm, row.regions_virt, row.walk_map) == (False, None, None, "one region")
    assert row.walk_by == "closed form"


def test_affinity_level_3_adds_no_memory():
    """The affinity is 32 bits with Aff3 and without; what is left is Python's cached small integers."""
    plain, sparse = (measure_layout(LayoutPoint(name, 300)).bytes_per_vcpu for name in ("kvm", "sparse-aff3"))
    assert plain is not None
    assert sparse is not None
    assert abs(plain - sparse) < 4


def test_a_layout_is_left_out_where_it_has_no_affinities():
    points = layout_study(["two-sockets", "kvm"], [8192, 16_384]).points
    assert [(point.layout, point.vcpus) for point in points] == [
        ("two-sockets", 8192),
        ("kvm", 8192),
        ("kvm", 16_384),
    ]


def test_a_layout_of_ones_own(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("# two dies\n0.0.0.0\n\n255.1.0.3  # the other one\n")
    topology = topology_from_file(file)
    assert topology.affinities == (0, 0xFF01_0003)
    study = layout_study([], [16], ("mine", array("I", topology.affinities)))
    row = study.measure(study.points[0])
    assert (row.layout, row.vcpus, row.highest, row.sgi_writes) == ("mine", 2, "255.1.0.3", 1)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0.0.0.0\n0.0.0\n", "mine.txt:2: '0.0.0' is no affinity"),
        ("0.0.0.256\n", "mine.txt:1: '0.0.0.256' is no affinity"),
        ("0.0.0.1\n0.0.0.1\n", "mine.txt: vCPUs 0 and 1 have the same affinity 0.0.0.1"),
        ("\n", "mine.txt: a VM has 1 to 65536 vCPUs, not 0"),
    ],
)
def test_a_bad_layout_file_is_refused_by_name(tmp_path, content, message):
    file = tmp_path / "mine.txt"
    file.write_text(content)
    with pytest.raises(UsageError) as caught:
        topology_from_file(file)
    assert message in str(caught.value)


def test_a_missing_layout_file(tmp_path):
    with pytest.raises(UsageError, match=r"none\.txt: No such file"):
        topology_from_file(tmp_path / "none.txt")
