"""Software Generated Interrupts: from a write of ICC_SGI1R, ICC_ASGI1R or ICC_SGI0R to the redistributors.

Who is named is a matter of affinity (rules SGI-1 to SGI-5 in specs/routing.md), who accepts it of the group that
the SGI has at the target (rule SGI-6), and with two Security states of the target's GICR_NSACR (rule PE-12).
"""

from typing import Final

from mypy_extensions import i64

from vgic import affinity
from vgic.bits import lowest
from vgic.config import Config
from vgic.errors import ConfigError
from vgic.interrupts.banks import PrivateInterrupts
from vgic.interrupts.delivery import Forwarder
from vgic.layouts import icc
from vgic.profiles.choices import GROUP0_BIT, GROUP1_BIT, SECURE_GROUP1_BIT
from vgic.topology import NO_VCPU, AffinityIndex

__all__ = ["SgiGenerator"]

# IHI 0069, "Software generated interrupts": which configured groups a write reaches, by register.
_SECURE_GROUPS: Final = {
    icc.ICC_SGI1R_EL1: GROUP0_BIT,
    icc.ICC_ASGI1R_EL1: GROUP1_BIT,
    icc.ICC_SGI0R_EL1: GROUP0_BIT,
}


# Written out, so that an SGI has no attribute to look at for them.
_IRM: Final = 1 << 40
_TARGET_LIST: Final = 0xFFFF
_INTID_LSB: Final = 24
_INTID: Final = 0xF
assert icc.GENERATE_SGI.mask("IRM") == _IRM
assert icc.GENERATE_SGI.mask("TargetList") == _TARGET_LIST
assert icc.GENERATE_SGI.mask("INTID") == _INTID << _INTID_LSB
assert icc.GENERATE_SGI.field("INTID").lsb == _INTID_LSB

_WITH_NSACR: Final = 3
"""A group whose bit lies this many places higher is reached where GICR_NSACR of the target lets it."""


class SgiGenerator:
    """Sends SGIs between the vCPUs of a VM."""

    def __init__(
        self, affinities: AffinityIndex, banks: list[PrivateInterrupts], forwarder: Forwarder, config: Config
    ) -> None:
        self._affinities = affinities
        self._banks = banks
        self._forwarder = forwarder
        self._range_selector = config.features.rss
        self._nonsecure_groups = {
            icc.ICC_SGI1R_EL1: config.profile.sgi1r_groups,
            icc.ICC_ASGI1R_EL1: GROUP0_BIT,
            icc.ICC_SGI0R_EL1: GROUP0_BIT,
        }
        profile, secure_groups = config.profile, GROUP0_BIT | SECURE_GROUP1_BIT
        self._secure_groups_of_two = {
            icc.ICC_SGI1R_EL1: profile.secure_sgi1r_groups,
            icc.ICC_ASGI1R_EL1: GROUP1_BIT,
            icc.ICC_SGI0R_EL1: GROUP0_BIT,
        }
        self._nonsecure_groups_of_two = {
            icc.ICC_SGI1R_EL1: GROUP1_BIT | (secure_groups << _WITH_NSACR if profile.sgi1r_heeds_nsacr else 0),
            icc.ICC_ASGI1R_EL1: secure_groups << _WITH_NSACR,
            icc.ICC_SGI0R_EL1: GROUP0_BIT << _WITH_NSACR,
        }

    def targets(self, sender: i64, register: int, value: int, secure: bool) -> list[int]:
        """The vCPUs at which this write would make the SGI pending, in ascending order of Aff0 or of vCPU.

        Raises ConfigError for a register that generates no SGIs. O(1) in the number of vCPUs for a target list,
        O(vCPUs) for IRM = 1.
        """
        found: list[int] = []
        groups = self.groups(register, secure, self._banks[sender].interface.one_state)
        self._reach(sender, value & icc.GENERATE_SGI.writable, groups, found)
        return found

    def groups(self, register: int, secure: bool, one_state: bool = True) -> int:
        """Bit n: a write of this register (encoding) reaches SGIs that are in Group n at the target.

        Bit n + 3: it does where GICR_NSACR of the target lets it. `one_state` is GICD_CTLR.DS. Raises ConfigError
        for a register that generates no SGIs.
        """
        if one_state:
            table = _SECURE_GROUPS if secure else self._nonsecure_groups
        else:
            table = self._secure_groups_of_two if secure else self._nonsecure_groups_of_two
        found = table.get(register)
        if found is None:
            raise ConfigError(
                f"register {register:#x} generates no SGIs: ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1 do"
            )
        return found

    def send(self, sender: i64, value: i64, groups: i64) -> None:
        """Make the SGI pending at every target that accepts it; `groups` is what the register reaches."""
        self._reach(sender, value, groups, None)
        self._forwarder.settle()

    def _reach(self, sender: i64, value: i64, groups: i64, found: list[int] | None) -> None:
        """Make the SGI pending at every target that accepts it, or only add them to `found` where that is given.

        Rules SGI-1 to SGI-5, RSS-2.
        """
        intid = value >> _INTID_LSB & _INTID
        if value & _IRM:
            for bank in self._banks:
                if bank.interface.cpu != sender:
                    _deliver(bank, intid, groups, found)
            return
        first = affinity.sgi_cluster(value) << 8
        if self._range_selector:
            first |= affinity.sgi_range(value)
        cpus = self._affinities.range_of(first)
        named = value & _TARGET_LIST
        while named:
            cpu: i64 = cpus[lowest(named)]
            named &= named - 1
            if cpu != NO_VCPU:
                _deliver(self._banks[cpu], intid, groups, found)


def _deliver(bank: PrivateInterrupts, intid: i64, groups: i64, found: list[int] | None) -> None:
    """See `_reach`: one target, which accepts the SGI where its group is among `groups` (SGI-6, SGI-8, PE-12)."""
    group = bank.word.group(intid)
    if not groups >> group & 1 and not (groups >> group + _WITH_NSACR & 1 and bank.lets_nonsecure(intid, group)):
        return
    if found is None:
        bank.set_pending(intid)
    else:
        found.append(bank.interface.cpu)
