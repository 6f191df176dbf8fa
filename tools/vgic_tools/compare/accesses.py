"""Seeded random accesses to the Distributor and the Redistributors, and random levels on input lines.

Most of what is written goes where it is understood, so that interrupts become pending, compete, are routed, and
stop being the best; the rest goes anywhere, with any value and any size. Accesses are naturally aligned.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import vgic
from mmio import FRAME_SIZE, RegisterLayout
from vgic.layouts import gicd, gicr
from vgic_tools.judges.protocol import Line, Load, Store

DISTRIBUTOR: Final = -1
"""Instead of a vCPU: the frame of the Distributor."""

ITS: Final = -2
"""Instead of a vCPU: the two frames of the first ITS."""

SGI_BASE: Final = 0x1_0000
GICD_CTLR: Final = 0x0000
GICR_CTLR: Final = 0x0000
MESSAGES: Final = (0x40, 0x48, 0x50, 0x58)
IGROUPR: Final = 0x080
ISENABLER: Final = 0x100
ICENABLER: Final = 0x180
ISPENDR: Final = 0x200
ICPENDR: Final = 0x280
ISACTIVER: Final = 0x300
ICACTIVER: Final = 0x380
IPRIORITYR: Final = 0x400
ICFGR: Final = 0xC00
IROUTER: Final = 0x6000
PRIORITIES: Final = (0x00, 0x40, 0x48, 0x4F, 0x80, 0xA0, 0xF8, 0xFE, 0xFF)
"""Few, so that ties and near misses are common, and what differs only in bits that ICC_PMR_EL1 does not have."""


@dataclass(frozen=True, slots=True)
class Access:
    """A load, or with a value a store, of `size` bytes."""

    frame: int
    """The vCPU whose Redistributor it goes to, or DISTRIBUTOR, or ITS."""
    offset: int
    size: int
    value: int | None = None

    def address(self, gic: vgic.Gic) -> int:
        """Where that is on a machine."""
        if self.frame == ITS:
            return gic.config.its[0] + self.offset
        base = gic.config.gicd_base if self.frame == DISTRIBUTOR else gic.redistributor_bases[self.frame]
        return base + self.offset

    def on(self, gic: vgic.Gic, cpu: int = 0) -> Load | Store:
        """The operation of a vCPU on a machine."""
        if self.value is None:
            return Load(cpu, self.address(gic), self.size)
        return Store(cpu, self.address(gic), self.size, self.value)

    def __str__(self) -> str:
        place = {DISTRIBUTOR: "GICD", ITS: "GITS"}.get(self.frame, f"GICR {self.frame} ")
        what = f"read {place}+{self.offset:#x}" if self.value is None else f"write {place}+{self.offset:#x}"
        return f"{what}, {self.size} bytes" + ("" if self.value is None else f", {self.value:#x}")


Operation = Access | Line


AVOIDED: Final = Access(DISTRIBUTOR, 0xC000, 4)
"""Never drawn: what a judge separates one operation from the next by."""


def random_operations(seed: int, gic: vgic.Gic, *, lines: bool = True) -> Iterator[Operation]:
    """Operations on a machine, without end; on input lines only where these are wanted.

    Each is drawn when it is asked for, and may be about the interrupts that `gic` offers then.
    """
    source = _Source(Random(seed), gic)
    yield from source.preparation()
    while True:
        operation = source.operation()
        if operation != AVOIDED and (lines or not isinstance(operation, Line)):
            yield operation


def every_register(cpus: int) -> list[Access]:
    """A read, at its width, of every register that the architecture has, in every frame."""
    reads = [Access(DISTRIBUTOR, *place) for place in _places(gicd.GICD, 0)]
    private = [*_places(gicr.RD_BASE, 0), *_places(gicr.SGI_BASE, SGI_BASE)]
    reads += [Access(cpu, *place) for cpu in range(cpus) for place in private]
    return reads


def every_address(frame: int, size: int) -> list[Access]:
    """A read of every aligned address of the Distributor's frame, or of the two of a Redistributor or the ITS."""
    end = FRAME_SIZE if frame == DISTRIBUTOR else 2 * FRAME_SIZE
    return [Access(frame, offset, size) for offset in range(0, end, size)]


def _places(layouts: list[RegisterLayout], base: int) -> list[tuple[int, int]]:
    """Offset and size of each register."""
    return [
        (base + layout.offset + index * layout.stride, layout.width // 8)
        for layout in layouts
        for index in range(layout.count)
    ]


class _Source:
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic) -> None:
        self._random = random
        self._gic = gic
        self._affinities = gic.config.topology.affinities
        self._last_intid = 31 + gic.config.spis
        # Where little is pending, even the lowest priorities come to be offered.
        self._busy = random.random() < 0.5

    def preparation(self) -> Iterator[Operation]:
        """Spread the SPIs over vCPUs and everything over the priorities, and enable it."""
        yield Access(DISTRIBUTOR, GICD_CTLR, 4, 3)
        for intid in range(32, self._last_intid + 1):
            yield Access(DISTRIBUTOR, IROUTER + 8 * intid, 8, self._route_to_vcpu())
        some = self._random.sample(range(len(self._affinities)), min(4, len(self._affinities)))
        for frame in (DISTRIBUTOR, *some):
            first, last = self._intids(frame)
            for intid in range(first, last, 4):
                yield Access(frame, self._place(frame, IPRIORITYR) + intid, 4, self._priorities(4))
            for word in range(first // 32, last // 32 + 1):
                yield Access(frame, self._place(frame, IGROUPR) + 4 * word, 4, self._random.getrandbits(32))
                yield Access(frame, self._place(frame, ISENABLER) + 4 * word, 4, 0xFFFF_FFFF)

    def operation(self) -> Operation:
        kinds = {
            self._best: 25,
            self._line: 20,
            self._bits: 20,
            self._register: 12,
            self._priority: 8,
            self._route: 8,
            self._anywhere: 10,
            self._message: 1,
            self._gate: 1,
        }
        return self._random.choices(list(kinds), list(kinds.values()))[0]()

    # Where interrupts are.

    def _cpu(self) -> int:
        return self._random.randrange(len(self._affinities))

    def _frame(self) -> int:
        return DISTRIBUTOR if self._random.random() < 0.6 else self._cpu()

    def _intids(self, frame: int) -> tuple[int, int]:
        return (32, self._last_intid) if frame == DISTRIBUTOR else (0, 31)

    def _place(self, frame: int, array: int) -> int:
        return array if frame == DISTRIBUTOR else SGI_BASE + array

    # Values.

    def _value(self, size: int) -> int:
        bits = 8 * size
        kind = self._random.randrange(6)
        if kind < 2:
            return self._random.getrandbits(bits)
        if kind < 4:
            return 1 << self._random.randrange(bits)
        return (1 << bits) - 1 if kind == 4 else 0

    def _priorities(self, count: int) -> int:
        return int.from_bytes(self._random.choices(PRIORITIES, k=count), "little")

    def _route_to_vcpu(self) -> int:
        affinity = self._random.choice(self._affinities)
        return affinity & 0xFF_FFFF | affinity >> 24 << 32

    # Operations.

    def _best(self) -> Operation:
        """What is done to an interrupt that a vCPU is offered, mostly so that it is not the best any more."""
        random, cpu = self._random, self._cpu()
        best = self._gic.highest_pending(cpu)
        if best is None or best.intid > self._last_intid:
            return self._line()
        intid = best.intid
        frame = cpu if intid < 32 else DISTRIBUTOR
        kind = random.randrange(8)
        if kind < 2 and intid >= 16:
            return Line(cpu, intid, False)
        if kind == 2:
            return Access(frame, self._place(frame, IPRIORITYR) + intid, 1, self._priorities(1))
        if kind == 3 and intid >= 32:
            return Access(frame, IROUTER + 8 * intid, 8, self._route_to_vcpu())
        if kind == 4:
            return Access(frame, self._place(frame, ICFGR) + intid // 16 * 4, 4, self._value(4))
        array = random.choice([ICENABLER, ICPENDR, ICPENDR, ISACTIVER])
        return Access(frame, self._place(frame, array) + intid // 32 * 4, 4, 1 << intid % 32)

    def _line(self) -> Line:
        random = self._random
        intid = random.randint(16, 31) if random.random() < 0.4 else random.randint(32, self._last_intid)
        return Line(self._cpu(), intid, random.random() < (0.7 if self._busy else 0.4))

    def _bits(self) -> Access:
        """A store to an array with a bit for each INTID, or two."""
        array = self._random.choice([IGROUPR, ISENABLER, ICENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER, ICFGR])
        frame = self._frame()
        first, last = self._intids(frame)
        # Sixteen interrupts to a register of ICFGR. A few registers are beyond the last interrupt.
        word = self._random.randrange(first // 32, last // 32 + 2) if frame == DISTRIBUTOR else 0
        if array == ICFGR:
            word = 2 * word + self._random.randrange(2)
        value = self._value(4)
        quietens = array in (ICENABLER, ICPENDR, ISACTIVER)
        if quietens == self._busy and array in (ISENABLER, ISPENDR, ICACTIVER, ICENABLER, ICPENDR, ISACTIVER):
            value = 1 << self._random.randrange(32)
        return Access(frame, self._place(frame, array) + 4 * word, 4, value)

    def _register(self) -> Access:
        """A load or store of any register that there is, also beyond the last interrupt, or of what is near it."""
        random = self._random
        frame = self._frame()
        frames = [(gicd.GICD, 0)] if frame == DISTRIBUTOR else [(gicr.RD_BASE, 0), (gicr.SGI_BASE, SGI_BASE)]
        layouts, base = random.choice(frames)
        layout = random.choice(layouts)
        offset = base + layout.offset + random.randrange(layout.count) * layout.stride
        size = layout.width // 8
        if random.random() < 0.3:
            low, high = offset, offset + size
            size = random.choice([1, 2, 4, 8])
            offset = random.randrange(low // size * size, high, size)
        return self._access(frame, offset, size)

    def _priority(self) -> Access:
        frame, size = self._frame(), self._random.choice([1, 1, 4])
        intid = self._random.randrange(self._intids(frame)[1] + 1) // size * size
        return Access(frame, self._place(frame, IPRIORITYR) + intid, size, self._priorities(size))

    def _route(self) -> Access:
        """GICD_IROUTER<n>, whole or a half, to a vCPU, next to one, or to anything."""
        random = self._random
        value = random.getrandbits(64)
        if random.random() < 0.9:
            value = self._route_to_vcpu()
            if random.random() < 0.2:
                value ^= 1 << random.randrange(40)
        start, size = random.choice([(0, 8), (0, 8), (0, 4), (4, 4)])
        value = value >> 8 * start & (1 << 8 * size) - 1
        intid = random.randint(30, self._last_intid + 2)
        return Access(DISTRIBUTOR, IROUTER + 8 * intid + start, size, value)

    def _message(self) -> Access:
        """To registers that QEMU does not have."""
        intid = self._random.randint(32, self._last_intid)
        return Access(DISTRIBUTOR, self._random.choice(MESSAGES), self._random.choice([2, 4]), intid)

    def _anywhere(self) -> Access:
        random = self._random
        frame, size = self._frame(), random.choice([1, 2, 4, 8])
        end = random.choice([0x100, 0x1000, 0x8000, FRAME_SIZE])
        base = 0 if frame == DISTRIBUTOR or random.random() < 0.4 else SGI_BASE
        return self._access(frame, base + random.randrange(0, end, size), size)

    def _gate(self) -> Access:
        return Access(DISTRIBUTOR, GICD_CTLR, 4, self._random.choice([0, 1, 2, 3, 3, 3]))

    def _access(self, frame: int, offset: int, size: int) -> Access:
        if self._random.random() < 0.4:
            return Access(frame, offset, size)
        value = self._value(size)
        if frame != DISTRIBUTOR and offset == GICR_CTLR:
            # EnableLPIs would have the LPIs' tables be anywhere, also in QEMU's own devices.
            value &= ~1
        elif frame == DISTRIBUTOR and offset == GICD_CTLR:
            value |= 3
        return Access(frame, offset, size, value)
