"""Who an SGI and an SPI reach, in random sparse topologies, against a reference that looks at every vCPU."""

import random

import pytest

import vgic

SIZES = [1, 2, 3, 17, 64, 300, 1024, 4096]
GICD = 0x0800_0000
WORD = 0xFFFF_FFFF


def sparse_topology(rng: random.Random, cpus: int) -> list[int]:
    """Affinities that cluster by chance, so that target lists name several vCPUs, and lie anywhere."""
    bases = [rng.getrandbits(32) & ~0xF for _ in range(max(1, cpus // 8))]
    chosen: set[int] = set()
    while len(chosen) < cpus:
        base = rng.choice(bases) if rng.random() < 0.9 else rng.getrandbits(32)
        chosen.add(base ^ rng.getrandbits(rng.choice((4, 4, 6, 9))))
    affinities = sorted(chosen)
    rng.shuffle(affinities)
    return affinities


def machine(affinities: list[int], rss: bool) -> vgic.Gic:
    """All awake, everything in Group 1 and enabled; only where SGIs and SPIs become pending matters."""
    gic = vgic.Gic(vgic.Config(vgic.Topology(affinities), spis=32, rss=rss, one_of_n=False))
    for base in gic.redistributor_bases:
        gic.write(base + 0x1_0080, 4, WORD)
    return gic


def sgi_value(affinity: int, target_list: int, irm: int, intid: int, range_selector: int) -> int:
    """ICC_SGI1R_EL1 that names the cluster of an affinity; shifts as the manual gives them."""
    aff3, aff2, aff1 = affinity >> 24, affinity >> 16 & 0xFF, affinity >> 8 & 0xFF
    fields = aff3 << 48 | range_selector << 44 | irm << 40 | aff2 << 32 | intid << 24 | aff1 << 16
    return fields | target_list


def named(affinities: list[int], sender: int, value: int, rss: bool) -> set[int]:
    """The reference: every vCPU compares itself with the register, field by field."""
    reached = set()
    for cpu, packed in enumerate(affinities):
        if value >> 40 & 1:
            if cpu != sender:
                reached.add(cpu)
            continue
        aff0 = packed & 0xFF
        cluster = (value >> 48 & 0xFF, value >> 32 & 0xFF, value >> 16 & 0xFF)
        first = 16 * (value >> 44 & 0xF) if rss else 0
        in_list = first <= aff0 < first + 16 and value >> (aff0 - first) & 1
        if cluster == (packed >> 24, packed >> 16 & 0xFF, packed >> 8 & 0xFF) and in_list:
            reached.add(cpu)
    return reached


@pytest.mark.parametrize("rss", [False, True], ids=["no range selector", "range selector"])
@pytest.mark.parametrize("cpus", SIZES)
def test_an_sgi_reaches_exactly_those_it_names(cpus: int, rss: bool) -> None:
    rng = random.Random(cpus * 2 + rss)
    affinities = sparse_topology(rng, cpus)
    gic = machine(affinities, rss)
    before = [gic.read(base + 0x1_0200, 4) for base in gic.redistributor_bases]
    assert not any(before)
    hit_something = False
    for attempt in range(40):
        intid = attempt % 16
        near = rng.choice(affinities) if rng.random() < 0.9 else rng.getrandbits(32)
        irm = int(attempt % 20 == 7)
        selector = (near & 0xFF) >> 4 if rng.random() < 0.8 else rng.randrange(16)
        value = sgi_value(near, rng.getrandbits(16), irm, intid, selector)
        sender = rng.randrange(cpus)
        expected = named(affinities, sender, value, rss)
        assert set(gic.sgi_targets(sender, vgic.ICC_SGI1R_EL1, value)) == expected
        gic.sysreg_write(sender, vgic.ICC_SGI1R_EL1, value)
        pending = {
            cpu
            for cpu, base in enumerate(gic.redistributor_bases)
            if cpu in expected or cpus <= 64
            if gic.read(base + 0x1_0200, 4) >> intid & 1
        }
        assert pending == expected
        everywhere = sum(gic.interrupt(cpu, intid).pending for cpu in range(cpus))
        assert everywhere == len(expected)
        hit_something |= bool(expected)
        for cpu in expected:
            gic.write(gic.redistributor_bases[cpu] + 0x1_0280, 4, 1 << intid)
    assert hit_something or cpus == 1


@pytest.mark.parametrize("cpus", SIZES)
def test_an_spi_reaches_exactly_the_vcpu_that_its_route_names(cpus: int) -> None:
    rng = random.Random(cpus)
    affinities = sparse_topology(rng, cpus)
    gic = machine(affinities, rss=True)
    gic.write(GICD, 4, 0b11)
    gic.write(GICD + 0x84, 4, WORD)
    gic.write(GICD + 0x104, 4, WORD)
    for cpu, base in enumerate(gic.redistributor_bases):
        gic.write(base + 0x14, 4, 0)
        gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
    for _ in range(60):
        intid = rng.randrange(32, 64)
        near = rng.choice(affinities) ^ (rng.getrandbits(2) << rng.choice((0, 8, 16, 24)))
        gic.write(GICD + 0x6000 + 8 * intid, 8, (near >> 24) << 32 | near & 0xFF_FFFF)
        gic.spi(intid).set_level(True)
        expected = [cpu for cpu, packed in enumerate(affinities) if packed == near]
        assert [cpu for cpu in range(cpus) if gic.outputs(cpu) == (True, False)] == expected
        for cpu in expected:
            assert gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1) == intid
            gic.spi(intid).set_level(False)
            gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)
        gic.spi(intid).set_level(False)
    gic.check()
