"""The SGI that a replay has yet to carry out, because its deliveries are still coming."""

from typing import Final

from mmio.trace import Delivery, Sgi
from vgic import ICC_SGI1R_EL1, Gic, affinity
from vgic.layouts import icc

__all__ = ["PendingSgi"]

_INTID: Final = icc.GENERATE_SGI.field("INTID").lsb
_IRM: Final = icc.GENERATE_SGI.mask("IRM")


class _Reached:
    """A PE at which the SGI became pending."""

    __slots__ = ("cpu", "index", "intid", "pe")

    def __init__(self, cpu: int, pe: int, intid: int, index: int) -> None:
        self.cpu = cpu
        self.pe = pe
        self.intid = intid
        self.index = index


class PendingSgi:
    """One SGI, while `waits`. PEs are given by vCPU and packed affinity, events by their index in the trace."""

    def __init__(self) -> None:
        self.waits = False
        self.sender = 0
        """The vCPU."""
        self.value = 0
        """What it wrote to the register."""
        self._pe = 0
        self._intid = 0
        self._irm = False
        self._targets = 0
        self.index = 0
        """Which event of the trace it is."""
        self._reached: list[_Reached] = []

    def begin(self, sender: int, pe: int, intid: int, irm: bool, targets: int, index: int) -> None:
        """A vCPU generates an SGI; `targets` is the cluster, 24 bits, above the target list, 16 bits."""
        self.waits = True
        self.sender = sender
        cluster = affinity.to_sgi_cluster(targets >> 16)
        self.value = cluster | intid << _INTID | (_IRM if irm else 0) | targets & 0xFFFF
        self._pe = pe
        self._intid = intid
        self._irm = irm
        self._targets = targets
        self.index = index
        self._reached.clear()

    def deliver(self, cpu: int, pe: int, intid: int, index: int) -> None:
        """It becomes pending at a vCPU."""
        self._reached.append(_Reached(cpu, pe, intid, index))

    def deliveries(self) -> int:
        """How many vCPUs it became pending at."""
        return len(self._reached)

    def fits_sgi1r(self, gic: Gic) -> bool:
        """True where writing ICC_SGI1R reaches just the PEs that were reached: no other register fits better."""
        targets = gic.sgi_targets(self.sender, ICC_SGI1R_EL1, self.value)
        cpus: list[int] = []
        for reached in self._reached:
            if reached.intid != self._intid:
                return False
            cpus.append(reached.cpu)
        cpus.sort()
        targets.sort()
        return cpus == targets

    def as_event(self) -> Sgi:
        """The SGI; its line is its index."""
        cluster, target_list = self._targets >> 16, self._targets & 0xFFFF
        return Sgi(self.index, None, None, self._pe, self._intid, self._irm, cluster, target_list)

    def deliveries_as_events(self) -> list[Delivery]:
        """Its deliveries; their lines are their indices."""
        return [Delivery(reached.index, None, None, reached.pe, reached.intid) for reached in self._reached]
