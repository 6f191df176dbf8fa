"""Random lives of a VM's GIC and ITSes behind attributes, for a live KVM and for `vgic.kvm` alike."""

from random import Random
from typing import Final

from kvm_scenarios import Life
from kvm_subjects import GIC
from vgic.kvm import Address, Control, Group, ItsAddress, ItsControl
from vgic.layouts import icc

__all__ = ["live"]

CALLS: Final = 150

_BITS: Final = (0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380)
_SYSREGS: Final = (
    *(
        icc.ICC_PMR_EL1,
        icc.ICC_BPR0_EL1,
        icc.ICC_BPR1_EL1,
        icc.ICC_SRE_EL1,
        icc.ICC_CTLR_EL1,
        icc.ICC_IGRPEN0_EL1,
        icc.ICC_IGRPEN1_EL1,
    ),
    *(icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1, icc.ICC_IAR1_EL1),
)
_ITS_CONTROLS: Final = (ItsControl.INIT, ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES, ItsControl.RESET)
_TABLES: Final = {0x80: 0x4000_0000, 0x100: 0x4004_0000, 0x108: 0x4008_0000}
"""Where an ITS may have its queue and its tables, by register; most values name no RAM."""
_ITS: Final = (0, 4, 8, 0x80, 0x88, 0x90, 0x100, 0x108, 0xFFE8)


def live(life: Life, random: Random) -> None:
    """Create a VM of 1 to 8 vCPUs, with ids in any order, with up to two ITSes, and call attributes."""
    ids = random.sample(range(40), random.randrange(1, 9))
    itses = random.choice((0, 0, 1, 2))
    for vcpu_id in ids:
        life.vcpu(vcpu_id)
    for _ in range(itses):
        life.its()
    life.set(Group.ADDR, Address.DIST, 0x0800_0000)
    life.set(Group.ADDR, Address.REDIST, 0x080A_0000)
    life.set(Group.CTRL, Control.INIT)
    groups = [Group.DIST_REGS, Group.DIST_REGS, Group.REDIST_REGS, Group.REDIST_REGS]
    groups += [Group.CPU_SYSREGS, Group.LEVEL_INFO]
    for number in range(itses):
        life.set(Group.ADDR, ItsAddress.ITS, (0x0808_0000, 0x0A00_0000)[number], its=number)
        groups.append(Group.ITS_REGS)
    for _ in range(CALLS):
        group = random.choice(groups)
        affinity = random.choice([(vcpu_id >> 4) << 8 | vcpu_id & 15 for vcpu_id in ids])
        keyed = group not in (Group.DIST_REGS, Group.ITS_REGS)
        attr = _offset(group, random) | (affinity << 32 if keyed else 0)
        its = random.randrange(itses) if group is Group.ITS_REGS else GIC
        if random.randrange(30) == 0:
            life.set(Group.CTRL, random.choice((Control.INIT, Control.SAVE_PENDING_TABLES)))
        if itses and random.randrange(30) == 0:
            life.set(Group.CTRL, random.choice(_ITS_CONTROLS), its=random.randrange(itses))
        kind = random.randrange(6)
        if kind < 2:
            life.get(group, attr, its=its)
        elif kind == 2:
            life.has(group, attr, its=its)
        else:
            life.set(group, attr, _value(group, attr, random), its=its)


def _offset(group: Group, random: Random) -> int:
    match group:
        case Group.CPU_SYSREGS:
            return random.choice(_SYSREGS)
        case Group.LEVEL_INFO:
            return 32 * random.randrange(12)
        case Group.ITS_REGS:
            return random.choice(_ITS)
        case Group.DIST_REGS:
            places = (*(place + 4 * random.randrange(9) for place in _BITS), 0, 4, 8, 12, 0x10)
            return random.choice(
                (
                    *places,
                    0x400 + 4 * random.randrange(70),
                    0xC00 + 4 * random.randrange(20),
                    0x6000 + 4 * random.randrange(600),
                    4 * random.randrange(0x4000),
                )
            )
    places = (*(0x1_0000 + place for place in _BITS), 0x1_0400, 0x1_0404, 0x1_041C, 0x1_0C00, 0x1_0C04)
    return random.choice((*places, 0, 4, 8, 12, 0x14, 0x70, 0x74, 0x78, 0x7C, 4 * random.randrange(0x8000)))


def _value(group: Group, attr: int, random: Random) -> int:
    if group is Group.DIST_REGS and attr == 8:
        return 0x4B00_043B | random.randrange(5) << 12
    if group is Group.ITS_REGS and attr in _TABLES and random.randrange(2):
        return 1 << 63 | _TABLES[attr]
    bits = (random.getrandbits(32), random.getrandbits(64), 1 << random.randrange(32))
    return random.choice((0, 1, 0xFFFF_FFFF, *bits))
