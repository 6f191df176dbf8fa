"""A guest of LPIs and two ITSes without manners: tables anywhere, anything in memory, any command or access."""

import random
from typing import Final

import vgic
from counting_memory import CountingMemory
from vgic_tools.compare import command_words as cw

GICD: Final = 0x0800_0000
ITSES: Final = (0x0808_0000, 0x0900_0000)
CPUS: Final = 3
LOW_RAM: Final = 0x4000_0000
LOW_SIZE: Final = 0x8_0000
HIGH_RAM: Final = (1 << 52) - 0x2_0000
"""Up to the last address that a table can have."""
HIGH_SIZE: Final = 0x2_0000
ALL_64: Final = (1 << 64) - 1

# Where a guest that means well has its tables, within the low RAM.
DEVICES: Final = LOW_RAM
COLLECTIONS: Final = LOW_RAM + 0x1_0000
QUEUE: Final = LOW_RAM + 0x2_0000
ITTS: Final = LOW_RAM + 0x3_0000
CONFIGURATION: Final = LOW_RAM + 0x4_0000
PENDING: Final = LOW_RAM + 0x5_0000

COLLECTIONS_MAPPED: Final = 8192
"""As many as a flat table of 64 KiB has."""
EVENTS: Final = 8192
"""As many as a translation table of 64 KiB has."""
CHUNK: Final = 4096
"""More bytes than these are not read or written at once (rule ITS-60)."""


def config(profile: vgic.Profile, id_bits: int) -> vgic.Config:
    """A VM with two ITSes, and INTIDs of `id_bits` bits."""
    return vgic.Config(vgic.Topology.kvm(CPUS), 32, profile, its=ITSES, lpi_id_bits=id_bits)


class Hostile:
    """A guest without manners, in a VM with two ITSes."""

    def __init__(self, machine: vgic.Config, seed: int) -> None:
        self.random = random.Random(seed)
        self.id_bits = machine.lpi_id_bits
        self.low = bytearray(LOW_SIZE)
        self.high = bytearray(HIGH_SIZE)
        ram = vgic.RamRegions([vgic.Ram(LOW_RAM, self.low), vgic.Ram(HIGH_RAM, self.high)])
        self.memory = CountingMemory(ram, CHUNK)
        self.gic = vgic.Gic(machine, memory=self.memory)
        self.most_accesses = self.most_bytes = 0
        self.outcomes: set[vgic.MsiOutcome] = set()
        self.acknowledged = 0
        self.queues = [LOW_RAM] * len(ITSES)
        for cpu, base in enumerate(self.gic.redistributor_bases):
            self.write(base + 0x14, 4, 0)
            self.gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
            self.gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
        self.write(GICD, 4, 3)

    def sequence(self) -> None:
        """One to a dozen strokes; now and then the guest means well first."""
        if self.random.random() < 0.05:
            self.behave()
        for stroke in self.random.choices(
            [self.program, self.enable_lpis, self.fill, self.commands, self.access, self.message, self.acknowledge],
            [3, 2, 3, 6, 4, 3, 2],
            k=self.random.randint(1, 12),
        ):
            stroke()

    def behave(self) -> int:
        """Set everything up as it is meant, with all memory zeroed before; the ITS that has every event mapped."""
        self.stop_lpis()
        self.low[:] = bytes(LOW_SIZE)
        self.high[:] = bytes(HIGH_SIZE)
        self.low[CONFIGURATION - LOW_RAM : PENDING - LOW_RAM] = b"\xa3" * 0x1_0000
        self.start_lpis()
        its = self.random.randrange(len(ITSES))
        self.start(its)
        commands = [cw.mapc(cpu, cpu) for cpu in range(CPUS)]
        commands += [cw.mapd(device, 5, ITTS + 0x400 * device) for device in range(3)]
        commands += [
            cw.mapti(device, event, 8192 + 32 * device + event, event % CPUS)
            for device in range(3)
            for event in range(32)
        ]
        self.queue(its, commands)
        return its

    def fill_pending_tables(self) -> None:
        """Have every LPI pending at every vCPU."""
        self.stop_lpis()
        self.low[PENDING - LOW_RAM :] = b"\xff" * (LOW_SIZE - PENDING + LOW_RAM)
        self.start_lpis()

    def saturate(self) -> None:
        """Have every LPI mapped, and pending at every vCPU, and every collection mapped."""
        self.behave()
        # While few LPIs are mapped: KVM's profile looks at each of them for every MAPC.
        for its in range(len(ITSES)):
            self.start(its)
            for first in range(0, COLLECTIONS_MAPPED, 1024):
                self.queue(its, [cw.mapc(collection, 0) for collection in range(first, first + 1024)])
        self.map_every_lpi()
        self.fill_pending_tables()

    def map_every_lpi(self) -> None:
        """By one ITS after the other, a device's translation table at a time."""
        for its in range(len(ITSES)):
            self.start(its)
            for first in range(8192, 1 << self.id_bits, EVENTS):
                self.queue(its, [cw.mapd(0, 13, ITTS)])
                for part in range(0, EVENTS, 1024):
                    events = range(part, part + 1024)
                    self.queue(its, [cw.mapti(0, event, first + event, event % CPUS) for event in events])

    def stop_lpis(self) -> None:
        """Disable LPIs, which may write their pending tables."""
        for base in self.gic.redistributor_bases:
            self.write(base, 4, 0)

    def start_lpis(self) -> None:
        """Enable LPIs, with the tables of this guest's."""
        for cpu, base in enumerate(self.gic.redistributor_bases):
            self.write(base + 0x70, 8, CONFIGURATION | self.id_bits - 1)
            self.write(base + 0x78, 8, PENDING + 0x1_0000 * cpu)
            self.write(base, 4, 1)

    def start(self, its: int) -> None:
        """Enable an ITS anew, with flat tables and an empty queue of 64 KiB."""
        base = ITSES[its]
        self.write(base, 4, 0)
        self.write(base + 0x100, 8, 1 << 63 | DEVICES | 2 << 8)
        self.write(base + 0x108, 8, 1 << 63 | COLLECTIONS | 2 << 8)
        self.write(base + 0x80, 8, 1 << 63 | QUEUE | 15)
        self.write(base + 0x88, 8, 0)
        self.write(base, 4, 1)
        self.queues[its] = QUEUE

    def queue(self, its: int, commands: list[bytes]) -> None:
        """Have an ITS process commands, from the start of its queue or from where it is."""
        start = self.read(ITSES[its] + 0x90, 8) & 0xF_FFE0
        for command in commands:
            at = QUEUE + start - LOW_RAM
            self.low[at : at + len(command)] = command
            start = (start + len(command)) % 0x1_0000
        self.write(ITSES[its] + 0x88, 8, start)
        # KVM's profile looks at every LPI for each MAPC, in several accesses.
        for _ in range(20 * len(commands)):
            if self.read(ITSES[its] + 0x90, 8) == start:
                break

    # Measured accesses.

    def write(self, address: int, size: int, value: int) -> None:
        self._begin()
        self.gic.write(address, size, value)
        self._end()

    def read(self, address: int, size: int) -> int:
        self._begin()
        value = self.gic.read(address, size)
        self._end()
        return value

    def _begin(self) -> None:
        self.memory.accesses = self.memory.bytes = 0

    def _end(self) -> None:
        self.most_accesses = max(self.most_accesses, self.memory.accesses)
        self.most_bytes = max(self.most_bytes, self.memory.bytes)

    # Strokes.

    def address(self) -> int:
        """In RAM, where other tables and the queue are too; around its ends; misaligned; anywhere."""
        rng = self.random
        kind = rng.random()
        if kind < 0.6:
            return LOW_RAM + rng.randrange(0, LOW_SIZE, 0x1_0000)
        if kind < 0.75:
            return LOW_RAM + rng.randrange(0, LOW_SIZE, 0x100)
        if kind < 0.85:
            return rng.choice((LOW_RAM + LOW_SIZE, HIGH_RAM, HIGH_RAM + HIGH_SIZE)) - rng.choice(
                (0, 0x1000, 0x1_0000)
            )
        if kind < 0.9:
            return rng.choice((GICD, *ITSES, 0, (1 << 52) - 0x100))
        return rng.getrandbits(rng.choice((32, 40, 52, 64)))

    def program(self) -> None:
        """New tables and a new queue for an ITS, and enable it."""
        rng = self.random
        its = rng.randrange(len(ITSES))
        base = ITSES[its]
        self.write(base, 4, 0)
        for number in rng.choices(range(8), [6, 6, 1, 1, 1, 1, 1, 1], k=3):
            value = self.address() & ~0xFFF | rng.choice((0, 0, 1, 0xFF)) | rng.randrange(4) << 8
            value |= rng.choice((0, 1 << 62)) | (rng.random() < 0.9) << 63
            self.write(base + 0x100 + 8 * number, 8, value & ALL_64)
        queue = self.address() & 0xF_FFFF_FFFF_F000
        self.write(base + 0x80, 8, queue | (rng.random() < 0.9) << 63 | rng.choice((0, 0, 1, 15, 0xFF)))
        self.queues[its] = queue
        self.write(base, 4, 1)

    def enable_lpis(self) -> None:
        rng = self.random
        base = rng.choice(self.gic.redistributor_bases)
        self.write(base, 4, 0)
        if rng.random() < 0.8:
            self.write(base + 0x70, 8, (self.address() & ~0xFFF | rng.choice((12, 13, 14, 15, 23, 31))) & ALL_64)
            self.write(base + 0x78, 8, (self.address() & ~0xFFFF | rng.choice((0, 1 << 62))) & ALL_64)
        self.write(base, 4, rng.random() < 0.9)

    def fill(self) -> None:
        """Something in memory: entries of any format, noise, ones. Mostly where a table begins."""
        rng = self.random
        memory = self.low if rng.random() < 0.8 else self.high
        entry = self.entry()
        data = {
            0: entry,
            1: entry * 16,
            2: rng.randbytes(64),
            3: b"\xff" * rng.choice((1, 8, 256)),
            4: bytes(1024),
            5: bytes(rng.choices((0xA3, 0x21, 0, 1, 0xFF), k=64)),
        }[rng.randrange(6)]
        start = rng.randrange(0, len(memory), 0x1_0000) + rng.choice((0, 0, 0, 8, 1024, rng.randrange(0xFB00)))
        memory[start : start + len(data)] = data

    def entry(self) -> bytes:
        rng = self.random
        address = self.address()
        word = rng.choice(
            (
                1 << 63 | address,
                1 << 63 | address >> 8 << 5 | rng.randrange(32),
                1 | rng.randrange(32) << 1 | address >> 8 << 6,
                1 | rng.randrange(4) << 1,
                1 << 63 | rng.randrange(4) << 16 | rng.randrange(4),
                3 | self.intid() << 2 | rng.randrange(4) << 32,
                self.intid() << 16 | rng.randrange(4),
                rng.getrandbits(64),
            )
        )
        return (word & ALL_64).to_bytes(8, "little") + rng.choice((b"", b"\xff\x03\0\0"))

    def intid(self) -> int:
        return self.random.choice(
            (8192, 8193, 8200, 9000, 0x3FFF, 0xFFFF, 0x1_0000, 8191, 0, 0xFF_FFFF, 0xFFFF_FFFF)
        )

    def command(self) -> bytes:
        rng = self.random
        device = rng.choice((0, 0, 1, 2, 511, 512, 0xFFFF, rng.getrandbits(32)))
        event = rng.choice((0, 0, 1, 2, 31, 0xFFFF, rng.getrandbits(32)))
        collection = rng.choice((0, 0, 1, 2, 0xFFFF, rng.getrandbits(16)))
        targets = [rng.choice((0, 1, 2, CPUS, 0xFFFF, rng.getrandbits(36))) for _ in range(2)]
        valid = rng.random() < 0.8
        kind = rng.randrange(10)
        if kind < 2:
            return rng.choice(
                (rng.randbytes(cw.SIZE), cw.words(rng.randrange(256), rng.getrandbits(64), rng.getrandbits(64)))
            )
        if kind == 2:
            return cw.mapd(device, rng.choice((1, 4, 5, 16, 17, 32)), self.address() & 0xF_FFFF_FFFF_FF00, valid)
        if kind == 3:
            return cw.mapc(collection, targets[0], valid)
        if kind == 4:
            return cw.mapti(device, event, self.intid(), collection)
        if kind == 5:
            return rng.choice((cw.movall(*targets), cw.invall(collection), cw.sync(targets[0])))
        if kind == 6:
            return rng.choice((cw.movi(device, event, collection), cw.mapi(device, event, collection)))
        return cw.on_event(rng.choice((cw.INT, cw.INT, cw.INV, cw.CLEAR, cw.DISCARD)), device, event)

    def commands(self) -> None:
        """Write commands where the queue is, if that is RAM, and have them processed."""
        rng = self.random
        its = rng.randrange(len(ITSES))
        base, queue = ITSES[its], self.queues[its]
        start = self.read(base + 0x90, 8) & 0xF_FFE0
        data = b"".join(self.command() for _ in range(rng.choice((1, 2, 5, 20))))
        if self.memory.is_ram(queue + start, len(data)):
            self.memory.write(queue + start, data)
        end = start + len(data) if rng.random() < 0.95 else rng.getrandbits(20)
        self.write(base + 0x88, 8, end & 0xF_FFE0 | rng.getrandbits(1))
        if rng.random() < 0.2:
            self._begin()
            self.gic.its(its).process()
            self._end()

    def access(self) -> None:
        """Any register, of any width, mostly one of the LPIs' or the ITS's."""
        rng = self.random
        size = rng.choice((1, 2, 4, 4, 8, 8, 3, 16))
        base = rng.choice((*ITSES, *self.gic.redistributor_bases))
        offset = rng.choice(
            (0, 4, 8, 0x40, 0x48, 0x70, 0x78, 0x80, 0x88, 0x90, 0xA0, 0xB0, 0xC0, 0x100, 0x108, 0x1_0040)
        )
        if rng.random() < 0.2:
            offset = rng.randrange(0x2_0000)
        if rng.random() < 0.3:
            got = self.read(base + offset, size)
            assert 0 <= got < 1 << 8 * size
        else:
            self.write(base + offset, size, rng.choice((self.address(), self.intid(), rng.getrandbits(64), 1, 0)))

    def message(self) -> None:
        rng = self.random
        device, event = (rng.choice((0, 0, 1, 2, 0xFFFF)) for _ in range(2))
        self._begin()
        self.outcomes.add(self.gic.msi(device, event, its=rng.randrange(len(ITSES))).outcome)
        self._end()

    def acknowledge(self) -> None:
        cpu = self.random.randrange(CPUS)
        self._begin()
        intid = self.gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1)
        self.gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)
        self._end()
        self.acknowledged += intid >= 8192
