"""What userspace sees of a GIC's registers, and where it differs from what the guest sees."""

import errno

import pytest

import vgic
from kvm_vm import (
    CTLR,
    GICD,
    GICR,
    IIDR,
    IROUTER32,
    REVISION_1,
    REVISION_2,
    REVISION_3,
    STATUSR,
    TYPER,
    TYPER2,
    Vm,
    bare,
    refused,
)
from kvm_vm import SGI_BASE as SGI
from mmio import IllegalAccess
from vgic.kvm import Address, Control, Group, VgicV3Device, level_attr, register_attr

ALL = 0xFFFF_FFFF

IGROUPR1, ISENABLER1, ISPENDR1, ICPENDR1, ICFGR2 = 0x84, 0x104, 0x204, 0x284, 0xC08


# Who may access what, and when.


@pytest.mark.rule("KVM-16")
def test_an_unknown_vcpu_is_found_before_that_there_is_no_gic() -> None:
    device = bare()
    for group in (Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO):
        refused(errno.EINVAL, lambda g=group: device.get_attr(g, register_attr(1, 0)))
        refused(errno.EBUSY, lambda g=group: device.get_attr(g, register_attr(0, 0)))
        refused(errno.EBUSY, lambda g=group: device.set_attr(g, register_attr(0, 0), 0))
    refused(errno.EBUSY, lambda: device.get_attr(Group.DIST_REGS, register_attr(1, CTLR)))
    refused(errno.EINVAL, lambda: VgicV3Device().get_attr(Group.DIST_REGS, IIDR))


@pytest.mark.rule("KVM-17")
def test_registers_are_busy_while_a_vcpu_runs() -> None:
    vm = Vm(2)
    with vm.device.run(1):
        refused(errno.EBUSY, lambda: vm.dist(CTLR))
        refused(errno.EBUSY, lambda: vm.set_dist(IIDR, REVISION_3))
        refused(errno.EBUSY, lambda: vm.redist(CTLR))
        refused(errno.EBUSY, lambda: vm.icc(vgic.ICC_PMR_EL1))
        refused(errno.EBUSY, lambda: vm.level(0))
        refused(errno.EINVAL, lambda: vm.level(0, packed=7))
        assert vm.device.get_attr(Group.NR_IRQS, 0) == 96
    assert vm.dist(CTLR) == 0x50


@pytest.mark.rule("KVM-18")
def test_an_attribute_names_a_vcpu_by_all_four_levels() -> None:
    device = bare(3)
    device.set_mpidr(1, 0x81_8000_0000 | 0x040302)
    device.set_mpidr(2, 0x040302)
    device.set_attr(Group.CTRL, Control.INIT)
    attr = 0x8104_0302 << 32 | SGI + 0x400
    device.set_attr(Group.REDIST_REGS, attr, 0x80)
    assert [device.gic.interrupt(cpu, 0).priority for cpu in range(3)] == [0, 0x80, 0]
    assert device.get_attr(Group.REDIST_REGS, attr) == 0x80
    # The Distributor is the same whatever the key.
    device.set_attr(Group.DIST_REGS, 0x55 << 32 | ISENABLER1, 1)
    assert device.get_attr(Group.DIST_REGS, ISENABLER1) == 1


@pytest.mark.rule("KVM-19")
def test_has_attr_tells_what_there_is() -> None:
    device = bare()
    for group, attr in [
        (Group.ADDR, Address.REDIST_REGION),
        (Group.CTRL, Control.SAVE_PENDING_TABLES),
        (Group.NR_IRQS, 0),
        (Group.DIST_REGS, CTLR),
        (Group.DIST_REGS, IROUTER32 + 4),
        (Group.DIST_REGS, ISENABLER1 + 4),
        (Group.REDIST_REGS, SGI + 0x100),
        (Group.CPU_SYSREGS, vgic.ICC_AP1R0_EL1 + 3),
        (Group.LEVEL_INFO, level_attr(0, 32)),
    ]:
        device.has_attr(group, attr)
    for group, attr in [
        (Group.ADDR, 0),
        (Group.CTRL, 1),
        (Group.DIST_REGS, CTLR + 1),
        (Group.DIST_REGS, 0x40),  # GICD_SETSPI_NSR
        (Group.DIST_REGS, 0xF00),  # GICD_SGIR
        (Group.DIST_REGS, ISENABLER1 + 8),  # INTIDs from 96 on
        (Group.DIST_REGS, IROUTER32 + 8 * 64),
        (Group.REDIST_REGS, 2 * SGI),
        (Group.CPU_SYSREGS, vgic.ICC_IAR1_EL1),
        (Group.LEVEL_INFO, level_attr(0, 32, info=1)),
    ]:
        refused(errno.ENXIO, lambda g=group, a=attr: device.has_attr(g, a))
    refused(errno.EINVAL, lambda: device.has_attr(Group.REDIST_REGS, register_attr(1, 0)))


class Heard:
    """An observer."""

    def __init__(self) -> None:
        self.accesses: list[IllegalAccess | vgic.IllegalSysReg] = []

    def illegal_access(self, access: IllegalAccess) -> None:
        self.accesses.append(access)

    def illegal_sysreg(self, access: vgic.IllegalSysReg) -> None:
        self.accesses.append(access)


@pytest.mark.rule("KVM-20")
def test_accesses_to_nothing_read_as_zero_and_nobody_hears_of_them() -> None:
    heard = Heard()
    device = VgicV3Device(observer=heard)
    device.create_vcpu()
    device.set_attr(Group.CTRL, Control.INIT)
    before = device.gic.save()
    for group in (Group.DIST_REGS, Group.REDIST_REGS):
        for offset in (0x20, 0x40, 0xF00, 0x401, 0x6101, 0x1_FFFC, 0x2_0000, 0xFFFF_FFFC):
            device.set_attr(group, offset, ALL)
            assert device.get_attr(group, offset) == 0
    assert device.gic.save() == before
    assert not heard.accesses


@pytest.mark.rule("KVM-20")
def test_registers_of_64_bits_are_two_words() -> None:
    vm = Vm(a3v=True)
    vm.set_dist(IROUTER32, 0x0003_0201)
    vm.set_dist(IROUTER32 + 4, 0x0000_0004)
    assert (vm.dist(IROUTER32), vm.dist(IROUTER32 + 4)) == (0x0003_0201, 4)
    assert vm.gic.spi(32).affinity == 0x0403_0201
    vm.set_dist(IROUTER32, 0)
    assert vm.dist(IROUTER32 + 4) == 4


@pytest.mark.rule("KVM-20")
def test_values_are_cut_to_the_attributes_width() -> None:
    vm = Vm()
    vm.set_dist(ISENABLER1, 0xAB << 32 | 0b11)
    assert vm.dist(ISENABLER1) == 0b11


# Latches and levels.


@pytest.mark.rule("KVM-21")
def test_userspace_sees_and_replaces_the_latches_alone() -> None:
    vm = Vm()
    vm.set_dist(ICFGR2, 0)
    vm.gic.spi(33).set_level(True)
    assert vm.gic.read(GICD + ISPENDR1, 4) == 0b10
    assert vm.dist(ISPENDR1) == 0
    vm.set_dist(ISPENDR1, 0b1101)
    assert vm.gic.read(GICD + ISPENDR1, 4) == 0b1111
    vm.set_dist(ISPENDR1, 0b0100)
    assert vm.dist(ISPENDR1) == 0b0100
    assert vm.gic.read(GICD + ISPENDR1, 4) == 0b0110
    vm.set_redist(SGI + 0x200, ALL)
    vm.set_redist(SGI + 0x200, 0xFF)
    assert vm.redist(SGI + 0x200) == vm.gic.read(GICR + SGI + 0x200, 4) == 0xFF
    for beyond in (0x200, ISPENDR1 + 8, ISPENDR1 + 4 * 30):
        vm.set_dist(beyond, ALL)
        assert vm.dist(beyond) == 0


@pytest.mark.rule("KVM-21", "STATE-17")
def test_a_restored_latch_is_delivered() -> None:
    """If the Distributor was enabled before; as Linux 6.12 did, asked live."""
    vm = Vm()
    vm.set_dist(ISENABLER1, 1)
    vm.set_dist(ISPENDR1, 1)
    vm.set_icc(vgic.ICC_PMR_EL1, 0xF0)
    vm.set_icc(vgic.ICC_IGRPEN1_EL1, 1)
    vm.set_dist(CTLR, 0b10)
    assert vm.gic.outputs(0) == (False, False)
    vm.set_dist(ISPENDR1, 1)
    assert vm.gic.outputs(0) == (True, False)
    vm.set_dist(ISPENDR1, 0)
    assert vm.gic.outputs(0) == (False, False)


@pytest.mark.rule("KVM-22")
def test_icpendr_does_nothing() -> None:
    vm = Vm()
    vm.set_dist(ISPENDR1, ALL)
    vm.set_dist(ICPENDR1, ALL)
    vm.set_redist(SGI + 0x200, ALL)
    vm.set_redist(SGI + 0x280, ALL)
    assert (vm.dist(ICPENDR1), vm.dist(ISPENDR1)) == (0, ALL)
    assert (vm.redist(SGI + 0x280), vm.redist(SGI + 0x200)) == (0, ALL)


@pytest.mark.rule("KVM-23")
@pytest.mark.parametrize("levels_first", [True, False])
def test_levels_are_kept_whatever_the_trigger_is_meanwhile(levels_first: bool) -> None:
    vm = Vm()
    vm.set_dist(ICFGR2, 0b1000)  # INTID 33 edge-triggered, as another VM left it
    steps = [lambda: vm.set_level(32, 0b11), lambda: vm.set_dist(ICFGR2, 0)]
    for step in steps if levels_first else reversed(steps):
        step()
    assert vm.level(32) == 0b11
    assert vm.dist(ISPENDR1) == 0
    assert vm.gic.read(GICD + ISPENDR1, 4) == 0b11


@pytest.mark.rule("KVM-15", "KVM-23")
def test_levels_that_are_not_told_outlive_a_change_of_what_the_gic_is() -> None:
    vm = Vm()
    vm.set_level(32, 0x00F0)
    vm.set_dist(IIDR, REVISION_2)
    assert vm.level(32) == 0
    vm.set_dist(0xC08, 0)
    assert vm.level(32) == 0x00F0


@pytest.mark.rule("KVM-23")
def test_the_level_of_an_edge_triggered_interrupt_is_not_told() -> None:
    vm = Vm()
    vm.set_level(32, 0b11)
    assert vm.level(32) == 0
    vm.set_dist(ICFGR2, 0b1000)
    assert vm.level(32) == 0b01
    assert vm.dist(ISPENDR1) == 0


@pytest.mark.rule("KVM-23")
def test_a_vm_that_becomes_another_revision_keeps_the_levels_of_edge_triggered_interrupts() -> None:
    vm = Vm(2)
    vm.set_level(32, 0b11)
    vm.set_level(0, 1 << 27, packed=1)
    vm.set_dist(IIDR, REVISION_2)
    vm.set_dist(ICFGR2, 0)
    assert vm.level(32) == 0b11
    assert (vm.level(0, packed=1), vm.level(0)) == (1 << 27, 0)


@pytest.mark.rule("KVM-23")
def test_levels_of_ppis_are_the_vcpus_own_and_those_of_sgis_do_not_exist() -> None:
    vm = Vm(2)
    vm.set_level(0, ALL, packed=1)
    assert (vm.level(0, packed=0), vm.level(0, packed=1)) == (0, 0xFFFF_0000)
    assert vm.gic.ppi(1, 27).level
    vm.set_dist(ICFGR2, 0)
    vm.set_level(32, 1, packed=1)
    assert vm.level(32, packed=0) == 1
    for beyond in (96, 992):
        vm.set_level(beyond, ALL)
        assert vm.level(beyond) == 0


@pytest.mark.rule("KVM-23")
def test_a_profile_that_follows_the_lines_of_edge_triggered_interrupts_tells_them() -> None:
    device = VgicV3Device(profile=vgic.ARCH)
    device.create_vcpu()
    device.set_attr(Group.CTRL, Control.INIT)
    device.set_attr(Group.REDIST_REGS, SGI + 0xC04, ALL)
    device.set_attr(Group.LEVEL_INFO, level_attr(0, 0), ALL)
    assert device.get_attr(Group.LEVEL_INFO, level_attr(0, 0)) == 0xFFFF_0000


@pytest.mark.rule("KVM-24")
def test_levels_come_in_words_of_32_and_nothing_else_does() -> None:
    vm = Vm()
    refused(errno.EINVAL, lambda: vm.level(33))
    refused(errno.EINVAL, lambda: vm.set_level(1, 0))
    refused(errno.EINVAL, lambda: vm.device.get_attr(Group.LEVEL_INFO, level_attr(0, 32, info=1)))


# Registers that say what the GIC is.


@pytest.mark.rule("KVM-25")
def test_read_only_registers_ignore_writes() -> None:
    vm = Vm()
    for offset, value in ((TYPER, 0x0048_0002), (STATUSR, ALL)):
        vm.set_dist(offset, 0x1234_5678)
        assert vm.dist(offset) == value
    for offset, value in ((0x4, 0x4B00_043B), (0x8, 0x10), (0x14, 0), (0xFFE8, 0x3B), (SGI + 0xC04, 0)):
        vm.set_redist(offset, 0x1234_5678)
        assert vm.redist(offset) == value
    vm.set_dist(CTLR, ALL)
    assert vm.dist(CTLR) == 0x52


@pytest.mark.rule("KVM-26")
def test_the_revision_is_the_one_written() -> None:
    vm = Vm()
    assert vm.dist(IIDR) == REVISION_3
    for revision in (REVISION_2, REVISION_3, REVISION_3):
        vm.set_dist(IIDR, revision)
        assert vm.dist(IIDR) == vm.gic.read(GICD + IIDR, 4) == revision
    for bad in (0x4B00_043B, REVISION_1, 0x4B00_443B, 0x4B00_343C, 0x4B01_343B, 0):
        refused(errno.EINVAL, lambda value=bad: vm.set_dist(IIDR, value))
    assert vm.dist(IIDR) == REVISION_3


@pytest.mark.rule("KVM-26")
def test_another_implementation_has_one_revision() -> None:
    vm = VgicV3Device(profile=vgic.ARCH)
    vm.create_vcpu()
    iidr = vm.get_attr(Group.DIST_REGS, IIDR)
    vm.set_attr(Group.DIST_REGS, IIDR, iidr)
    refused(errno.EINVAL, lambda: vm.set_attr(Group.DIST_REGS, IIDR, iidr ^ 0x1000))
    refused(errno.EINVAL, lambda: vm.set_attr(Group.DIST_REGS, IIDR, REVISION_3))


@pytest.mark.rule("KVM-27")
@pytest.mark.parametrize("its", [False, True], ids=["without an ITS", "with an ITS"])
@pytest.mark.parametrize(("iidr", "ctlr"), [(REVISION_2, 0), (REVISION_3, 0b110)])
def test_the_revision_decides_on_what_gicr_ctlr_tells(iidr: int, ctlr: int, its: bool) -> None:
    vm = Vm()
    if its:
        vm.device.create_its()
    vm.set_dist(IIDR, iidr)
    with vm.device.run() as gic:
        gic.write(GICD + IGROUPR1, 4, 0xF0)
        gic.write(GICR + SGI + 0x80, 4, 0xF0)
        assert gic.read(GICD + IGROUPR1, 4) == gic.read(GICR + SGI + 0x80, 4) == 0xF0
        assert gic.read(GICR + CTLR, 4) == ctlr


@pytest.mark.rule("KVM-27")
def test_registers_outlive_a_change_of_revision() -> None:
    vm = Vm()
    vm.set_dist(ISENABLER1, 0xA5)
    vm.set_dist(IIDR, REVISION_2)
    assert vm.dist(ISENABLER1) == 0xA5


@pytest.mark.rule("KVM-27")
def test_a_revision_can_be_taken_back_and_every_register_stays() -> None:
    vm = Vm(2)
    writes = [
        (Group.DIST_REGS, 0, offset, value)
        for offset, value in (
            (0x0, 0b10),
            (0x84, 0xF0),
            (0x104, 0xA5),
            (0x204, 0x81),
            (0x304, 0x42),
            (0x420, 0x4020),
        )
    ]
    writes += [(Group.DIST_REGS, 0, 0xC08, 0x8), (Group.DIST_REGS, 0, IROUTER32, 1)]
    writes += [
        (Group.REDIST_REGS, cpu, SGI + offset, value)
        for cpu in range(2)
        for offset, value in (
            (0x80, 0x0F),
            (0x100, 0x1_0001),
            (0x200, 2),
            (0x300, 0x2_0000),
            (0x400, 0x60 + 8 * cpu),
        )
    ]
    writes += [
        (Group.CPU_SYSREGS, cpu, register, value)
        for cpu in range(2)
        for register, value in ((vgic.ICC_PMR_EL1, 0x80), (vgic.ICC_BPR0_EL1, 4), (vgic.ICC_IGRPEN1_EL1, 1))
    ]
    for group, cpu, offset, value in writes:
        vm.device.set_attr(group, register_attr(cpu, offset), value)
    vm.set_level(32, 1 << 5)

    def held() -> list[int]:
        everything = [vm.device.get_attr(group, register_attr(cpu, offset)) for group, cpu, offset, _ in writes]
        return [*everything, vm.level(32)]

    before = held()
    ctlr = [vm.redist(CTLR, cpu) for cpu in range(2)]
    for revision, tells in ((REVISION_2, 0), (REVISION_3, 0b110), (REVISION_2, 0)):
        vm.set_dist(IIDR, revision)
        assert held() == before
        assert [vm.redist(CTLR, cpu) for cpu in range(2)] == [tells, tells]
        # Groups can be written in either.
        for value in (0x0F, 0xF0):
            vm.set_dist(IGROUPR1, value)
            assert vm.dist(IGROUPR1) == value
    assert ctlr == [0b110, 0b110]


@pytest.mark.rule("KVM-28")
def test_what_can_be_said_before_init() -> None:
    device = bare()
    device.set_attr(Group.DIST_REGS, IIDR, REVISION_2)
    assert device.get_attr(Group.DIST_REGS, IIDR) == REVISION_2
    assert device.get_attr(Group.DIST_REGS, TYPER2) == 0
    device.set_attr(Group.DIST_REGS, TYPER2, 0)
    refused(errno.EINVAL, lambda: device.set_attr(Group.DIST_REGS, TYPER2, 1 << 8))
    refused(errno.EINVAL, lambda: device.set_attr(Group.DIST_REGS, TYPER2, 1))
    device.set_attr(Group.CTRL, Control.INIT)
    assert device.get_attr(Group.DIST_REGS, IIDR) == REVISION_2
    device.set_attr(Group.DIST_REGS, TYPER2, 0)
    refused(errno.EBUSY, lambda: device.set_attr(Group.DIST_REGS, TYPER2, 1 << 8))
