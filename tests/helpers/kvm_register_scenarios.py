"""Registers of a VM's GIC, in several shapes of VM."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from kvm_life import (
    SCENARIOS,
    Life,
    Scenario,
    key,
    scenario,
)
from vgic.kvm import Group
from vgic.layouts import icc


@dataclass(frozen=True)
class Shape:
    vcpus: int
    itses: int


SHAPES: Final = (Shape(1, 0), Shape(3, 0), Shape(2, 1), Shape(1, 2))


def in_shape(life: Callable[[Life, Shape], None]) -> None:
    for shape in SHAPES:
        SCENARIOS[f"{life.__name__}_{shape.vcpus}_vcpus_{shape.itses}_itses"] = Scenario(
            lambda told, shape=shape: life(told, shape)  # type: ignore[misc]
        )


@in_shape
def revisions(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    for revision in (2, 1, 3, 0, 4, 2):
        life.set(Group.DIST_REGS, 8, 0x4B00_043B | revision << 12)
        life.get(Group.DIST_REGS, 8)
        for cpu in range(shape.vcpus):
            life.get(Group.REDIST_REGS, key(cpu))
        life.set(Group.REDIST_REGS, 0x1_0080, 0xF0F0_F0F0)
        life.get(Group.REDIST_REGS, 0x1_0080)
        life.set(Group.REDIST_REGS, 0, 1)
        life.get(Group.REDIST_REGS, 0)
        life.set(Group.REDIST_REGS, 0, 0)


@in_shape
def before_init(life: Life, shape: Shape) -> None:
    for _ in range(shape.vcpus):
        life.vcpu()
    for _ in range(shape.itses):
        life.its()
    for value in (0x4B00_243B, 0x4B00_143B, 0x4B00_043B):
        life.set(Group.DIST_REGS, 8, value)
        life.get(Group.DIST_REGS, 8)
    for value in (0, 1, 0x100):
        life.set(Group.DIST_REGS, 12, value)
    for group in (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO):
        life.get(group, 0)
        life.get(group, key(9))
    life.init()
    life.get(Group.DIST_REGS, 8)
    life.get(Group.REDIST_REGS, 0)
    for value in (0, 1, 0x100):
        life.set(Group.DIST_REGS, 12, value)


@in_shape
def table_registers(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    last = key(shape.vcpus - 1)
    for offset in (0x70, 0x78):
        life.get(Group.REDIST_REGS, offset)
        for value in (0, 0xFFFF_FFFF, *(sh << 10 | cache << 7 | 0xD for sh in range(4) for cache in range(8))):
            life.set(Group.REDIST_REGS, offset, value)
            life.get(Group.REDIST_REGS, offset)
            life.get(Group.REDIST_REGS, last | offset)
        for value in (0, 0xFFFF_FFFF, *(cache << 24 for cache in range(8))):
            life.set(Group.REDIST_REGS, last | offset + 4, value)
            life.get(Group.REDIST_REGS, last | offset + 4)
    life.its()
    life.get(Group.REDIST_REGS, 0x70)
    life.get(Group.REDIST_REGS, 0x74)
    life.get(Group.REDIST_REGS, 0x78)
    life.get(Group.REDIST_REGS, last | 0x78)
    life.set(Group.REDIST_REGS, 0x70, 0x1234_000F)
    life.its()
    life.get(Group.REDIST_REGS, 0x70)


@in_shape
def written_everywhere(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    banks = (0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41C, 0x800, 0xC00, 0xC04, 0xD00)
    distributor = (*range(16, 0x80, 4), *banks, *(4 + bank for bank in banks), 0x420, 0xC08, 0x6000, 0x6004)
    for offset in (0, 4, *distributor, 0x6100, 0x6104, 0x6000 + 8 * 255, 0x6000 + 8 * 256, 0x102, 0x101):
        for value in (0x9F9F_9F9F, 0):
            life.set(Group.DIST_REGS, offset, value)
            life.get(Group.DIST_REGS, offset)
    last = key(shape.vcpus - 1)
    for offset in (*range(0, 0x70, 4), *range(0x80, 0x100, 4), *(0x1_0000 + bank for bank in banks)):
        for value in (0x9F9F_9F9F, 0):
            life.set(Group.REDIST_REGS, last | offset, value)
            life.get(Group.REDIST_REGS, last | offset)


@in_shape
def levels(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    last = key(shape.vcpus - 1)
    for intid in (0, 32, 64, 224, 256, 992):
        life.has(Group.LEVEL_INFO, intid)
        life.get(Group.LEVEL_INFO, intid)
        life.set(Group.LEVEL_INFO, intid, 0xFFFF_FFFF)
        life.get(Group.LEVEL_INFO, intid)
        life.get(Group.LEVEL_INFO, last | intid)
    for offset, value in ((0xC08, 0), (0xC08, 0xAAAA_AAAA), (0xC08, 0), (0xC0C, 0)):
        life.set(Group.DIST_REGS, offset, value)
        life.get(Group.LEVEL_INFO, 32)
        life.set(Group.LEVEL_INFO, 32, 0x1234_5678 ^ offset)
        life.get(Group.LEVEL_INFO, 32)
        life.get(Group.DIST_REGS, 0x204)
    for attr in (1, 31, 1 << 10, 1 << 10 | 32, 3 << 32):
        life.has(Group.LEVEL_INFO, attr)
        life.get(Group.LEVEL_INFO, attr)
        life.set(Group.LEVEL_INFO, attr, 1)


@in_shape
def system_registers(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    last = key(shape.vcpus - 1)
    sysregs = Group.CPU_SYSREGS
    for encoding in (*range(0xC640, 0xC670), 0xC230, 0, 0xC005, 0xC600, 0xC65D):
        life.has(sysregs, encoding)
        life.get(sysregs, last | encoding)
    for encoding in (0xC660, 0xC65D, 0xC005):
        life.set(sysregs, encoding, 0)
    for value in range(8):
        for encoding in (icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1):
            life.set(sysregs, last | encoding, value)
            life.get(sysregs, last | encoding)
    life.get(sysregs, icc.ICC_CTLR_EL1)
    control = 0x8C00  # A3V, IDbits, PRIbits: as the host has them
    for value in (control | 1, control | 2, control | 3, control | 0x700, control ^ 1 << 14, control | 1 << 40):
        life.set(sysregs, icc.ICC_CTLR_EL1, value)
        life.get(sysregs, icc.ICC_CTLR_EL1)
    life.set(sysregs, icc.ICC_CTLR_EL1, control | 1)
    for bpr0, bpr1 in ((4, 3), (7, 0), (0, 5)):
        life.set(sysregs, icc.ICC_BPR0_EL1, bpr0)
        life.set(sysregs, icc.ICC_BPR1_EL1, bpr1)
        life.get(sysregs, icc.ICC_BPR1_EL1)
    life.set(sysregs, icc.ICC_CTLR_EL1, control)
    life.get(sysregs, icc.ICC_BPR1_EL1)
    for encoding, values in (
        (icc.ICC_SRE_EL1, (0, 1, 6, 7, 0x100)),
        (icc.ICC_PMR_EL1, (0, 0xFF, 0x1FF, 0xFC, 0x18)),
        (icc.ICC_IGRPEN0_EL1, (0, 1, 2, 3, 0xFFFF_FFFF)),
        (icc.ICC_IGRPEN1_EL1, (0, 1, 2, 3, 0xFFFF_FFFF)),
        *((encoding, ((1 << 64) - 1, 0)) for encoding in (*range(0xC644, 0xC64C),)),
    ):
        for value in values:
            life.set(sysregs, encoding, value)
            life.get(sysregs, encoding)


@scenario
def cut_by_running(life: Life) -> None:
    life.ready()
    for encoding, value in ((icc.ICC_PMR_EL1, 0xFF), (icc.ICC_BPR0_EL1, 1), (icc.ICC_BPR1_EL1, 0)):
        life.set(Group.CPU_SYSREGS, encoding, value)
    life.run()
    # QEMU's ICH_VMCR_EL2 keeps all bits of a PMR, so nothing cuts that.
    for encoding in (icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1):
        life.get(Group.CPU_SYSREGS, encoding)


@scenario
def mpidrs(life: Life) -> None:
    life.vcpu()
    life.vcpu()
    life.init()
    life.mpidr(1, 0x1_8000_0001)
    for attr in (0x0100_0001, 1, 0):
        life.get(Group.REDIST_REGS, key(attr) | 8)
        life.get(Group.REDIST_REGS, key(attr) | 12)
