"""Machines that are ready to take interrupts, to measure on."""

from typing import Final

import vgic
from vgic.config import Config

__all__ = ["GICD", "RD_BASE", "SGI_BASE", "awake_machine"]

GICD: Final = 0x0800_0000
RD_BASE: Final = 0x080A_0000
"""The first vCPU's."""
SGI_BASE: Final = 0x1_0000
"""From a Redistributor's RD_base."""

_ALL: Final = 0xFFFF_FFFF


def awake_machine(cpus: int, awake: int | None = None) -> vgic.Gic:
    """A machine whose vCPUs, or the first `awake` of them, are awake and take Group 1 interrupts."""
    gic = vgic.Gic(Config(vgic.Topology.clusters(cpus, 16), spis=960))
    gic.write(GICD, 4, 0b11)
    for word in range(1, 31):
        gic.write(GICD + 0x80 + 4 * word, 4, _ALL)
        gic.write(GICD + 0x100 + 4 * word, 4, _ALL)
    for cpu in range(cpus if awake is None else awake):
        base = gic.redistributor_bases[cpu]
        gic.write(base + 0x14, 4, 0)
        gic.write(base + SGI_BASE + 0x80, 4, _ALL)
        gic.write(base + SGI_BASE + 0x100, 4, _ALL)
        gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
        gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
    return gic
