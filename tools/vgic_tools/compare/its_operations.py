"""Seeded random operations on an ITS and the LPIs of a virt machine: commands, messages, tables, registers.

Most commands are well formed and about few devices, events, collections and LPIs, so that mappings are made, used,
moved and removed; the rest have any field wrong. Tables are flat or two-level, of every page size, may be partly
out of RAM, and are edited behind the ITS's back. What is left out is what only differs in the order in which
memory is read, or would have QEMU use its own devices as memory:

* a vCPU's pending table, GICR_PROPBASER and GICR_PENDBASER do not change while its LPIs are enabled;
* all GICR_PROPBASER have the same value while LPIs are enabled anywhere (GICR_TYPER.CommonLPIAff);
* the bits of an RDbase above those of a Processor_Number are zero: QEMU's MAPC ignores them, its MOVALL does not;
* QEMU's memory system breaks stores of 8 bytes to GITS_TRANSLATER up into two of 4 bytes;
* tables are in RAM or where nothing is, and do not overlap the pending and configuration tables;
* what the guest edits into the device table has no more EventIDs than MAPD can give a device: QEMU's address of an
  entry would overflow.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import vgic
from vgic_tools.compare import command_words as cw
from vgic_tools.compare.accesses import DISTRIBUTOR, GICD_CTLR, GICR_CTLR, ITS, Access, Operation, random_operations
from vgic_tools.compare.its_places import (
    COLLECTION_PAGES,
    COLLECTIONS,
    CONFIGURATION,
    DEVICE_PAGES,
    DEVICES,
    GICR_PENDBASER,
    GICR_PROPBASER,
    GITS_BASER,
    GITS_CBASER,
    GITS_CREADR,
    GITS_CTLR,
    GITS_CWRITER,
    GITS_TRANSLATER,
    ITTS,
    K64,
    NOWHERE,
    PENDING,
    QUEUE,
    RAM,
    RAM_SIZE,
)
from vgic_tools.judges.protocol import Line, Poke

STALLED: Final = 1
PAGE_SIZES: Final = (0x1000, 0x4000, K64, K64)
"""By GITS_BASER<n>.Page_Size."""
INDIRECT: Final = 1 << 62
EVENT_BITS: Final = 5
ITT_SIZE: Final = 0x200
"""Room for the 12 byte entries of that many bits of EventID."""
LPIS: Final = 24
"""INTIDs from 8192 on that most events translate into."""
CONFIGURATIONS: Final = (0x00, 0x01, 0x21, 0x41, 0x43, 0xA0, 0xA1, 0xA3, 0xF9, 0xFD, 0xFF)


ItsOperation = Operation | Poke


def random_its_operations(seed: int, gic: vgic.Gic) -> Iterator[ItsOperation]:
    """Operations on a machine with one ITS and RAM as above, without end.

    Each is drawn when it is asked for, and may depend on what `gic` shows then.
    """
    source = _Source(Random(seed), gic)
    yield from source.preparation()
    while True:
        yield from source.operations()


class _Source:
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic) -> None:
        self._random = random
        self._gic = gic
        self._cpus = len(gic.config.topology)
        self._others = random_operations(random.getrandbits(32), gic)
        self._id_bits = random.choice([13, 14, 15, 15, 15, 31])
        self._queue = QUEUE
        self._queue_size = 0x1000
        self._written = 0
        self._device_entries = self._collection_entries = 0
        self._device_table, self._collection_table = DEVICES, COLLECTIONS
        # Where little else is pending, LPIs compete with each other.
        self._distributor_share = random.choice([0, 0, 20, 60])

    def preparation(self) -> Iterator[ItsOperation]:
        """Enable everything, and map some devices to some collections."""
        for _ in range(1000 if self._distributor_share else 1):
            yield from self._distributor()
        yield Access(DISTRIBUTOR, GICD_CTLR, 4, 3)
        yield Poke(CONFIGURATION, bytes(self._random.choices((*CONFIGURATIONS, 0x81, 0xA1), k=LPIS)))
        for cpu in range(self._cpus):
            yield from self._enable_lpis(cpu)
        yield from self._start()

    def operations(self) -> Iterator[ItsOperation]:
        kinds: dict[Callable[[], Iterator[ItsOperation]], int] = {
            self._commands: 40,
            self._message: 15,
            self._configure: 10,
            self._its_register: 6,
            self._lpis: 6,
            self._edit: 3,
            self._restart: 1,
            self._distributor: self._distributor_share,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]()

    # What there is.

    def _cpu(self) -> int:
        return self._random.randrange(self._cpus)

    def _device(self) -> int:
        random, page = self._random, self._device_entries
        if random.random() < 0.85:
            return random.choice([0, 0, 1, 2, 3])
        return random.choice([511, 512, 2047, 2048, 8192, page - 1 & 0xFFFF, page, 0xFFFF, 0x1_0000, 0xFFFF_FFFF])

    def _event(self) -> int:
        random = self._random
        if random.random() < 0.9:
            return random.randrange(12)
        return random.choice([15, 16, 31, 32, 33, 40, 1023, 0xFFFF, 0x1_0000, 0xFFFF_FFFF])

    def _collection(self) -> int:
        random, entries = self._random, self._collection_entries
        if random.random() < 0.9:
            return random.randrange(6)
        return random.choice([entries - 1, entries, 511, 512, 0xFFFF]) & 0xFFFF

    def _intid(self) -> int:
        random = self._random
        if random.random() < 0.9:
            return 8192 + random.randrange(LPIS)
        return random.choice(
            [0, 1023, 8191, 0x3FFF, 0x4000, 0x7FFF, 0x8000, 0xFFFF, 0x1_0000, 0x1_2000, 0xFFFF_FFFF]
        )

    def _rdbase(self) -> int:
        random = self._random
        return self._cpu() if random.random() < 0.9 else random.choice([self._cpus, 0xFFFF])

    def _itt(self) -> int:
        """Mostly one of a few places with room for all events, which devices may come to share."""
        random = self._random
        place = random.random()
        if place < 0.9:
            return ITTS + ITT_SIZE * random.randrange(8)
        if place < 0.95:
            return ITTS + 0x100 * random.randrange(32)
        return random.choice([NOWHERE, RAM + RAM_SIZE - 0x100, RAM + RAM_SIZE - 0x200, COLLECTIONS, 1 << 51])

    # Commands.

    def _command(self) -> bytes:
        random = self._random
        kind = random.random()
        if kind < 0.03:
            return random.randbytes(cw.SIZE)
        if kind < 0.05:
            return cw.words(random.choice([0, 2, 6, 7, 0x10, 0x21, 0x22, 0x23, 0x25, 0x29, 0x2A, 0x2B, 0x2D, 0x2E]))
        command = self._meant()
        if kind < 0.1:
            # A bit of some field, or of one that is reserved; but no other table, and no higher bit of an RDbase.
            kept = range(*{cw.MAPD: (136, 180), cw.MAPC: (160, 180), cw.MOVALL: (160, 244)}.get(command[0], (0, 0)))
            at = random.choice([bit for bit in range(8, 8 * cw.SIZE) if bit not in kept])
            command = (int.from_bytes(command, "little") ^ 1 << at).to_bytes(cw.SIZE, "little")
        return command

    def _meant(self) -> bytes:
        random = self._random
        device, event, collection = self._device(), self._event(), self._collection()
        opcode = random.choices(
            [
                cw.INT,
                cw.MAPTI,
                cw.MOVI,
                cw.CLEAR,
                cw.INV,
                cw.MAPC,
                cw.DISCARD,
                cw.MAPD,
                cw.INVALL,
                cw.MOVALL,
                cw.MAPI,
            ],
            [30, 20, 10, 8, 8, 6, 4, 4, 3, 3, 2],
        )[0]
        match opcode:
            case cw.MAPD:
                bits = random.choice([EVENT_BITS, EVENT_BITS, 4, 1, 16, 17, 32])
                return cw.mapd(device, bits, self._itt(), random.random() < 0.85)
            case cw.MAPC:
                return cw.mapc(collection, self._rdbase(), random.random() < 0.85)
            case cw.MAPTI:
                return cw.mapti(device, event, self._intid(), collection)
            case cw.MAPI:
                return cw.mapi(device, event, collection)
            case cw.MOVI:
                return cw.movi(device, event, collection)
            case cw.INVALL:
                return cw.invall(collection)
            case cw.MOVALL:
                return cw.movall(self._rdbase(), self._rdbase())
        return cw.on_event(opcode, device, event)

    def _queued(self, commands: list[bytes]) -> Iterator[ItsOperation]:
        """Commands, and what has the ITS process them; the guest looks how far it got."""
        random = self._random
        for command in commands:
            yield Poke(self._queue + self._written, command)
            self._written = (self._written + cw.SIZE) % self._queue_size
        retry = random.random() < 0.1
        if random.random() < 0.9:
            yield Access(ITS, GITS_CWRITER, 8, self._written | retry)
        else:
            yield Access(ITS, GITS_CWRITER, 4, self._written | retry)
        yield Access(ITS, GITS_CREADR, 8)

    def _commands(self) -> Iterator[ItsOperation]:
        reached = self._gic.read(self._gic.config.its[0] + GITS_CREADR, 8)
        if reached & STALLED and reached & 0xF_FFE0 != self._written:
            yield from self._recover(reached & 0xF_FFE0)
        count = self._random.choice([1, 1, 1, 2, 3, 8])
        yield from self._queued([self._command() for _ in range(count)])

    def _recover(self, offset: int) -> Iterator[ItsOperation]:
        """Something about the command at which the queue stands."""
        random = self._random
        kind = random.randrange(4)
        if kind == 0:
            yield Poke(self._queue + offset % self._queue_size, cw.sync())
        elif kind == 1:
            yield Access(ITS, GITS_CREADR, 8, self._written)
        elif kind == 2:
            yield Poke(self._queue + offset % self._queue_size, self._command())
        if random.random() < 0.8:
            yield Access(ITS, GITS_CWRITER, 8, self._written | 1)
        else:
            yield Access(ITS, GITS_CTLR, 4, 1)
        yield Access(ITS, GITS_CREADR, 8)

    def _message(self) -> Iterator[ItsOperation]:
        """A store to GITS_TRANSLATER; from this machine's outside its DeviceID is 0."""
        random = self._random
        event = self._event()
        kind = random.random()
        if kind < 0.85:
            yield Access(ITS, GITS_TRANSLATER, 4, event)
        elif kind < 0.95:
            size = random.choice([1, 2])
            yield Access(ITS, GITS_TRANSLATER, size, event & (1 << 8 * size) - 1)
        else:
            yield Access(ITS, random.choice([0x1_0000, 0x1_0038, 0x1_003C, 0x1_0044, 0x1_0048]), 4, event)

    # Tables.

    def _start(self) -> Iterator[ItsOperation]:
        """Give the disabled ITS new tables and a new queue, enable it, and map what is used most."""
        random = self._random
        zeros = bytes(K64)
        for table in (DEVICES, DEVICES + K64, DEVICE_PAGES, DEVICE_PAGES + K64, COLLECTIONS, COLLECTION_PAGES):
            yield Poke(table, zeros)
        tables = [(DEVICES, DEVICE_PAGES, 2 * K64), (COLLECTIONS, COLLECTION_PAGES, K64)]
        entries, first_pages = [], []
        for number, (base, pages, room) in enumerate(tables):
            page_size, indirect = random.randrange(4), random.random() < 0.4
            page = PAGE_SIZES[page_size]
            size = random.choice([1, 1, 2]) if room >= 2 * page else 1
            value = self._attributes(base | page_size << 8 | size - 1 | indirect * INDIRECT)
            yield from self._wide(GITS_BASER + 8 * number, value)
            first_pages.append(pages if indirect else base)
            entries.append(min(size * page // 8 * (page // 8 if indirect else 1), 0x1_0000))
            if indirect:
                for index in range(2 if room >= 2 * page else 1):
                    yield Poke(base + 8 * index, (cw.VALID | pages + index * page).to_bytes(8, "little"))
                if random.random() < 0.3:
                    yield Poke(base + 16, (cw.VALID | NOWHERE).to_bytes(8, "little"))
        self._device_entries, self._collection_entries = entries
        self._device_table, self._collection_table = first_pages
        pages = random.choice([1, 1, 1, 2, 16])
        self._queue = QUEUE if pages == 16 else QUEUE + K64 // 2 * random.randrange(2)
        self._queue_size = 0x1000 * pages
        yield from self._wide(GITS_CBASER, self._attributes(self._queue | pages - 1))
        # Rarely at the start, so that the queue wraps soon.
        self._written = random.choice([0, self._queue_size - 64])
        yield Access(ITS, GITS_CREADR, 8, self._written)
        yield Access(ITS, GITS_CWRITER, 8, self._written)
        yield Access(ITS, GITS_CTLR, 4, 1)
        commands = [cw.mapd(device, EVENT_BITS, ITTS + ITT_SIZE * device) for device in range(4)]
        commands += [cw.mapc(collection, self._cpu()) for collection in range(4)]
        commands += [
            cw.mapti(device, event, self._intid(), self._collection()) for device in range(4) for event in range(8)
        ]
        yield from self._queued(commands)

    def _attributes(self, value: int) -> int:
        """With Valid, and cacheability and shareability, which change nothing, at random."""
        return (
            value
            | (self._random.random() < 0.95) * cw.VALID
            | self._random.choice([0, 0x20 << 54, 7 << 59, 3 << 10])
        )

    def _wide(self, offset: int, value: int) -> Iterator[Access]:
        """A store of 64 bits, perhaps as two halves."""
        if self._random.random() < 0.7:
            yield Access(ITS, offset, 8, value)
        else:
            yield Access(ITS, offset, 4, value & 0xFFFF_FFFF)
            yield Access(ITS, offset + 4, 4, value >> 32)

    def _restart(self) -> Iterator[ItsOperation]:
        yield Access(ITS, GITS_CTLR, 4, 0)
        if self._random.random() < 0.5:
            yield from self._message()
            yield from self._commands()
        if self._random.random() < 0.5:
            yield from self._start()
        else:
            yield Access(ITS, GITS_CTLR, 4, 1)

    def _edit(self) -> Iterator[ItsOperation]:
        """The guest changes a table itself, and what it writes may or may not be an entry."""
        random = self._random
        kind = random.randrange(3)
        if kind == 0:
            entry = (random.random() < 0.9) | random.choice([4, 4, 3, 15]) << 1 | self._itt() >> 8 << 6
            entry |= random.choice([0, 0x3FFF]) << 50
            yield Poke(self._device_table + 8 * random.randrange(4), entry.to_bytes(8, "little"))
        elif kind == 1:
            entry = (random.random() < 0.9) | self._rdbase() % 0x1_0000 << 1 | random.choice([0, 1]) << 40
            yield Poke(self._collection_table + 8 * random.randrange(6), entry.to_bytes(8, "little"))
        else:
            entry = random.choice([3, 3, 3, 1, 2]) | (self._intid() & 0xFF_FFFF) << 2 | self._collection() << 32
            place = ITTS + ITT_SIZE * random.randrange(4) + 12 * random.randrange(12)
            entry |= random.getrandbits(15) << 48
            # The fields of virtual LPIs mean nothing; the ITS keeps them while the entry maps the event.
            yield Poke(place, entry.to_bytes(8, "little") + random.randbytes(3) + b"\0")

    # LPIs.

    def _configure(self) -> Iterator[ItsOperation]:
        """Change an LPI's configuration, and mostly tell the ITS."""
        random = self._random
        intid = self._intid()
        if 8192 <= intid <= 0xFFFF:
            yield Poke(CONFIGURATION + intid - 8192, bytes([random.choice(CONFIGURATIONS)]))
        if random.random() < 0.7:
            told = cw.on_event(cw.INV, self._device(), self._event())
            yield from self._queued([told if random.random() < 0.7 else cw.invall(self._collection())])

    def _lpis(self) -> Iterator[ItsOperation]:
        cpu = self._cpu()
        if self._random.random() < 0.3:
            yield Access(cpu, GICR_CTLR, 4, 1)
        else:
            yield Access(cpu, GICR_CTLR, 4, 0)
            yield from self._commands()
            if self._random.random() < 0.8:
                yield from self._enable_lpis(cpu)

    def _enable_lpis(self, cpu: int) -> Iterator[ItsOperation]:
        """With some bits changed in the pending table, also in those before that of the first LPI."""
        random = self._random
        for _ in range(random.randrange(4)):
            place = (self._intid() & 0xFFFF) // 8
            yield Poke(PENDING + cpu * K64 + place, random.randbytes(1))
        propbaser = CONFIGURATION | self._id_bits | random.choice([0, 0x7 << 7])
        yield Access(cpu, GICR_PROPBASER, 8, propbaser)
        yield Access(cpu, GICR_PENDBASER, 8, PENDING + cpu * K64 | random.choice([0, 0x7 << 7, 1 << 62]))
        yield Access(cpu, GICR_CTLR, 4, 1)

    # Registers.

    def _its_register(self) -> Iterator[ItsOperation]:
        """A load or store of a register, or near one. Addresses of tables are not made up."""
        random = self._random
        size = random.choice([1, 2, 4, 4, 8, 8])
        offset = random.choice(
            [0, 4, 8, 0xC, 0x18, 0x40, 0x80, 0x88, 0x90, 0x94, 0x100, 0x108, 0x110, 0x138, 0xFFE8]
        )
        offset = offset // size * size
        if random.random() < 0.5:
            offset = random.randrange(0, 0x2_0000, size) if random.random() < 0.3 else offset
            yield Access(ITS, offset, size)
        elif offset == GITS_CTLR or offset // 8 * 8 == GITS_CBASER or GITS_BASER <= offset < GITS_BASER + 0x40:
            # Locked while the ITS is enabled.
            if self._gic.read(self._gic.config.its[0] + GITS_CTLR, 4) & 1 and offset != GITS_CTLR:
                yield Access(ITS, offset, size, random.getrandbits(8 * size))
        else:
            value = random.choice([random.getrandbits(8 * size), random.getrandbits(8) << 5 & (1 << 8 * size) - 1])
            yield Access(ITS, offset, size, value)
            if random.random() < 0.7:
                yield Access(ITS, GITS_CREADR, 8, self._written)
                yield Access(ITS, GITS_CWRITER, 8, self._written)

    def _distributor(self) -> Iterator[ItsOperation]:
        """Something else than LPIs, which competes with them."""
        for operation in self._others:
            if isinstance(operation, Line) or operation.value is None or operation.frame < 0:
                yield operation
                return
            # Whole or in part: these are this module's own.
            last = operation.offset + operation.size - 1
            if last >= 4 and not GICR_PROPBASER - 8 < operation.offset <= GICR_PENDBASER + 7:
                yield operation
                return
