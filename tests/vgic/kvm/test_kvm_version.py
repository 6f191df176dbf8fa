"""What kernels differ in."""

import errno

import pytest

from kvm_vm import IIDR, REVISION_2, REVISION_3, TYPER2, refused
from vgic.kvm import KVM_6_12, KVM_7_2, Address, Control, Group, ItsAddress, KvmVersion, VgicV3Device


@pytest.mark.rule("KVM-28", "KVM-61")
def test_what_can_be_said_before_init() -> None:
    device = VgicV3Device(version=KVM_6_12)
    device.create_vcpu()
    for offset in (IIDR, TYPER2):
        refused(errno.EBUSY, lambda at=offset: device.get_attr(Group.DIST_REGS, at))
        refused(errno.EBUSY, lambda at=offset: device.set_attr(Group.DIST_REGS, at, 0))
    device.set_attr(Group.CTRL, Control.INIT)
    assert device.get_attr(Group.DIST_REGS, IIDR) == REVISION_3
    device.set_attr(Group.DIST_REGS, IIDR, REVISION_2)
    device.set_attr(Group.DIST_REGS, TYPER2, 0)
    refused(errno.EINVAL, lambda: device.set_attr(Group.DIST_REGS, TYPER2, 1 << 8))


@pytest.mark.rule("KVM-46", "KVM-61")
@pytest.mark.parametrize("version", [KVM_6_12, KVM_7_2])
def test_unknown_control_of_an_its(version: KvmVersion) -> None:
    device = VgicV3Device(version=version)
    device.create_vcpu()
    its = device.create_its()
    device.set_attr(Group.CTRL, Control.INIT)
    its.set_attr(Group.ADDR, ItsAddress.ITS, 0x0808_0000)
    refused(errno.ENXIO, lambda: its.has_attr(Group.CTRL, 5))
    if version is KVM_7_2:
        refused(errno.ENXIO, lambda: its.set_attr(Group.CTRL, 5))
    else:
        its.set_attr(Group.CTRL, 5)


@pytest.mark.rule("KVM-61", "KVM-62")
def test_the_maintenance_interrupt() -> None:
    old, new = VgicV3Device(version=KVM_6_12), VgicV3Device()
    for call in (old.has_attr, old.get_attr, old.set_attr):
        refused(errno.ENXIO, lambda perform=call: perform(Group.MAINT_IRQ, 0))
    new.has_attr(Group.MAINT_IRQ, Address.DIST)
    assert new.get_attr(Group.MAINT_IRQ, 0) == 0
    for bad in (0, 15, 32, 1 << 20):
        refused(errno.EINVAL, lambda intid=bad: new.set_attr(Group.MAINT_IRQ, 0, intid))
    for intid in (16, 31, 25):
        new.set_attr(Group.MAINT_IRQ, 0, intid)
        assert new.get_attr(Group.MAINT_IRQ, 3) == intid
    new.create_vcpu()
    new.set_attr(Group.CTRL, Control.INIT)
    refused(errno.EBUSY, lambda: new.set_attr(Group.MAINT_IRQ, 0, 25))
