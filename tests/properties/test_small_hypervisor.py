"""What a guest sees through list registers, however few, is what it would see on the physical interface."""

from random import Random

import pytest

import vgic
from guest import Guest
from vgic_tools.affinity.small_hypervisor import SmallHypervisor

INTIDS = range(32, 48)
STEPS = 800
_IAR = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
_EOIR = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)
_SHOWN = (
    vgic.ICC_RPR_EL1,
    vgic.ICC_HPPIR0_EL1,
    vgic.ICC_HPPIR1_EL1,
    vgic.ICC_PMR_EL1,
    vgic.ICC_BPR0_EL1,
    vgic.ICC_BPR1_EL1,
)
_SPLITS = ((vgic.ICC_BPR0_EL1, 3), (vgic.ICC_BPR1_EL1, 4), (vgic.ICC_BPR1_EL1, 3))


@pytest.mark.rule("VCPU-28")
@pytest.mark.parametrize("count", [1, 2, 4, 16])
@pytest.mark.parametrize("seed", range(4))
def test_through_list_registers_a_guest_sees_the_same(count: int, seed: int) -> None:
    random = Random(f"{count}/{seed}")
    priorities = {intid: random.choice((0x20, 0x40, 0x48, 0x50, 0xA0)) for intid in INTIDS}
    groups = {intid: random.getrandbits(1) for intid in INTIDS}
    hypervisor = SmallHypervisor(count, priorities, groups)
    guest = Guest(1, spis=32)
    guest.boot()
    guest.gic.sysreg_write(0, vgic.ICC_IGRPEN0_EL1, 1)
    guest.gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)
    for intid in INTIDS:
        guest.setup(intid, priority=priorities[intid], group=groups[intid], edge=True)
    taken: list[tuple[int, int]] = []
    took = 0
    for _ in range(STEPS):
        kind = random.choice(("arrive", "arrive", "take", "take", "end", "end", "mask", "split"))
        if kind == "arrive":
            intid = random.choice(INTIDS)
            guest.gic.spi(intid).pulse()
            hypervisor.arrive(intid)
        elif kind == "take":
            group = random.getrandbits(1)
            intid = guest.gic.sysreg_read(0, _IAR[group])
            assert hypervisor.read(_IAR[group]) == intid
            if intid != vgic.SPURIOUS:
                took += 1
                taken.append((group, intid))
        elif kind == "end" and taken:
            group, intid = taken.pop()
            guest.gic.sysreg_write(0, _EOIR[group], intid)
            hypervisor.write(_EOIR[group], intid)
        elif kind == "mask":
            value = random.choice((0x40, 0x50, 0xF8, 0xF8))
            guest.gic.sysreg_write(0, vgic.ICC_PMR_EL1, value)
            hypervisor.write(vgic.ICC_PMR_EL1, value)
        elif kind == "split" and not taken:
            register, value = random.choice(_SPLITS)
            guest.gic.sysreg_write(0, register, value)
            hypervisor.write(register, value)
        assert hypervisor.outputs == guest.gic.outputs(0)
        assert [hypervisor.read(register) for register in _SHOWN] == [
            guest.gic.sysreg_read(0, register) for register in _SHOWN
        ]
        hypervisor.gic.check()
    assert took > STEPS // 20
    if count in (1, len(INTIDS)):
        assert (hypervisor.counts.maintenance > 0) == (count == 1)
