"""A VM behind KVM's attributes, its registers by group, for tests."""

import errno
from collections.abc import Callable

import pytest

import vgic
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import Address, Control, Group, KvmError, VgicV3Device, level_attr, register_attr

GICD = 0x0800_0000
GICR = 0x080A_0000
SGI_BASE = 0x1_0000

CTLR, TYPER, IIDR, TYPER2, STATUSR = 0x0, 0x4, 0x8, 0xC, 0x10
IROUTER32 = 0x6100

REVISION_1, REVISION_2, REVISION_3 = 0x4B00_143B, 0x4B00_243B, 0x4B00_343B


def refused(number: int, call: Callable[[], object]) -> str:
    """What KVM says where it refuses with this number."""
    with pytest.raises(KvmError) as refusal:
        call()
    assert refusal.value.errno == number, f"{refusal.value}, not {errno.errorcode[number]}"
    return str(refusal.value)


def bare(cpus: int = 1, host: HostCapabilities | None = None, **choices: bool) -> VgicV3Device:
    """A VM before CTRL_INIT."""
    device = VgicV3Device(host, **choices)  # type: ignore[arg-type]  # bool is what those that are given take
    for _ in range(cpus):
        device.create_vcpu()
    device.set_attr(Group.NR_IRQS, 0, 96)
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    device.set_attr(Group.ADDR, Address.REDIST, GICR)
    return device


class Vm:
    """A VM after CTRL_INIT; its registers by group."""

    def __init__(self, cpus: int = 1, host: HostCapabilities | None = None, **choices: bool) -> None:
        self.device = bare(cpus, host, **choices)
        self.device.set_attr(Group.CTRL, Control.INIT)

    @property
    def gic(self) -> vgic.Gic:
        return self.device.gic

    def dist(self, offset: int) -> int:
        return self.device.get_attr(Group.DIST_REGS, offset)

    def set_dist(self, offset: int, value: int) -> None:
        self.device.set_attr(Group.DIST_REGS, offset, value)
        self.gic.check()

    def redist(self, offset: int, packed: int = 0) -> int:
        return self.device.get_attr(Group.REDIST_REGS, register_attr(packed, offset))

    def set_redist(self, offset: int, value: int, packed: int = 0) -> None:
        self.device.set_attr(Group.REDIST_REGS, register_attr(packed, offset), value)
        self.gic.check()

    def icc(self, register: int) -> int:
        return self.device.get_attr(Group.CPU_SYSREGS, register_attr(0, register))

    def set_icc(self, register: int, value: int) -> None:
        self.device.set_attr(Group.CPU_SYSREGS, register_attr(0, register), value)
        self.gic.check()

    def level(self, intid: int, packed: int = 0) -> int:
        return self.device.get_attr(Group.LEVEL_INFO, level_attr(packed, intid))

    def set_level(self, intid: int, value: int, packed: int = 0) -> None:
        self.device.set_attr(Group.LEVEL_INFO, level_attr(packed, intid), value)
        self.gic.check()
