"""Moving a VM: the calls that carry its GIC from one device to another, in the order that KVM documents.

1. every vCPU, in creation order, and its MPIDR: attributes name vCPUs by it;
2. the ITSes: without one there are no LPIs;
3. the number of interrupts, and the addresses with the regions in the order of their index;
4. CTRL_INIT, then GICD_IIDR, which says how the rest is meant;
5. the Distributor's registers, each Redistributor's, the levels of the lines, each CPU interface's;
6. of each ITS its address, GITS_CBASER, its other registers, RESTORE_TABLES, and GITS_CTLR, which may enable it.

What LPIs and ITSes keep of their own goes through guest RAM, which the new VM must have a copy of beforehand.

The devices are those of `vgic.kvm`, or of a real KVM: whatever answers these calls (`VmDevices`).
"""

import errno
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

from vgic import affinity
from vgic.kvm.errors import KvmError
from vgic.kvm.settings import SYSREG_ORDER, settings
from vgic.kvm.uapi import (
    ADDR_UNDEFINED,
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
    "VmDevices",
    "perform",
    "restore",
    "save_sequence",
]


class AttributeDevice(Protocol):
    """A device whose attributes are KVM's. Raises KvmError where KVM refuses."""

    def set_attr(self, group: int, attr: int, value: int = 0, /) -> None:
        """KVM_SET_DEVICE_ATTR."""

    def get_attr(self, group: int, attr: int, value: int = 0, /) -> int:
        """KVM_GET_DEVICE_ATTR; `value` is what the caller's variable holds before."""


class VmDevices(AttributeDevice, Protocol):
    """A VM as its VMM sees it: vCPUs, ITSes, and the attributes of its GIC. `VgicV3Device` is one."""

    @property
    def vcpus(self) -> tuple[int, ...]:
        """The packed affinities of the vCPUs, in creation order."""

    @property
    def vcpu_ids(self) -> tuple[int, ...]:
        """What the vCPUs are called, in creation order."""

    @property
    def itses(self) -> Sequence[AttributeDevice]:
        """The ITSes, in creation order."""

    def create_vcpu(self, mpidr: int | None = None, *, vcpu_id: int | None = None) -> int:
        """KVM_CREATE_VCPU: the number of the new vCPU."""

    def set_mpidr(self, cpu: int, mpidr: int) -> None:
        """KVM_SET_ONE_REG of MPIDR_EL1."""

    def create_its(self) -> AttributeDevice:
        """KVM_CREATE_DEVICE of an ITS."""


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


def save_sequence(device: VmDevices) -> list[Step]:
    """What to perform on a new device so that its VM goes on where this one is. O(vCPUs + SPIs + ITS tables).

    Rules KVM-36, KVM-55.

    First has LPIs and ITSes written to guest RAM, so that is to be copied afterwards. The new device must be made
    for a VM with the same profile and features. The vCPUs must be stopped: raises KvmError as the device does.
    """
    device.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    for its in device.itses:
        if _address(its) != ADDR_UNDEFINED:
            its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)
    parts = (_machine(device), _registers(device), *(_its(*one) for one in enumerate(device.itses)))
    return [step for part in parts for step in part]


def _machine(device: VmDevices) -> Iterator[Step]:
    for number, (packed, vcpu_id) in enumerate(zip(device.vcpus, device.vcpu_ids, strict=True)):
        yield CreateVcpu(affinity.to_mpidr(packed), None if vcpu_id == number else vcpu_id)
    yield from (CreateIts() for _ in device.itses)
    yield SetAttr(Group.NR_IRQS, 0, device.get_attr(Group.NR_IRQS, 0))
    yield SetAttr(Group.ADDR, Address.DIST, device.get_attr(Group.ADDR, Address.DIST))
    yield from _regions(device)
    yield SetAttr(Group.CTRL, Control.INIT)


def _regions(device: VmDevices) -> Iterator[Step]:
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


def _registers(device: VmDevices) -> Iterator[Step]:
    affinities = device.vcpus

    def attr_of(group: Group, cpu: int, offset: int) -> int:
        return register_attr(0 if group is Group.DIST_REGS else affinities[cpu], offset)

    def get(group: Group, cpu: int, offset: int) -> int:
        return device.get_attr(group, attr_of(group, cpu, offset))

    def has_sysreg(encoding: int) -> bool:
        try:
            get(Group.CPU_SYSREGS, 0, encoding)
        except KvmError as error:
            if error.errno != errno.EINVAL:
                raise
            return False
        return True

    yield SetAttr(Group.DIST_REGS, gicd.IIDR.offset, get(Group.DIST_REGS, 0, gicd.IIDR.offset))
    spis = device.get_attr(Group.NR_IRQS, 0) - 32
    lpis = get(Group.DIST_REGS, 0, gicd.TYPER.offset) & gicd.TYPER.mask("LPIS") != 0
    sysregs = [encoding for encoding in SYSREG_ORDER if has_sysreg(encoding)]
    for group, cpu, offset, value in settings(get, len(affinities), spis, lpis, sysregs):
        yield SetAttr(group, attr_of(group, cpu, offset), value)


def _address(its: AttributeDevice) -> int:
    return its.get_attr(Group.ADDR, ItsAddress.ITS)


def _its(number: int, its: AttributeDevice) -> Iterator[Step]:
    if _address(its) == ADDR_UNDEFINED:
        return
    yield SetItsAttr(number, Group.ADDR, ItsAddress.ITS, _address(its))
    yield SetItsAttr(number, Group.CTRL, ItsControl.INIT)
    for offset in _ITS_REGISTERS:
        yield SetItsAttr(number, Group.ITS_REGS, offset, its.get_attr(Group.ITS_REGS, offset))
    yield SetItsAttr(number, Group.CTRL, ItsControl.RESTORE_TABLES)
    enabled = its.get_attr(Group.ITS_REGS, gits.CTLR.offset) & gits.CTLR.writable
    yield SetItsAttr(number, Group.ITS_REGS, gits.CTLR.offset, enabled)


def perform(device: VmDevices, step: Step) -> None:
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


def restore(device: VmDevices, sequence: Iterable[Step]) -> None:
    """Perform every step on a new device. Raises KvmError for the first that is refused (KVM-36)."""
    for step in sequence:
        perform(device, step)
