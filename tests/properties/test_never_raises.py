"""Whatever a guest does, nothing raises: a million random accesses to memory and to system registers."""

import random
from collections.abc import Iterator
from typing import Final

import pytest

import vgic
from mmio import IllegalAccess

SIZES: Final = (0, 1, 2, 3, 4, 5, 8, 16, -1, -8, 1 << 40)
LEGAL_SIZES: Final = (1, 2, 4, 4, 4, 4, 4, 4, 4, 4, 8)
VALUES: Final = (0, 1, 0xFFFF_FFFF, (1 << 64) - 1, (1 << 64) + 5, 1 << 200, -1, -(1 << 70))
ARRAYS: Final = (*((start, 0x80) for start in range(0, 0x400, 0x80)), (0x400, 0x400), (0xC00, 0x100))
"""Offset and length of the arrays of registers with a bit, a byte, or two bits for each interrupt."""
ALL_64: Final = (1 << 64) - 1
ROUND: Final = 4_000
"""Accesses between two checks of the model's invariants."""

# Aff3, clusters beyond 16 and gaps; and a region that is only half full.
SPARSE: Final = vgic.Topology.from_text(["0.0.0.0", "1.0.0.0", "255.255.255.255", "0.2.16.17", "0.0.0.15"])
REGIONS: Final = (vgic.RedistributorRegion(0x080A_0000, 3), vgic.RedistributorRegion(0x4000_0000, 9))
MACHINES: Final[dict[str, vgic.Config]] = {
    f"{profile.name}-{name}": vgic.Config(
        topology, spis, profile, bits, a3v=profile.features.a3v, redistributor_regions=regions
    )
    for profile in vgic.PROFILES.values()
    for name, topology, spis, bits, regions in (
        ("least", vgic.Topology.kvm(1), 0, 4, ()),
        ("usual", vgic.Topology.kvm(4), 64, 5, ()),
        ("sparse", SPARSE, 988, 8, REGIONS),
    )
}
MACHINES |= {
    f"{profile.name}-two-states": vgic.Config(vgic.Topology.kvm(3), 64, profile, security="two")
    for profile in (vgic.ARCH, vgic.QEMU)
}
MACHINES |= {
    f"{profile.name}-{security}-nmi": vgic.Config(
        vgic.Topology.kvm(2), 64, profile, security=security, nmi=True, list_registers=4
    )
    for profile, security in ((vgic.ARCH, "one"), (vgic.ARCH, "two"), (vgic.QEMU_10_0, "one"))
}
ACCESSES: Final = 67_200
"""On each: more than a million in all."""


class Listener:
    """Counts the accesses that had no effect."""

    def __init__(self) -> None:
        self.illegal = 0

    def illegal_access(self, access: IllegalAccess) -> None:
        self.illegal += 1
        str(access)

    def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
        self.illegal += 1


def addresses(gic: vgic.Gic, rng: random.Random) -> Iterator[int]:
    """In the frames, mostly where the registers are; around their ends; and anywhere in 64 bits."""
    gicd, rd_bases = gic.config.gicd_base, gic.redistributor_bases
    frames = [gicd, *rd_bases, *(base + 0x10000 for base in rd_bases)]
    while True:
        kind, rd_base = rng.random(), rng.choice(rd_bases)
        if kind < 0.5:
            # A bit for each interrupt, a byte, two bits: rather the low INTIDs, which every machine has.
            array, length = rng.choice(ARRAYS)
            yield rng.choice((gicd, rd_base + 0x10000)) + array + (int(length * rng.random() ** 4) & ~3)
        elif kind < 0.6:
            yield rd_base + (rng.randrange(0x100) & ~3)
        elif kind < 0.8:
            yield gicd + 0x6000 + (int(0x2000 * rng.random() ** 4) & ~3)
        elif kind < 0.9:
            yield rng.choice(frames) + rng.randrange(0x10000)
        elif kind < 0.97:
            yield rng.choice(frames) + rng.choice((0, 0x10000, 0x20000)) + rng.randrange(-9, 9)
        else:
            yield rng.getrandbits(64)


def registers(rng: random.Random) -> Iterator[int]:
    """Encodings that are defined, near misses, and anything."""
    defined = [getattr(vgic, name) for name in vgic.__all__ if name.startswith(("ICC_", "ICH_"))]
    while True:
        kind = rng.random()
        if kind < 0.8:
            yield rng.choice(defined)
        elif kind < 0.95:
            yield rng.choice(defined) + rng.randrange(-8, 9)
        else:
            yield rng.choice((rng.getrandbits(16), rng.getrandbits(80), -1))


def values(rng: random.Random) -> Iterator[int]:
    """Edge cases, INTIDs, and random bits."""
    while True:
        kind = rng.random()
        if kind < 0.3:
            yield rng.choice(VALUES)
        elif kind < 0.6:
            yield rng.randrange(1_100)
        else:
            yield rng.getrandbits(64)


@pytest.mark.parametrize("config", MACHINES.values(), ids=MACHINES)
def test_nothing_that_a_guest_does_raises(config: vgic.Config) -> None:
    rng = random.Random(f"{config.profile.name} {config.spis}")
    listener = Listener()
    gic = vgic.Gic(config, observer=listener)
    address, register, value = addresses(gic, rng), registers(rng), values(rng)
    cpus = len(config.topology)
    answers = taken = 0
    for count in range(1, ACCESSES + 1):
        kind, cpu, secure = rng.random(), rng.randrange(cpus), rng.random() < 0.5
        if (config.two_states or config.list_registers) and rng.random() < 0.2:
            flags = (rng.random() < 0.5 for _ in range(6))
            gic.set_pe_state(cpu, vgic.PeState(rng.randrange(4), *flags))
        size = rng.choice(LEGAL_SIZES if rng.random() < 0.9 else SIZES)
        if kind < 0.35:
            gic.write(next(address), size, next(value), cpu, secure)
        elif kind < 0.6:
            got = gic.read(next(address), size, cpu, secure)
            assert 0 <= got < 1 << 8 * size if size in LEGAL_SIZES else got == 0
            answers += got != 0
        elif kind < 0.8:
            gic.sysreg_write(cpu, next(register), next(value), secure)
        else:
            encoding = next(register)
            got = gic.sysreg_read(cpu, encoding, secure)
            assert 0 <= got <= ALL_64
            taken += encoding in (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1) and got < 1020
        if count % ROUND == 0:
            gic.check()
    # It was not only holes that were hit, and interrupts did flow.
    assert answers > ACCESSES // 100
    assert ACCESSES // 20 < listener.illegal < ACCESSES * 3 // 4
    assert taken > 0


def test_the_mistakes_of_an_embedder_do_raise() -> None:
    gic = vgic.Gic(MACHINES["arch-usual"])
    with pytest.raises(vgic.ConfigError, match="no vCPU 4"):
        gic.sysreg_read(4, vgic.ICC_IAR1_EL1)
