"""The experiment `layouts`: what an MPIDR layout costs a guest and a VMM, by number of vCPUs."""

import gc
import tracemalloc
from array import array
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Annotated, Final

import vgic
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic_tools.affinity.layouts import LAYOUTS
from vgic_tools.affinity.reach import broadcast, by_target_lists
from vgic_tools.affinity.study import Study, Summary
from vgic_tools.affinity.walk import discover, predict, region_fill
from vgic_tools.machines.qemu_cmdline import HIGH_REGION, LOW_REGION

__all__ = ["COUNTS", "LayoutPoint", "LayoutRow", "layout_study", "measure_layout"]

COUNTS: Final = (*(1 << n for n in range(17)), 123, 124, 255, 635)
"""Powers of two, and where something changes: QEMU's regions hold 123 and 512, and some VMs end at 255."""

KVM_VCPUS: Final = 512
KVM_REGION_VCPUS: Final = 4095
"""A KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION holds this many: its count has 12 bits."""

MOST_SIMULATED: Final = 1024
"""The walk of all vCPUs is quadratic: beyond, the closed form."""
MOST_WEIGHED: Final = 16_384
"""Tracing every allocation is slow."""

_TEXT: Final = f"""
What a layout of affinities costs, by number of vCPUs. The SGI writes are those that the model takes to reach every
other vCPU. The walk is the one that Linux does until every vCPU has found its redistributor, every register read
from the model up to {MOST_SIMULATED:,} vCPUs; beyond, it is a closed form that the tests hold against the model.

Linux sends an SGI to many vCPUs by target lists, never by IRM; each list names 16 values of Aff0. What fits in a VM
follows from QEMU's virt machine (room for {LOW_REGION.count} and {HIGH_REGION.count} redistributors) and Linux KVM
({KVM_VCPUS} vCPUs, {KVM_REGION_VCPUS:,} redistributors to a region).

The layouts: {"; ".join(f"{layout.name}, {layout.text}" for layout in LAYOUTS.values())}.
"""


@dataclass(frozen=True)
class LayoutPoint:
    """What is measured."""

    layout: Annotated[str, "layout of the affinities"]
    vcpus: Annotated[int, "vCPUs"]


@dataclass(frozen=True)
class LayoutRow(LayoutPoint):
    """What came out."""

    highest: Annotated[str, "affinity of the last vCPU"]
    needs_aff3: Annotated[bool, "some vCPU has an Aff3 that is not zero"]
    needs_rss: Annotated[bool, "some vCPU has an Aff0 above 15, which SGIs reach with the range selector"]
    fits_kvm: Annotated[bool, "no more vCPUs than KVM runs"]
    sgi_writes: Annotated[int, "writes of ICC_SGI1R_EL1 that reach every other vCPU that can be, by target list"]
    sgi_unreached: Annotated[int, "vCPUs that no such write can name"]
    sgi_writes_rss: Annotated[int, "the same with the range selector; it reaches all"]
    sgi_writes_irm: Annotated[int, "the same with IRM, to all but the sender"]
    frames: Annotated[int, "64 KiB frames of the redistributors"]
    address_space: Annotated[int, "bytes of address space of the redistributors"]
    regions_virt: Annotated[int | None, "redistributor regions in use on QEMU's virt machine; empty: no room"]
    regions_kvm: Annotated[int | None, "redistributor regions that KVM needs; empty: more vCPUs than it runs"]
    walk_map: Annotated[str, "regions that the guest walks: those of virt, or one that holds all"]
    walk_by: Annotated[str, "how the walk was counted"]
    typer_reads: Annotated[int, "reads of GICR_TYPER until every vCPU has found its redistributor"]
    pidr2_reads: Annotated[int, "reads of GICR_PIDR2 meanwhile"]
    lost_without_a3v: Annotated[int, "vCPUs that find no redistributor where GICR_TYPER hides Aff3, as KVM does"]
    bytes_per_vcpu: Annotated[float | None, "memory that a vCPU adds to the model; empty: not measured"]


def layout_study(
    names: Sequence[str], counts: Sequence[int], custom: "tuple[str, array[int]] | None" = None
) -> Study[LayoutPoint, LayoutRow]:
    """The experiment for these layouts and numbers of vCPUs, and a named topology of the user's own."""
    points = [
        LayoutPoint(name, count) for count in sorted(set(counts)) for name in names if count <= LAYOUTS[name].most
    ]
    if custom is not None:
        points.append(LayoutPoint(custom[0], len(custom[1])))
    measure = partial(measure_layout, custom=None if custom is None else custom[1])
    return Study("layouts", "What an MPIDR layout costs", _TEXT, LayoutRow, points, measure, _summary)


def measure_layout(point: LayoutPoint, custom: "array[int] | None" = None) -> LayoutRow:
    """The row of a point; a layout that has no name here is the one with the affinities `custom`."""
    topology = _topology(point, custom)
    gic = vgic.Gic(_config(topology))
    writes, writes_rss = (by_target_lists(topology, 0, rss) for rss in (False, True))
    everyone = [broadcast()] if point.vcpus > 1 else []
    for values in (writes_rss, everyone):
        if _unreached(gic, values):
            raise vgic.InvariantError(f"{point}: an SGI did not reach every other vCPU")
    simulated = point.vcpus <= MOST_SIMULATED
    walk = discover(gic) if simulated else predict(region_fill(gic.config))
    return LayoutRow(
        **asdict(point),
        highest=affinity.text(topology.affinities[-1]),
        needs_aff3=any(affinity.has_aff3(packed) for packed in topology.affinities),
        needs_rss=any(affinity.levels(packed)[3] > 15 for packed in topology.affinities),
        fits_kvm=point.vcpus <= KVM_VCPUS,
        sgi_writes=len(writes),
        sgi_unreached=_unreached(gic, writes),
        sgi_writes_rss=len(writes_rss),
        sgi_writes_irm=len(everyone),
        frames=2 * point.vcpus,
        address_space=REDISTRIBUTOR_SIZE * point.vcpus,
        regions_virt=len(region_fill(gic.config)) if _fits_virt(topology) else None,
        regions_kvm=-(-point.vcpus // KVM_REGION_VCPUS) if point.vcpus <= KVM_VCPUS else None,
        walk_map="virt" if _fits_virt(topology) else "one region",
        walk_by="model" if simulated else "closed form",
        typer_reads=walk.typer_reads,
        pidr2_reads=walk.pidr2_reads,
        lost_without_a3v=_lost_without_a3v(topology, simulated),
        bytes_per_vcpu=_bytes_per_vcpu(point, custom) if 1 < point.vcpus <= MOST_WEIGHED else None,
    )


def _topology(point: LayoutPoint, custom: "array[int] | None") -> vgic.Topology:
    if point.layout in LAYOUTS:
        return LAYOUTS[point.layout].topology(point.vcpus)
    return vgic.Topology(custom or ())


def _fits_virt(topology: vgic.Topology) -> bool:
    return len(topology) <= LOW_REGION.count + HIGH_REGION.count


def _config(topology: vgic.Topology, profile: vgic.Profile = vgic.ARCH) -> vgic.Config:
    """A VM on the map of QEMU's virt machine where that has room; with Aff3 and RSS unless the profile is KVM's."""
    regions = (LOW_REGION, HIGH_REGION) if _fits_virt(topology) else ()
    wide = not profile.hidden_aff3
    return vgic.Config(topology, profile=profile, redistributor_regions=regions, a3v=wide, rss=wide)


def _unreached(gic: vgic.Gic, writes: Sequence[int]) -> int:
    """How many vCPUs but vCPU 0 the model sends no SGI when that writes these values to ICC_SGI1R_EL1."""
    reached = {vcpu for value in writes for vcpu in gic.sgi_targets(0, vgic.ICC_SGI1R_EL1, value)}
    return len(gic.config.topology) - 1 - len(reached - {0})


def _lost_without_a3v(topology: vgic.Topology, simulated: bool) -> int:
    lost = sum(map(affinity.has_aff3, topology.affinities))
    if lost and simulated:
        return discover(vgic.Gic(_config(topology, vgic.KVM))).lost
    return lost


def _bytes_per_vcpu(point: LayoutPoint, custom: "array[int] | None") -> float:
    alone = vgic.Topology(_topology(point, custom).affinities[:1])
    _weigh(lambda: alone)  # Whatever the first GIC of a process leaves behind is not a vCPU's.
    base = _weigh(lambda: alone)
    return (_weigh(lambda: _topology(point, custom)) - base) / (point.vcpus - 1)


def _weigh(make: Callable[[], vgic.Topology]) -> int:
    """The bytes that a GIC and its topology hold."""
    gc.collect()  # Empties the free lists too: what is taken from those is not traced.
    tracemalloc.start()
    try:
        gic = vgic.Gic(vgic.Config(make(), a3v=True, rss=True))
        held, _ = tracemalloc.get_traced_memory()
        del gic
        return held
    finally:
        tracemalloc.stop()


def _summary(rows: Sequence[LayoutRow]) -> Summary:
    """The largest VM of each layout that KVM could run."""
    largest: dict[str, LayoutRow] = {}
    for row in rows:
        if row.fits_kvm and (row.layout not in largest or largest[row.layout].vcpus < row.vcpus):
            largest[row.layout] = row
    headings = (
        "layout", "vCPUs", "last vCPU", "SGI writes", "never reached", "with RSS", "with IRM", "regions on virt",
        "GICR_TYPER reads", "lost without A3V", "bytes per vCPU",
    )  # fmt: skip
    lines = [
        (
            row.layout,
            f"{row.vcpus:,}",
            row.highest,
            f"{row.sgi_writes:,}",
            f"{row.sgi_unreached:,}",
            f"{row.sgi_writes_rss:,}",
            f"{row.sgi_writes_irm:,}",
            "" if row.regions_virt is None else f"{row.regions_virt:,}",
            f"{row.typer_reads:,}",
            f"{row.lost_without_a3v:,}",
            "" if row.bytes_per_vcpu is None else f"{row.bytes_per_vcpu:,.0f}",
        )
        for row in largest.values()
    ]
    return Summary(headings, lines)
