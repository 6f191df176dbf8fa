"""What a hypervisor traps so that a guest reads the caches that it was promised. Rules IDENT-30 and IDENT-31.

TID2 of HCR_EL2 is there on every CPU, and traps CTR_EL0 along, which programs read: a JIT compiler may do so each
time that it has written code. FEAT_EVT's TID4 leaves CTR_EL0 alone; FEAT_FGT traps register by register.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vgic.identity.finding import Cost
from vgic.identity.kvm_versions import KvmIdVersion

__all__ = ["TRAPPED_BY", "CacheTraps", "cache_traps", "kvm_cache_traps"]

_TID2: Final = "HCR_EL2.TID2"
_TID4: Final = "HCR_EL2.TID4"
_FGT_CTR: Final = "HFGRTR_EL2.CTR_EL0"
_FGT_TOPOLOGY: Final = (
    "HFGRTR_EL2.CCSIDR_EL1",
    "HFGRTR_EL2.CLIDR_EL1",
    "HFGRTR_EL2.CSSELR_EL1",
    "HFGWTR_EL2.CSSELR_EL1",
)

_TOPOLOGY: Final = frozenset({"CCSIDR_EL1", "CCSIDR2_EL1", "CLIDR_EL1", "CSSELR_EL1"})

TRAPPED_BY: Final[Mapping[str, frozenset[str]]] = {
    _TID2: _TOPOLOGY | {"CTR_EL0"},
    _TID4: _TOPOLOGY,
    **{control: frozenset({control.partition(".")[2]}) for control in (*_FGT_TOPOLOGY, _FGT_CTR)},
}
"""The registers of which each control traps the guest's accesses; of CTR_EL0 those of programs at EL0, too."""


class CacheTraps(NamedTuple):
    """Controls, and what they cost."""

    controls: tuple[str, ...]

    @property
    def trapped(self) -> frozenset[str]:
        """The registers of which accesses exit."""
        return frozenset().union(*(TRAPPED_BY[control] for control in self.controls))

    @property
    def cost(self) -> Cost:
        """Caches are looked at when a system starts, CTR_EL0 again and again."""
        if not self.controls:
            return Cost.NONE
        return Cost.PER_READ if "CTR_EL0" in self.trapped else Cost.RARE


def cache_traps(*, topology: bool, ctr: bool, evt: int | None, fgt: int | None) -> CacheTraps:
    """The cheapest that shows a guest its own caches (`topology`), its own CTR_EL0, or both.

    `evt` and `fgt` are ID_AA64MMFR2_EL1.EVT and ID_AA64MMFR0_EL1.FGT; what is unknown is not used. Rule IDENT-30.

    >>> cache_traps(topology=True, ctr=False, evt=1, fgt=0).controls
    ('HCR_EL2.TID4',)
    >>> cache_traps(topology=True, ctr=False, evt=0, fgt=0).cost
    <Cost.PER_READ: 2>
    """
    if topology and not ctr:
        if evt:
            return CacheTraps((_TID4,))
        if fgt:
            return CacheTraps(_FGT_TOPOLOGY)
    if ctr and not topology and fgt:
        return CacheTraps((_FGT_CTR,))
    return CacheTraps((_TID2,) if topology or ctr else ())


def kvm_cache_traps(
    version: KvmIdVersion, *, ctr_differs: bool, evt: int | None, mismatched: bool | None
) -> CacheTraps:
    """What this KVM traps of a VM, whether it needs that or not.

    `ctr_differs` is that the VM's CTR_EL0 is not the system's, `mismatched` as `cache_types.mismatched_ctr` tells.
    Rule IDENT-31.
    """
    if not version.generated_caches:
        return CacheTraps((_TID2,) if mismatched else ())
    # What is unknown is taken for what costs more.
    return CacheTraps((_TID4,) if evt and mismatched is False and not ctr_differs else (_TID2,))
