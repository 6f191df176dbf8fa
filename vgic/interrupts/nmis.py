"""Banks of a VM with NMIs (GICv3.3): an interrupt with superpriority is sorted before all others of its priority.

The priority is not the one that the interrupt has in IPRIORITYR but the best that its Security state has (NMI-3,
NMI-11 in specs/nmis.md).
"""

from mypy_extensions import i64

from vgic.bits import shifted
from vgic.cpu_interface.pending import PRIORITY_LSB, superior_key
from vgic.distributor.spis import SharedInterrupts
from vgic.interrupts.banks import ExtendedPpis, InterruptBank, PrivateInterrupts

__all__ = ["NmiExtendedPpis", "NmiPrivateInterrupts", "NmiSharedInterrupts"]


def _is_superior(bank: InterruptBank, index: i64) -> bool:
    return bank.words[index >> 5].superior() >> (index & 31) & 1 != 0


def _superior_key(bank: InterruptBank, index: i64) -> i64:
    """The key of an interrupt that has superpriority."""
    is_group1 = bank.words[index >> 5].group1 >> (index & 31) & 1
    return superior_key(shifted(bank.best_of_group1 if is_group1 else 0, PRIORITY_LSB) | bank.first + index)


class NmiSharedInterrupts(SharedInterrupts):
    """SPIs of which some may have superpriority."""

    def key(self, index: i64) -> i64:
        """See `InterruptBank.key`."""
        return _superior_key(self, index) if _is_superior(self, index) else super().key(index)


class NmiPrivateInterrupts(PrivateInterrupts):
    """SGIs and PPIs of which some may have superpriority."""

    __slots__ = ()

    def key(self, index: i64) -> i64:
        """See `InterruptBank.key`."""
        return _superior_key(self, index) if _is_superior(self, index) else super().key(index)


class NmiExtendedPpis(ExtendedPpis):
    """Extended PPIs of which some may have superpriority."""

    __slots__ = ()

    def key(self, index: i64) -> i64:
        """See `InterruptBank.key`."""
        return _superior_key(self, index) if _is_superior(self, index) else super().key(index)
