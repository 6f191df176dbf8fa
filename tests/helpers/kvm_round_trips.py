"""A VM in the middle of a random guest goes from a live KVM into the model, runs on there, and goes to another KVM.

The same code reads a VM out of KVM and of the model, and writes it into either (`vgic.kvm.migration`).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final, NamedTuple, Protocol

import vgic
from vgic import Ram, RamRegions, State
from vgic.kvm import (
    Address,
    Control,
    Group,
    ItsAddress,
    ItsControl,
    VgicV3Device,
    VmDevices,
    register_attr,
    restore,
    save_sequence,
)
from vgic_tools.compare import command_words
from vgic_tools.judges import guest, kvm_abi
from vgic_tools.judges.guest import Guest, Operation, mrs, msr, read, write
from vgic_tools.judges.kvm import HOST
from vgic_tools.judges.kvm_host import KvmHost, LiveVm
from vgic_tools.judges.live_devices import LiveDevices

__all__ = ["PENDING_LPI", "TAKES", "LiveMachine", "ModelMachine", "facade", "restore_pending_lpi", "round_trip"]

GICD: Final = 0x0800_0000
ITS: Final = 0x0808_0000
GICR: Final = 0x080A_0000
FRAME: Final = 0x2_0000
SGI_BASE: Final = 0x1_0000
NO_MEMORY: Final = 0x0A00_0000

TABLES: Final = 0x4800_0000
STRETCH: Final = 0x1_0000
QUEUE, DEVICES, COLLECTIONS, EVENTS, CONFIGURATION = (TABLES + n * STRETCH for n in range(5))
PENDING: Final = TABLES + 5 * STRETCH
"""One stretch for each vCPU."""
MOST_VCPUS: Final = 4
TABLES_SIZE: Final = (5 + MOST_VCPUS) * STRETCH

SPURIOUS: Final = 1023
SOURCES: Final = {1: 0x20, 20: 0x40, 33: 0x60, 40: 0x80}
"""The priorities of what interrupts: no more than KVM has list registers on this host, and no two alike."""
LPIS: Final = {8192: 0xA0, 8197: 0xC0}
DEVICE: Final = 3


class Machine(Protocol):
    """A machine that a guest's operations are performed on."""

    def do(self, cpu: int, operations: list[Operation]) -> list[int]:
        """What a vCPU reads; 0 for an operation that reads nothing."""

    def set_line(self, cpu: int, intid: int, level: bool) -> None:
        """The input line of an SPI, or of a PPI of a vCPU."""

    def signal_msi(self, event: int) -> int:
        """A message of the device."""


class LiveMachine:
    """A VM of a live KVM with a guest in it."""

    def __init__(self, host: KvmHost) -> None:
        host.reset()
        self.vm: LiveVm = host.create_vm()
        self.vm.add_ram(guest.RAM, guest.RAM_SIZE)
        self.vm.add_ram(TABLES, TABLES_SIZE)
        self.devices = LiveDevices(self.vm)

    def start(self) -> None:
        """The guest begins on every vCPU."""
        self._guest = Guest(self.vm, len(self.vm.vcpus), leave=NO_MEMORY)
        for number, vcpu in enumerate(self.vm.vcpus):
            vcpu.set_reg(kvm_abi.PC, guest.ENTRY)
            vcpu.set_reg(kvm_abi.X(0), number)

    def do(self, cpu: int, operations: list[Operation]) -> list[int]:
        self._guest.load(cpu, [operations])
        end = self.vm.vcpus[cpu].run(2000)
        assert end is not None
        assert end.address == NO_MEMORY
        found = self._guest.results(cpu)
        assert not any(result.exception for result in found), found
        return [result.value for result in found]

    def set_line(self, cpu: int, intid: int, level: bool) -> None:
        self.vm.set_line(intid, level, self.vm.vcpus[cpu].id)

    def signal_msi(self, event: int) -> int:
        return self.vm.signal_msi(ITS + 0x1_0040, event, DEVICE)


class ModelMachine:
    """The same of a `vgic.Gic`."""

    def __init__(self, gic: vgic.Gic) -> None:
        self.gic = gic

    def do(self, cpu: int, operations: list[Operation]) -> list[int]:
        return [self._one(cpu, operation) for operation in operations]

    def _one(self, cpu: int, operation: Operation) -> int:
        match operation.kind:
            case guest.Kind.READ:
                return self.gic.read(operation.address, operation.size, cpu)
            case guest.Kind.WRITE:
                self.gic.write(operation.address, operation.size, operation.value, cpu)
            case guest.Kind.MRS:
                return self.gic.sysreg_read(cpu, operation.encoding)
            case guest.Kind.MSR:
                self.gic.sysreg_write(cpu, operation.encoding, operation.value)
        return 0

    def set_line(self, cpu: int, intid: int, level: bool) -> None:
        self.gic.interrupt(cpu, intid).set_level(level)

    def signal_msi(self, event: int) -> int:
        return int(self.gic.msi(DEVICE, event).error is None)


@dataclass
class RandomGuest:
    """What a guest does, and what it remembers: the INTIDs that it has taken and not ended, by vCPU."""

    random: Random
    cpus: int
    its: bool
    affinities: tuple[int, ...]
    """Packed, of the vCPUs."""
    taken: list[list[int]] = field(default_factory=list)

    def begin(self, machine: Machine) -> None:
        """As a driver would: groups, priorities, triggers, routes, LPIs, the CPU interfaces."""
        self.taken = [[] for _ in range(self.cpus)]
        machine.do(0, [write(GICD, 4, 0b10)])
        for intid in (33, 40):
            edge = self.random.random() < 0.5
            machine.do(
                0,
                [
                    write(GICD + 0x400 + intid, 1, SOURCES[intid]),
                    write(GICD + 0xC00 + 4 * (intid // 16), 4, (2 << 2 * (intid % 16)) if edge else 0),
                    write(GICD + 0x6000 + 8 * intid, 8, self._route()),
                    write(GICD + 0x104, 4, 1 << intid % 32),
                ],
            )
        for cpu in range(self.cpus):
            frame = GICR + cpu * FRAME + SGI_BASE
            machine.do(
                cpu,
                [
                    *(write(frame + 0x400 + intid, 1, SOURCES[intid]) for intid in (1, 20)),
                    write(frame + 0x100, 4, 1 << 20 | 1 << 1),
                    msr(vgic.ICC_PMR_EL1, 0xF0),
                    msr(vgic.ICC_IGRPEN1_EL1, 1),
                ],
            )

    def _route(self) -> int:
        return self.random.choice(self.affinities)

    def step(self, machine: Machine) -> None:
        """Something happens."""
        cpu = self.random.randrange(self.cpus)
        match self.random.randrange(8 if self.its else 7):
            case 0:
                machine.set_line(0, self.random.choice((33, 40)), self.random.random() < 0.6)
            case 1:
                machine.set_line(cpu, 20, self.random.random() < 0.6)
            case 2:
                machine.do(cpu, [msr(vgic.ICC_SGI1R_EL1, 1 << 40 | 1 << 24)])
            case 3:
                intid = self.random.choice((33, 40))
                # No attribute tells which vCPU has an active SPI: KVM gives it to the one that it is routed to.
                if not any(intid in taken for taken in self.taken):
                    machine.do(cpu, [write(GICD + 0x6000 + 8 * intid, 8, self._route())])
            case 4:
                machine.do(cpu, [msr(vgic.ICC_PMR_EL1, self.random.choice((0x30, 0x70, 0xF0)))])
            case 5:
                self.acknowledge(machine, cpu)
            case 6:
                self.end(machine, cpu)
            case 7:
                machine.signal_msi(self.random.randrange(2))

    def acknowledge(self, machine: Machine, cpu: int) -> int:
        """Take what is offered."""
        (intid,) = machine.do(cpu, [mrs(vgic.ICC_IAR1_EL1)])
        if intid != SPURIOUS:
            self.taken[cpu].append(intid)
        return intid

    def end(self, machine: Machine, cpu: int) -> None:
        """End what was taken last."""
        if self.taken[cpu]:
            machine.do(cpu, [msr(vgic.ICC_EOIR1_EL1, self.taken[cpu].pop())])


def lay_out(devices: VmDevices, ids: list[int], spis: int, its: bool) -> None:
    """A VM, up to where its guest begins."""
    for vcpu_id in ids:
        devices.create_vcpu(None, vcpu_id=vcpu_id)
    if its:
        devices.create_its()
    devices.set_attr(Group.NR_IRQS, 0, 32 + spis)
    devices.set_attr(Group.ADDR, Address.DIST, GICD)
    devices.set_attr(Group.ADDR, Address.REDIST, GICR)
    devices.set_attr(Group.CTRL, Control.INIT)
    if its:
        devices.itses[0].set_attr(Group.ADDR, ItsAddress.ITS, ITS)
        devices.itses[0].set_attr(Group.CTRL, ItsControl.INIT)


def bring_up_lpis(devices: VmDevices, ram: LiveVm, random: Random) -> None:
    """What a guest's driver of the ITS does, by attributes."""
    for cpu, packed in enumerate(devices.vcpus):
        pending = PENDING + cpu * STRETCH
        for offset, value in ((0x70, CONFIGURATION | 0xF), (0x74, 0), (0x78, pending), (0x7C, 0), (0, 1)):
            devices.set_attr(Group.REDIST_REGS, register_attr(packed, offset), value)
    for intid, priority in LPIS.items():
        ram.write(CONFIGURATION + intid - 8192, bytes([priority | 1]))
    its = devices.itses[0]
    for offset, value in (
        (0x80, 1 << 63 | QUEUE),
        (0x100, 1 << 63 | DEVICES),
        (0x108, 1 << 63 | COLLECTIONS),
        (0, 1),
    ):
        its.set_attr(Group.ITS_REGS, offset, value)
    commands = [command_words.mapd(DEVICE, 5, EVENTS)]
    commands += [command_words.mapc(cpu, number) for cpu, number in enumerate(devices.vcpu_ids)]
    for event, intid in enumerate(LPIS):
        commands.append(command_words.mapti(DEVICE, event, intid, random.randrange(len(devices.vcpus))))
    ram.write(QUEUE, b"".join(commands))
    its.set_attr(Group.ITS_REGS, 0x88, 32 * len(commands))


PENDING_LPI: Final = (
    (CONFIGURATION, b"\x81"),
    (PENDING + 8192 // 8, b"\x01"),
    (DEVICES + 8 * DEVICE, struct.pack("<Q", 1 << 63 | EVENTS >> 8 << 5 | 4)),
    (EVENTS, struct.pack("<Q", 8192 << 16)),
    (COLLECTIONS, struct.pack("<Q", 1 << 63)),
)
"""What RAM holds where event 0 of the device has LPI 8192, and that is pending at vCPU 0."""


def restore_pending_lpi(devices: VmDevices, *, enabled_first: bool) -> None:
    """Lay a VM out, and restore it from that RAM; the Distributor is enabled before the tables, or after."""
    lay_out(devices, [0], 64, True)
    enable = partial(devices.set_attr, Group.DIST_REGS, 0, 2)
    if enabled_first:
        enable()
    for offset, value in ((0x70, CONFIGURATION | 0xF), (0x74, 0), (0x78, PENDING), (0x7C, 0), (0, 1)):
        devices.set_attr(Group.REDIST_REGS, register_attr(devices.vcpus[0], offset), value)
    its = devices.itses[0]
    for offset, base in ((0x80, QUEUE), (0x100, DEVICES), (0x108, COLLECTIONS)):
        its.set_attr(Group.ITS_REGS, offset, 1 << 63 | base)
    its.set_attr(Group.CTRL, ItsControl.RESTORE_TABLES)
    its.set_attr(Group.ITS_REGS, 0, 1)
    if not enabled_first:
        enable()


TAKES: Final = [
    msr(vgic.ICC_PMR_EL1, 0xF8),
    msr(vgic.ICC_IGRPEN1_EL1, 1),
    read(GICD, 4),
    mrs(vgic.ICC_IAR1_EL1),
]
"""What has a vCPU take an interrupt."""


class Trip(NamedTuple):
    """What was moved."""

    steps: int
    """Calls that carried the VM."""
    taken: int
    """Interrupts that were left to take in the end."""


def round_trip(source: KvmHost, target: KvmHost, seed: int) -> Trip:
    """Move one VM. AssertionError where something was lost or changed."""
    random = Random(seed)
    ids = random.sample(range(20), random.randrange(1, MOST_VCPUS + 1))
    its = random.random() < 0.6
    if any(host.release.startswith("6.1.") for host in (source, target)):
        # Where ids are not the order of creation, 6.1 confuses vCPUs: lines of PPIs, targets of LPIs (KVM-3).
        ids = list(range(len(ids)))
    before = LiveMachine(source)
    lay_out(before.devices, ids, random.choice((32, 64, 224)), its)
    if its:
        bring_up_lpis(before.devices, before.vm, random)
    driver = RandomGuest(random, len(ids), its, before.devices.vcpus)
    before.start()
    driver.begin(before)
    run(driver, before, random.randrange(40))

    # Out of KVM, into the model.
    sequence = save_sequence(before.devices)
    tables = before.vm.read(TABLES, TABLES_SIZE)
    model = facade(tables)
    restore(model, sequence)
    assert save_sequence(model) == sequence, "the model has another state than KVM"
    assert contents(model.gic) == tables, "the model has written other tables than KVM"

    # It runs on, as what a file says of it.
    state = State.of(model.gic)
    profile = model.gic.config.profile
    gic = State.from_bytes(state.to_bytes()).build(memory=memory(contents(model.gic)), profile=profile)
    assert State.of(gic) == state
    inside = ModelMachine(gic)
    run(driver, inside, random.randrange(40))

    # Into another KVM.
    moved = VgicV3Device.over(gic)
    sequence = save_sequence(moved)
    tables = contents(gic)
    after = LiveMachine(target)
    after.vm.write(TABLES, tables)
    restore(after.devices, sequence)
    assert save_sequence(after.devices) == sequence, "the other KVM has another state than the model"
    assert after.vm.read(TABLES, TABLES_SIZE) == tables, "the other KVM has written other tables"

    # It runs on there, beside the model, until nothing is left.
    after.start()
    gic.check()
    return Trip(len(sequence), drain(driver, inside, after))


def run(driver: RandomGuest, machine: Machine, steps: int) -> None:
    """So many steps."""
    for _ in range(steps):
        driver.step(machine)


def drain(driver: RandomGuest, model: Machine, live: Machine) -> int:
    """End all that is active, lower all lines, and take what is pending, on both; how many were taken."""
    count = 0
    both: tuple[Machine, ...] = (model, live)

    def each(action: Callable[[Machine], object]) -> list[object]:
        return [action(machine) for machine in both]

    for cpu in range(driver.cpus):
        each(lambda machine, cpu=cpu: machine.do(cpu, [msr(vgic.ICC_PMR_EL1, 0xF0)]))
        while driver.taken[cpu]:
            intid = driver.taken[cpu].pop()
            each(lambda machine, cpu=cpu, intid=intid: machine.do(cpu, [msr(vgic.ICC_EOIR1_EL1, intid)]))
        for _ in range(12):
            told, found = each(lambda machine, cpu=cpu: machine.do(cpu, [mrs(vgic.ICC_IAR1_EL1)])[0])
            assert told == found, f"vCPU {cpu}: the model takes {told}, KVM {found}"
            assert isinstance(told, int)
            if told == SPURIOUS:
                break
            count += 1
            if told >= 16 and told < 8192:
                each(lambda machine, cpu=cpu, told=told: machine.set_line(cpu, told, False))
            each(lambda machine, cpu=cpu, told=told: machine.do(cpu, [msr(vgic.ICC_EOIR1_EL1, told)]))
    words = [read(GICD + offset + 4, 4) for offset in (0x100, 0x200, 0x300)]
    words += [
        read(GICR + cpu * FRAME + SGI_BASE + offset, 4) for cpu in range(driver.cpus) for offset in (0x200, 0x300)
    ]
    told, found = each(lambda machine: machine.do(0, words))
    assert told == found, f"{words}: the model has {told}, KVM {found}"
    return count


def memory(tables: bytes) -> RamRegions:
    """Guest RAM as far as a GIC reads it."""
    return RamRegions([Ram(TABLES, bytearray(tables))])


def facade(tables: bytes) -> VgicV3Device:
    """A device for a VM that comes from KVM."""
    return VgicV3Device(HOST, a3v_must_match=True, memory=memory(tables))


def contents(gic: vgic.Gic) -> bytes:
    """Its guest RAM."""
    return gic.memory.read(TABLES, TABLES_SIZE)
