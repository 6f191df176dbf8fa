"""An ITS as a device of its own behind KVM's attributes: its life, its address, its registers, its messages."""

import errno
from functools import partial

import pytest

import vgic
from its_driver import RAM, SPURIOUS, ItsDriver
from kvm_its import GICD, GICR, ITS, ITS_SIZE, ItsVm, new_device
from kvm_vm import Vm, bare, refused
from vgic import Ram
from vgic.kvm import (
    ADDR_UNDEFINED,
    Address,
    Control,
    Group,
    ItsAddress,
    ItsControl,
    RegionAttr,
    VgicItsDevice,
    VgicV3Device,
    register_attr,
    save_sequence,
)
from vgic.layouts import gicd, gicr, gits
from vgic.layouts.its_commands import COMMAND_SIZE, encode

LPIS = 1 << 17
TYPER_OF_GICD = gicd.TYPER.offset
CTLR, IIDR, TYPER, CBASER, CWRITER, CREADR, BASER0, PIDR2 = 0x0, 0x4, 0x8, 0x80, 0x88, 0x90, 0x100, 0xFFE8
QUEUE = 0x9800_0000_4100_040F
"""A GITS_CBASER as KVM keeps it: 64 KiB at 0x4100_0000."""
TRANSLATER = ITS + 0x1_0040


def reg(its: VgicItsDevice, offset: int) -> int:
    return its.get_attr(Group.ITS_REGS, offset)


def set_reg(its: VgicItsDevice, offset: int, value: int) -> None:
    its.set_attr(Group.ITS_REGS, offset, value)


def idle() -> VgicItsDevice:
    """The ITS of a VM that has run and whose guest has done nothing."""
    return ItsVm().its


# A VM's life.


@pytest.mark.rule("KVM-43")
def test_with_an_its_a_vm_has_lpis() -> None:
    without, with_one = Vm(2), ItsVm()
    assert not without.dist(TYPER_OF_GICD) & LPIS
    assert not without.device.has_lpis
    typer = with_one.device.get_attr(Group.DIST_REGS, TYPER_OF_GICD)
    assert typer & LPIS
    assert gicd.TYPER.field("IDbits").extract(typer) == 15
    assert with_one.device.has_lpis
    for vm, enabled in ((without, 0), (with_one, 1)):
        vm.device.set_attr(Group.REDIST_REGS, gicr.CTLR.offset, 1)
        assert vm.device.get_attr(Group.REDIST_REGS, gicr.CTLR.offset) & 1 == enabled


@pytest.mark.rule("KVM-43")
def test_an_its_may_come_before_init_or_after_and_after_the_first_run() -> None:
    device = bare(1)
    first = device.create_its()
    device.set_attr(Group.CTRL, Control.INIT)
    second = device.create_its()
    assert [its.number for its in device.itses] == [0, 1]
    assert (first, second) == device.itses
    assert len(device.gic.config.its) == 2
    with device.run():
        assert "creation of ITS 2" in refused(errno.EBUSY, device.create_its)
    device.create_its()
    reason = refused(errno.EINVAL, lambda: first.set_attr(Group.ADDR, ItsAddress.ITS, GICD))
    assert "overlaps" in reason
    first.set_attr(Group.ADDR, ItsAddress.ITS, ITS)
    assert reg(first, TYPER) == device.gic.its().typer
    assert device.gic.config.its[0] == ITS
    for number in (1, 2):
        device.itses[number].set_attr(Group.ADDR, ItsAddress.ITS, ITS + (16 + number) * ITS_SIZE)
    given = VgicV3Device.over(device.gic)
    assert "creation of ITS 3" in refused(errno.EBUSY, given.create_its)


@pytest.mark.rule("KVM-43", "KVM-1")
def test_an_its_has_no_other_groups() -> None:
    its = idle()
    for group in (Group.DIST_REGS, Group.NR_IRQS, 99):
        for call in (its.set_attr, its.get_attr, its.has_attr):
            reason = refused(errno.ENXIO, partial(call, group, 0))
            assert reason.startswith("ENXIO: ITS 0: ")
    refused(errno.ENXIO, lambda: its.get_attr(Group.CTRL, 0))


@pytest.mark.rule("KVM-43")
def test_a_gic_that_runs_has_its_itses_behind_attributes() -> None:
    ram = Ram.zeroed(RAM, 0x1000)
    itses = (ITS, ITS + 16 * ITS_SIZE)
    config = vgic.Config(vgic.Topology.kvm(1), profile=vgic.KVM, its=itses)
    device = VgicV3Device.over(vgic.Gic(config, memory=ram))
    assert tuple(its.get_attr(Group.ADDR, ItsAddress.ITS) for its in device.itses) == itses
    assert reg(device.itses[1], TYPER) == 0x1EF71


# Its address.


@pytest.mark.rule("KVM-44")
def test_the_address_of_an_its() -> None:
    device = bare(1)
    its = device.create_its()
    assert its.get_attr(Group.ADDR, ItsAddress.ITS) == ADDR_UNDEFINED
    assert not its.has_address
    its.has_attr(Group.ADDR, ItsAddress.ITS)
    for number, base in (
        (errno.EINVAL, ITS + 0x1000),
        (errno.EINVAL, (1 << 64) - 0x1_0000),
        (errno.E2BIG, 1 << 40),
        (errno.E2BIG, (1 << 40) - 0x1_0000),
    ):
        refused(number, partial(its.set_attr, Group.ADDR, ItsAddress.ITS, base))
    its.set_attr(Group.ADDR, ItsAddress.ITS, ITS)
    assert its.get_attr(Group.ADDR, ItsAddress.ITS) == ITS
    refused(errno.EEXIST, lambda: its.set_attr(Group.ADDR, ItsAddress.ITS, ITS))
    for call in (its.set_attr, its.get_attr):
        refused(errno.ENODEV, partial(call, Group.ADDR, Address.DIST))
    refused(errno.ENXIO, lambda: its.has_attr(Group.ADDR, Address.DIST))
    refused(errno.ENXIO, lambda: device.has_attr(Group.ADDR, ItsAddress.ITS))


@pytest.mark.rule("KVM-44")
def test_an_its_without_an_address_is_out_of_reach_and_harmless() -> None:
    device = bare(1)
    its = device.create_its()
    device.set_attr(Group.CTRL, Control.INIT)
    with device.run() as gic:
        assert gic.config.its[0] >= 1 << 40
    refused(errno.ENXIO, lambda: reg(its, CTLR))
    refused(errno.ENXIO, lambda: its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES))
    assert [step for step in save_sequence(device) if type(step).__name__ == "SetItsAttr"] == []


@pytest.mark.rule("KVM-45")
@pytest.mark.parametrize("base", [GICD, GICR - 0x1_0000, GICR + 0x2_0000])
def test_an_its_that_overlaps_is_found_at_the_first_run(base: int) -> None:
    device = new_device(Ram.zeroed(RAM, 0x1000))
    for _ in range(2):
        device.create_vcpu()
    its = device.create_its()
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    device.set_attr(Group.ADDR, Address.REDIST, GICR)
    its.set_attr(Group.ADDR, ItsAddress.ITS, base)
    device.set_attr(Group.CTRL, Control.INIT)
    assert reg(its, TYPER) == 0x1EF71
    assert f"the ITS at {base:#x} overlaps" in refused(errno.EINVAL, device.run)


@pytest.mark.rule("KVM-15")
def test_addresses_and_itses_may_come_after_lpis_and_its_registers() -> None:
    """Another GIC takes over what is pending in the one before."""
    ram = Ram.zeroed(RAM, 0x40_0000)
    device = new_device(ram)
    device.create_vcpu()
    its = device.create_its()
    its.set_attr(Group.ADDR, ItsAddress.ITS, ITS)
    device.set_attr(Group.CTRL, Control.INIT)
    properties, pending = RAM + 0x1_0000, RAM + 0x2_0000
    ram.write(properties + 3, b"\xa3")
    for offset, value in ((0x70, properties | 15), (0x78, pending), (0x0, 1)):
        device.set_attr(Group.REDIST_REGS, register_attr(0, offset), value)
    device.set_attr(Group.DIST_REGS, register_attr(0, 0), 2)
    assert device.gic.lpis(0).make_pending(8195)
    ram.write(properties + 3, b"\xa2")
    set_reg(its, CBASER, QUEUE)
    set_reg(its, CREADR, 0x40)
    set_reg(its, CWRITER, 0x60)
    set_reg(its, BASER0, 0x9907_0000_4200_0607)
    before = device.gic
    before.its().queue.unfinished = True
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    device.set_attr(Group.ADDR, Address.REDIST_REGION, RegionAttr(GICR, 1, 0).pack())
    another = device.create_its()
    assert [reg(its, offset) for offset in (CBASER, CREADR, CWRITER, BASER0)] == [
        QUEUE,
        0x40,
        0x60,
        0x9907_0000_4200_0607,
    ]
    assert another.number == 1
    assert device.gic is not before
    assert device.gic.its().queue.unfinished
    with device.run() as gic:
        assert gic.lpis(0).configuration.held(8195) == 0xA3
        assert list(gic.lpis(0).pending) == [8195]
        gic.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)
        gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL1, 1)
        gic.check()
        assert gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == 8195
        assert gic.sysreg_read(0, vgic.ICC_IAR1_EL1) == SPURIOUS


# CTRL.


@pytest.mark.rule("KVM-46")
def test_what_an_its_can_be_told() -> None:
    vm = ItsVm()
    for control in ItsControl:
        vm.its.has_attr(Group.CTRL, control)
        vm.its.set_attr(Group.CTRL, control)
    refused(errno.ENXIO, lambda: vm.its.has_attr(Group.CTRL, Control.SAVE_PENDING_TABLES))
    refused(errno.ENXIO, lambda: vm.its.set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES))
    refused(errno.ENXIO, lambda: vm.device.set_attr(Group.CTRL, ItsControl.SAVE_TABLES))
    with vm.device.run():
        vm.its.set_attr(Group.CTRL, ItsControl.INIT)
        for control in (ItsControl.RESET, ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES):
            refused(errno.EBUSY, partial(vm.its.set_attr, Group.CTRL, control))


@pytest.mark.rule("KVM-46")
def test_an_its_has_its_registers_before_init_of_the_gic() -> None:
    device = bare(1)
    its = device.create_its()
    refused(errno.ENXIO, lambda: reg(its, TYPER))
    its.set_attr(Group.ADDR, ItsAddress.ITS, ITS)
    assert reg(its, TYPER) & 1
    its.set_attr(Group.CTRL, ItsControl.SAVE_TABLES)
    its.set_attr(Group.ITS_REGS, CBASER, 1 << 63 | 0x4000_0000)
    held = reg(its, CBASER)
    assert held & 1 << 63
    # Whatever is created meanwhile.
    device.create_vcpu()
    device.create_its()
    assert reg(its, CBASER) == held
    device.set_attr(Group.CTRL, Control.INIT)
    assert reg(its, CBASER) == held
    assert device.gic.its().queue.cbaser == held


@pytest.mark.rule("KVM-46")
def test_an_its_has_its_registers_before_there_is_a_vcpu() -> None:
    device = bare(0)
    its = device.create_its()
    its.set_attr(Group.ADDR, ItsAddress.ITS, ITS)
    its.set_attr(Group.ITS_REGS, CBASER, 1 << 63 | 0x4000_0000)
    held = reg(its, CBASER)
    device.create_vcpu()
    device.set_attr(Group.CTRL, Control.INIT)
    assert reg(its, CBASER) == held
    assert held & 1 << 63


@pytest.mark.rule("KVM-47")
@pytest.mark.parametrize("profile", [vgic.KVM, vgic.ARCH], ids=lambda profile: profile.name)
def test_reset_is_the_state_at_creation_but_for_valid_alone(profile: vgic.Profile) -> None:
    vm = ItsVm(profile=profile)
    fresh = {offset: reg(vm.its, offset) for offset in (CTLR, CBASER, CWRITER, CREADR)}
    driver = vm.driver()
    driver.map_device(0x10, events=4)
    driver.map_event(0x10, 0, cpu=1)
    basers = [reg(vm.its, BASER0 + 8 * index) for index in range(2)]
    assert fresh != {offset: reg(vm.its, offset) for offset in fresh}
    vm.its.set_attr(Group.CTRL, ItsControl.RESET)
    assert fresh == {offset: reg(vm.its, offset) for offset in fresh}
    assert [reg(vm.its, BASER0 + 8 * index) for index in range(2)] == [value & ~(1 << 63) for value in basers]
    refused(errno.EBUSY, lambda: vm.device.signal_msi(TRANSLATER, 0, 0x10))
    # What the guest sets up anew is new.
    again = ItsDriver(vm.gic, vm.ram, memory=driver.memory)
    again.start_its()
    assert vm.device.signal_msi(TRANSLATER, 0, 0x10) == 0
    assert vm.gic.its().tables.kept == {}
    vm.gic.check()


# Registers.


@pytest.mark.rule("KVM-48")
def test_registers_are_accessed_whole() -> None:
    its = idle()
    assert reg(its, TYPER) == 0x1EF71
    assert reg(its, IIDR) == 0x4B00_043B
    assert reg(its, PIDR2) == 0x3B
    set_reg(its, CBASER, 1 << 64 | QUEUE)
    assert reg(its, CBASER) == QUEUE
    set_reg(its, TYPER, 0)
    assert reg(its, TYPER) == 0x1EF71
    # Bits of no register of 32 bits.
    set_reg(its, CTLR, 1 << 32)
    assert reg(its, CTLR) == 1 << 31


@pytest.mark.rule("KVM-48")
@pytest.mark.parametrize(
    ("offset", "number"),
    [
        *((offset, errno.EINVAL) for offset in (0x2, 0xC, 0x84, 0xFFCC, 0xFFEA)),
        *((offset, errno.ENXIO) for offset in (0x18, 0x40, 0xA0, 0x140, 0x1_0040)),
    ],
)
def test_what_is_no_register(offset: int, number: int) -> None:
    its = idle()
    for call in (its.get_attr, its.set_attr, its.has_attr):
        assert "ITS 0: ITS_REGS" in refused(number, partial(call, Group.ITS_REGS, offset))


@pytest.mark.rule("KVM-48")
def test_what_is_a_register() -> None:
    its = idle()
    for offset in (CTLR, IIDR, TYPER, CBASER, CWRITER, CREADR, *range(BASER0, BASER0 + 64, 8), 0xFFD0, 0xFFFC):
        its.has_attr(Group.ITS_REGS, offset)
        reg(its, offset)


@pytest.mark.rule("KVM-48")
def test_registers_are_busy_while_a_vcpu_runs() -> None:
    vm = ItsVm()
    with vm.device.run(1):
        assert "vCPU 1 is running" in refused(errno.EBUSY, lambda: reg(vm.its, TYPER))
        refused(errno.EBUSY, lambda: set_reg(vm.its, CTLR, 0))
        refused(errno.EINVAL, lambda: reg(vm.its, TYPER + 4))
        assert vm.its.get_attr(Group.ADDR, ItsAddress.ITS) == ITS


@pytest.mark.rule("KVM-49")
def test_reading_does_not_move_the_queue() -> None:
    vm = ItsVm()
    driver = vm.driver()
    its = vm.gic.its()
    before = reg(vm.its, CREADR)
    driver.put(before, encode("MAPC", ICID=9, RDbase=1, V=1))
    # As if the budget of an access had been spent.
    its.queue.cwriter = before + COMMAND_SIZE
    its.queue.unfinished = True
    assert reg(vm.its, CREADR) == before
    assert reg(vm.its, CTLR) == 1
    assert 9 not in its.tables.kept
    assert driver.read(gits.CREADR) == before + COMMAND_SIZE
    assert its.tables.kept[9] == 1
    assert reg(vm.its, CTLR) == 1 << 31 | 1


@pytest.mark.rule("KVM-50")
def test_the_reader_of_the_queue_can_be_set() -> None:
    its = idle()
    # Before GITS_CBASER is written its Size says 4 KiB.
    set_reg(its, CREADR, 0xFE0)
    refused(errno.EINVAL, lambda: set_reg(its, CREADR, 0x1000))
    set_reg(its, CBASER, QUEUE)
    set_reg(its, CREADR, 0xFFE1)
    assert reg(its, CREADR) == 0xFFE0
    assert "beyond the queue" in refused(errno.EINVAL, lambda: set_reg(its, CREADR, 0x1_0000))
    set_reg(its, CBASER, QUEUE)
    assert reg(its, CREADR) == 0


@pytest.mark.rule("KVM-50")
def test_the_reader_of_a_queue_in_use_cannot_be_set() -> None:
    vm = ItsVm()
    vm.driver()
    assert "the ITS is enabled" in refused(errno.EBUSY, lambda: set_reg(vm.its, CREADR, 0))


@pytest.mark.rule("KVM-51")
def test_there_is_one_revision_of_the_tables() -> None:
    its = idle()
    set_reg(its, IIDR, 0x4B00_043B)
    set_reg(its, IIDR, 0)
    refused(errno.EINVAL, lambda: set_reg(its, IIDR, 0x4B00_143B))
    assert reg(its, IIDR) == 0x4B00_043B


# Messages.


@pytest.mark.rule("KVM-52")
def test_a_message_is_delivered_or_blocked() -> None:
    vm = ItsVm()
    driver = vm.driver()
    driver.map_device(0x10, events=4)
    intid = driver.map_event(0x10, 3, cpu=1)
    assert vm.device.signal_msi(TRANSLATER, 3, 0x10) == 1
    assert driver.take(1) == intid
    # Any address of the ITS will do.
    assert vm.device.signal_msi(ITS, 3, 0x10) == 1
    assert vm.device.signal_msi(TRANSLATER, 2, 0x10) == 0
    assert vm.device.signal_msi(TRANSLATER, 3, 0x11) == 0
    assert vm.device.signal_msi(TRANSLATER, 1 << 31, 1 << 31) == 0
    driver.unmap_collection(1)
    assert vm.device.signal_msi(TRANSLATER, 3, 0x10) == 0


@pytest.mark.rule("KVM-52")
def test_a_message_that_cannot_be_sent() -> None:
    assert "no ITS" in refused(errno.ENODEV, lambda: bare(1).signal_msi(TRANSLATER, 0, 0))
    vm = ItsVm()
    refused(errno.EINVAL, lambda: vm.device.signal_msi(TRANSLATER, 0))
    refused(errno.EINVAL, lambda: vm.device.signal_msi(ITS + ITS_SIZE, 0, 0))
    refused(errno.EINVAL, lambda: vm.device.signal_msi(GICD, 0, 0))
    assert "Enabled is 0" in refused(errno.EBUSY, lambda: vm.device.signal_msi(TRANSLATER, 0, 0))
    driver = vm.driver()
    table = driver.map_device(0x10, events=2)
    driver.map_event(0x10, 0, cpu=1)
    driver.enable_lpis(1, False)
    assert "EnableLPIs" in refused(errno.EBUSY, lambda: vm.device.signal_msi(TRANSLATER, 0, 0x10))
    driver.send("MAPD", DeviceID=0x11, Size=0, ITT_addr=1 << 30, V=1)
    assert vm.device.signal_msi(TRANSLATER, 0, 0x11) == 0, "nothing can be mapped where there is no RAM"
    assert table
    device = bare(1)
    device.create_its().set_attr(Group.ADDR, ItsAddress.ITS, ITS)
    refused(errno.EBUSY, lambda: device.signal_msi(TRANSLATER, 0, 0))


@pytest.mark.rule("KVM-52")
def test_messages_of_several_itses() -> None:
    vm = ItsVm(itses=2)
    first = vm.driver()
    second = ItsDriver(vm.gic, vm.ram, number=1, memory=first.memory, first_lpi=9000)
    second.properties = first.properties
    second.start_its()
    second.map_collection(0, 0)
    second.map_device(0x10, events=2)
    intid = second.map_event(0x10, 0, cpu=0)
    assert vm.device.signal_msi(TRANSLATER, 0, 0x10) == 0
    assert vm.device.signal_msi(TRANSLATER + ITS_SIZE, 0, 0x10) == 1
    assert first.take(0) == intid


@pytest.mark.rule("KVM-15")
def test_what_no_guest_has_written_stays_as_it_was_at_creation() -> None:
    """GICR_PROPBASER may be 0, which written would be stored as another cacheability (LPI-7)."""
    device = new_device(Ram.zeroed(RAM, 0x1000))
    for _ in range(2):
        device.create_vcpu()
    device.create_its()
    device.set_attr(Group.CTRL, Control.INIT)
    device.set_attr(Group.REDIST_REGS, register_attr(1, gicr.PENDBASER.offset), 0x4000_0000)
    device.gic.lpis(0).propbaser = 0
    before = device.gic
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    assert device.gic is not before
    for cpu, pendbaser in ((0, 0x580), (1, 0x4000_0180)):
        assert device.get_attr(Group.REDIST_REGS, register_attr(cpu, gicr.PROPBASER.offset)) == 0
        assert device.get_attr(Group.REDIST_REGS, register_attr(cpu, gicr.PENDBASER.offset)) == pendbaser
