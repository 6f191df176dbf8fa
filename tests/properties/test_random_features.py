"""Random guests with 1-of-N, the range selector, changing MPIDRs, extended ranges: the invariants always hold."""

import random
from collections.abc import Callable

import pytest

import vgic

GICD = 0x0800_0000
CTLR, IROUTER = GICD, GICD + 0x6000
EXTENDED = {IROUTER: GICD + 0x8000, GICD + 0x400: GICD + 0x2000}
"""Where the arrays of INTIDs 4096 and up begin."""
IRM, E1NWF = 1 << 31, 1 << 7
DPG = (1 << 24, 1 << 25)
COUNT = 32
STEPS = 1500

BPRS = (vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)
ENABLES = (vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)
TAKE = ((vgic.ICC_IAR0_EL1, vgic.ICC_EOIR0_EL1), (vgic.ICC_IAR1_EL1, vgic.ICC_EOIR1_EL1))
SGIS = (vgic.ICC_SGI0R_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1)


class Guest:
    """A machine and a source of chance."""

    def __init__(self, seed: int, choice: str, extended: bool) -> None:
        self.rng = rng = random.Random(seed)
        self.cpus = rng.randrange(1, 6)
        affinities = rng.sample(range(0, 1 << 32, 0x0055_1357), self.cpus)
        self.gic = vgic.Gic(
            vgic.Config(
                vgic.Topology(affinities),
                spis=COUNT,
                one_of_n_choice=choice,  # type: ignore[arg-type]
                extended_spis=COUNT * extended,
                extended_ppis=32 * extended,
            )
        )
        self.intids = [*self.gic.intids(private=False)]
        self.ppis = [intid for intid in self.gic.intids(private=True) if intid >= 1056]
        self.finished = 0
        self.gic.write(CTLR, 4, 0b11)
        for enables in (0x104, 0x1200):
            self.gic.write(GICD + enables, 4, 0xFFFF_FFFF)
        for cpu in range(self.cpus):
            self.gic.write(self.redistributor(cpu) + 0x14, 4, 0)
            self.gic.write(self.redistributor(cpu) + 0x1_0104, 4, 0xFFFF_FFFF)
            self.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)

    def redistributor(self, cpu: int) -> int:
        return self.gic.redistributor_bases[cpu]

    def cpu(self) -> int:
        return self.rng.randrange(self.cpus)

    def intid(self) -> int:
        return self.rng.choice(self.intids)

    def place(self, array: int, intid: int, size: int) -> int:
        """Where an array of so many bytes an INTID has those of one."""
        return EXTENDED[array] + size * (intid - 4096) if intid >= 4096 else array + size * intid

    def affinity(self) -> int:
        return self.gic.affinity(self.cpu()) if self.rng.random() < 0.8 else self.rng.getrandbits(32)

    def route(self) -> None:
        packed = self.affinity()
        value = (packed >> 24) << 32 | packed & 0xFF_FFFF | (IRM if self.rng.random() < 0.6 else 0)
        self.gic.write(self.place(IROUTER, self.intid(), 8), 8, value)

    def line(self) -> None:
        level = self.rng.random() < 0.6
        if self.ppis and self.rng.random() < 0.2:
            self.gic.ppi(self.cpu(), self.rng.choice(self.ppis)).set_level(level)
        else:
            self.gic.spi(self.intid()).set_level(level)

    def groups(self) -> None:
        self.gic.write(self.rng.choice((GICD + 0x84, GICD + 0x1000)), 4, self.rng.getrandbits(32))

    def control(self) -> None:
        self.gic.write(CTLR, 4, self.rng.choice((0b11, 0b11, 0b10, E1NWF | 0b11, E1NWF)))

    def sleep(self) -> None:
        self.gic.write(self.redistributor(self.cpu()) + 0x14, 4, self.rng.choice((0, 0, 2)))

    def decline(self) -> None:
        self.gic.write(self.redistributor(self.cpu()), 4, self.rng.choice((0, 0, *DPG, sum(DPG))))

    def enable(self) -> None:
        self.gic.sysreg_write(self.cpu(), self.rng.choice(ENABLES), int(self.rng.random() < 0.8))

    def mask(self) -> None:
        self.gic.sysreg_write(self.cpu(), vgic.ICC_PMR_EL1, self.rng.choice((0xFF, 0xFF, 0x80)))

    def split(self) -> None:
        self.gic.sysreg_write(self.cpu(), self.rng.choice(BPRS), self.rng.randrange(8))

    def priority(self) -> None:
        self.gic.write(self.place(GICD + 0x400, self.intid(), 1), 1, self.rng.getrandbits(8))

    def finish(self) -> None:
        for cpu in range(self.cpus):
            for acknowledge, end in TAKE:
                intid = self.gic.sysreg_read(cpu, acknowledge)
                self.gic.check()
                if intid != 1023:
                    self.finished += 1
                    self.gic.sysreg_write(cpu, end, intid)

    def sgi(self) -> None:
        self.gic.sysreg_write(self.cpu(), self.rng.choice(SGIS), self.rng.getrandbits(64))

    def mpidr(self) -> None:
        packed = self.affinity() ^ self.rng.getrandbits(2)
        if self.gic.find(packed) is None:
            self.gic.write_mpidr(self.cpu(), (packed >> 24) << 32 | packed & 0xFF_FFFF)

    def reset(self) -> None:
        self.gic.reset_cpu(self.cpu())


@pytest.mark.parametrize("choice", ["first", "rotate"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("extended", [False, True])
def test_the_invariants_hold_after_every_step(seed: int, choice: str, extended: bool) -> None:
    guest = Guest(seed, choice, extended)
    often: list[Callable[[], None]] = [guest.line, guest.finish, guest.route, guest.enable, guest.mask]
    seldom: list[Callable[[], None]] = [
        guest.groups,
        guest.control,
        guest.sleep,
        guest.decline,
        guest.priority,
        guest.split,
        guest.sgi,
        guest.mpidr,
        guest.reset,
    ]
    for _ in range(STEPS):
        guest.rng.choice(often if guest.rng.random() < 0.7 else seldom)()
        guest.gic.check()
    assert guest.finished > STEPS // 50
    other = vgic.Gic(guest.gic.config)
    other.restore(guest.gic.save())
    other.check()
    assert other.save() == guest.gic.save()
