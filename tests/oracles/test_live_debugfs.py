"""The debugfs of a live KVM host, read back: it says of a VM's interrupts what the device's attributes say."""

from random import Random

import pytest

from its_driver import RAM
from kvm_its import ITS, RAM_SIZE
from kvm_its_tables import Tables
from vgic.kvm import Address, Control, Group, level_attr, register_attr, restore, save_sequence
from vgic_tools.judges.kvm_host import KvmHost
from vgic_tools.judges.live_devices import LiveDevices
from vgic_tools.snapshots.debugfs import ItsDevice, ItsEvent, Listed, read_dump, read_its_dump

SPIS = 64
GICD_BASE, GICR_BASE = 0x0800_0000, 0x080A_0000
CTLR = 0x000
IGROUPR, ISENABLER, ISPENDR, ISACTIVER = 0x080, 0x100, 0x200, 0x300
IPRIORITYR, ICFGR, IROUTER = 0x400, 0xC00, 0x6000
SGI_BASE = 0x1_0000
AGENT = 1
"""The process that has the VM: the host's init."""


class Registers:
    """The registers of a VM, by INTID."""

    def __init__(self, devices: LiveDevices) -> None:
        self.devices = devices

    def place(self, vcpu: int | None, offset: int) -> tuple[Group, int]:
        if vcpu is None:
            return Group.DIST_REGS, register_attr(0, offset)
        return Group.REDIST_REGS, register_attr(self.devices.vcpus[vcpu], SGI_BASE + offset)

    def get(self, vcpu: int | None, offset: int) -> int:
        return self.devices.get_attr(*self.place(vcpu, offset))

    def set(self, vcpu: int | None, offset: int, value: int) -> None:
        self.devices.set_attr(*self.place(vcpu, offset), value)

    def field(self, item: Listed, register: int, width: int) -> int:
        """The field of an interrupt in an array of registers, so many bits wide."""
        at = item.intid * width
        return self.get(item.vcpu, register + at // 32 * 4) >> at % 32 & (1 << width) - 1

    def level(self, item: Listed) -> int:
        packed = 0 if item.vcpu is None else self.devices.vcpus[item.vcpu]
        first = item.intid & ~31
        return self.devices.get_attr(Group.LEVEL_INFO, level_attr(packed, first)) >> item.intid % 32 & 1


def random_vm(host: KvmHost, vcpus: int, chance: Random) -> tuple[Registers, int]:
    """A VM of which every interrupt has been written at random; and the number of its file."""
    host.reset()
    vm = host.create_vm()
    devices = LiveDevices(vm)
    for _ in range(vcpus):
        devices.create_vcpu()
    devices.set_attr(Group.NR_IRQS, 0, 32 + SPIS)
    devices.set_attr(Group.ADDR, Address.DIST, GICD_BASE)
    devices.set_attr(Group.ADDR, Address.REDIST, GICR_BASE)
    devices.set_attr(Group.CTRL, Control.INIT)
    registers = Registers(devices)
    places: list[tuple[int | None, int]] = [(vcpu, 0) for vcpu in range(vcpus)]
    places += [(None, word) for word in range(1, 1 + SPIS // 32)]
    for vcpu, word in places:
        for register in (IGROUPR, ISENABLER, ISPENDR, ISACTIVER):
            registers.set(vcpu, register + 4 * word, chance.getrandbits(32))
        for index in range(8):
            registers.set(vcpu, IPRIORITYR + 32 * word + 4 * index, chance.getrandbits(32))
        for index in range(2):
            registers.set(vcpu, ICFGR + 8 * word + 4 * index, chance.getrandbits(32))
        packed = 0 if vcpu is None else devices.vcpus[vcpu]
        devices.set_attr(Group.LEVEL_INFO, level_attr(packed, 32 * word), chance.getrandbits(32))
    for intid in range(32, 32 + SPIS):
        registers.set(None, IROUTER + 8 * intid, chance.choice((0, 1, 2, 0x100)))
    registers.set(None, CTLR, chance.randrange(2) << 1)
    return registers, vm.file


@pytest.mark.parametrize(
    ("vcpus", "seed"), [(2, 2), *(pytest.param(vcpus, vcpus, marks=pytest.mark.slow) for vcpus in (1, 4))]
)
def test_a_dump_says_what_the_attributes_say(host: KvmHost, vcpus: int, seed: int) -> None:
    registers, number = random_vm(host, vcpus, Random(seed))
    text = host.read_file(f"/sys/kernel/debug/kvm/{AGENT}-{number}/vgic-state")
    assert text is not None
    dump = read_dump(text)
    assert (dump.spis, dump.lpis) == (SPIS, 0)
    assert dump.enabled == bool(registers.get(None, CTLR) & 0b10)
    assert len(dump.interrupts) == 32 * vcpus + SPIS
    for item in dump.interrupts:
        assert item.group == registers.field(item, IGROUPR, 1), item
        assert item.enabled == registers.field(item, ISENABLER, 1), item
        assert item.latch == registers.field(item, ISPENDR, 1), item
        assert item.active == registers.field(item, ISACTIVER, 1), item
        assert item.priority == registers.field(item, IPRIORITYR, 8), item
        assert item.by_level != registers.field(item, ICFGR, 2) >> 1, item
        # LEVEL_INFO has the level of what is level-sensitive alone; the dump has every line's.
        assert item.level == registers.level(item) or not item.by_level, item
        if item.vcpu is None:
            route = registers.get(None, IROUTER + 8 * item.intid)
            assert item.affinity == route, item
            assert item.target == (route if route < vcpus else None), item
        else:
            assert item.target == item.vcpu, item
    # Linux 7.2 notes the affinities of private interrupts before the vCPUs have them.
    told = list(registers.devices.vcpus)
    assert dump.affinities == told or (not dump.affinities and not host.release.startswith("6."))


@pytest.mark.slow
def test_a_dump_of_an_its_says_what_its_tables_say(host: KvmHost) -> None:
    """The tables are those of a guest of `vgic.kvm`, which KVM is given with its RAM."""
    tables = Tables()
    tables.two_devices()
    # The host has priority bits of its own.
    sequence = [step for step in save_sequence(tables.vm.device) if getattr(step, "group", 0) != Group.CPU_SYSREGS]
    host.reset()
    vm = host.create_vm()
    vm.add_ram(RAM, RAM_SIZE)
    contents = tables.contents()
    for at in range(0, RAM_SIZE, 0x1000):
        if any(page := contents[at : at + 0x1000]):
            vm.write(RAM + at, page)
    restore(LiveDevices(vm), sequence)
    text = host.read_file(f"/sys/kernel/debug/kvm/{AGENT}-{vm.file}/vgic-its-state@{ITS:x}")
    if text is None:
        pytest.skip(f"Linux {host.release} says nothing of an ITS")
    its = tables.vm.gic.its()
    expected = []
    for device, last, events in ((3, 15, (2, 9)), (5, 1, (1,))):
        told = []
        for event in events:
            found = its.translate(device, event)
            told.append(ItsEvent(event, found.intid, 0, found.cpu, found.collection, False))
        expected.append(ItsDevice(device, last, tuple(told)))
    assert sorted(read_its_dump(text).devices) == expected
