"""Random lives of a VM's GIC behind attributes, for a live KVM and for `vgic.kvm` alike."""

from itertools import islice
from random import Random
from typing import Final

from kvm_scenarios import Life
from kvm_subjects import GIC
from vgic.kvm import Address, Control, Group, ItsAddress
from vgic_tools.compare.attributes import random_attributes

__all__ = ["live"]

CALLS: Final = 150


def live(life: Life, random: Random) -> None:
    """Create a VM of 1 to 4 vCPUs, with an ITS or without, and call attributes."""
    ids = random.sample(range(40), random.randrange(1, 5))
    itses = random.choice((0, 0, 1))
    for vcpu_id in ids:
        life.vcpu(vcpu_id)
    for _ in range(itses):
        life.its()
    life.set(Group.ADDR, Address.DIST, 0x0800_0000)
    life.set(Group.ADDR, Address.REDIST, 0x080A_0000)
    life.set(Group.CTRL, Control.INIT)
    if itses:
        life.set(Group.ADDR, ItsAddress.ITS, 0x0808_0000, its=0)
    for call, device, group, attr, value in islice(random_attributes(random, ids, bool(itses)), CALLS):
        its = GIC if device < 0 else device
        match call:
            case "get":
                life.get(group, attr, its=its)
            case "has":
                life.has(group, attr, its=its)
            case _:
                life.set(group, attr, value, its=its)
