"""Whatever a guest has done, KVM's attributes carry it over: random guests, saved and restored."""

from collections.abc import Iterator
from random import Random

import pytest

import vgic
from kvm_vm import Vm
from mmio import FRAME_SIZE, RegisterLayout
from vgic import affinity
from vgic.host.capabilities import HostCapabilities
from vgic.kvm import (
    Address,
    Control,
    Group,
    SetAttr,
    VgicV3Device,
    attr_offset,
    register_attr,
    restore,
    save_sequence,
)
from vgic.layouts import gicd, gicr, icc

CPUS = 3
SPIS = 64
GUESTS = 40
OPERATIONS = 150


def words(layouts: list[RegisterLayout]) -> Iterator[int]:
    for layout in layouts:
        yield from range(layout.offset, layout.offset + layout.count * layout.stride, 4)


MESSAGES = range(0x40, 0x60)
"""GICD_SETSPI and its like: KVM has no such levels, and no attribute for them."""

GICD = [offset for offset in words(gicd.GICD) if offset not in MESSAGES and offset < 0x6300]
GICR = [*words(gicr.RD_BASE), *(FRAME_SIZE + offset for offset in words(gicr.SGI_BASE))]
SYSREGS = [layout.offset + element for layout in icc.ICC for element in range(layout.count)]
ACKNOWLEDGING = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)


def device(profile: vgic.Profile, a3v: bool) -> VgicV3Device:
    return VgicV3Device(HostCapabilities(a3v=not a3v), profile=profile, a3v=a3v, one_of_n=False)


@pytest.mark.rule("KVM-61")
def test_a_vm_can_have_what_kvms_profile_has_not() -> None:
    found = []
    for choices in ({}, {"one_of_n": True}, {"a3v": True}, {"rss": True}, {"lpis": False}):
        vm = VgicV3Device(HostCapabilities(a3v=True), **choices)
        vm.create_vcpu()
        vm.set_attr(Group.CTRL, Control.INIT)
        features = vm.gic.config.features
        found.append((features.one_of_n, features.a3v, features.rss, features.lpis))
    usual = (vgic.KVM.features.one_of_n, vgic.KVM.features.a3v, vgic.KVM.features.rss, vgic.KVM.features.lpis)
    assert found[0] == usual
    assert found[1:] == [
        (True, *usual[1:]),
        (usual[0], True, *usual[2:]),
        (*usual[:2], True, usual[3]),
        (*usual[:3], False),
    ]


def started(profile: vgic.Profile, a3v: bool) -> VgicV3Device:
    vm = device(profile, a3v)
    for cpu in range(CPUS):
        vm.create_vcpu(affinity.to_mpidr(affinity.pack(cpu if a3v else 0, 0, cpu, 1)))
    vm.set_attr(Group.NR_IRQS, 0, 32 + SPIS)
    vm.set_attr(Group.ADDR, Address.DIST, 0x0800_0000)
    vm.set_attr(Group.ADDR, Address.REDIST, 0x080A_0000)
    vm.set_attr(Group.CTRL, Control.INIT)
    with vm.run() as gic:
        route_all(gic)
        for cpu in range(CPUS):
            gic.write(gic.redistributor_bases[cpu] + 0x14, 4, 0)
            gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
            gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
    return vm


def route_all(gic: vgic.Gic) -> None:
    """As a guest does when it starts: KVM's SPIs wait for that (ROUTE-11), and no attribute says so."""
    for intid in range(32, 32 + SPIS):
        gic.write(gic.config.gicd_base + 0x6000 + 8 * intid, 8, 0)


def operate(gic: vgic.Gic, random: Random) -> None:
    cpu = random.randrange(CPUS)
    value = random.choice((random.getrandbits(32), 1 << random.randrange(32), 0, 0xFFFF_FFFF))
    match random.randrange(6):
        case 0:
            gic.write(gic.config.gicd_base + random.choice(GICD), 4, value)
        case 1:
            gic.write(gic.redistributor_bases[cpu] + random.choice(GICR), 4, value)
        case 2:
            gic.sysreg_write(cpu, random.choice(SYSREGS), value)
        case 3:
            gic.spi(32 + random.randrange(SPIS)).set_level(value & 1 != 0)
        case 4:
            gic.ppi(cpu, random.randrange(16, 32)).set_level(value & 1 != 0)
        case 5:
            gic.sysreg_read(cpu, random.choice(ACKNOWLEDGING))


def view(gic: vgic.Gic) -> list[object]:
    """What the guest can read without changing it, and its outputs."""
    registers = [gic.read(gic.config.gicd_base + offset, 4) for offset in GICD]
    for cpu, base in enumerate(gic.redistributor_bases):
        registers += [gic.read(base + offset, 4) for offset in GICR]
        registers += [gic.sysreg_read(cpu, register) for register in SYSREGS if register not in ACKNOWLEDGING]
    return [*registers, [gic.outputs(cpu) for cpu in range(CPUS)]]


@pytest.mark.rule("KVM-36")
@pytest.mark.parametrize("a3v", [False, True])
@pytest.mark.parametrize("profile", [vgic.KVM, vgic.ARCH], ids=["kvm", "arch"])
def test_a_random_guest_finds_everything_as_it_was(profile: vgic.Profile, a3v: bool) -> None:
    for seed in range(GUESTS):
        random = Random(seed)
        source = started(profile, a3v)
        with source.run() as before:
            for _ in range(OPERATIONS):
                operate(before, random)
        target = device(profile, a3v)
        restore(target, save_sequence(source))
        with target.run() as after:
            after.check()
            assert view(after) == view(before), seed
        assert save_sequence(target) == save_sequence(source)


@pytest.mark.rule("KVM-36")
def test_the_documented_order() -> None:
    groups = [step.group if isinstance(step, SetAttr) else step for step in save_sequence(started(vgic.KVM, True))]
    order = list(dict.fromkeys(group for group in groups if isinstance(group, Group)))
    assert order == [
        Group.NR_IRQS,
        Group.ADDR,
        Group.CTRL,
        Group.DIST_REGS,
        Group.REDIST_REGS,
        Group.LEVEL_INFO,
        Group.CPU_SYSREGS,
    ]
    assert not any(isinstance(group, Group) for group in groups[:CPUS])
    registers = [
        (step.group, attr_offset(step.attr))
        for step in save_sequence(started(vgic.QEMU, True))  # with LPIs, which KVM has with an ITS only
        if isinstance(step, SetAttr) and step.group in (Group.DIST_REGS, Group.REDIST_REGS)
    ]
    assert registers[0] == (Group.DIST_REGS, gicd.IIDR.offset)
    redist = [offset for group, offset in registers if group is Group.REDIST_REGS]
    first = redist[: len(redist) // CPUS]
    assert first.index(gicr.PROPBASER.offset) < first.index(gicr.PENDBASER.offset) < first.index(gicr.CTLR.offset)


@pytest.mark.rule("KVM-65")
def test_the_distributor_is_enabled_before_anything_is_pending() -> None:
    """And routed, so that what is pending is queued for its vCPU."""
    sequence = save_sequence(Vm(2).device)
    places = {
        step.attr: place
        for place, step in enumerate(sequence)
        if isinstance(step, SetAttr) and step.group == Group.DIST_REGS
    }
    ctlr, routes, pending, active = 0, 0x6100, 0x204, 0x304
    assert places[ctlr] < places[routes] < places[pending] < places[active]
    assert places[0x420] < places[pending] > places[0x104]


@pytest.mark.rule("ROUTE-11", "KVM-36")
def test_spis_that_were_never_routed() -> None:
    """An address that comes later leaves them at vCPU 0, restoring attributes routes them, here to nobody."""
    vm = device(vgic.KVM, a3v=False)
    for cpu in range(2):
        vm.create_vcpu(affinity.to_mpidr(affinity.pack(0, 0, 0, 1 + cpu)))
    vm.set_attr(Group.CTRL, Control.INIT)
    vm.set_attr(Group.DIST_REGS, 0x0, 0b10)
    vm.set_attr(Group.DIST_REGS, 0x104, 0b11)
    vm.set_attr(Group.DIST_REGS, 0x204, 0b11)
    vm.set_attr(Group.DIST_REGS, 0x6000 + 8 * 33, 2)
    vm.set_attr(Group.CPU_SYSREGS, register_attr(1, vgic.ICC_PMR_EL1), 0xF8)
    vm.set_attr(Group.CPU_SYSREGS, register_attr(1, vgic.ICC_IGRPEN1_EL1), 1)
    before = vm.gic
    vm.set_attr(Group.ADDR, Address.DIST, 0x0800_0000)
    vm.set_attr(Group.ADDR, Address.REDIST, 0x080A_0000)
    assert vm.gic is not before
    vm.gic.check()
    assert [vm.gic.spi(intid).target for intid in (32, 33)] == [0, 1]
    assert vm.gic.outputs(0) == (True, False)
    moved = device(vgic.KVM, a3v=False)
    restore(moved, save_sequence(vm))
    assert [moved.gic.spi(intid).target for intid in (32, 33)] == [None, 1]
