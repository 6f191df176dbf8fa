"""The CPU interface through KVM's attributes, and what of it a host decides."""

import errno

import pytest

import vgic
from kvm_vm import GICD, IIDR, IROUTER32, REVISION_2, REVISION_3, TYPER, Vm, refused
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import Group, VgicV3Device, register_attr, restore, save_sequence

# System registers.


@pytest.mark.rule("KVM-29")
def test_the_system_registers_that_userspace_can_access() -> None:
    vm = Vm()
    for register in (vgic.ICC_IAR1_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_RPR_EL1, 0x1234):
        refused(errno.ENOENT, lambda r=register: vm.icc(r))
        refused(errno.ENOENT, lambda r=register: vm.set_icc(r, 0))
        refused(errno.ENXIO, lambda r=register: vm.device.has_attr(Group.CPU_SYSREGS, r))
    for number in (1, 2, 3):
        refused(errno.EINVAL, lambda n=number: vm.icc(vgic.ICC_AP0R0_EL1 + n))
        refused(errno.EINVAL, lambda n=number: vm.set_icc(vgic.ICC_AP1R0_EL1 + n, 0))
    refused(errno.EINVAL, lambda: vm.set_icc(vgic.ICC_SRE_EL1, 6))
    vm.set_icc(vgic.ICC_SRE_EL1, 1)
    assert vm.icc(vgic.ICC_SRE_EL1) == 7
    for register, value in [
        (vgic.ICC_PMR_EL1, 0xF8),
        (vgic.ICC_BPR0_EL1, 4),
        (vgic.ICC_BPR1_EL1, 5),
        (vgic.ICC_AP0R0_EL1, 0x8000_0001),
        (vgic.ICC_AP1R0_EL1, 0x0001_0000),
        (vgic.ICC_IGRPEN0_EL1, 1),
        (vgic.ICC_IGRPEN1_EL1, 1),
    ]:
        vm.set_icc(register, value)
        assert vm.icc(register) == value == vm.gic.sysreg_read(0, register)


@pytest.mark.rule("KVM-29")
@pytest.mark.parametrize(("bits", "highest"), [(5, 0), (6, 1), (7, 3)])
def test_active_priorities_reach_as_far_as_the_priority_bits(bits: int, highest: int) -> None:
    vm = Vm(host=HostCapabilities(a3v=False, priority_bits=bits, preemption_bits=min(bits, 7)))
    vm.icc(vgic.ICC_AP1R0_EL1 + highest)
    if highest < 3:
        refused(errno.EINVAL, lambda: vm.icc(vgic.ICC_AP1R0_EL1 + highest + 1))


@pytest.mark.rule("KVM-30")
def test_with_cbpr_bpr1_follows_bpr0_and_its_own_value_is_not_carried() -> None:
    vm = Vm()
    vm.set_icc(vgic.ICC_BPR1_EL1, 5)
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x0401)
    vm.set_icc(vgic.ICC_BPR0_EL1, 3)
    vm.set_icc(vgic.ICC_BPR1_EL1, 7)
    assert vm.icc(vgic.ICC_BPR1_EL1) == 4
    vm.set_icc(vgic.ICC_BPR0_EL1, 7)
    assert vm.icc(vgic.ICC_BPR1_EL1) == 7
    copy = VgicV3Device()
    restore(copy, save_sequence(vm.device))
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x0400)
    copy.set_attr(Group.CPU_SYSREGS, register_attr(0, vgic.ICC_CTLR_EL1), 0x0400)
    assert vm.icc(vgic.ICC_BPR1_EL1) == 5
    assert copy.get_attr(Group.CPU_SYSREGS, register_attr(0, vgic.ICC_BPR1_EL1)) != 5


# The host.


@pytest.mark.rule("KVM-31")
@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("own", [True, False])
def test_a_vm_keeps_its_own_a3v_on_a_host_with_another(own: bool, there: bool) -> None:
    vm = Vm(2, HostCapabilities(a3v=not there), a3v=own)
    vm.device.set_mpidr(1, 9 << 32)
    for intid in range(32, 96):
        # No attribute tells an SPI that was never routed (ROUTE-11).
        vm.set_dist(IROUTER32 + 8 * (intid - 32), 0)
    vm.set_dist(IROUTER32 + 4, 9)
    copy = VgicV3Device(HostCapabilities(a3v=there), a3v=own)
    restore(copy, save_sequence(vm.device))
    with copy.run() as gic:
        assert gic.save()["registers"] == vm.gic.save()["registers"]
        assert gic.sysreg_read(0, vgic.ICC_CTLR_EL1) >> 15 & 1 == own
        assert gic.read(GICD + TYPER, 4) >> 24 & 1 == own
        assert gic.spi(32).target == (1 if own else 0)


@pytest.mark.rule("KVM-31")
def test_a_vm_is_not_restored_as_one_with_another_a3v() -> None:
    sequence = save_sequence(Vm(a3v=True).device)
    message = refused(errno.EINVAL, lambda: restore(VgicV3Device(HostCapabilities(a3v=True), a3v=False), sequence))
    assert message == "EINVAL: CPU_SYSREGS ICC_CTLR_EL1 of 0.0.0.0: A3V is 1, this VM's is 0"


@pytest.mark.rule("KVM-32")
@pytest.mark.parametrize("host", [True, False])
def test_kvms_own_check_of_a3v(host: bool) -> None:
    vm = Vm(host=HostCapabilities(a3v=host), a3v_must_match=True)
    assert vm.icc(vgic.ICC_CTLR_EL1) >> 15 & 1 == host
    assert vm.dist(TYPER) >> 24 & 1 == 0
    sequence = save_sequence(vm.device)
    restore(VgicV3Device(HostCapabilities(a3v=host), a3v_must_match=True), sequence)
    other = VgicV3Device(HostCapabilities(a3v=not host), a3v_must_match=True)
    refused(errno.EINVAL, lambda: restore(other, sequence))


@pytest.mark.rule("KVM-33")
def test_a_vm_cannot_be_more_than_its_host() -> None:
    vm = Vm(host=HostCapabilities(a3v=False, priority_bits=6, preemption_bits=6))
    assert vm.icc(vgic.ICC_CTLR_EL1) == 0x0500
    for value, field in ((0x0600, "PRIbits"), (0x0D00, "IDbits"), (0x4500, "SEIS")):
        message = refused(errno.EINVAL, lambda v=value: vm.set_icc(vgic.ICC_CTLR_EL1, v))
        assert field in message
    serrors = Vm(host=HostCapabilities(a3v=False, seis=True))
    assert serrors.icc(vgic.ICC_CTLR_EL1) == 0x4400
    refused(errno.EINVAL, lambda: serrors.set_icc(vgic.ICC_CTLR_EL1, 0x0400))


@pytest.mark.rule("KVM-33")
def test_a_vm_can_be_less_than_its_host() -> None:
    vm = Vm(2, HostCapabilities(a3v=False, priority_bits=7, preemption_bits=7, id_bits=24))
    assert vm.icc(vgic.ICC_CTLR_EL1) == 0x0E00
    vm.set_icc(vgic.ICC_PMR_EL1, 0xFE)
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x0402)
    assert vm.icc(vgic.ICC_CTLR_EL1) == 0x0402
    # One VM, one CPU interface: as wide as the widest of its vCPUs'.
    attr = register_attr(1, vgic.ICC_CTLR_EL1)
    assert vm.device.get_attr(Group.CPU_SYSREGS, attr) == 0x0E00
    assert vm.gic.sysreg_read(0, vgic.ICC_CTLR_EL1) == 0x0E02
    vm.device.set_attr(Group.CPU_SYSREGS, attr, 0x0400)
    with vm.device.run() as gic:
        assert [gic.sysreg_read(cpu, vgic.ICC_CTLR_EL1) for cpu in (0, 1)] == [0x0402, 0x0400]
    assert vm.icc(vgic.ICC_PMR_EL1) == 0xF8


@pytest.mark.rule("KVM-33")
def test_each_vcpu_has_widths_of_its_own_which_a_refusal_may_lower() -> None:
    vm = Vm(2, HostCapabilities(a3v=True, id_bits=24), a3v_must_match=True)
    other = register_attr(1, vgic.ICC_CTLR_EL1)
    assert (vm.icc(vgic.ICC_CTLR_EL1), vm.device.get_attr(Group.CPU_SYSREGS, other)) == (0x8C00, 0x8C00)
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x8B01)
    assert (vm.icc(vgic.ICC_CTLR_EL1), vm.device.get_attr(Group.CPU_SYSREGS, other)) == (0x8B01, 0x8C00)
    for refusal, left in ((0x8C00, 0x8B01), (0x1A00, 0x8A01), (0x0100, 0x8101), (0xC000, 0x8001), (0x8800, 0x8001)):
        refused(errno.EINVAL, lambda value=refusal: vm.set_icc(vgic.ICC_CTLR_EL1, value))
        assert vm.icc(vgic.ICC_CTLR_EL1) == left
    assert vm.gic.sysreg_read(0, vgic.ICC_CTLR_EL1) == 0x8C01, "the guest sees the host's"


@pytest.mark.rule("KVM-33")
def test_a_cpu_interface_is_no_narrower_than_one_can_be() -> None:
    vm = Vm(host=HostCapabilities(a3v=False, id_bits=24))
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x0200)
    assert vm.icc(vgic.ICC_CTLR_EL1) == 0x0200
    # 3 bits of priority: no GIC has fewer than 4.
    assert vm.gic.sysreg_read(0, vgic.ICC_CTLR_EL1) == 0x0300
    vm.set_dist(IIDR, REVISION_2)
    assert vm.icc(vgic.ICC_CTLR_EL1) == 0x0200


@pytest.mark.rule("KVM-29", "KVM-33")
def test_active_priorities_reach_as_far_as_the_vcpu_says() -> None:
    vm = Vm(2, HostCapabilities(a3v=False, priority_bits=7, preemption_bits=7))
    vm.set_icc(vgic.ICC_AP1R0_EL1 + 1, 1)
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x0400)
    refused(errno.EINVAL, lambda: vm.icc(vgic.ICC_AP1R0_EL1 + 1))
    refused(errno.EINVAL, lambda: vm.set_icc(vgic.ICC_AP0R0_EL1 + 1, 0))
    vm.device.set_attr(Group.CPU_SYSREGS, register_attr(1, vgic.ICC_AP1R0_EL1 + 3), 1)


@pytest.mark.rule("KVM-35")
def test_what_the_gic_is_can_change_while_the_vcpus_are_stopped() -> None:
    vm = Vm(host=HostCapabilities(a3v=False, priority_bits=7, preemption_bits=7))
    with vm.device.run() as gic:
        gic.spi(40).set_level(True)
        refused(errno.EBUSY, lambda: vm.set_dist(IIDR, REVISION_2))
    vm.set_dist(IIDR, REVISION_3)
    assert vm.gic is gic
    vm.set_dist(IIDR, REVISION_2)
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x0400)
    assert vm.gic is not gic
    with vm.device.run() as gic:
        assert gic.read(GICD + IIDR, 4) == REVISION_2
        assert gic.sysreg_read(0, vgic.ICC_CTLR_EL1) == 0x0400
        assert gic.spi(40).pending
    given = VgicV3Device.over(gic)
    refused(errno.EBUSY, lambda: given.set_attr(Group.DIST_REGS, IIDR, REVISION_3))
    assert given.gic is gic


@pytest.mark.rule("KVM-29")
def test_pmr_and_bpr_read_as_written_until_the_vcpu_runs() -> None:
    vm = Vm(2)
    assert [vm.icc(register) for register in (vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)] == [0, 0]
    for register, value in ((vgic.ICC_PMR_EL1, 0xFF), (vgic.ICC_BPR0_EL1, 1), (vgic.ICC_BPR1_EL1, 2)):
        vm.set_icc(register, value)
        assert vm.icc(register) == value
    with vm.device.run(1):
        pass
    assert vm.icc(vgic.ICC_PMR_EL1) == 0xFF
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x401)
    assert vm.icc(vgic.ICC_BPR1_EL1) == 2  # BPR0, which is 1, and one more
    vm.set_icc(vgic.ICC_CTLR_EL1, 0x400)
    with vm.device.run():
        pass
    registers = (vgic.ICC_PMR_EL1, vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)
    assert [vm.icc(register) for register in registers] == [0xF8, 2, 3]
