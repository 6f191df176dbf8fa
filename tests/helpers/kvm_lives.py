"""Random lives of a VM's GIC and ITSes behind attributes, for a live KVM and for `vgic.kvm` alike."""

from itertools import islice
from random import Random
from typing import Final

from kvm_life import Life
from kvm_subjects import GIC
from vgic.kvm import Address, Control, Group, ItsAddress, ItsControl
from vgic.layouts.icc import ICC_CTLR_EL1
from vgic_tools.compare.attributes import random_attributes

__all__ = ["live"]

CALLS: Final = 150

_ITS_BASES: Final = (0x0808_0000, 0x0A00_0000)
_ITS_CONTROLS: Final = (ItsControl.INIT, ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES, ItsControl.RESET)
_TABLES: Final = {0x80: 0x4000_0000, 0x100: 0x4004_0000, 0x108: 0x4008_0000}
"""Where an ITS may have its queue and its tables in RAM, by register; most values name none."""


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
    for number, base in enumerate(_ITS_BASES[:itses]):
        life.set(Group.ADDR, ItsAddress.ITS, base, its=number)
    for call, device, group, attr, value in islice(random_attributes(random, ids, bool(itses)), CALLS):
        its = GIC if device < 0 else random.randrange(itses)
        match call:
            case "get":
                life.get(group, attr, its=its)
            case "has":
                life.has(group, attr, its=its)
            case _:
                life.set(group, attr, value, its=its)
        if random.randrange(10) == 0:
            _more(life, random, ids, itses)


def _more(life: Life, random: Random, ids: list[int], itses: int) -> None:
    """What has an effect beyond its register."""
    match random.randrange(4 if itses else 2):
        case 0:
            life.set(Group.CTRL, random.choice((Control.INIT, Control.SAVE_PENDING_TABLES)))
        case 1:
            vcpu_id = random.choice(ids)
            control = ((vcpu_id >> 4) << 8 | vcpu_id & 15) << 32 | ICC_CTLR_EL1
            value = random.choice((0x8C00, 0x8C03, random.getrandbits(16), 0x8000 | random.getrandbits(12)))
            life.set(Group.CPU_SYSREGS, control, value)
            life.get(Group.CPU_SYSREGS, control)
        case 2:
            life.set(Group.CTRL, random.choice(_ITS_CONTROLS), its=random.randrange(itses))
        case _:
            register, table = random.choice(list(_TABLES.items()))
            life.set(Group.ITS_REGS, register, 1 << 63 | table, its=random.randrange(itses))
