"""SGIs: which register generated a recorded one, and whether it reached the PEs that the model says.

A recording names neither the register nor the groups, only the PEs at which the SGI became pending. So the register
is the one whose reach is what was recorded, or comes nearest to it.
"""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Final, NamedTuple

import vgic
from mmio.trace import Delivery, Sgi
from vgic import Gic, affinity

__all__ = ["SGI1R_NAME", "Generation", "deliveries_text", "generation", "misdelivered"]

SGI1R_NAME: Final = "ICC_SGI1R"

_REGISTERS: Final = {
    vgic.ICC_SGI1R_EL1: SGI1R_NAME,
    vgic.ICC_SGI0R_EL1: "ICC_SGI0R or ICC_ASGI1R",
}


class Generation(NamedTuple):
    """An SGI as the model generates it."""

    register: str
    encoding: int
    value: int
    reach: tuple[int, ...]
    """The PEs (packed affinities) at which it becomes pending, in vCPU order."""


def generation(gic: Gic, sender: int, value: int, deliveries: Sequence[Delivery], cut: bool) -> Generation:
    """The likeliest generation of an SGI by vCPU `sender`, who wrote `value`; `cut`: more deliveries may follow."""
    affinities = gic.config.topology.affinities
    reached = {delivery.cpu for delivery in deliveries}
    candidates = []
    for encoding, name in _REGISTERS.items():
        reach = tuple(affinities[cpu] for cpu in sorted(gic.sgi_targets(sender, encoding, value)))
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


def deliveries_text(deliveries: list[tuple[int, int]]) -> str:
    """Which SGIs (INTID) become pending where (packed affinity), for people."""
    return ", ".join([f"SGI {intid} at {affinity.text(pe)}" for intid, pe in deliveries]) or "nowhere"
