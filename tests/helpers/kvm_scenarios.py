"""Short lives of a VM's GIC, for a live KVM and for `vgic.kvm` alike: what is asked, call by call.

Each is a function that is given a `Life`, which performs calls on its subject and remembers what they came to.
"""

import errno
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from kvm_subjects import DEFAULT_RAM, GIC, Call, Subject
from vgic.kvm import Address, Control, Group, ItsAddress, ItsControl
from vgic.layouts import icc
from vgic_tools.compare import command_words
from vgic_tools.judges.kvm_host import Outcome

__all__ = ["SCENARIOS", "Life", "Scenario"]

GICD, GICR, ITS, FRAME = 0x0800_0000, 0x080A_0000, 0x0808_0000, 0x2_0000
TRANSLATER = ITS + 0x1_0040
VALID: Final = 1 << 63

# Stretches of RAM, each for a table of its own, so that it can be taken away.
QUEUE, DEVICES, EVENTS, COLLECTIONS, CONFIGURATION, PENDING = (0x4000_0000 + n * 0x100_0000 for n in range(6))
STRETCH: Final = 0x2_0000
RAM: Final = tuple((base, STRETCH) for base in (QUEUE, DEVICES, EVENTS, COLLECTIONS, CONFIGURATION, PENDING))
NO_RAM: Final = 0x6000_0000


@dataclass
class Life:
    """What was asked of a subject, and what came of it. Attributes are asked together, before anything else."""

    _subject: Subject
    _log: list[tuple[str, str]] = field(default_factory=list)
    _waiting: list[Call] = field(default_factory=list)

    @property
    def subject(self) -> Subject:
        """The subject, of which all has been asked so far."""
        calls, self._waiting = self._waiting, []
        for (kind, its, group, attr, value), outcome in zip(calls, self._subject.ask(calls), strict=True):
            name = f"{kind} group {group} attribute {attr:#x}" + (f" = {value:#x}" if kind == "set" else "")
            self._note(name if its is GIC else f"ITS {its}: {name}", outcome)
        return self._subject

    @property
    def log(self) -> list[tuple[str, str]]:
        """What was asked, and what it came to: KVM's number by name, or the value."""
        assert self.subject
        return self._log

    def _note(self, what: str, outcome: Outcome) -> None:
        told = errno.errorcode.get(outcome.errno, "?") if outcome.errno else f"{outcome.value:#x}"
        self._log.append((what, told))

    def has(self, group: int, attr: int, its: int | None = GIC) -> None:
        self._waiting.append(("has", its, group, attr, 0))

    def get(self, group: int, attr: int, value: int = 0, its: int | None = GIC) -> None:
        self._waiting.append(("get", its, group, attr, value))

    def set(self, group: int, attr: int, value: int = 0, its: int | None = GIC) -> None:
        self._waiting.append(("set", its, group, attr, value))

    def vcpu(self, vcpu_id: int | None = None) -> None:
        self._note(f"creation of a vCPU, id {vcpu_id}", self.subject.create_vcpu(vcpu_id))

    def mpidr(self, cpu: int, mpidr: int) -> None:
        self._note(f"MPIDR_EL1 of vCPU {cpu}", self.subject.set_mpidr(cpu, mpidr))

    def its(self) -> None:
        self._note("creation of an ITS", self.subject.create_its()._replace(value=0))

    def run(self, cpu: int = 0) -> None:
        self._note(f"run of vCPU {cpu}", self.subject.run(cpu))

    def msi(self, event: int, device: int = 3) -> None:
        self._note(f"MSI {event} of device {device}", self.subject.signal_msi(TRANSLATER, event, device))

    def look(self, address: int, size: int) -> None:
        self._log.append((f"RAM at {address:#x}", self.subject.read(address, size).hex()))

    def words(self, address: int, *words: int) -> None:
        self.subject.write(address, struct.pack(f"<{len(words)}Q", *words))

    def init(self) -> None:
        self.set(Group.CTRL, Control.INIT)

    def place(self) -> None:
        self.set(Group.ADDR, Address.DIST, GICD)
        self.set(Group.ADDR, Address.REDIST, GICR)

    def ready(self, vcpus: int = 1, itses: int = 0) -> None:
        """A VM that could run."""
        for _ in range(vcpus):
            self.vcpu()
        for _ in range(itses):
            self.its()
        self.place()
        self.init()
        for number in range(itses):
            self.set(Group.ADDR, ItsAddress.ITS, ITS if not number else 0x0900_0000 + number * FRAME, number)
            self.set(Group.CTRL, ItsControl.INIT, its=number)


def key(packed: int) -> int:
    return packed << 32


class Scenario(NamedTuple):
    """A life, and the RAM of its VM."""

    live: Callable[[Life], None]
    ram: tuple[tuple[int, int], ...] = DEFAULT_RAM


SCENARIOS: Final[dict[str, Scenario]] = {}


def scenario(life: Callable[[Life], None]) -> Callable[[Life], None]:
    SCENARIOS[life.__name__] = Scenario(life)
    return life


# A VM's life.


@scenario
def init_without_vcpus(life: Life) -> None:
    life.get(Group.NR_IRQS, 0)
    life.init()
    life.vcpu()
    for group in (Group.DIST_REGS, Group.REDIST_REGS, Group.LEVEL_INFO):
        life.has(group, 0)
        life.get(group, 0)
    life.get(Group.DIST_REGS, 8)
    life.get(Group.NR_IRQS, 0)
    life.set(Group.NR_IRQS, 0, 64)
    life.set(Group.ADDR, Address.DIST, GICD)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.init()


@scenario
def ids_in_any_order(life: Life) -> None:
    order = (0, 3, 5, 4, 1, 2)
    for number in order:
        life.vcpu(number)
    life.place()
    life.init()
    for number in order:
        life.get(Group.REDIST_REGS, key(number) | 8)
        life.get(Group.REDIST_REGS, key(number) | 12)
    life.run(2)


@scenario
def ids_and_regions(life: Life) -> None:
    for number in (0, 3, 5):
        life.vcpu(number)
    life.set(Group.ADDR, Address.REDIST_REGION, 2 << 52 | GICR)
    life.set(Group.ADDR, Address.REDIST_REGION, 8 << 52 | 0x0820_0000 | 1)
    for number in (4, 1, 2):
        life.vcpu(number)
    life.set(Group.ADDR, Address.DIST, GICD)
    life.init()
    for number in range(6):
        life.get(Group.REDIST_REGS, key(number) | 8)
    life.run(5)


@scenario
def ids_that_cannot_be(life: Life) -> None:
    for number in (17, 511, 512, 600, 0x7FFF_FFFF, 17):
        life.vcpu(number)
    life.place()
    life.init()
    for packed in (0x101, 0x1F0F):
        life.get(Group.REDIST_REGS, key(packed) | 8)
        life.get(Group.REDIST_REGS, key(packed) | 12)
    life.get(Group.REDIST_REGS, key(17) | 8)
    life.run()


def growth(vcpus: int, end: int) -> Callable[[Life], None]:
    def life(life: Life) -> None:
        life.vcpu()
        life.set(Group.ADDR, Address.DIST, GICD)
        life.set(Group.ADDR, Address.REDIST, end - 3 * FRAME)
        for _ in range(vcpus - 1):
            life.vcpu()
        life.init()
        for cpu in range(vcpus):
            life.get(Group.REDIST_REGS, key(cpu) | 8)
        life.run()
        life.get(Group.DIST_REGS, 0)

    return life


for count in (3, 4, 5):
    SCENARIOS[f"growth_beyond_the_end_{count}"] = Scenario(growth(count, 1 << 40))
    SCENARIOS[f"growth_into_the_distributor_{count}"] = Scenario(growth(count, GICD))


@scenario
def addresses(life: Life) -> None:
    for attr in range(7):
        life.has(Group.ADDR, attr)
        life.get(Group.ADDR, attr)
        for value in (0x1234, 1 << 40, (1 << 64) - 0x1_0000, 0x0800_0000, 0x0800_0000):
            life.set(Group.ADDR, attr, value)
        life.get(Group.ADDR, attr)
    for value in (0, 32, 63, 64, 65, 96, 992, 1023, 1024):
        life.set(Group.NR_IRQS, 0, value)
        life.get(Group.NR_IRQS, 0)
    life.vcpu()
    life.init()
    life.set(Group.NR_IRQS, 0, 96)


@scenario
def regions(life: Life) -> None:
    top = 1 << 40
    life.vcpu()
    for value in (
        2 << 52 | GICR,
        2 << 52 | GICR | 1,
        2 << 52 | 0x080E_0000 | 1,
        1 << 52 | top - FRAME | 2,
        1 << 52 | top - FRAME // 2 | 3,
        1 << 52 | top | 3,
        3 << 52 | top - 2 * FRAME | 3,
    ):
        life.set(Group.ADDR, Address.REDIST_REGION, value)
    for _ in range(4):
        life.vcpu()
    life.set(Group.ADDR, Address.DIST, 0x080E_0000)
    life.vcpu()
    for index in (0, 1, 7):
        life.get(Group.ADDR, Address.REDIST_REGION, index)
    life.set(Group.ADDR, Address.REDIST, 0x0900_0000)
    life.init()
    for cpu in range(5):
        life.get(Group.REDIST_REGS, key(cpu) | 8)
    life.run()
    life.run(1)


@scenario
def groups(life: Life) -> None:
    life.ready()
    for group in range(14):
        for attr in range(6):
            life.has(group, attr)
    for group in (2, 8, 9, 10):
        life.get(group, 0)
        life.set(group, 0, 27)
    for control in (1, 2, 4):
        life.set(Group.CTRL, control)


@scenario
def maintenance_irq(life: Life) -> None:
    for value in (27, 15, 16, 31, 32, 0, 1000):
        life.set(Group.MAINT_IRQ, 0, value)
        life.get(Group.MAINT_IRQ, 1)
    life.init()
    life.set(Group.MAINT_IRQ, 0, 28)
    life.get(Group.MAINT_IRQ, 0)


# Registers, in several shapes of VM.


@dataclass(frozen=True)
class Shape:
    vcpus: int
    itses: int


SHAPES: Final = (Shape(1, 0), Shape(3, 0), Shape(2, 1), Shape(1, 2))


def in_shape(life: Callable[[Life, Shape], None]) -> None:
    for shape in SHAPES:
        SCENARIOS[f"{life.__name__}_{shape.vcpus}_vcpus_{shape.itses}_itses"] = Scenario(
            lambda told, shape=shape: life(told, shape)  # type: ignore[misc]
        )


@in_shape
def revisions(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    for revision in (2, 1, 3, 0, 4, 2):
        life.set(Group.DIST_REGS, 8, 0x4B00_043B | revision << 12)
        life.get(Group.DIST_REGS, 8)
        for cpu in range(shape.vcpus):
            life.get(Group.REDIST_REGS, key(cpu))
        life.set(Group.REDIST_REGS, 0x1_0080, 0xF0F0_F0F0)
        life.get(Group.REDIST_REGS, 0x1_0080)
        life.set(Group.REDIST_REGS, 0, 1)
        life.get(Group.REDIST_REGS, 0)
        life.set(Group.REDIST_REGS, 0, 0)


@in_shape
def before_init(life: Life, shape: Shape) -> None:
    for _ in range(shape.vcpus):
        life.vcpu()
    for _ in range(shape.itses):
        life.its()
    for value in (0x4B00_243B, 0x4B00_143B, 0x4B00_043B):
        life.set(Group.DIST_REGS, 8, value)
        life.get(Group.DIST_REGS, 8)
    for value in (0, 1, 0x100):
        life.set(Group.DIST_REGS, 12, value)
    for group in (Group.DIST_REGS, Group.REDIST_REGS, Group.CPU_SYSREGS, Group.LEVEL_INFO):
        life.get(group, 0)
        life.get(group, key(9))
    life.init()
    life.get(Group.DIST_REGS, 8)
    life.get(Group.REDIST_REGS, 0)
    for value in (0, 1, 0x100):
        life.set(Group.DIST_REGS, 12, value)


@in_shape
def table_registers(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    last = key(shape.vcpus - 1)
    for offset in (0x70, 0x78):
        life.get(Group.REDIST_REGS, offset)
        for value in (0, 0xFFFF_FFFF, *(sh << 10 | cache << 7 | 0xD for sh in range(4) for cache in range(8))):
            life.set(Group.REDIST_REGS, offset, value)
            life.get(Group.REDIST_REGS, offset)
            life.get(Group.REDIST_REGS, last | offset)
        for value in (0, 0xFFFF_FFFF, *(cache << 24 for cache in range(8))):
            life.set(Group.REDIST_REGS, last | offset + 4, value)
            life.get(Group.REDIST_REGS, last | offset + 4)
    life.its()
    life.get(Group.REDIST_REGS, 0x70)
    life.get(Group.REDIST_REGS, 0x74)
    life.get(Group.REDIST_REGS, 0x78)
    life.get(Group.REDIST_REGS, last | 0x78)
    life.set(Group.REDIST_REGS, 0x70, 0x1234_000F)
    life.its()
    life.get(Group.REDIST_REGS, 0x70)


@in_shape
def written_everywhere(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    banks = (0x80, 0x100, 0x180, 0x200, 0x280, 0x300, 0x380, 0x400, 0x41C, 0x800, 0xC00, 0xC04, 0xD00)
    distributor = (*range(16, 0x80, 4), *banks, *(4 + bank for bank in banks), 0x420, 0xC08, 0x6000, 0x6004)
    for offset in (0, 4, *distributor, 0x6100, 0x6104, 0x6000 + 8 * 255, 0x6000 + 8 * 256, 0x102, 0x101):
        for value in (0x9F9F_9F9F, 0):
            life.set(Group.DIST_REGS, offset, value)
            life.get(Group.DIST_REGS, offset)
    last = key(shape.vcpus - 1)
    for offset in (*range(0, 0x70, 4), *range(0x80, 0x100, 4), *(0x1_0000 + bank for bank in banks)):
        for value in (0x9F9F_9F9F, 0):
            life.set(Group.REDIST_REGS, last | offset, value)
            life.get(Group.REDIST_REGS, last | offset)


@in_shape
def levels(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    last = key(shape.vcpus - 1)
    for intid in (0, 32, 64, 224, 256, 992):
        life.has(Group.LEVEL_INFO, intid)
        life.get(Group.LEVEL_INFO, intid)
        life.set(Group.LEVEL_INFO, intid, 0xFFFF_FFFF)
        life.get(Group.LEVEL_INFO, intid)
        life.get(Group.LEVEL_INFO, last | intid)
    for offset, value in ((0xC08, 0), (0xC08, 0xAAAA_AAAA), (0xC08, 0), (0xC0C, 0)):
        life.set(Group.DIST_REGS, offset, value)
        life.get(Group.LEVEL_INFO, 32)
        life.set(Group.LEVEL_INFO, 32, 0x1234_5678 ^ offset)
        life.get(Group.LEVEL_INFO, 32)
        life.get(Group.DIST_REGS, 0x204)
    for attr in (1, 31, 1 << 10, 1 << 10 | 32, 3 << 32):
        life.has(Group.LEVEL_INFO, attr)
        life.get(Group.LEVEL_INFO, attr)
        life.set(Group.LEVEL_INFO, attr, 1)


@in_shape
def system_registers(life: Life, shape: Shape) -> None:
    life.ready(shape.vcpus, shape.itses)
    last = key(shape.vcpus - 1)
    sysregs = Group.CPU_SYSREGS
    for encoding in (*range(0xC640, 0xC670), 0xC230, 0, 0xC005, 0xC600, 0xC65D):
        life.has(sysregs, encoding)
        life.get(sysregs, last | encoding)
    for encoding in (0xC660, 0xC65D, 0xC005):
        life.set(sysregs, encoding, 0)
    for value in range(8):
        for encoding in (icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1):
            life.set(sysregs, last | encoding, value)
            life.get(sysregs, last | encoding)
    life.get(sysregs, icc.ICC_CTLR_EL1)
    control = 0x8C00  # A3V, IDbits, PRIbits: as the host has them
    for value in (control | 1, control | 2, control | 3, control | 0x700, control ^ 1 << 14, control | 1 << 40):
        life.set(sysregs, icc.ICC_CTLR_EL1, value)
        life.get(sysregs, icc.ICC_CTLR_EL1)
    life.set(sysregs, icc.ICC_CTLR_EL1, control | 1)
    for bpr0, bpr1 in ((4, 3), (7, 0), (0, 5)):
        life.set(sysregs, icc.ICC_BPR0_EL1, bpr0)
        life.set(sysregs, icc.ICC_BPR1_EL1, bpr1)
        life.get(sysregs, icc.ICC_BPR1_EL1)
    life.set(sysregs, icc.ICC_CTLR_EL1, control)
    life.get(sysregs, icc.ICC_BPR1_EL1)
    for encoding, values in (
        (icc.ICC_SRE_EL1, (0, 1, 6, 7, 0x100)),
        (icc.ICC_PMR_EL1, (0, 0xFF, 0x1FF, 0xFC, 0x18)),
        (icc.ICC_IGRPEN0_EL1, (0, 1, 2, 3, 0xFFFF_FFFF)),
        (icc.ICC_IGRPEN1_EL1, (0, 1, 2, 3, 0xFFFF_FFFF)),
        *((encoding, ((1 << 64) - 1, 0)) for encoding in (*range(0xC644, 0xC64C),)),
    ):
        for value in values:
            life.set(sysregs, encoding, value)
            life.get(sysregs, encoding)


@scenario
def cut_by_running(life: Life) -> None:
    life.ready()
    for encoding, value in ((icc.ICC_PMR_EL1, 0xFF), (icc.ICC_BPR0_EL1, 1), (icc.ICC_BPR1_EL1, 0)):
        life.set(Group.CPU_SYSREGS, encoding, value)
    life.run()
    # QEMU's ICH_VMCR_EL2 keeps all bits of a PMR, so nothing cuts that.
    for encoding in (icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1):
        life.get(Group.CPU_SYSREGS, encoding)


@scenario
def mpidrs(life: Life) -> None:
    life.vcpu()
    life.vcpu()
    life.init()
    life.mpidr(1, 0x1_8000_0001)
    for attr in (0x0100_0001, 1, 0):
        life.get(Group.REDIST_REGS, key(attr) | 8)
        life.get(Group.REDIST_REGS, key(attr) | 12)


# ITSes.


@scenario
def its_groups(life: Life) -> None:
    life.ready(1, 1)
    for group in range(12):
        for attr in range(6):
            life.has(group, attr, its=0)
    for group in (0, 1, 2, 3, 5, 6, 7, 9):
        life.get(group, 0, its=0)
        life.set(group, 0, 5, its=0)
    for control in (0, 3, 5, 6):
        life.set(Group.CTRL, control, its=0)


@scenario
def its_registers(life: Life) -> None:
    life.ready(1, 1)
    everything = (1 << 64) - 1
    for offset in (0, 4, 8, 0x80, 0x88, 0x90, 0x100, 0x108, 0x110, 0x138, 0x1000, 0xFFE8, 2, 0x82, 0x84, 0xC):
        for value in (0, everything, 0x1234_5678_9ABC_DEF0, 0):
            life.set(Group.ITS_REGS, offset, value, its=0)
            life.get(Group.ITS_REGS, offset, its=0)
    for offset in (0x80, 0x100, 0x108):
        for value in range(64):
            written = value << 56 | (value & 7) << 53 | (value & 3) << 10 | value
            life.set(Group.ITS_REGS, offset, written, its=0)
            life.get(Group.ITS_REGS, offset, its=0)


def its_up(life: Life, devices: int = DEVICES, collections: int = COLLECTIONS, flags: int = 0) -> None:
    """The ITS of a VM that is ready, with its tables but not enabled."""
    life.set(Group.ITS_REGS, 0x80, VALID | QUEUE, its=0)
    life.set(Group.ITS_REGS, 0x100, VALID | devices | flags, its=0)
    life.set(Group.ITS_REGS, 0x108, VALID | collections, its=0)


def lpis_up(life: Life, configuration: int = CONFIGURATION, pending: int = PENDING) -> None:
    life.set(Group.REDIST_REGS, 0x70, configuration | 0xF)
    life.set(Group.REDIST_REGS, 0x78, pending)
    life.set(Group.REDIST_REGS, 0, 1)


def guest(
    *,
    gone: int | None = None,
    devices: int = DEVICES,
    collections: int = COLLECTIONS,
    configuration: int = CONFIGURATION,
    pending: int = PENDING,
    flags: int = 0,
    mapped: bool = True,
) -> Scenario:
    """A guest that maps events of a device; then a stretch of RAM goes away, and the VM is saved and restored."""

    def live(life: Life) -> None:
        life.ready(1, 1)
        its_up(life, devices, collections, flags)
        lpis_up(life, configuration, pending)
        life.set(Group.ITS_REGS, 0, 1, its=0)
        if mapped:
            commands = [command_words.mapc(0, 0), command_words.mapd(3, 5, EVENTS)]
            commands += [command_words.mapti(3, event, intid, 0) for event, intid in ((1, 8200), (7, 8300))]
            life.subject.write(QUEUE, b"".join(commands))
            life.set(Group.ITS_REGS, 0x88, 32 * len(commands), its=0)
            life.get(Group.ITS_REGS, 0x90, its=0)
            if devices != NO_RAM:
                for event in (1, 7, 9):
                    life.msi(event)
        if gone is not None:
            life.subject.remove_ram([base for base, _ in RAM].index(gone))
        life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
        life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
        life.set(Group.CTRL, ItsControl.RESET, its=0)
        its_up(life, devices, collections, flags)
        # What this leaves in the tables is KVM's in part: only a VM that loses no RAM finds them as saved.
        if gone != EVENTS:
            life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)
        if gone is None and devices == DEVICES:
            life.look(DEVICES + 24, 8)
            if collections == COLLECTIONS and configuration == CONFIGURATION and pending == PENDING:
                life.look(EVENTS, 64)
                life.look(PENDING + 1024, 32)

    return Scenario(live, RAM)


SCENARIOS.update(
    guest=guest(),
    guest_loses_the_event_table=guest(gone=EVENTS),
    guest_loses_the_collection_table=guest(gone=COLLECTIONS),
    guest_loses_the_configuration_table=guest(gone=CONFIGURATION),
    guest_loses_the_pending_table=guest(gone=PENDING),
    guest_without_device_table=guest(devices=NO_RAM),
    guest_without_collection_table=guest(collections=NO_RAM),
    guest_without_configuration_table=guest(configuration=NO_RAM),
    guest_without_pending_table=guest(pending=NO_RAM),
    idle_guest=guest(mapped=False),
    idle_guest_with_two_levels=guest(mapped=False, flags=1 << 62),
    idle_guest_without_device_table=guest(mapped=False, devices=NO_RAM),
    idle_guest_without_level_1=guest(mapped=False, devices=NO_RAM, flags=1 << 62),
    idle_guest_without_collection_table=guest(mapped=False, collections=NO_RAM),
    idle_guest_without_any_table=guest(mapped=False, collections=NO_RAM, devices=NO_RAM),
    idle_guest_whose_device_table_leaves_ram=guest(mapped=False, devices=DEVICES + STRETCH // 2, flags=1),
)


def dte(itt: int, step: int = 0, bits: int = 5) -> int:
    return VALID | step << 49 | itt >> 8 << 5 | bits - 1


def ite(intid: int, step: int = 0, collection: int = 0) -> int:
    return step << 48 | intid << 16 | collection


CTE: Final = VALID
"""Collection 0, at vCPU 0."""

FAR: Final = EVENTS + STRETCH - 0x100
"""A table of events that RAM ends within: after 32."""

SOUND: Final = ((DEVICES + 24, dte(EVENTS)), (EVENTS + 8, ite(8200)), (COLLECTIONS, CTE))
EVENT: Final = (EVENTS + 8, ite(8200))


def destination(
    *words: tuple[int, int],
    devices: int = DEVICES,
    collections: int = COLLECTIONS,
    configuration: int = CONFIGURATION,
    pending: int = PENDING,
    flags: int = 0,
    used: bool = False,
) -> Scenario:
    """A VM that is restored from these words in its RAM; `used`: and then gets messages."""

    def live(life: Life) -> None:
        life.ready(1, 1)
        its_up(life, devices, collections, flags)
        lpis_up(life, configuration, pending)
        for address, word in words:
            life.words(address, word)
        life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)
        if used:
            life.msi(1)
            life.set(Group.ITS_REGS, 0, 1, its=0)
            life.msi(1)
            life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)

    return Scenario(live, RAM)


# What the façade once had otherwise than KVM.


@scenario
def widths_of_vcpus(life: Life) -> None:
    control, other = icc.ICC_CTLR_EL1, key(1) | icc.ICC_CTLR_EL1
    life.ready(2)
    for attr, values in (
        (control, (0x8C00, 0x8B00, 0x8C00)),
        (other, (0xC000, 0xBA00, 0x8000, 0x0000, 0x8100, 0x8003)),
    ):
        for value in values:
            life.set(Group.CPU_SYSREGS, attr, value)
            life.get(Group.CPU_SYSREGS, control)
            life.get(Group.CPU_SYSREGS, other)
    for encoding in range(0xC644, 0xC64C):
        life.get(Group.CPU_SYSREGS, encoding)
        life.set(Group.CPU_SYSREGS, key(1) | encoding, 0xFFFF_FFFF)
        life.get(Group.CPU_SYSREGS, key(1) | encoding)
    life.run()
    for value in (0x8300, 0x8900):
        life.set(Group.CPU_SYSREGS, control, value)
        life.get(Group.CPU_SYSREGS, control)
    life.set(Group.DIST_REGS, 8, 0x4B00_243B)
    life.get(Group.DIST_REGS, 8)
    life.get(Group.REDIST_REGS, 0)


def every_its_register(life: Life) -> None:
    for offset in (0, 4, 8, 0x80, 0x88, 0x90, 0x100):
        life.get(Group.ITS_REGS, offset, its=0)
        life.set(Group.ITS_REGS, offset, VALID | QUEUE if offset >= 0x80 else 0, its=0)
        life.get(Group.ITS_REGS, offset, its=0)


@scenario
def its_before_init(life: Life) -> None:
    life.vcpu()
    life.its()
    every_its_register(life)
    life.set(Group.ADDR, ItsAddress.ITS, ITS, 0)
    every_its_register(life)
    for control in (ItsControl.SAVE_TABLES, ItsControl.RESTORE_TABLES, ItsControl.INIT):
        life.set(Group.CTRL, control, its=0)
    life.vcpu()
    life.get(Group.ITS_REGS, 0x80, its=0)
    life.place()
    life.init()
    every_its_register(life)


def run_commands(life: Life, *commands: bytes, at: int = 0) -> None:
    life.subject.write(QUEUE + command_words.SIZE * at, b"".join(commands))
    life.set(Group.ITS_REGS, 0x88, command_words.SIZE * (at + len(commands)), its=0)
    life.get(Group.ITS_REGS, 0x90, its=0)


def its_after_a_run(life: Life) -> None:
    life.ready()
    life.run()
    life.set(Group.REDIST_REGS, 0x70, 0x1234_000F)
    life.its()
    for group, offset in ((Group.DIST_REGS, 4), (Group.REDIST_REGS, 8), (Group.REDIST_REGS, 0x70)):
        life.get(group, offset)
    life.set(Group.ADDR, ItsAddress.ITS, ITS, 0)
    life.set(Group.CTRL, ItsControl.INIT, its=0)
    its_up(life)
    lpis_up(life)
    life.set(Group.ITS_REGS, 0, 1, its=0)
    mapped = command_words.mapc(0, 0), command_words.mapd(3, 5, EVENTS), command_words.mapti(3, 1, 8200, 0)
    run_commands(life, *mapped)
    life.msi(1)
    life.run()
    life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
    life.look(EVENTS, 64)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.look(PENDING + 1024, 4)


def several(life: Life, ids: tuple[int, ...], *commands: bytes) -> None:
    """A VM whose vCPUs have these ids, with LPIs; vCPU 0's pending table is `PENDING`, the others' behind it."""
    for vcpu_id in ids:
        life.vcpu(vcpu_id)
    life.its()
    life.place()
    life.init()
    life.set(Group.ADDR, ItsAddress.ITS, ITS, 0)
    its_up(life)
    for number, vcpu_id in enumerate(ids):
        life.set(Group.REDIST_REGS, key(vcpu_id) | 0x70, CONFIGURATION | 0xF)
        life.set(Group.REDIST_REGS, key(vcpu_id) | 0x78, PENDING + 0x1_0000 * (number & 1))
        life.set(Group.REDIST_REGS, key(vcpu_id), 1)
    life.set(Group.ITS_REGS, 0, 1, its=0)
    run_commands(life, *commands)


def targets(life: Life) -> None:
    several(
        life,
        (0, 5, 2),
        *(command_words.mapc(number, number) for number in (0, 1, 2, 5)),
        command_words.mapd(3, 5, EVENTS),
        *(command_words.mapti(3, number, 8200 + number, number) for number in (1, 2, 5)),
    )
    for event in (1, 2, 5):
        life.msi(event)
    life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
    life.look(COLLECTIONS, 64)
    for rdbase in (1, 2, 5, 6):
        life.set(Group.CTRL, ItsControl.RESET, its=0)
        its_up(life)
        life.words(COLLECTIONS, VALID | rdbase << 16, 0)
        life.words(DEVICES + 24, 0)
        life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)


def pending_bits(life: Life) -> None:
    several(
        life,
        (0, 1),
        command_words.mapc(0, 0),
        command_words.mapd(3, 5, EVENTS),
        command_words.mapti(3, 1, 8200, 0),
        command_words.mapti(3, 2, 8201, 7),
    )
    for table in (PENDING, PENDING + 0x1_0000):
        life.words(table + 1024, (1 << 64) - 1)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.look(PENDING + 1024, 8)
    life.look(PENDING + 0x1_0000 + 1024, 8)
    life.msi(1)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.look(PENDING + 1024, 8)


def pending_bit_that_is_gone(life: Life) -> None:
    several(life, (0, 1), command_words.mapc(0, 0), command_words.mapd(3, 5, EVENTS))
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    run_commands(life, command_words.mapti(3, 1, 8200, 0), at=2)
    life.subject.remove_ram([base for base, _ in RAM].index(PENDING))
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
    life.msi(1)
    life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)


def device_without_events(life: Life) -> None:
    several(
        life,
        (0,),
        command_words.mapc(0, 0),
        command_words.mapd(3, 5, NO_RAM),
        command_words.mapd(4, 5, EVENTS),
    )
    life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
    life.look(DEVICES, 48)
    for at, command in enumerate(
        (
            command_words.mapti(3, 1, 8200, 0),
            command_words.on_event(command_words.DISCARD, 3, 1),
            command_words.mapti(4, 1, 8200, 0),
            command_words.mapd(3, 5, 0, False),
        ),
        3,
    ):
        run_commands(life, command, at=at)
        for device in (3, 4):
            life.msi(1, device)
        life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
        life.look(DEVICES, 48)


for told in (its_after_a_run, targets, pending_bits, pending_bit_that_is_gone, device_without_events):
    SCENARIOS[told.__name__] = Scenario(told, RAM)


SCENARIOS.update(
    restored=destination(*SOUND, used=True),
    restored_with_two_levels=destination(
        (DEVICES, VALID | DEVICES + 0x1_0000),
        (DEVICES + 0x1_0018, dte(EVENTS)),
        *SOUND[1:],
        flags=1 << 62,
        used=True,
    ),
    restored_with_no_level_2=destination(SOUND[2], flags=1 << 62),
    restored_without_events=destination((DEVICES + 24, dte(NO_RAM)), SOUND[2]),
    restored_without_devices=destination(SOUND[2], devices=NO_RAM),
    restored_without_level_1=destination(SOUND[2], devices=NO_RAM, flags=1 << 62),
    restored_without_level_2=destination((DEVICES, VALID | NO_RAM), SOUND[2], flags=1 << 62),
    restored_without_collections=destination(*SOUND[:2], collections=NO_RAM),
    restored_without_configuration=destination(*SOUND, configuration=NO_RAM),
    restored_without_pending_bits=destination(*SOUND, pending=NO_RAM),
    restored_unlisted_collection=destination(*SOUND[:2]),
    restored_collection_of_no_vcpu=destination(*SOUND[:2], (COLLECTIONS, CTE | 5 << 16)),
    restored_collection_that_goes_nowhere=destination(
        *SOUND[:2], (COLLECTIONS, CTE | 0xFFFF_FFFF << 16), pending=NO_RAM
    ),
    restored_low_intid=destination(SOUND[0], (EVENTS + 8, ite(1000)), SOUND[2]),
    restored_events_end_with_ram=destination((DEVICES + 24, dte(FAR)), SOUND[2]),
    restored_events_leave_ram_and_are_none=destination((DEVICES + 24, dte(FAR, 0, 6)), SOUND[2]),
    restored_events_leave_ram_after_the_last=destination(
        (DEVICES + 24, dte(FAR, 0, 6)), (FAR + 8, ite(8200)), SOUND[2]
    ),
    restored_events_leave_ram_by_their_chain=destination(
        (DEVICES + 24, dte(FAR, 0, 6)), (FAR + 8, ite(8200, 31)), SOUND[2]
    ),
    restored_devices_leave_ram_after_the_last=destination(
        (DEVICES + 0x1_0018, dte(EVENTS)), EVENT, SOUND[2], devices=DEVICES + 0x1_0000, flags=1
    ),
    restored_devices_leave_ram_by_their_chain=destination(
        (DEVICES + 0x1_0018, dte(EVENTS, 8189)), EVENT, SOUND[2], devices=DEVICES + 0x1_0000, flags=1
    ),
    restored_devices_leave_ram_and_are_none=destination(SOUND[2], devices=DEVICES + 0x1_0000, flags=1),
)
