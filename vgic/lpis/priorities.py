"""How the priorities of a VM's LPIs count: from a configuration byte to what a PE's pending queue sorts by.

A configuration byte has bits [7:2] of a priority. With two Security states LPIs are Non-secure and have the lower
half of the priorities: the byte says which one of those (rule SEC-12 in specs/security.md). Pieces sort by what the
byte says, which is the same order.
"""

from mypy_extensions import i64

from vgic.bits import shifted
from vgic.cpu_interface.pending import INTID_MASK, NO_KEY, PRIORITY_LSB
from vgic.lpis.tables import PRIORITY

__all__ = ["LpiPriorities"]


class LpiPriorities:
    """Shared by the banks of a VM: `bits` of a priority count, as many as the CPU interface has or others."""

    def __init__(self, bits: int, of_interface: bool) -> None:
        self._bits = bits
        self._of_interface = of_interface
        self.lower_half = False
        """Priorities are in the lower half."""
        self.mask = PRIORITY & 0xFF00 >> bits
        """The bits of a configuration byte that count."""

    def set_lower_half(self, lower: bool) -> None:
        """Have priorities in the lower half or not; banks follow by `LpiBank.sort_anew`."""
        self.lower_half = lower
        # Of the bits that the CPU interface has, one says which half.
        self.mask = PRIORITY & 0xFF00 >> self._bits - (1 if lower and self._of_interface else 0)

    def of(self, byte: i64) -> i64:
        """The priority (8 bits) of an LPI of this configuration byte."""
        counted: i64 = byte & self.mask
        return 0x80 | counted >> 1 if self.lower_half else counted

    def queue_key(self, key: i64) -> i64:
        """What the pending queue sorts an LPI by that has this key in its piece."""
        if key == NO_KEY or not self.lower_half:
            return key
        return shifted(self.of(key >> PRIORITY_LSB), PRIORITY_LSB) | key & INTID_MASK
