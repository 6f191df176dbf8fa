"""The life of a VM under KVM: vCPUs, addresses, initialisation, the first run; and KVM's answers on the way."""

import errno
from collections.abc import Callable

import pytest

import vgic
from kvm_vm import refused
from vgic import affinity
from vgic.kvm import (
    ADDR_UNDEFINED,
    MAX_VCPUS,
    Address,
    Control,
    Group,
    KvmError,
    RegionAttr,
    VgicV3Device,
    level_attr,
    register_attr,
)

KIB64 = 0x1_0000
FRAME = 2 * KIB64
GICD = 0x0800_0000
GICR = 0x080A_0000

CTLR, TYPER = 0x0000, 0x0008
LAST = 1 << 4


def setting(device: VgicV3Device, group: int, attr: int, value: int = 0) -> Callable[[], None]:
    return lambda: device.set_attr(group, attr, value)


def getting(device: VgicV3Device, group: int, attr: int, value: int = 0) -> Callable[[], int]:
    return lambda: device.get_attr(group, attr, value)


def region(base: int, count: int, index: int, flags: int = 0) -> int:
    return RegionAttr(base, count, index, flags).pack()


def vm(cpus: int = 1, ipa_bits: int = 40) -> VgicV3Device:
    device = VgicV3Device(ipa_bits=ipa_bits)
    for _ in range(cpus):
        device.create_vcpu()
    return device


def init(device: VgicV3Device) -> VgicV3Device:
    device.set_attr(Group.CTRL, Control.INIT)
    return device


def placed(cpus: int = 1) -> VgicV3Device:
    device = vm(cpus)
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    device.set_attr(Group.ADDR, Address.REDIST, GICR)
    return device


@pytest.mark.rule("KVM-1")
def test_a_refusal_has_kvms_number_and_names_the_attribute() -> None:
    message = refused(errno.EBUSY, getting(vm(), Group.REDIST_REGS, register_attr(0, CTLR)))
    assert message == "EBUSY: REDIST_REGS GICR_CTLR of 0.0.0.0: CTRL INIT has not been called"
    for group in (Group.CPU_REGS, Group.ITS_REGS, 99):
        for call in (setting(vm(), group, 0), getting(vm(), group, 0), lambda g=group: vm().has_attr(g, 0)):
            refused(errno.ENXIO, call)
    refused(errno.ENXIO, setting(vm(), Group.ADDR, 0, GICD))
    refused(errno.ENXIO, getting(vm(), Group.ADDR, 4))
    refused(errno.ENXIO, setting(vm(), Group.CTRL, 1))
    refused(errno.ENXIO, getting(vm(), Group.CTRL, Control.INIT))


@pytest.mark.rule("KVM-2")
def test_redistributors_lie_in_the_order_of_creation() -> None:
    device = VgicV3Device()
    for dotted in ("0.0.3.0", "0.0.0.0", "0.0.1.0"):
        device.create_vcpu(affinity.to_mpidr(affinity.from_text(dotted)))
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR + 16 * FRAME, 2, 0))
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 4, 1))
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    gic = init(device).gic
    assert gic.redistributor_bases == [GICR + 16 * FRAME, GICR + 17 * FRAME, GICR]
    assert [gic.read(base + TYPER, 8) >> 32 for base in gic.redistributor_bases] == [0x300, 0, 0x100]


@pytest.mark.rule("KVM-3")
def test_vcpus_have_kvms_affinities_unless_told_otherwise() -> None:
    assert vm(18).vcpus[14:] == (14, 15, 0x100, 0x101)


@pytest.mark.rule("KVM-4")
def test_vcpus_are_created_before_init_and_there_is_a_limit() -> None:
    device = init(vm())
    refused(errno.EBUSY, device.create_vcpu)
    device = vm(MAX_VCPUS)
    refused(errno.EINVAL, device.create_vcpu)


@pytest.mark.rule("KVM-5")
def test_init_may_be_repeated() -> None:
    device = vm()
    refused(errno.EBUSY, lambda: device.gic)
    assert init(device).gic is init(device).gic


@pytest.mark.rule("KVM-5", "KVM-16")
def test_init_without_a_vcpu_succeeds_and_is_the_end_of_the_vm() -> None:
    device = init(VgicV3Device())
    assert device.initialised
    refused(errno.EBUSY, device.create_vcpu)
    refused(errno.EBUSY, lambda: device.gic)
    refused(errno.EBUSY, setting(device, Group.NR_IRQS, 0, 64))
    assert device.get_attr(Group.NR_IRQS, 0) == 256
    refused(errno.EINVAL, getting(device, Group.DIST_REGS, CTLR))
    refused(errno.EINVAL, getting(device, Group.REDIST_REGS, CTLR))
    refused(errno.EINVAL, lambda: device.has_attr(Group.DIST_REGS, CTLR))
    init(device).set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)


@pytest.mark.rule("KVM-6")
def test_the_number_of_interrupts() -> None:
    device = vm()
    for value in (0, 32, 65, 1024):
        refused(errno.EINVAL, setting(device, Group.NR_IRQS, 0, value))
    assert device.get_attr(Group.NR_IRQS, 0) == 32
    device.set_attr(Group.NR_IRQS, 0, 992)
    refused(errno.EBUSY, setting(device, Group.NR_IRQS, 0, 992))
    assert init(device).get_attr(Group.NR_IRQS, 0) == 992
    assert device.gic.config.spis == 960
    default = init(vm())
    assert default.get_attr(Group.NR_IRQS, 0) == 256
    refused(errno.EBUSY, setting(default, Group.NR_IRQS, 0, 64))
    refused(errno.EINVAL, setting(default, Group.NR_IRQS, 0, 65))


def without(*missing: str) -> VgicV3Device:
    """A VM that lacks what is named, or whose Distributor overlaps a Redistributor."""
    device = vm(2)
    if "redistributor" not in missing:
        device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 1 if "room" in missing else 2, 0))
    if "distributor" not in missing:
        device.set_attr(Group.ADDR, Address.DIST, GICR + KIB64 if "gap" in missing else GICD)
    return device if "init" in missing else init(device)


@pytest.mark.rule("KVM-7")
@pytest.mark.parametrize(
    ("missing", "number"),
    [
        ("redistributor distributor init", errno.ENXIO),
        ("room", errno.ENXIO),
        ("distributor init", errno.ENXIO),
        ("gap init", errno.EINVAL),
        ("init", errno.EBUSY),
    ],
)
def test_the_first_run_tells_three_causes_apart_and_kills_the_vm(missing: str, number: int) -> None:
    device = without(*missing.split())
    refused(number, device.run)
    refused(errno.EIO, device.run)
    refused(errno.EIO, setting(device, Group.CTRL, Control.INIT))
    refused(errno.EIO, lambda: device.get_attr(Group.NR_IRQS, 0))
    refused(errno.EIO, lambda: device.has_attr(Group.NR_IRQS, 0))
    refused(errno.EIO, device.create_vcpu)
    refused(errno.EIO, device.create_its)
    refused(errno.EIO, lambda: device.signal_msi(GICD, 0))


@pytest.mark.rule("KVM-7")
def test_what_is_complete_runs() -> None:
    device = without()
    with device.run(1) as gic:
        assert gic.read(GICD + 0xFFE8, 4) == 0x3B
    refused(errno.EBADF, lambda: device.run(2))


@pytest.mark.rule("KVM-8")
def test_mpidrs_can_be_written_one_by_one_in_any_order() -> None:
    device = init(placed(2))
    device.set_mpidr(0, 1)
    device.set_mpidr(1, 0)
    assert device.vcpus == (1, 0)
    with device.run() as gic:
        assert [gic.affinity(cpu) for cpu in (0, 1)] == [1, 0]
        assert gic.read(gic.redistributor_bases[0] + TYPER, 8) >> 32 == 1
        refused(errno.EBUSY, lambda: device.set_mpidr(0, 7))


@pytest.mark.rule("KVM-8")
def test_vcpus_with_one_affinity_cannot_run() -> None:
    shared = init(placed(2))
    shared.set_mpidr(0, 1)
    refused(errno.EINVAL, shared.run)
    early = placed(2)
    early.set_mpidr(0, 1)
    refused(errno.EINVAL, setting(early, Group.CTRL, Control.INIT))


@pytest.mark.rule("KVM-8")
def test_an_aff3_that_the_vm_cannot_show_is_refused() -> None:
    device = VgicV3Device(profile=vgic.ARCH, a3v=False)
    device.create_vcpu()
    init(device)
    message = refused(errno.EINVAL, lambda: device.set_mpidr(0, 1 << 32))
    assert "A3V" in message
    assert device.vcpus == (0,)


@pytest.mark.rule("KVM-9")
def test_the_address_of_the_distributor() -> None:
    device = VgicV3Device(ipa_bits=36)
    assert device.get_attr(Group.ADDR, Address.DIST) == ADDR_UNDEFINED
    refused(errno.EINVAL, setting(device, Group.ADDR, Address.DIST, GICD + 0x1000))
    refused(errno.EINVAL, setting(device, Group.ADDR, Address.DIST, (1 << 64) - KIB64))
    refused(errno.E2BIG, setting(device, Group.ADDR, Address.DIST, 1 << 36))
    device.set_attr(Group.ADDR, Address.DIST, (1 << 36) - KIB64)
    refused(errno.EEXIST, setting(device, Group.ADDR, Address.DIST, GICD + 1))
    assert device.get_attr(Group.ADDR, Address.DIST) == (1 << 36) - KIB64


@pytest.mark.rule("KVM-10")
def test_the_old_region_grows_with_the_vcpus() -> None:
    device = vm(2)
    assert device.get_attr(Group.ADDR, Address.REDIST) == ADDR_UNDEFINED
    device.set_attr(Group.ADDR, Address.REDIST, GICR)
    device.create_vcpu()
    refused(errno.EEXIST, setting(device, Group.ADDR, Address.REDIST, GICR))
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    assert init(device).gic.redistributor_bases == [GICR + cpu * FRAME for cpu in range(3)]
    assert device.get_attr(Group.ADDR, Address.REDIST) == GICR


@pytest.mark.rule("KVM-10", "KVM-13")
@pytest.mark.parametrize("over", ["the end", "the distributor"])
def test_growth_over_something_is_found_one_vcpu_late_or_at_the_first_run(over: str) -> None:
    def grown(vcpus: int) -> VgicV3Device:
        device = vm(1, ipa_bits=36)
        device.set_attr(Group.ADDR, Address.DIST, GICD)
        end = 1 << 36 if over == "the end" else GICD
        device.set_attr(Group.ADDR, Address.REDIST, end - 3 * FRAME)
        for _ in range(vcpus - 1):
            device.create_vcpu()
        return device

    with init(grown(3)).run():
        pass
    # The fourth does not count yet when it is created.
    refused(errno.EINVAL, init(grown(4)).run)
    device = grown(4)
    refused(errno.EINVAL, device.create_vcpu)
    assert len(device.vcpus) == 4
    refused(errno.EINVAL, init(device).run)


@pytest.mark.rule("KVM-10")
@pytest.mark.parametrize("base", [1 << 36, 1 << 37, (1 << 64) - KIB64])
def test_a_region_of_no_vcpus_lies_in_the_address_space_too(base: int) -> None:
    refused(errno.E2BIG, setting(VgicV3Device(ipa_bits=36), Group.ADDR, Address.REDIST, base))


@pytest.mark.rule("KVM-11")
def test_regions_are_packed_and_numbered_without_gaps() -> None:
    assert region(0xF_ABCD_1234_0000, 0xFED, 0x123, 0x9) == 0xFEDF_ABCD_1234_9123
    device = vm()
    for bad in (region(GICR, 0, 0), region(GICR, 1, 0, flags=1), region(GICR, 1, 1)):
        refused(errno.EINVAL, setting(device, Group.ADDR, Address.REDIST_REGION, bad))
    refused(errno.E2BIG, setting(device, Group.ADDR, Address.REDIST_REGION, region(1 << 40, 1, 0)))
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 5, 0))
    for index in (0, 2):
        refused(errno.EINVAL, setting(device, Group.ADDR, Address.REDIST_REGION, region(GICR << 1, 1, index)))
    assert device.get_attr(Group.ADDR, Address.REDIST_REGION, 0) == region(GICR, 5, 0)
    refused(errno.ENOENT, getting(device, Group.ADDR, Address.REDIST_REGION, 1))


@pytest.mark.rule("KVM-11")
@pytest.mark.parametrize(("base", "count"), [(GICR, 4096), (1 << 52, 1), (1 << 40, 1)])
def test_a_vm_that_kvm_could_not_place_has_no_device(base: int, count: int) -> None:
    regions = (vgic.RedistributorRegion(base, count),)
    gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(1), redistributor_regions=regions))
    refused(errno.E2BIG if base == 1 << 40 else errno.EINVAL, lambda: VgicV3Device.over(gic))


@pytest.mark.rule("KVM-12")
def test_the_old_region_and_the_new_ones_do_not_mix() -> None:
    old, new = vm(), vm()
    old.set_attr(Group.ADDR, Address.REDIST, GICR)
    for index in (0, 1):
        refused(errno.EINVAL, setting(old, Group.ADDR, Address.REDIST_REGION, region(GICR << 1, 1, index)))
    new.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 1, 0))
    refused(errno.EINVAL, setting(new, Group.ADDR, Address.REDIST, GICR << 1))


@pytest.mark.rule("KVM-13")
def test_overlaps_are_found_at_once_at_creation_or_at_the_first_run() -> None:
    device = vm()
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 2, 0))
    refused(errno.EINVAL, setting(device, Group.ADDR, Address.REDIST_REGION, region(GICR + FRAME, 2, 1)))

    # Of the Distributor: when a vCPU is placed.
    device = VgicV3Device()
    device.set_attr(Group.ADDR, Address.DIST, GICR + FRAME)
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 2, 0))
    refused(errno.EINVAL, device.create_vcpu)
    device = vm()
    device.set_attr(Group.ADDR, Address.DIST, GICR + FRAME)
    refused(errno.EINVAL, setting(device, Group.ADDR, Address.REDIST_REGION, region(GICR, 2, 0)))
    refused(errno.ENOENT, getting(device, Group.ADDR, Address.REDIST_REGION, 0))
    refused(errno.EINVAL, setting(device, Group.ADDR, Address.REDIST, GICR + FRAME))

    # Or at the first run, where the Distributor comes last.
    device = vm()
    device.set_attr(Group.ADDR, Address.REDIST, GICR)
    device.set_attr(Group.ADDR, Address.DIST, GICR)
    refused(errno.EINVAL, init(device).run)


@pytest.mark.rule("KVM-14")
def test_last_is_the_highest_frame_that_no_other_follows() -> None:
    device = init(vm(4))

    def last() -> list[bool]:
        typer = (device.get_attr(Group.REDIST_REGS, register_attr(packed, TYPER)) for packed in device.vcpus)
        return [value & LAST != 0 for value in typer]

    assert last() == [False] * 4
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR + FRAME, 2, 0))
    assert last() == [False, True, False, False]
    # Before the first one in memory and full, so the third vCPU's frame is followed by the first one's.
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR, 1, 1))
    assert last() == [False, True, False, False]
    # Half full: what follows is room, but no Redistributor.
    device.set_attr(Group.ADDR, Address.REDIST_REGION, region(GICR + 8 * FRAME, 2, 2))
    assert last() == [False, True, False, True]
    device.set_attr(Group.ADDR, Address.DIST, GICD)
    with device.run() as gic:
        shown = [gic.read(base + TYPER, 8) & LAST != 0 for base in gic.redistributor_bases]
    assert shown == last() == [False, True, False, True]


@pytest.mark.rule("KVM-15")
def test_addresses_may_come_after_init_and_after_registers() -> None:
    device = init(vm(2))
    pmr = register_attr(1, vgic.ICC_PMR_EL1)
    device.set_attr(Group.DIST_REGS, 0x0104, 0xF0)
    device.set_attr(Group.REDIST_REGS, register_attr(1, KIB64 + 0x0200), 0xC000_0001)
    device.set_attr(Group.DIST_REGS, 0x0C0C, 0)
    device.set_attr(Group.LEVEL_INFO, level_attr(0, 32), 0x8000_0000)
    device.set_attr(Group.CPU_SYSREGS, pmr, 0xF0)
    device.set_attr(Group.CPU_SYSREGS, register_attr(0, vgic.ICC_BPR1_EL1), 5)
    device.set_attr(Group.CPU_SYSREGS, register_attr(0, vgic.ICC_CTLR_EL1), 0x0401)
    device.set_attr(Group.ADDR, Address.DIST, 0x1000_0000)
    device.set_attr(Group.ADDR, Address.REDIST, 0x2000_0000)
    with device.run() as gic:
        gic.check()
        assert gic.read(0x1000_0104, 4) == 0xF0
        assert gic.read(0x2000_0000 + FRAME + KIB64 + 0x0200, 4) == 0xC000_0001
        assert gic.spi(63).level
        assert gic.sysreg_read(1, vgic.ICC_PMR_EL1) == 0xF0
        gic.sysreg_write(0, vgic.ICC_CTLR_EL1, 0)
        assert gic.sysreg_read(0, vgic.ICC_BPR1_EL1) == 5
    assert device.gic is gic


@pytest.mark.rule("KVM-34")
def test_without_lpis_there_are_no_pending_tables_to_save() -> None:
    device = placed()
    refused(errno.ENXIO, setting(device, Group.CTRL, Control.SAVE_PENDING_TABLES))
    init(device).set_attr(Group.CTRL, Control.SAVE_PENDING_TABLES)
    with device.run():
        refused(errno.EBUSY, setting(device, Group.CTRL, Control.SAVE_PENDING_TABLES))


@pytest.mark.rule("SEC-10", "KVM-66")
@pytest.mark.parametrize(
    ("config", "lost"),
    [
        (vgic.Config(vgic.Topology.kvm(1), security="two"), "two Security states"),
        (vgic.Config(vgic.Topology.kvm(1), extended_spis=64), "64 SPIs of the extended range"),
        (vgic.Config(vgic.Topology.kvm(1), extended_ppis=32), "32 PPIs of the extended range"),
        (vgic.Config(vgic.Topology.kvm(1), nmi=True, list_registers=2), "NMIs, 2 list registers"),
    ],
)
def test_what_no_attribute_carries_is_refused_by_name(config: vgic.Config, lost: str) -> None:
    with pytest.raises(KvmError, match=f"EINVAL: the VM has {lost}, which KVM's attributes do not carry"):
        VgicV3Device.over(vgic.Gic(config))
