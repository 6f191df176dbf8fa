"""The walk of a guest for its redistributors: by hand, in closed form, and as Linux was recorded doing it."""

from pathlib import Path

import pytest

import vgic
from mmio.trace import Access, open_trace
from vgic_tools.affinity.walk import READS_PER_FRAME, Discovery, discover, predict, region_fill
from vgic_tools.machines.qemu_cmdline import HIGH_REGION, LOW_REGION, config_from_qemu_cmdline

RECORDING = Path(__file__).parents[1] / "traces" / "linux_smp126_hi_noits"
BOOTED = (0, 1, 15, 16, 17, 122, 123, 124, 125)
"""The vCPUs that the recorded guest brought up; see `maxcpus` and `hicpus` in its command line."""


def machine(vcpus: int, regions: tuple[vgic.RedistributorRegion, ...] = ()) -> vgic.Gic:
    return vgic.Gic(vgic.Config(vgic.Topology.kvm(vcpus), redistributor_regions=regions))


def test_three_vcpus_by_hand():
    # vCPU 0 looks at one frame, vCPU 1 at two, vCPU 2 at three, twice each; all in one region.
    assert discover(machine(3)) == Discovery(typer_reads=2 * (1 + 2 + 3), pidr2_reads=3, lost=0)


def test_a_second_region_by_hand():
    regions = vgic.RedistributorRegion(0x0900_0000, 2), vgic.RedistributorRegion(0x0A00_0000, 5)
    gic = machine(4, regions)
    assert region_fill(gic.config) == [2, 2]
    assert discover(gic) == Discovery(typer_reads=2 * (1 + 2 + 3 + 4), pidr2_reads=1 + 1 + 2 + 2, lost=0)


@pytest.mark.parametrize("vcpus", [1, 2, 16, 122, 123, 124, 130])
def test_the_closed_form_is_the_simulation(vcpus):
    gic = machine(vcpus, (LOW_REGION, HIGH_REGION))
    assert predict(region_fill(gic.config)) == discover(gic)


@pytest.mark.parametrize("fill", [[1], [3, 2], [2, 2, 2]])
def test_the_closed_form_is_the_simulation_where_nobody_is_found(fill):
    """KVM hides Aff3 in GICR_TYPER: vCPUs that have one look at every frame in vain."""
    topology = vgic.Topology(1 << 24 | vcpu for vcpu in range(sum(fill)))
    regions = tuple(
        vgic.RedistributorRegion(0x0900_0000 + 0x0100_0000 * number, held) for number, held in enumerate(fill)
    )
    gic = vgic.Gic(vgic.Config(topology, profile=vgic.KVM, a3v=False, redistributor_regions=regions))
    assert discover(gic) == predict(fill, visible=False)
    assert discover(gic).lost == sum(fill)


def test_linux_reads_as_often_as_the_simulation():
    """Linux 6.1 with 126 vCPUs, 9 of them brought up: one walk over every frame for the properties, one each."""
    config = config_from_qemu_cmdline(RECORDING / "cmd.txt")
    reads = [
        event.offset
        for event in open_trace(RECORDING / "trace.core.log.gz")
        if isinstance(event, Access) and event.device == "gicr" and not event.write
    ]
    walked = discover(vgic.Gic(config), BOOTED)
    vcpus, regions = len(config.topology), len(region_fill(config))
    assert walked.lost == 0
    assert reads.count(0x08) == walked.typer_reads + READS_PER_FRAME * vcpus == 1356
    assert reads.count(0xFFE8) == walked.pidr2_reads + regions == 14
