"""SGIs: which register generated a recorded one, and whether it reached the PEs that the model says.

A recording names neither the register nor the groups, only the PEs at which the SGI became pending. So the register
is the one whose reach is what was recorded, or comes nearest to it.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

from mmio.trace import Delivery, Sgi
from vgic import ICC_SGI0R_EL1, ICC_SGI1R_EL1, SGI0R, SGI1R, Gic, affinity

__all__ = ["Generation", "PendingSgi", "generation", "misdelivered", "sgi_value"]

_SGI1R_NAME: Final = "ICC_SGI1R"

_REGISTERS: Final = {
    SGI1R: (_SGI1R_NAME, ICC_SGI1R_EL1),
    SGI0R: ("ICC_SGI0R or ICC_ASGI1R", ICC_SGI0R_EL1),
}


class Generation(NamedTuple):
    """An SGI as the model generates it."""

    register: str
    encoding: int
    value: int
    reach: tuple[int, ...]
    """The PEs (packed affinities) at which it becomes pending, in vCPU order; empty where it is in full."""


def sgi_value(sgi: Sgi) -> int:
    """What was written to the register."""
    return affinity.to_sgi_cluster(sgi.cluster) | sgi.intid << 24 | sgi.irm << 40 | sgi.target_list


class PendingSgi:
    """An SGI that is not carried out yet, because its deliveries are still coming."""

    def __init__(self) -> None:
        self.waits = False
        """There is one."""
        self.event = Sgi(0, None, None, 0, 0, False, 0, 0)
        self.sender = 0
        """The vCPU."""
        self.deliveries: list[Delivery] = []
        self.in_full = False
        """ICC_SGI1R reaches just the PEs that were reached."""
        self._reached: list[int] = []

    def begin(self, sender: int, event: Sgi) -> None:
        """A vCPU generates an SGI."""
        self.waits = True
        self.event = event
        self.sender = sender
        self.deliveries.clear()
        self._reached.clear()

    def deliver(self, cpu: int, event: Delivery) -> None:
        """It becomes pending at a vCPU."""
        self._reached.append(cpu)
        self.deliveries.append(event)

    def likeliest(self, gic: Gic, cut: bool) -> "Generation":
        """How it was generated, now that all deliveries are there; `cut`: more may have followed."""
        self.waits = False
        event = self.event
        value = sgi_value(event)
        self._reached.sort()
        self.in_full = self._reached == sorted(gic.sgi_targets(self.sender, SGI1R, value))
        for delivery in self.deliveries:
            if delivery.intid != event.intid:
                self.in_full = False
        if self.in_full:
            # Nothing fits better, so there is no need to look who the other registers reach.
            return Generation(_SGI1R_NAME, ICC_SGI1R_EL1, value, ())
        return generation(gic, self.sender, event, self.deliveries, cut)


def generation(gic: Gic, sender: int, sgi: Sgi, deliveries: Sequence[Delivery], cut: bool) -> Generation:
    """The likeliest generation of an SGI by vCPU `sender`; `cut`: more deliveries may have followed."""
    value = sgi_value(sgi)
    affinities = gic.config.topology.affinities
    reached = {delivery.cpu for delivery in deliveries}
    candidates = []
    for register, (name, encoding) in _REGISTERS.items():
        reach = tuple(affinities[cpu] for cpu in sorted(gic.sgi_targets(sender, register, value)))
        candidates.append(Generation(name, encoding, value, reach))

    def distance(candidate: Generation) -> tuple[bool, int, int]:
        reach = set(candidate.reach)
        fits = reached <= reach if cut else reached == reach
        return not fits, abs(len(reach) - len(deliveries)), len(reach ^ reached)

    return min(candidates, key=distance)


def misdelivered(
    sgi: Sgi, deliveries: Sequence[Delivery], reach: Sequence[int], cut: bool
) -> Delivery | Sgi | None:
    """The event at which the deliveries stop being those of the reach, None where they are the same."""
    if cut:
        reach = [pe for pe in reach if any(item.cpu == pe for item in deliveries)]
    for item in deliveries:
        if item.intid != sgi.intid or item.cpu not in reach:
            return item
    if sorted(item.cpu for item in deliveries) == sorted(reach):
        return None
    # One is missing or there twice; recorders go through the PEs in order.
    return next(item or sgi for item, pe in zip_longest(deliveries, reach) if item is None or item.cpu != pe)
