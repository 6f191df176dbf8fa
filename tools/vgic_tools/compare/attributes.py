"""Seeded random calls on the attributes of a VM's GIC devices.

ICC_CTLR_EL1 is left alone: KVM keeps PRIbits and IDbits for each vCPU, also of a write that it refuses (KVM-33).
"""

from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

from vgic.kvm import Group
from vgic.layouts import icc
from vgic_tools.judges.protocol import GIC, Attr

__all__ = ["random_attributes"]

_BITS: Final = (0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380)
_SYSREGS: Final = (
    *(
        icc.ICC_PMR_EL1,
        icc.ICC_BPR0_EL1,
        icc.ICC_BPR1_EL1,
        icc.ICC_SRE_EL1,
        icc.ICC_IGRPEN0_EL1,
        icc.ICC_IGRPEN1_EL1,
    ),
    *(icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1, icc.ICC_IAR1_EL1),
)
_ITS: Final = (0, 4, 8, 0x80, 0x88, 0x90, 0x100, 0x108, 0xFFE8)


def random_attributes(random: Random, ids: Sequence[int], its: bool) -> Iterator[Attr]:
    """Calls without end, on a VM that was initialised, whose vCPUs have these ids and which may have an ITS."""
    groups = [Group.DIST_REGS, Group.DIST_REGS, Group.REDIST_REGS, Group.REDIST_REGS]
    groups += [Group.CPU_SYSREGS, Group.LEVEL_INFO]
    if its:
        groups.append(Group.ITS_REGS)
    while True:
        group = random.choice(groups)
        affinity = random.choice([(vcpu_id >> 4) << 8 | vcpu_id & 15 for vcpu_id in ids])
        keyed = group not in (Group.DIST_REGS, Group.ITS_REGS)
        attr = _offset(group, random) | (affinity << 32 if keyed else 0)
        device = 0 if group is Group.ITS_REGS else GIC
        kind = random.randrange(6)
        if kind < 2:
            yield Attr("get", device, group, attr)
        elif kind == 2:
            yield Attr("has", device, group, attr)
        else:
            yield Attr("set", device, group, attr, _value(group, attr, random))


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
    bits = (random.getrandbits(32), random.getrandbits(64), 1 << random.randrange(32))
    return random.choice((0, 1, 0xFFFF_FFFF, *bits))
