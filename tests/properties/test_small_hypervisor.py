"""What a guest sees through list registers, however few, is what it would see on the physical interface."""

from random import Random

import pytest

import vgic
from guest import Guest
from offsets import BANK
from vgic_tools.affinity.small_hypervisor import SmallHypervisor

INTIDS = range(32, 48)
STEPS = 800
SPLIT = 2
"""EOImode."""
_IAR = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
_EOIR = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)
_SHOWN = (
    *(vgic.ICC_RPR_EL1, vgic.ICC_HPPIR0_EL1, vgic.ICC_HPPIR1_EL1, vgic.ICC_PMR_EL1),
    *(vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1, vgic.ICC_AP0R0_EL1, vgic.ICC_AP1R0_EL1),
)
_SPLITS = ((vgic.ICC_BPR0_EL1, 3), (vgic.ICC_BPR1_EL1, 4), (vgic.ICC_BPR1_EL1, 3))


class Pair:
    """The same guest on the physical interface, and behind list registers."""

    def __init__(self, random: Random, count: int, nmi: bool) -> None:
        self.random = random
        priorities = {intid: random.choice((0x20, 0x40, 0x48, 0x50, 0xA0)) for intid in INTIDS}
        groups = {intid: random.getrandbits(1) for intid in INTIDS}
        groups[INTIDS[0]] = 1
        nmis = {intid for intid in INTIDS if groups[intid] and random.random() < 0.6} | {INTIDS[0]}
        self.hypervisor = SmallHypervisor(count, priorities, groups, frozenset(nmis if nmi else ()))
        guest = self.guest = Guest(1, spis=32, nmi=nmi)
        guest.boot()
        guest.gic.sysreg_write(0, vgic.ICC_IGRPEN0_EL1, 1)
        guest.gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)
        for intid in INTIDS:
            guest.setup(intid, priority=priorities[intid], group=groups[intid], edge=True)
        if nmi:
            guest.write(guest.word(BANK.INMIR, INTIDS[0]), sum(1 << intid % 32 for intid in nmis))
        self.acknowledging = [(0, _IAR[0]), (1, _IAR[1]), (1, vgic.ICC_NMIAR1_EL1)][: 3 if nmi else 2]
        self.splits = False
        """EOImode is 1."""
        self.running: list[tuple[int, int]] = []
        """Group and INTID of what was taken, and has not dropped."""
        self.dropped: list[int] = []
        """What has dropped, and is active."""
        self.seen = dict.fromkeys(("taken", "nmi", "waits", "deactivated"), 0)

    def read(self, register: int) -> int:
        value = self.guest.gic.sysreg_read(0, register)
        assert self.hypervisor.read(register) == value
        return value

    def write(self, register: int, value: int) -> None:
        self.guest.gic.sysreg_write(0, register, value)
        self.hypervisor.write(register, value)

    def step(self) -> None:
        steps = [self.arrive, self.take, self.end, self.deactivate]
        self.random.choice([*steps, *steps, self.mask, self.change])()
        assert self.hypervisor.outputs == self.guest.gic.outputs(0)
        assert self.hypervisor.gic.virtual_nmi(0) == self.guest.gic.nmi(0)
        for register in _SHOWN:
            self.read(register)
        self.hypervisor.gic.check()

    def arrive(self) -> None:
        intid = self.random.choice(INTIDS)
        self.guest.gic.spi(intid).pulse()
        self.hypervisor.arrive(intid)

    def take(self) -> None:
        """Take an interrupt, mostly by a register of the group that is signalled."""
        irq, fiq = self.guest.gic.outputs(0)
        registers = [(group, register) for group, register in self.acknowledging if (fiq, irq)[group]]
        if not registers or self.random.random() < 0.3:
            registers = self.acknowledging
        group, register = self.random.choice(registers)
        nmi = self.guest.gic.nmi(0)
        intid = self.read(register)
        self.seen["waits"] += intid == 1022
        if intid < 1020:
            self.seen["taken"] += 1
            self.seen["nmi"] += nmi
            self.running.append((group, intid))

    def end(self) -> None:
        if not self.running:
            return
        group, intid = self.running.pop()
        self.write(_EOIR[group], intid)
        if self.splits:
            self.dropped.append(intid)

    def deactivate(self) -> None:
        """With EOImode 1 what is active, mostly after its priority has dropped; or what is not."""
        active = self.dropped if self.random.random() < 0.9 else [intid for _, intid in self.running]
        intid = self.random.choice(active or INTIDS)
        self.write(vgic.ICC_DIR_EL1, intid)
        if self.splits and intid in self.dropped:
            self.dropped.remove(intid)
            self.seen["deactivated"] += 1

    def mask(self) -> None:
        self.write(vgic.ICC_PMR_EL1, self.random.choice((0x40, 0x50, 0xF8, 0xF8)))

    def change(self) -> None:
        """What a guest may change while nothing is active; and SCTLR_EL1.NMI."""
        if self.running or self.dropped:
            nmi = self.random.random() < 0.5
            self.guest.gic.set_pe_state(0, vgic.PeState(1, sctlr_nmi=nmi))
            self.hypervisor.tell_sctlr(nmi)
        elif self.random.random() < 0.5:
            self.write(*self.random.choice(_SPLITS))
        else:
            self.splits = not self.splits
            self.write(vgic.ICC_CTLR_EL1, SPLIT if self.splits else 0)


@pytest.mark.rule("VCPU-28")
@pytest.mark.parametrize("nmi", [False, True], ids=["plain", "nmi"])
@pytest.mark.parametrize("count", [1, 2, 4, 16])
@pytest.mark.parametrize("seed", range(4))
def test_through_list_registers_a_guest_sees_the_same(count: int, seed: int, nmi: bool) -> None:
    pair = Pair(Random(f"{count}/{seed}"), count, nmi)
    for _ in range(STEPS):
        pair.step()
    assert pair.seen["taken"] > STEPS // 20
    assert pair.seen["deactivated"] > STEPS // 80
    assert (pair.seen["nmi"] > STEPS // 80) == (pair.seen["waits"] > 0) == nmi
    if count in (1, len(INTIDS)):
        assert (pair.hypervisor.counts.maintenance > 0) == (count == 1)
