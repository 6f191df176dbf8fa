"""Random guests with LPIs do on the model what they do on the reference."""

import random
from typing import Final

import pytest

import vgic
from offsets import GICR
from random_lpis import run

ALL_64: Final = (1 << 64) - 1

EVERY = pytest.mark.parametrize("profile", [vgic.ARCH, vgic.KVM, vgic.QEMU], ids=lambda profile: profile.name)


@pytest.mark.rule("LPI-26")
@EVERY
def test_lpis_do_what_the_reference_does(profile: vgic.Profile) -> None:
    run(profile, 25)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.rule("LPI-26")
@EVERY
def test_lpis_do_what_the_reference_does_for_long(profile: vgic.Profile) -> None:
    run(profile, 400)


class Everywhere:
    """Memory that is RAM at every address, with random contents: the same 16 KiB over and over."""

    SIZE = 0x4000

    def __init__(self, rng: random.Random) -> None:
        self.bytes = bytearray(rng.randbytes(self.SIZE))

    def is_ram(self, address: int, size: int) -> bool:
        assert address >= 0
        assert size > 0
        return True

    def read(self, address: int, size: int) -> bytes:
        start = address % self.SIZE
        return bytes((self.bytes + self.bytes)[start : start + size])

    def write(self, address: int, data: bytes) -> None:
        for place, byte in enumerate(data):
            self.bytes[(address + place) % self.SIZE] = byte


@pytest.mark.rule("LPI-22")
@EVERY
def test_no_table_makes_the_model_raise(profile: vgic.Profile) -> None:
    rng = random.Random(f"tables {profile.name}")
    config = vgic.Config(vgic.Topology.kvm(2), 32, profile, lpis=True, lpi_id_bits=14)
    gic = vgic.Gic(config, memory=Everywhere(rng))
    gic.write(config.gicd_base, 4, 0b11)
    offsets = [*range(0x40, 0x50, 4), *range(0x70, 0x80, 4), *range(0xA0, 0xC4, 4), GICR.WAKER]
    taken = 0
    for count in range(1000):
        cpu = rng.randrange(2)
        base = gic.redistributor_bases[cpu]
        value = rng.choice((rng.getrandbits(64), rng.randrange(8190, 16_400), ALL_64, 13))
        match rng.randrange(32):
            case 0:
                gic.write(base + GICR.CTLR, 4, rng.choice((0, 1, 1)))
            case kind if kind < 12:
                gic.write(base + rng.choice(offsets), rng.choice((4, 8)), value)
            case kind if kind < 16:
                gic.lpis(cpu).make_pending(value)
                gic.lpis(1 - cpu).move(value, gic.lpis(cpu))
            case 16:
                gic.lpis(cpu).move_all(gic.lpis(1 - cpu))
                gic.lpis(cpu).flush()
            case kind if kind < 24:
                taken += gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1) >= 8192
            case _:
                gic.write(base + GICR.WAKER, 4, 0)
                gic.sysreg_write(cpu, rng.choice((vgic.ICC_EOIR1_EL1, vgic.ICC_DIR_EL1)), value)
                gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
                gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
        if count % 200 == 199:
            gic.check()
            vgic.State.from_bytes(vgic.State.of(gic).to_bytes()).build(memory=gic.memory).check()
    assert taken > 5
