"""Random lives of a VM's ITS, for a live KVM and for `vgic.kvm` alike: commands, messages, saving, and restoring.

The guest is a driver that knows what it does, and errs at times: it uses no translation table and no LPI twice, it
discards a device's events before it unmaps it, and unmaps no collection that an event names. What KVM makes of a
guest that does not is in rule ITS-37.
"""

import struct
from dataclasses import dataclass, field
from random import Random
from typing import Final

from kvm_life import GICD, ITS, VALID, Life
from kvm_subjects import Subject
from vgic.kvm import Address, Control, Group, ItsAddress, ItsControl
from vgic_tools.compare import command_words as its

__all__ = ["RAM", "ItsLife"]

BASE: Final = 0x4000_0000
RAM: Final = ((BASE, 0x10_0000),)
QUEUE, DEVICES, COLLECTIONS, EVENTS, CONFIGURATION, LEVEL2 = (BASE + 0x1_0000 * n for n in range(6))
PENDING: Final = BASE + 0x6_0000
MOST_VCPUS: Final = 8
GICR: Final = 0x0900_0000

FIRST_LPI: Final = 8192
LPIS: Final = 512
"""That the tables here have configuration bytes for."""
DEVICE_IDS: Final = (0, 1, 2, 3, 7, 40, 41, 300, 8191)
COLLECTION_IDS: Final = 12
ENABLED_OR_NOT: Final = (0xA3, 0x63, 0xA2, 0x21)


def packed(vcpu_id: int) -> int:
    """The affinity that KVM gives a vCPU."""
    return (vcpu_id >> 4) << 8 | vcpu_id & 15


@dataclass
class _Device:
    itt: int
    bits: int
    events: dict[int, int] = field(default_factory=dict)
    """The collection of each event that is mapped."""


class ItsLife:
    """What happens to the VM of a seed; whatever the subject is, the same."""

    def __init__(self, seed: int) -> None:
        self.random = random = Random(seed)
        vcpus = random.randrange(1, MOST_VCPUS + 1)
        self.ids = random.sample(range(random.choice((vcpus, 40))), vcpus)
        self.two_levels = random.random() < 0.3
        self.devices: dict[int, _Device] = {}
        self.mapped: set[int] = set()
        """Collections that MAPC has surely mapped: what RDbase is depends on the kernel."""
        self.written = 0
        """Commands in the queue so far."""
        self.tables = 0
        self.lpis = list(range(FIRST_LPI, FIRST_LPI + LPIS))
        random.shuffle(self.lpis)

    # What a VMM does.

    def begin(self, life: Life) -> None:
        """A VM with an ITS that is set up and not enabled."""
        for vcpu_id in self.ids:
            life.vcpu(vcpu_id)
        life.its()
        life.set(Group.ADDR, Address.DIST, GICD)
        life.set(Group.ADDR, Address.REDIST, GICR)
        life.set(Group.CTRL, Control.INIT)
        life.set(Group.ADDR, ItsAddress.ITS, ITS, its=0)
        life.set(Group.CTRL, ItsControl.INIT, its=0)
        life.set(Group.ITS_REGS, 0x80, VALID | QUEUE | 0xF, its=0)
        life.set(Group.ITS_REGS, 0x100, VALID | DEVICES | self.two_levels << 62, its=0)
        life.set(Group.ITS_REGS, 0x108, VALID | COLLECTIONS, its=0)
        for number, vcpu_id in enumerate(self.ids):
            key = packed(vcpu_id) << 32
            life.set(Group.REDIST_REGS, key | 0x70, CONFIGURATION | 0xF)
            life.set(Group.REDIST_REGS, key | 0x78, PENDING + 0x1_0000 * number)
            life.set(Group.REDIST_REGS, key, 1)

    def fill(self, subject: Subject) -> None:
        """RAM as the guest has it before anything else."""
        configuration = Random(len(self.ids)).choices(ENABLED_OR_NOT, k=LPIS)
        subject.write(CONFIGURATION, bytes(configuration))
        if self.two_levels:
            subject.write(DEVICES, struct.pack("<Q", VALID | LEVEL2))

    def live(self, life: Life) -> None:
        """All of it, up to where the VM is saved."""
        self.begin(life)
        self.fill(life.subject)
        life.set(Group.DIST_REGS, 0, self.random.choice((0, 2)))
        life.set(Group.ITS_REGS, 0, 1, its=0)
        for _ in range(self.random.randrange(4, 16)):
            self._commands(life, [self._command() for _ in range(self.random.randrange(1, 6))])
            self._happens(life)
        self.save(life)

    def save(self, life: Life) -> None:
        """Everything that is in RAM afterwards, as far as the ITS may have written it."""
        life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
        life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
        for base, size in self.stretches():
            life.look(base, size)

    def stretches(self) -> list[tuple[int, int]]:
        """Parts of RAM that may be other than zero."""
        devices = LEVEL2 if self.two_levels else DEVICES
        pending = [(PENDING + 0x1_0000 * number + FIRST_LPI // 8, LPIS // 8) for number in range(len(self.ids))]
        return [
            (DEVICES, 0x800),
            (devices, 0x1000),
            (devices + 8 * 8191, 8),
            (COLLECTIONS, 0x100),
            (EVENTS, 0x100 * (self.tables + 1)),
            *pending,
        ]

    def restored(self, life: Life, ram: dict[int, bytes]) -> None:
        """The VM is a new one, whose RAM another one has left; it is saved again, and gets messages."""
        self.begin(life)
        self.fill(life.subject)
        for base, data in ram.items():
            life.subject.write(base, data)
        life.set(Group.CTRL, ItsControl.RESTORE_TABLES, its=0)
        self.save(life)
        life.set(Group.ITS_REGS, 0, 1, its=0)
        for number, device in sorted(self.devices.items()):
            for event in sorted(device.events):
                life.msi(event, number)
        self.save(life)

    # What the guest does.

    def _commands(self, life: Life, commands: list[bytes]) -> None:
        life.subject.write(QUEUE + its.SIZE * self.written, b"".join(commands))
        self.written += len(commands)
        life.set(Group.ITS_REGS, 0x88, its.SIZE * self.written, its=0)
        life.get(Group.ITS_REGS, 0x90, its=0)

    def _happens(self, life: Life) -> None:
        random = self.random
        match random.randrange(6):
            case 0:
                life.set(Group.CTRL, ItsControl.SAVE_TABLES, its=0)
            case 1:
                life.set(Group.CTRL, Control.SAVE_PENDING_TABLES)
            case 2:
                for offset in (0, 0x80, 0x88, 0x90, 0x100, 0x108):
                    life.get(Group.ITS_REGS, offset, its=0)
            case _:
                for _ in range(random.randrange(1, 4)):
                    device, event = self._event()
                    life.msi(event, device)

    def _event(self) -> tuple[int, int]:
        """A device and an event of it, which are mapped more often than not."""
        random = self.random
        device = random.choice([*self.devices, *self.devices, random.choice(DEVICE_IDS)])
        known = self.devices.get(device)
        events = list(known.events) if known else []
        return device, random.choice([*events, *events, random.randrange(70)])

    def _rdbase(self) -> int:
        return self.random.choice([*self.ids, *range(len(self.ids)), self.random.randrange(50)])

    def _command(self) -> bytes:
        random = self.random
        collection = random.randrange(COLLECTION_IDS)
        device, event = self._event()
        match random.randrange(16):
            case 0 | 1:
                return self._map_device()
            case 2:
                return self._unmap_device()
            case 3 | 4:
                rdbase = self._rdbase()
                if rdbase in self.ids and rdbase < len(self.ids):
                    self.mapped.add(collection)
                return its.mapc(collection, rdbase)
            case 5:
                if any(collection in known.events.values() for known in self.devices.values()):
                    return its.sync()
                self.mapped.discard(collection)
                return its.mapc(collection, self._rdbase(), False)
            case 6 | 7 | 8 | 9:
                return self._map_event(device, collection)
            case 10:
                return self._move(device, event, collection)
            case 11:
                known = self.devices.get(device)
                if known is not None and known.events.get(event) in self.mapped:
                    del known.events[event]
                    return its.on_event(its.DISCARD, device, event)
                return its.sync()
            case 12:
                return its.on_event(random.choice((its.INT, its.CLEAR, its.INV)), device, event)
            case 13:
                return its.invall(collection)
            case 14:
                return its.movall(self._rdbase(), self._rdbase())
        return its.words(random.choice((0, 0x1F, 0xFF)))

    def _map_device(self) -> bytes:
        random = self.random
        number = random.choice([*DEVICE_IDS, 8192, 0x1_0000])
        bits = random.choice((1, 2, 3, 4, 5))
        if number > 8191 or number in self.devices:
            return its.mapd(8200, bits, EVENTS)
        self.tables += 1
        self.devices[number] = _Device(EVENTS + 0x100 * self.tables, bits)
        return its.mapd(number, bits, self.devices[number].itt)

    def _unmap_device(self) -> bytes:
        empty = [number for number, device in self.devices.items() if not device.events]
        if not empty:
            return its.mapd(9, 5, 0, False)
        number = self.random.choice(empty)
        del self.devices[number]
        return its.mapd(number, 5, 0, False)

    def _map_event(self, device: int, collection: int) -> bytes:
        known = self.devices.get(device)
        event = self.random.randrange(36)
        intid = self.lpis.pop()
        if known is not None and event < 1 << known.bits and event not in known.events:
            known.events[event] = collection
        return its.mapti(device, event, intid, collection)

    def _move(self, device: int, event: int, collection: int) -> bytes:
        known = self.devices.get(device)
        if known is not None and event in known.events and {known.events[event], collection} <= self.mapped:
            known.events[event] = collection
        return its.movi(device, event, collection)
