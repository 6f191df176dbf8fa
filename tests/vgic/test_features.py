"""A feature shows in several registers: all of them agree, whatever the VM, its host and its vCPUs."""

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vgic
from vgic.host.capabilities import HostCapabilities
from vgic.host.trap_plan import CpuInterfaceView, trap_plan

GICD = 0x0800_0000
TYPER = GICD + 0x0004
IROUTER32 = GICD + 0x6000 + 8 * 32
ALL_64 = (1 << 64) - 1
AFF3 = 0xFF << 32

affinities = st.lists(st.integers(0, 0xFFFF_FFFF), min_size=1, max_size=6, unique=True)


def host(a3v: bool) -> HostCapabilities:
    """A host that differs from the VM in A3V at most."""
    return HostCapabilities(
        a3v=a3v, priority_bits=5, preemption_bits=5, id_bits=16, seis=False, list_registers=4, tds=True
    )


@pytest.mark.rule("A3V-1", "A3V-2", "A3V-3", "A3V-4")
@given(affinities=affinities, a3v=st.booleans(), host_a3v=st.booleans(), aarch32=st.booleans())
@settings(max_examples=300)
def test_every_view_of_aff3_agrees(affinities: list[int], a3v: bool, host_a3v: bool, aarch32: bool) -> None:
    if not a3v or aarch32:
        affinities = list(dict.fromkeys(packed & 0xFF_FFFF for packed in affinities))
    cpus = range(len(affinities))
    topology = vgic.Topology(affinities, aarch32=cpus if aarch32 else ())
    gic = vgic.Gic(vgic.Config(topology, spis=32, a3v=a3v))

    assert gic.read(TYPER, 4) >> 24 & 1 == a3v
    for cpu in cpus:
        assert gic.sysreg_read(cpu, vgic.ICC_CTLR_EL1) >> 15 & 1 == a3v
        # What the guest reads on its host: the host's own bit, unless that access is trapped and answered here.
        plan = trap_plan(CpuInterfaceView(a3v=a3v, priority_bits=5, id_bits=16, seis=False), host(host_a3v))
        seen = a3v if plan.traps("ICC_CTLR", write=False) else host_a3v
        assert seen == a3v

        mpidr = gic.mpidr(cpu)
        packed = affinities[cpu]
        assert mpidr == topology.mpidr(cpu)
        assert (mpidr >> 32 & 0xFF, mpidr & 0xFF_FFFF) == (packed >> 24, packed & 0xFF_FFFF)
        assert mpidr >> 32 == 0 or (a3v and not aarch32)
        assert gic.read(gic.redistributor_bases[cpu] + 8, 8) >> 32 == packed

    gic.write(IROUTER32, 8, ALL_64)
    assert gic.read(IROUTER32, 8) & AFF3 == (AFF3 if a3v else 0)
    assert gic.read(IROUTER32 + 4, 4) == (0xFF if a3v else 0)

    for cpu, packed in enumerate(affinities):
        value = (packed >> 24) << 48 | (packed >> 16 & 0xFF) << 32 | (packed >> 8 & 0xFF) << 16
        value |= (packed & 0xF0) << 40 | 1 << (packed & 0xF)
        assert gic.sgi_targets(0, vgic.ICC_SGI0R_EL1, value) == [cpu]


@pytest.mark.rule("A3V-5")
@pytest.mark.parametrize("a3v", [False, True])
@pytest.mark.parametrize("order", ["whole", "low then high", "high then low", "halves twice"])
def test_irouter_can_be_written_whole_or_in_halves(a3v: bool, order: str) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), spis=32, a3v=a3v, one_of_n=False))
    low, high = 0x0003_0201, 0x0000_0004
    steps = {
        "whole": [(0, 8, high << 32 | low)],
        "low then high": [(0, 4, low), (4, 4, high)],
        "high then low": [(4, 4, high), (0, 4, low)],
        "halves twice": [(4, 4, 0xFF), (0, 4, 0xFF), (4, 4, high), (0, 4, low)],
    }
    for offset, size, value in steps[order]:
        gic.write(IROUTER32 + offset, size, value)
    kept = high if a3v else 0
    assert gic.read(IROUTER32, 8) == kept << 32 | low
    assert (gic.read(IROUTER32, 4), gic.read(IROUTER32 + 4, 4)) == (low, kept)
    assert gic.spi(32).affinity == kept << 24 | low


@pytest.mark.rule("A3V-6")
def test_an_aff3_that_the_vm_cannot_show_is_refused_by_name() -> None:
    topology = vgic.Topology.from_text(["0.0.0.0", "1.0.0.1"])
    with pytest.raises(vgic.AffinityError) as refused:
        vgic.Config(topology, a3v=False)
    assert str(refused.value) == "vCPU 1 has affinity 1.0.0.1: Aff3 is not zero, and the VM has no A3V"
    with pytest.raises(vgic.AffinityError) as aarch32:
        vgic.Topology.from_text(["0.0.0.0", "1.0.0.1"], aarch32=[1])
    assert str(aarch32.value) == "vCPU 1 is AArch32 and has no Aff3, but its affinity is 1.0.0.1"


@pytest.mark.rule("A3V-7")
def test_kvm_hides_an_aff3_that_its_sgis_compare() -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.from_text(["0.0.0.0", "1.0.0.1"]), profile=vgic.KVM, a3v=False))
    assert gic.read(gic.redistributor_bases[1] + 8, 8) >> 32 == 0x0000_0001
    assert gic.mpidr(1) == 0x1_8000_0001
    assert gic.read(TYPER, 4) >> 24 & 1 == 0
    gic.write(IROUTER32, 8, 1 << 32 | 1)
    assert gic.read(IROUTER32, 8) == 1
    assert gic.spi(32).target is None
    assert gic.sgi_targets(0, vgic.ICC_SGI0R_EL1, 0b10) == []
    assert gic.sgi_targets(0, vgic.ICC_SGI1R_EL1, 1 << 48 | 0b10) == [1]


@pytest.mark.rule("A3V-7")
def test_an_aff3_that_is_hidden_by_default_is_told() -> None:
    with pytest.warns(vgic.VgicWarning) as told:
        config = vgic.Config(vgic.Topology.from_text(["0.0.0.0", "1.0.0.1"]), profile=vgic.KVM)
    assert [str(warning.message) for warning in told] == [
        "the profile kvm hides Aff3, and vCPU 1 is 1.0.0.1: no register of the GIC will show it, and no SPI can be"
        " routed there; a3v=True shows it, a3v=False says that it is meant"
    ]
    assert told[0].filename == __file__
    # Nothing more to say: of the VM, of its state, and of one that says what it wants.
    gic = vgic.Gic(config)
    vgic.State.of(gic).build()
    for a3v in (False, True):
        vgic.Config(config.topology, profile=vgic.KVM, a3v=a3v)
    vgic.Config(vgic.Topology.kvm(300), profile=vgic.KVM)


@pytest.mark.rule("A3V-8")
@pytest.mark.parametrize(("a3v", "expected"), [(True, 1), (False, 0)])
def test_without_aff3_all_pes_share_lpi_tables(a3v: bool, expected: int) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), profile=vgic.QEMU, a3v=a3v))
    assert gic.read(gic.redistributor_bases[0] + 8, 8) >> 24 & 0b11 == expected


@pytest.mark.rule("A3V-9")
def test_the_route_of_an_spi_takes_four_bytes_and_a_bit() -> None:
    few, many = (vgic.Gic(vgic.Config(vgic.Topology.kvm(1), spis=spis))._shared for spis in (32, 960))
    more = 960 - 32
    assert sys.getsizeof(many.route) - sys.getsizeof(few.route) == 4 * more
    # The bit is one of the 32 of `any_pe` in each word.
    assert 32 * (len(many.words) - len(few.words)) == more
    assert len(many.route_extra) == 0


@pytest.mark.rule("RSS-1", "RSS-2")
@pytest.mark.parametrize("rss", [False, True])
def test_the_range_selector_shows_and_works_or_neither(rss: bool) -> None:
    gic = vgic.Gic(vgic.Config(vgic.Topology.clusters(256, 256), rss=rss))
    assert gic.read(TYPER, 4) >> 26 & 1 == rss
    assert gic.sysreg_read(0, vgic.ICC_CTLR_EL1) >> 18 & 1 == rss
    for selector in range(16):
        expected = [16 * selector + 3, 16 * selector + 15] if rss else [3, 15]
        assert gic.sgi_targets(0, vgic.ICC_SGI0R_EL1, selector << 44 | 0x8008) == expected
