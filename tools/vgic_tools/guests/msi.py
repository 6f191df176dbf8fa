"""Messages of devices: stores of an EventID to GITS_TRANSLATER of the ITS. Others reach nobody."""

from typing import Final

from vgic.layouts import gits
from vgic_tools.guests.gic_port import GicPort

__all__ = ["Messages"]

_TRANSLATER: Final = 0x1_0000 + gits.TRANSLATER.offset
"""In the second frame of an ITS."""


class Messages:
    """Where devices store to. The ITS, the first of the machine, knows them by their Requester IDs."""

    def __init__(self, gic: GicPort) -> None:
        self._gic = gic

    def store(self, requester: int, address: int, data: int) -> None:
        """A device stores `data` (16 or 32 bits) to a physical address."""
        gic = self._gic.gic
        if address != gic.config.its[0] + _TRANSLATER:
            return
        # An id of more bits than the ITS has is in none of its tables.
        if not (requester >> gic.its(0).device_bits or data >> gic.its(0).event_bits):
            self._gic.msi(requester, data)
