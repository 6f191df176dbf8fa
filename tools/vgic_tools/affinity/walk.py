"""How a guest finds its redistributors: the walk of Linux's driver, counted.

Every vCPU that comes up walks the regions in order, from the first frame of each: it reads GICR_PIDR2 once in a
region, then GICR_TYPER (64 bits) of frame after frame until the affinity there is its own or Last says that the
region ends. Linux reads GICR_TYPER twice in each frame, once to compare and once for the walk (irq-gic-v3.c,
gic_iterate_rdists and __gic_populate_rdist).
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import vgic
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.layouts import gicr

__all__ = ["READS_PER_FRAME", "Discovery", "discover", "predict", "region_fill"]

READS_PER_FRAME: Final = 2
"""Reads of GICR_TYPER in a frame that the walk comes to."""

_TYPER: Final = gicr.TYPER.offset
_PIDR2: Final = next(register.offset for register in gicr.RD_BASE if register.name == "GICR_PIDR2")
_FIELDS: Final = {field.name: field for field in gicr.TYPER.fields}
_AFFINITY: Final = _FIELDS["Affinity_Value"]
_LAST: Final = _FIELDS["Last"]


class Discovery(NamedTuple):
    """What it takes until every vCPU has looked for its redistributor."""

    typer_reads: int
    pidr2_reads: int
    lost: int
    """vCPUs that did not find one."""


def discover(gic: vgic.Gic, vcpus: Sequence[int] | None = None) -> Discovery:
    """Let these vCPUs (all of them unless told) walk, every register read from the model."""
    typer_reads = pidr2_reads = lost = 0
    regions = gic.config.redistributor_regions[: len(region_fill(gic.config))]
    for vcpu in range(len(gic.config.topology)) if vcpus is None else vcpus:
        wanted = gic.affinity(vcpu)
        for region in regions:
            gic.read(region.base + _PIDR2, 4, vcpu)
            pidr2_reads += 1
            frame = region.base
            while True:
                typer = gic.read(frame + _TYPER, 8, vcpu)
                found = _AFFINITY.extract(gic.read(frame + _TYPER, 8, vcpu)) == wanted
                typer_reads += READS_PER_FRAME
                if found or _LAST.extract(typer):
                    break
                frame += REDISTRIBUTOR_SIZE
            if found:
                break
        else:
            lost += 1
    return Discovery(typer_reads, pidr2_reads, lost)


def predict(fill: Sequence[int], visible: bool = True) -> Discovery:
    """What `discover` finds in regions that hold `fill` redistributors each and do not touch, in closed form.

    `visible` False: no vCPU finds the affinity that it looks for.
    """
    total = sum(fill)
    if not visible:
        return Discovery(READS_PER_FRAME * total * total, total * len(fill), total)
    frames = total * (total + 1) // 2
    return Discovery(READS_PER_FRAME * frames, sum(n * held for n, held in enumerate(fill, 1)), 0)


def region_fill(config: vgic.Config) -> list[int]:
    """How many redistributors each region holds that holds any."""
    left = len(config.topology)
    fill = []
    for region in config.redistributor_regions:
        if left:
            fill.append(min(left, region.count))
            left -= fill[-1]
    return fill
