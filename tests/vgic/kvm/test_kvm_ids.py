"""vCPU ids: what a VMM calls its vCPUs, in whatever order it creates them."""

import errno

import pytest

import vgic
from kvm_vm import GICD, GICR, refused
from vgic import Ram, affinity
from vgic.kvm import (
    KVM_6_1,
    KVM_6_12,
    KVM_7_2,
    Address,
    Control,
    Group,
    ItsAddress,
    ItsControl,
    KvmVersion,
    VgicV3Device,
    register_attr,
    restore,
    save_sequence,
)
from vgic_tools.compare.command_words import mapc

ORDER = (0, 3, 5, 4, 1, 2)
FRAME = 0x2_0000
TYPER = 0x8


def vm(ids: tuple[int, ...] = ORDER, version: KvmVersion = KVM_7_2) -> VgicV3Device:
    device = VgicV3Device(memory=Ram.zeroed(0x4000_0000, 0x10_0000), version=version)
    for vcpu_id in ids:
        device.create_vcpu(vcpu_id=vcpu_id)
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    device.set_attr(Group.ADDR, Address.REDIST, GICR)
    device.set_attr(Group.CTRL, Control.INIT)
    return device


@pytest.mark.rule("KVM-3")
def test_ids_are_shown_in_typer_whatever_the_order_of_creation() -> None:
    device = vm()
    shown = [device.get_attr(Group.REDIST_REGS, register_attr(vcpu_id, TYPER)) for vcpu_id in ORDER]
    assert shown == [0, 0x300, 0x500, 0x400, 0x100, 0x210]
    with device.run() as gic:
        # The frames lie in the order of creation.
        assert [gic.read(GICR + FRAME * place + TYPER, 4) for place in range(6)] == shown


@pytest.mark.rule("KVM-3")
def test_ids_decide_on_affinities() -> None:
    device = vm((511, 17, 0))
    assert device.vcpu_ids == (511, 17, 0)
    assert device.vcpus == (0x1F0F, 0x0101, 0)


@pytest.mark.rule("KVM-4")
def test_ids_that_cannot_be() -> None:
    device = VgicV3Device()
    for bad in (-1, 512, 1 << 31):
        refused(errno.EINVAL, lambda vcpu_id=bad: device.create_vcpu(vcpu_id=vcpu_id))
    device.create_vcpu(vcpu_id=1)
    refused(errno.EEXIST, lambda: device.create_vcpu(vcpu_id=1))
    # The next one without an id would have this one.
    refused(errno.EEXIST, device.create_vcpu)
    assert device.vcpu_ids == (1,)


@pytest.mark.rule("KVM-3", "KVM-60", "KVM-61")
@pytest.mark.parametrize(("version", "kept"), [(KVM_6_12, {0: 7, 1: 2}), (KVM_6_1, {2: 0, 3: 1})])
def test_collections_go_to_ids_but_in_6_1(version: KvmVersion, kept: dict[int, int]) -> None:
    device = vm((7, 2), version)
    its = device.create_its()
    its.set_attr(Group.ADDR, ItsAddress.ITS, 0x0808_0000)
    valid, queue, table = 1 << 63, 0x4000_0000, 0x4001_0000
    its.set_attr(Group.ITS_REGS, 0x80, valid | queue)
    its.set_attr(Group.ITS_REGS, 0x108, valid | table)
    its.set_attr(Group.ITS_REGS, 0x100, valid | table + 0x1_0000)
    its.set_attr(Group.ITS_REGS, 0, 1)
    commands = b"".join(mapc(collection, rdbase) for collection, rdbase in enumerate((7, 2, 0, 1)))
    device.gic.memory.write(queue, commands)
    its.set_attr(Group.ITS_REGS, 0x88, len(commands))
    assert device.gic.its().tables.kept == kept
    its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)
    again = vm((7, 2), version)
    its = again.create_its()
    its.set_attr(Group.ADDR, ItsAddress.ITS, 0x0808_0000)
    again.gic.memory.write(table, device.gic.memory.read(table, 0x100))
    its.set_attr(Group.ITS_REGS, 0x108, valid | table)
    its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
    assert again.gic.its().tables.kept == kept


@pytest.mark.rule("KVM-3")
def test_ids_move_with_the_vm() -> None:
    device = vm()
    target = VgicV3Device(memory=Ram.zeroed(0x4000_0000, 0x10_0000))
    restore(target, save_sequence(device))
    assert target.vcpu_ids == ORDER
    gic = vgic.State.from_bytes(vgic.State.of(target.gic).to_bytes()).build()
    assert gic.config.topology.processors == ORDER
    assert affinity.from_mpidr(gic.config.topology.mpidr(2)) == 5
    assert VgicV3Device.over(gic).vcpu_ids == ORDER
