"""GICR_PROPBASER and GICR_PENDBASER as userspace finds them, with an ITS and without."""

import pytest

import vgic
from kvm_vm import Vm
from vgic.kvm import Address, Control, Group, VgicV3Device

PROPBASER, PENDBASER = 0x70, 0x78


@pytest.mark.rule("KVM-63")
def test_without_an_its_they_keep_what_is_written() -> None:
    vm = Vm(2)
    assert (vm.redist(PROPBASER), vm.redist(PENDBASER)) == (0, 0x580)
    vm.set_redist(PROPBASER, 0xFFFF_FFFF)
    vm.set_redist(PENDBASER + 4, 0xFFFF_FFFF, packed=1)
    assert vm.redist(PROPBASER, packed=1) == vm.redist(PROPBASER) == 0xFFFF_FF9F
    # Neither PTZ nor an outer cacheability of its own.
    assert (vm.redist(PENDBASER + 4, packed=1), vm.redist(PENDBASER + 4)) == (0x000F_FFFF, 0)
    vm.set_redist(PROPBASER, 0x80D)
    assert vm.redist(PROPBASER) == 0x58D  # inner shareable for outer, inner write-back for device
    assert vm.gic.read(vm.gic.redistributor_bases[0] + PROPBASER, 8) == 0
    # One half of 32 bits has nothing to do with the other.
    vm.set_redist(PROPBASER + 4, 1)
    vm.set_redist(PROPBASER, 0x80D)
    assert (vm.redist(PROPBASER), vm.redist(PROPBASER + 4)) == (0x58D, 1)
    arch = Vm(profile=vgic.ARCH)  # type: ignore[arg-type]
    arch.set_redist(PENDBASER, 0xFFFF_FFFF)
    assert arch.redist(PENDBASER) == 0


@pytest.mark.rule("KVM-64", "LPI-7")
def test_creating_an_its_resets_propbaser() -> None:
    vm = Vm(2)
    vm.set_redist(PROPBASER, 0x1234_000F)
    vm.set_redist(PENDBASER, 0x4321_0000, packed=1)
    vm.device.create_its()
    assert (vm.redist(PROPBASER), vm.redist(PENDBASER), vm.redist(PENDBASER, packed=1)) == (
        0x580,
        0x580,
        0x4321_0180,
    )
    vm.set_redist(PROPBASER, 0x1234_000F)
    vm.set_redist(PROPBASER + 4, 5)
    vm.device.create_its()
    assert (vm.redist(PROPBASER, packed=1), vm.redist(PROPBASER + 4)) == (0x580, 0)
    # One that is there from the beginning does not wipe out what is written later.
    device = VgicV3Device()
    device.create_vcpu()
    device.create_its()
    device.set_attr(Group.CTRL, Control.INIT)
    device.set_attr(Group.REDIST_REGS, PROPBASER, 0x1234_000F)
    assert device.get_attr(Group.REDIST_REGS, PROPBASER) == 0x1234_018F
    device.set_attr(Group.ADDR, Address.DIST, 0x0800_0000)
    assert device.get_attr(Group.REDIST_REGS, PROPBASER) == 0x1234_018F
