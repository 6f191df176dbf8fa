"""Moving a VM: the calls that carry its GIC from one device to another, in the order that KVM documents.

1. every vCPU, in creation order, and its MPIDR: attributes name vCPUs by it;
2. the ITSes: without one there are no LPIs;
3. the number of interrupts, and the addresses with the regions in the order of their index;
4. CTRL_INIT, then GICD_IIDR, which says how the rest is meant;
5. the Distributor's registers, each Redistributor's, the levels of the lines, each CPU interface's;
6. of each ITS its address, GITS_CBASER, its other registers, RESTORE_TABLES, and GITS_CTLR, which may enable it.

What LPIs and ITSes keep of their own goes through guest RAM, which the new VM must have a copy of beforehand.
"""

import errno
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from vgic import affinity
from vgic.kvm.device import VgicV3Device
from vgic.kvm.errors import KvmError
from vgic.kvm.its import VgicItsDevice
from vgic.kvm.settings import settings, sysregs_of
from vgic.kvm.uapi import (
    MAX_REGIONS,
    Address,
    Control,
    Group,
    ItsAddress,
    ItsControl,
    RegionAttr,
    register_attr,
)
from vgic.layouts import gicd, gits

__all__ = [
    "CreateIts",
    "CreateVcpu",
    "SetAttr",
    "SetItsAttr",
    "SetMpidr",
    "Step",
    "perform",
    "restore",
    "save_sequence",
]


class CreateVcpu(NamedTuple):
    """KVM_CREATE_VCPU, then KVM_SET_ONE_REG of MPIDR_EL1 unless that is None."""

    mpidr: int | None = None
    vcpu_id: int | None = None
    """What it is called; None: its number in the order of creation."""


class SetMpidr(NamedTuple):
    """KVM_SET_ONE_REG of MPIDR_EL1 (64 bits)."""

    cpu: int
    mpidr: int


class SetAttr(NamedTuple):
    """KVM_SET_DEVICE_ATTR."""

    group: int
    attr: int
    value: int = 0


class CreateIts(NamedTuple):
    """KVM_CREATE_DEVICE of an ITS."""


class SetItsAttr(NamedTuple):
    """KVM_SET_DEVICE_ATTR of an ITS."""

    its: int
    """Which, in the order of creation."""
    group: int
    attr: int
    value: int = 0


Step: TypeAlias = CreateVcpu | SetMpidr | SetAttr | CreateIts | SetItsAttr

_ITS_REGISTERS: Final = (
    gits.CBASER.offset,
    gits.IIDR.offset,
    gits.CREADR.offset,
    gits.CWRITER.offset,
    *(gits.BASER.offset + index * gits.BASER.stride for index in range(gits.BASERS)),
)
"""In the order in which to write them, but for GITS_CTLR: GITS_CBASER resets GITS_CREADR."""


def save_sequence(device: VgicV3Device) -> list[Step]:
    """What to perform on a new device so that its VM goes on where this one is. O(vCPUs + SPIs + ITS tables).

    Rules KVM-36, KVM-55.

    First has LPIs and ITSes written to guest RAM, so that is to be copied afterwards. The new device must be made
    for a VM with the same profile and features. The vCPUs must be stopped: raises KvmError as the device does.
    """
    device.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    for its in device.itses:
        if its.has_address:
            its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)
    return [*_machine(device), *_registers(device), *(step for its in device.itses for step in _its(its))]


def _machine(device: VgicV3Device) -> Iterator[Step]:
    for number, (packed, vcpu_id) in enumerate(zip(device.vcpus, device.vcpu_ids, strict=True)):
        yield CreateVcpu(affinity.to_mpidr(packed), None if vcpu_id == number else vcpu_id)
    yield from (CreateIts() for _ in device.itses)
    yield SetAttr(Group.NR_IRQS, 0, device.get_attr(Group.NR_IRQS, 0))
    yield SetAttr(Group.ADDR, Address.DIST, device.get_attr(Group.ADDR, Address.DIST))
    yield from _regions(device)
    yield SetAttr(Group.CTRL, Control.INIT)


def _regions(device: VgicV3Device) -> Iterator[Step]:
    for index in range(MAX_REGIONS):
        try:
            value = device.get_attr(Group.ADDR, Address.REDIST_REGION, index)
        except KvmError as error:
            if error.errno != errno.ENOENT:
                raise
            return
        region = RegionAttr.unpack(value)
        if region.count:
            yield SetAttr(Group.ADDR, Address.REDIST_REGION, value)
        else:
            yield SetAttr(Group.ADDR, Address.REDIST, region.base)


def _registers(device: VgicV3Device) -> Iterator[Step]:
    affinities = device.vcpus

    def attr_of(group: Group, cpu: int, offset: int) -> int:
        return register_attr(0 if group is Group.DIST_REGS else affinities[cpu], offset)

    def get(group: Group, cpu: int, offset: int) -> int:
        return device.get_attr(group, attr_of(group, cpu, offset))

    yield SetAttr(Group.DIST_REGS, gicd.IIDR.offset, get(Group.DIST_REGS, 0, gicd.IIDR.offset))
    spis = device.get_attr(Group.NR_IRQS, 0) - 32
    for group, cpu, offset, value in settings(get, len(affinities), spis, device.has_lpis, sysregs_of(device.gic)):
        yield SetAttr(group, attr_of(group, cpu, offset), value)


def _its(its: VgicItsDevice) -> Iterator[Step]:
    if not its.has_address:
        return
    yield SetItsAttr(its.number, Group.ADDR, ItsAddress.ITS, its.get_attr(Group.ADDR, ItsAddress.ITS))
    yield SetItsAttr(its.number, Group.CTRL, ItsControl.INIT)
    for offset in _ITS_REGISTERS:
        yield SetItsAttr(its.number, Group.ITS_REGS, offset, its.get_attr(Group.ITS_REGS, offset))
    yield SetItsAttr(its.number, Group.CTRL, ItsControl.RESTORE_TABLES)
    enabled = its.get_attr(Group.ITS_REGS, gits.CTLR.offset) & gits.CTLR.writable
    yield SetItsAttr(its.number, Group.ITS_REGS, gits.CTLR.offset, enabled)


def perform(device: VgicV3Device, step: Step) -> None:
    """Do one step. Raises KvmError as the device does."""
    match step:
        case CreateVcpu(mpidr, vcpu_id):
            device.create_vcpu(mpidr, vcpu_id=vcpu_id)
        case SetMpidr(cpu, mpidr):
            device.set_mpidr(cpu, mpidr)
        case SetAttr(group, attr, value):
            device.set_attr(group, attr, value)
        case CreateIts():
            device.create_its()
        case SetItsAttr(number, group, attr, value):
            if number >= len(device.itses):
                raise KvmError(errno.EBADF, f"ITS {number} has not been created")
            device.itses[number].set_attr(group, attr, value)


def restore(device: VgicV3Device, sequence: Iterable[Step]) -> None:
    """Perform every step on a new device. Raises KvmError for the first that is refused (KVM-36)."""
    for step in sequence:
        perform(device, step)
