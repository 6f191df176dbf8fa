"""KVM's device-attribute interface to a GICv3 with ITSes: what a VMM calls to create, save, restore, migrate a VM.

>>> from vgic.kvm import Address, Control, Group, VgicV3Device
>>> device = VgicV3Device()
>>> device.create_vcpu()
0
>>> device.set_attr(Group.CTRL, Control.INIT)
>>> hex(device.get_attr(Group.DIST_REGS, 0x0008))  # GICD_IIDR: KVM's, revision 3
'0x4b00343b'

Facts are from Linux, Documentation/virt/kvm/devices/arm-vgic-v3.rst and arm-vgic-its.rst, and from what KVM does;
the rules are in specs/kvm.md.
"""

from vgic.kvm.device import MAX_VCPUS, VgicV3Device
from vgic.kvm.errors import KvmError
from vgic.kvm.its import VgicItsDevice
from vgic.kvm.migration import (
    CreateIts,
    CreateVcpu,
    SetAttr,
    SetItsAttr,
    SetMpidr,
    Step,
    VmDevices,
    perform,
    restore,
    save_sequence,
)
from vgic.kvm.order import BlankRam, Finding, OrderCheck, Verdict
from vgic.kvm.uapi import (
    ADDR_UNDEFINED,
    Address,
    Control,
    Group,
    ItsAddress,
    ItsControl,
    RegionAttr,
    attr_key,
    attr_offset,
    describe,
    level_attr,
    register_attr,
)
from vgic.kvm.version import KVM_6_1, KVM_6_12, KVM_7_2, KvmVersion

__all__ = [
    "ADDR_UNDEFINED",
    "KVM_6_1",
    "KVM_6_12",
    "KVM_7_2",
    "MAX_VCPUS",
    "Address",
    "BlankRam",
    "Control",
    "CreateIts",
    "CreateVcpu",
    "Finding",
    "Group",
    "ItsAddress",
    "ItsControl",
    "KvmError",
    "KvmVersion",
    "OrderCheck",
    "RegionAttr",
    "SetAttr",
    "SetItsAttr",
    "SetMpidr",
    "Step",
    "Verdict",
    "VgicItsDevice",
    "VgicV3Device",
    "VmDevices",
    "attr_key",
    "attr_offset",
    "describe",
    "level_attr",
    "perform",
    "register_attr",
    "restore",
    "save_sequence",
]
