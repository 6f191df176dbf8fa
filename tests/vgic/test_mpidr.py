"""A VMM may write MPIDR_EL1 at any time: every view follows at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vgic

GICD = 0x0800_0000


def machine(*dotted: str, **choices: bool) -> vgic.Gic:
    gic = vgic.Gic(vgic.Config(vgic.Topology.from_text(dotted), spis=32, **choices))
    gic.write(GICD, 4, 0b11)
    gic.write(GICD + 0x104, 4, 0xFFFF_FFFF)
    for cpu, base in enumerate(gic.redistributor_bases):
        gic.write(base + 0x14, 4, 0)
        gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN0_EL1, 1)
    return gic


@pytest.mark.rule("MPIDR-1")
def test_typer_sgis_and_written_routes_follow_a_new_affinity() -> None:
    gic = machine("0.0.0.0", "0.0.0.1")
    gic.write(GICD + 0x6000 + 8 * 40, 8, 5 << 32 | 7)
    gic.spi(40).set_level(True)
    assert gic.spi(40).target is None
    assert gic.outputs(1) == (False, False)

    gic.write_mpidr(1, 5 << 32 | 7)
    gic.check()
    assert gic.read(gic.redistributor_bases[1] + 8, 8) >> 32 == 0x0500_0007
    assert gic.sgi_targets(0, vgic.ICC_SGI0R_EL1, 5 << 48 | 1 << 7) == [1]
    assert gic.sgi_targets(0, vgic.ICC_SGI0R_EL1, 0b10) == []
    assert gic.outputs(1) == (False, True)

    gic.write_mpidr(1, 1)
    gic.check()
    assert gic.outputs(1) == (False, False)
    assert gic.spi(40).pending


@pytest.mark.rule("MPIDR-2")
def test_an_affinity_that_another_vcpu_has_is_refused_and_nothing_changes() -> None:
    gic = machine("0.0.0.0", "0.0.0.1", "0.0.0.2")
    with pytest.raises(vgic.AffinityError) as refused:
        gic.write_mpidr(2, 1)
    assert str(refused.value) == "vCPUs 1 and 2 have the same affinity 0.0.0.1"
    assert [gic.affinity(cpu) for cpu in range(3)] == [0, 1, 2]
    with pytest.raises(vgic.AffinityError) as both:
        gic.write_mpidrs({0: 9, 1: 9})
    assert str(both.value) == "vCPUs 0 and 1 have the same affinity 0.0.0.9"
    assert [gic.find(packed) for packed in (0, 1, 2, 9)] == [0, 1, 2, None]
    gic.check()


@pytest.mark.rule("MPIDR-3")
def test_vcpus_can_exchange_affinities() -> None:
    gic = machine("0.0.0.0", "0.0.0.1")
    gic.write(GICD + 0x6000 + 8 * 40, 8, 1)
    gic.spi(40).set_level(True)
    assert gic.outputs(1) == (False, True)
    gic.write_mpidrs({0: 1, 1: 0})
    gic.check()
    assert (gic.outputs(0), gic.outputs(1)) == ((False, True), (False, False))
    assert gic.find(1) == 0


@pytest.mark.rule("MPIDR-4")
def test_an_active_interrupt_stays_active_when_its_vcpu_gets_another_affinity() -> None:
    gic = machine("0.0.0.0", "0.0.0.1")
    gic.write(GICD + 0x6000 + 8 * 40, 8, 1)
    gic.spi(40).set_level(True)
    assert gic.sysreg_read(1, vgic.ICC_IAR0_EL1) == 40
    gic.write_mpidr(1, 2)
    assert gic.spi(40).active
    gic.spi(40).set_level(False)
    gic.sysreg_write(1, vgic.ICC_EOIR0_EL1, 40)
    assert not gic.spi(40).active
    gic.check()


@pytest.mark.rule("A3V-6")
def test_an_aff3_written_to_a_vm_without_a3v_is_refused() -> None:
    gic = machine("0.0.0.0", a3v=False)
    with pytest.raises(vgic.AffinityError) as refused:
        gic.write_mpidr(0, 3 << 32)
    assert str(refused.value) == "vCPU 0 has affinity 3.0.0.0: Aff3 is not zero, and the VM has no A3V"
    assert gic.affinity(0) == 0


@pytest.mark.rule("MPIDR-5")
@given(
    before=st.lists(st.integers(0, 0xFFFF_FFFF), min_size=1, max_size=5, unique=True),
    data=st.data(),
)
@settings(max_examples=80)
def test_the_order_of_mpidrs_and_routes_does_not_matter(before: list[int], data: st.DataObject) -> None:
    after = data.draw(
        st.lists(st.integers(0, 0xFFFF_FFFF), min_size=len(before), max_size=len(before), unique=True)
    )
    routes = data.draw(st.lists(st.sampled_from([*before, *after]), min_size=8, max_size=8))

    def mpidrs(gic: vgic.Gic) -> None:
        gic.write_mpidrs({cpu: (packed >> 24) << 32 | packed & 0xFF_FFFF for cpu, packed in enumerate(after)})

    def write_routes(gic: vgic.Gic) -> None:
        for number, packed in enumerate(routes):
            gic.write(GICD + 0x6000 + 8 * (32 + number), 8, (packed >> 24) << 32 | packed & 0xFF_FFFF)

    def lines(gic: vgic.Gic) -> None:
        for number in range(len(routes)):
            gic.spi(32 + number).set_level(True)

    results = []
    for order in data.draw(st.permutations([mpidrs, write_routes, lines])), (mpidrs, write_routes, lines):
        dotted = [".".join(str(packed >> shift & 0xFF) for shift in (24, 16, 8, 0)) for packed in before]
        gic = machine(*dotted)
        for step in order:
            step(gic)
            gic.check()
        cpus = range(len(before))
        results.append([(gic.affinity(c), gic.highest_pending(c), gic.outputs(c)) for c in cpus])
    assert results[0] == results[1]


@pytest.mark.rule("MPIDR-6")
def test_a_vm_without_a_gic_has_mpidrs_too() -> None:
    topology = vgic.Topology.from_text(["0.0.0.0", "7.1.2.3", "0.1.2.3"], aarch32=[0, 2])
    assert [topology.mpidr(cpu) for cpu in range(3)] == [0x8000_0000, 0x7_8001_0203, 0x8001_0203]
    assert topology.find(0x0701_0203) == 1
