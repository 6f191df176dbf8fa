"""Redistributor regions from the addresses that each vCPU's redistributor is at."""

from collections.abc import Iterable

import vgic
from vgic.config import REDISTRIBUTOR_SIZE

__all__ = ["regions_of_frames", "regions_of_stride"]


def regions_of_frames(bases: Iterable[int]) -> tuple[vgic.RedistributorRegion, ...]:
    """The regions that put each vCPU's redistributor at its address, in vCPU order: those in a row are one.

    >>> regions_of_frames([0x80A0000, 0x80C0000, 0x90000000])
    (RedistributorRegion(0x80a0000, 2), RedistributorRegion(0x90000000, 1))
    """
    runs: list[tuple[int, int]] = []
    for base in bases:
        if runs and base == runs[-1][0] + runs[-1][1] * REDISTRIBUTOR_SIZE:
            runs[-1] = runs[-1][0], runs[-1][1] + 1
        else:
            runs.append((base, 1))
    return tuple(vgic.RedistributorRegion(base, count) for base, count in runs)


def regions_of_stride(base: int, size: int, stride: int, most: int) -> tuple[vgic.RedistributorRegion, ...]:
    """The regions of a stretch of addresses that has a redistributor every `stride` bytes, `most` of them at most.

    With a stride of more than a GICv3's redistributor takes, each is in a region of its own.
    """
    count = size // stride
    if stride == REDISTRIBUTOR_SIZE:
        return (vgic.RedistributorRegion(base, count),)
    return tuple(vgic.RedistributorRegion(base + slot * stride, 1) for slot in range(min(count, most)))
