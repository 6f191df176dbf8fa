"""Which writes of ICC_SGI1R_EL1 reach every other vCPU by target list, as Linux sends its broadcasts."""

from typing import Final

import vgic
from vgic import affinity
from vgic.layouts.icc import ICC

__all__ = ["TARGETS", "broadcast", "by_target_lists"]

TARGETS: Final = 16
"""vCPUs that one target list names: 16 values of Aff0 in a row."""

_SGI1R: Final = next(register for register in ICC if register.offset == vgic.ICC_SGI1R_EL1)


def by_target_lists(topology: vgic.Topology, sender: int, rss: bool) -> list[int]:
    """The fewest values to write (64 bits each, SGI 0) for as many vCPUs as target lists can name.

    Without the range selector (`rss` False) they name Aff0 values 0 to 15 only.
    """
    lists: dict[int, int] = {}
    for vcpu, packed in enumerate(topology.affinities):
        if vcpu == sender:
            continue
        block, bit = divmod(packed, TARGETS)
        if rss or block % TARGETS == 0:
            lists[block] = lists.get(block, 0) | 1 << bit
    return [_write(block, targets) for block, targets in lists.items()]


def broadcast() -> int:
    """The write that reaches every other vCPU at once: IRM, to all but the sender."""
    return _SGI1R.encode({"IRM": 1})


def _write(block: int, targets: int) -> int:
    aff3, aff2, aff1, aff0 = affinity.levels(block * TARGETS)
    return _SGI1R.encode({"Aff3": aff3, "Aff2": aff2, "Aff1": aff1, "RS": aff0 // TARGETS, "TargetList": targets})
