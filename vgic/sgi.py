"""Software Generated Interrupts: from a write of ICC_SGI1R, ICC_ASGI1R or ICC_SGI0R to the redistributors.

Who is named is a matter of affinity (rules SGI-1 to SGI-5 in specs/routing.md), who accepts it of the group that
the SGI has at the target (rule SGI-6).
"""

from typing import Final

from vgic import affinity
from vgic.config import Config
from vgic.interrupts import PrivateInterrupts
from vgic.layouts import icc
from vgic.profile import GROUP0_BIT, GROUP1_BIT
from vgic.topology import NO_VCPU, AffinityIndex

__all__ = ["ASGI1R", "SGI0R", "SGI1R", "SgiGenerator"]

SGI1R: Final = 0
ASGI1R: Final = 1
SGI0R: Final = 2

_TARGET_LIST: Final = icc.SGI1R.mask("TargetList")
_INTID: Final = icc.SGI1R.mask("INTID")
_INTID_SHIFT: Final = icc.SGI1R.field("INTID").lsb
_IRM: Final = icc.SGI1R.mask("IRM")

# IHI 0069, "Software generated interrupts", one Security state: which configured groups a write reaches,
# by register.
_SECURE_GROUPS: Final = [GROUP0_BIT, GROUP1_BIT, GROUP0_BIT]


class SgiGenerator:
    """Sends SGIs between the vCPUs of a VM."""

    def __init__(self, affinities: AffinityIndex, banks: list[PrivateInterrupts], config: Config) -> None:
        self._affinities = affinities
        self._banks = banks
        self._range_selector = config.features.rss
        self._nonsecure_groups = [config.profile.sgi1r_groups, GROUP0_BIT, GROUP0_BIT]

    def targets(self, sender: int, register: int, value: int, secure: bool) -> list[int]:
        """The vCPUs at which this write would make the SGI pending, in ascending order of Aff0 or of vCPU.

        O(1) in the number of vCPUs for a target list, O(vCPUs) for IRM = 1.
        """
        return [bank.interface.cpu for bank in self._targets(sender, register, value, secure)]

    def send(self, sender: int, register: int, value: int, secure: bool) -> None:
        """Make the SGI pending at every target that accepts it."""
        intid = self.intid(value)
        for bank in self._targets(sender, register, value, secure):
            bank.set_pending(intid)
        self._banks[sender].forwarder.settle()

    @staticmethod
    def intid(value: int) -> int:
        """The SGI that a register value asks for: 0 to 15."""
        return (value & _INTID) >> _INTID_SHIFT

    def _targets(self, sender: int, register: int, value: int, secure: bool) -> list[PrivateInterrupts]:
        intid = self.intid(value)
        groups = _SECURE_GROUPS[register] if secure else self._nonsecure_groups[register]
        if value & _IRM:
            others = self._banks[:sender] + self._banks[sender + 1 :]
            return [bank for bank in others if groups >> bank.group(intid) & 1]
        accepting = []
        first = affinity.sgi_cluster(value) << 8
        if self._range_selector:
            first |= affinity.sgi_range(value)
        cpus = self._affinities.range_of(first)
        target_list = value & _TARGET_LIST
        while target_list:
            lowest = target_list & -target_list
            target_list ^= lowest
            cpu = cpus[lowest.bit_length() - 1]
            if cpu != NO_VCPU and groups >> self._banks[cpu].group(intid) & 1:
                accepting.append(self._banks[cpu])
        return accepting
