"""A slow and obvious GICv3 with one Security state, written from the rules and not from the model.

It is a second machine, not a check of the first one's insides: it gets the same guest operations and is compared in
everything a guest or an emulator can see, so it shares neither code nor data structures with the model. Where the
model has words of 32 interrupts, packed affinities, a queue for each vCPU and group and incremental updates, this
has an object for each interrupt, affinities of four levels, one list of all interrupts sorted by priority and
INTID, which is scanned whenever somebody asks, and not a single derived value. It knows registers by their
offsets in the manual.

`Reference` is the architecture; its subclasses override what an implementation does differently.
"""

from dataclasses import dataclass, field
from typing import Final

from sortedcontainers import SortedKeyList

Affinity = tuple[int, int, int, int]
"""Aff3, Aff2, Aff1, Aff0."""

SPURIOUS: Final = 1023
IDLE: Final = 0xFF
WORD: Final = 4

# Offsets of the registers for INTIDs 0 to 31. Of a pair of arrays the first sets, the second clears.
BIT_ARRAYS: Final = {
    0x080: "group",
    0x100: "enabled",
    0x180: "enabled",
    0x200: "pending",
    0x280: "pending",
    0x300: "active",
    0x380: "active",
}
IGROUPR: Final = 0x080
IPRIORITYR: Final = 0x400
ICFGR: Final = 0xC00
IROUTER: Final = 0x6000
GICD_CTLR: Final = 0x000
SETSPI: Final = 0x040
CLRSPI: Final = 0x048
WAKER: Final = 0x014
SGI_BASE: Final = 0x10000


EXTENDED_ARRAYS: Final = [
    *((0x1000 + 0x200 * n, 0x1080 + 0x200 * n, IGROUPR + 0x80 * n) for n in range(7)),
    (0x2000, 0x2400, IPRIORITYR),
    (0x3000, 0x3100, ICFGR),
    (0x8000, 0xA000, IROUTER),
]
"""Where the registers of extended SPIs begin and end, and those of the usual INTIDs that they are like."""


@dataclass(eq=False)
class Interrupt:
    """One interrupt: an SPI, or the SGI or PPI of one vCPU."""

    intid: int
    cpu: int | None
    """The vCPU that it is private to, None for an SPI."""
    group: int = 0
    priority: int = 0
    edge: bool = False
    enabled: bool = False
    latch: bool = False
    """Made pending by an edge, a message, an SGI or software."""
    line: bool = False
    message: bool = False
    """The level of the virtual line behind GICD_SETSPI and GICD_CLRSPI."""
    active: bool = False
    route: int = 0
    """GICD_IROUTER of an SPI, 64 bits."""
    routed: bool = True
    """The route counts; else it goes to vCPU 0."""
    overlooked: bool = False
    """Nothing has happened to it that has it forwarded; only KVM."""
    place: int | None = None
    """The vCPU at which it is active; only KVM."""

    @property
    def pending(self) -> bool:
        """What a guest reads in ISPENDR."""
        return self.latch or (not self.edge and (self.line or self.message))

    @property
    def config(self) -> int:
        """The field in ICFGR."""
        return 0b10 if self.edge else 0b00


Place = tuple[int, str, int, int, int]
"""A `Field` by its INTID."""

Field = tuple[Interrupt, str, int, int, int]
"""Part of a register: whose, which attribute, its lowest bit in the value, its width, the lowest bit reached."""


@dataclass(eq=False)
class Cpu:
    """The CPU interface of one vCPU, and its Redistributor's sleep."""

    number: int
    affinity: Affinity
    asleep: bool = True
    pmr: int = 0
    bpr: list[int] = field(default_factory=lambda: [0, 0])
    cbpr: bool = False
    eoi_mode: bool = False
    group_enabled: list[bool] = field(default_factory=lambda: [False, False])
    running: list[set[int]] = field(default_factory=lambda: [set(), set()])
    """By group: the group priorities of interrupts that were taken and whose priority is not dropped."""


class Reference:
    """The architecture, without LPIs, 1-of-N and range selectors."""

    stored_priority_bits: int | None = None
    control_writable = 0b11
    router_writable = 0xFF_00FF_FFFF
    has_messages = True
    ppis_configurable = True
    ctlr_constants = 1 << 15  # A3V
    typer_constants = 0
    typer_shows_aff3 = True

    def __init__(
        self,
        affinities: list[Affinity],
        spis: int,
        priority_bits: int,
        extended_spis: int = 0,
        extended_ppis: int = 0,
    ) -> None:
        self.priority_bits = priority_bits
        if extended_spis or extended_ppis:
            self.ctlr_constants |= 1 << 19  # ExtRange
        self.typer_constants |= extended_ppis // 32 << 27
        self.enabled_groups = 0
        self.cpus = [Cpu(number, affinity) for number, affinity in enumerate(affinities)]
        self.last_spi = 31 + spis
        self.interrupts: dict[tuple[int | None, int], Interrupt] = {}
        for cpu in self.cpus:
            self.reset_cpu(cpu.number)
            for intid in (*range(32), *range(1056, 1056 + extended_ppis)):
                self.interrupts[cpu.number, intid] = Interrupt(intid, cpu.number, edge=intid < 16)
        for intid in (*range(32, self.last_spi + 1), *range(4096, 4096 + extended_spis)):
            self.interrupts[None, intid] = Interrupt(intid, None)
        self._fields: dict[tuple[int | None, int, int], list[Field]] = {}
        self.by_priority = SortedKeyList(self.interrupts.values(), key=lambda one: (one.priority, one.intid))
        self.reset_interrupts()

    def reset_interrupts(self) -> None:
        """Reset values other than zero."""

    # Which interrupt a vCPU is offered.

    def targets(self, interrupt: Interrupt, cpu: Cpu) -> bool:
        """True where the interrupt goes to this vCPU."""
        if interrupt.cpu is not None:
            return interrupt.cpu == cpu.number
        if not interrupt.routed:
            return cpu.number == 0
        route = interrupt.route
        return cpu.affinity == (route >> 32 & 0xFF, route >> 16 & 0xFF, route >> 8 & 0xFF, route & 0xFF)

    def forwards(self, group: int) -> bool:
        """True where the Distributor forwards the group."""
        return self.enabled_groups >> group & 1 == 1

    def counts(self, interrupt: Interrupt, cpu: Cpu) -> bool:
        """True where the CPU interface would consider a forwarded interrupt at all."""
        return cpu.group_enabled[interrupt.group] and not cpu.asleep

    def offered(self, number: int) -> Interrupt | None:
        """The highest priority pending interrupt of a vCPU, whatever its PMR and running priority."""
        cpu = self.cpus[number]
        for one in self.by_priority:
            if self.waits(one) and self.targets(one, cpu) and self.forwards(one.group) and self.counts(one, cpu):
                return one
        return None

    def waits(self, interrupt: Interrupt) -> bool:
        """True where it is to be forwarded."""
        return interrupt.enabled and interrupt.pending and not interrupt.active and not interrupt.overlooked

    def preemption_mask(self, cpu: Cpu, group: int) -> int:
        """The bits of a priority that make up the group priority."""
        if group == 1 and not cpu.cbpr:
            return 0xFF & -(1 << cpu.bpr[1])
        return 0xFF & -(1 << (cpu.bpr[0] + 1))

    def running_priority(self, cpu: Cpu) -> int:
        """The highest group priority that runs."""
        return min(cpu.running[0] | cpu.running[1], default=IDLE)

    def signalled(self, number: int) -> Interrupt | None:
        """The interrupt that the vCPU's IRQ or FIQ output stands for and that IAR would return."""
        cpu, best = self.cpus[number], self.offered(number)
        if best is None or not cpu.group_enabled[best.group] or best.priority >= cpu.pmr:
            return None
        mask = self.preemption_mask(cpu, best.group)
        running = cpu.running[0] | cpu.running[1]
        if running and best.priority & mask >= min(running) & mask:
            return None
        return best

    def outputs(self, number: int) -> tuple[bool, bool]:
        """IRQ and FIQ."""
        best = self.signalled(number)
        return best is not None and best.group == 1, best is not None and best.group == 0

    def highest_pending(self, number: int, group: int) -> int:
        """HPPIR."""
        best = self.offered(number)
        shown = best is not None and best.group == group and self.cpus[number].group_enabled[group]
        return best.intid if best is not None and shown else SPURIOUS

    # The life of an interrupt.

    def visible(self, number: int, intid: int) -> Interrupt | None:
        """The interrupt that a vCPU knows by this INTID."""
        private = intid < 32 or 1056 <= intid < 1120
        return self.interrupts.get((number if private else None, intid))

    def set_line(self, interrupt: Interrupt, level: bool) -> None:
        """An input line goes to `level`."""
        if interrupt.edge and level and not interrupt.line:
            interrupt.latch = True
        interrupt.line = level

    def set_message(self, intid: int, level: bool) -> None:
        """GICD_SETSPI or GICD_CLRSPI."""
        interrupt = self.interrupts.get((None, intid))
        if interrupt is not None and interrupt.edge:
            interrupt.latch = level
        elif interrupt is not None:
            interrupt.message = level

    def acknowledge(self, number: int, group: int) -> int:
        """IAR."""
        cpu, best = self.cpus[number], self.signalled(number)
        if best is None or best.group != group:
            return SPURIOUS
        cpu.running[group].add(best.priority & self.preemption_mask(cpu, group))
        self.taken(number, best)
        return best.intid

    def taken(self, number: int, interrupt: Interrupt) -> None:
        """Pending to active, at a vCPU."""
        interrupt.active, interrupt.latch = True, False

    def happened(self, interrupt: Interrupt) -> None:
        """Its line has changed, or a register or an SGI has reached it."""

    def end(self, number: int, group: int, intid: int) -> None:
        """EOIR: the priority drops and, unless EOImode is 1, the interrupt is deactivated."""
        cpu, interrupt = self.cpus[number], self.visible(number, intid)
        if not self.can_end(interrupt, intid) or not cpu.running[group]:
            return
        others = cpu.running[1 - group]
        highest = min(cpu.running[group])
        # The same priority in both groups counts as one of Group 0.
        if others and (min(others) < highest or (group == 1 and min(others) == highest)):
            return
        cpu.running[group].remove(highest)
        if interrupt is not None and not cpu.eoi_mode and self.eoi_deactivates(interrupt, group):
            interrupt.active = False

    def can_end(self, interrupt: Interrupt | None, intid: int) -> bool:
        """True for an INTID that EOIR accepts."""
        return interrupt is not None

    def eoi_deactivates(self, interrupt: Interrupt, group: int) -> bool:
        """True where EOIR of `group` may deactivate this interrupt."""
        return interrupt.group == group

    def deactivate(self, number: int, intid: int) -> None:
        """DIR."""
        interrupt = self.visible(number, intid)
        if interrupt is not None and self.cpus[number].eoi_mode:
            interrupt.active = False

    def sgi_groups(self, name: str, secure: bool) -> set[int]:
        """The groups that an SGI may have at its target, for this register to make it pending."""
        if name == "SGI1R" and not secure:
            return {0, 1}
        return {1} if name == "ASGI1R" and secure else {0}

    def send(self, number: int, name: str, value: int, secure: bool) -> None:
        """SGI1R, ASGI1R or SGI0R."""
        cluster = value >> 48 & 0xFF, value >> 32 & 0xFF, value >> 16 & 0xFF
        for cpu in self.cpus:
            if value >> 40 & 1:
                named = cpu.number != number
            else:
                aff0 = cpu.affinity[3]
                named = cpu.affinity[:3] == cluster and aff0 < 16 and value >> aff0 & 1 == 1
            sgi = self.interrupts[cpu.number, value >> 24 & 0xF]
            if named and sgi.group in self.sgi_groups(name, secure):
                sgi.latch = True
                self.happened(sgi)

    def reset_cpu(self, number: int) -> None:
        """The CPU interface as after a reset of the PE; the Redistributor keeps its state."""
        old = self.cpus[number]
        lowest = 7 - min(self.priority_bits, 7)
        self.cpus[number] = Cpu(number, old.affinity, asleep=old.asleep, bpr=[lowest, lowest + 1])

    # System registers.

    def sysreg_read(self, number: int, name: str) -> int:
        """An MRS."""
        cpu = self.cpus[number]
        match name:
            case "PMR":
                return cpu.pmr
            case "BPR0":
                return cpu.bpr[0]
            case "BPR1":
                return min(cpu.bpr[0] + 1, 7) if cpu.cbpr else cpu.bpr[1]
            case "CTLR":
                return self.ctlr_constants | self.priority_bits - 1 << 8 | cpu.eoi_mode << 1 | cpu.cbpr
            case "SRE":
                return 7
            case "RPR":
                return self.running_priority(cpu)
            case "IGRPEN0" | "IGRPEN1":
                return cpu.group_enabled[int(name[-1])]
            case "IAR0" | "IAR1":
                return self.acknowledge(number, int(name[-1]))
            case "HPPIR0" | "HPPIR1":
                return self.highest_pending(number, int(name[-1]))
        if name.startswith("AP"):
            levels = self._levels(int(name[-1]))
            return sum(1 << bit for bit, level in enumerate(levels) if level in cpu.running[int(name[2])])
        return 0

    def sysreg_write(self, number: int, name: str, value: int, secure: bool = False) -> None:
        """An MSR."""
        cpu = self.cpus[number]
        lowest = 7 - min(self.priority_bits, 7)
        match name:
            case "PMR":
                cpu.pmr = self._implemented(value & 0xFF, self.priority_bits)
            case "BPR0":
                cpu.bpr[0] = max(value & 7, lowest)
            case "BPR1" if not cpu.cbpr:
                cpu.bpr[1] = max(value & 7, lowest + 1)
            case "CTLR":
                cpu.cbpr, cpu.eoi_mode = value & 1 == 1, value & 2 == 2
            case "IGRPEN0" | "IGRPEN1":
                cpu.group_enabled[int(name[-1])] = value & 1 == 1
            case "EOIR0" | "EOIR1":
                self.end(number, int(name[-1]), value & 0xFF_FFFF)
            case "DIR":
                self.deactivate(number, value & 0xFF_FFFF)
            case "SGI1R" | "ASGI1R" | "SGI0R":
                self.send(number, name, value, secure)
        if name.startswith("AP"):
            running = cpu.running[int(name[2])]
            for bit, level in enumerate(self._levels(int(name[-1]))):
                (running.add if value >> bit & 1 else running.discard)(level)

    def _levels(self, register: int) -> list[int]:
        """The group priorities that AP0R<register> and AP1R<register> show, bit 0 first."""
        step = 1 << 8 - min(self.priority_bits, 7)
        return list(range(0, 0x100, step))[32 * register : 32 * register + 32]

    @staticmethod
    def _implemented(priority: int, bits: int) -> int:
        return priority >> 8 - bits << 8 - bits

    # Memory-mapped registers: of the Distributor (`redistributor` is None), or of a vCPU's Redistributor.

    def read(self, redistributor: int | None, offset: int, size: int) -> int:
        """A load."""
        if redistributor is None and (offset, size) == (GICD_CTLR, WORD):
            return self.enabled_groups | 1 << 4 | 1 << 6  # ARE, DS
        if redistributor is not None and (offset, size) == (WAKER, WORD):
            return 0b110 if self.cpus[redistributor].asleep else 0
        fields = self._reached(redistributor, offset, size)
        return sum((getattr(one, name) >> low & (1 << width) - 1) << at for one, name, at, width, low in fields)

    def write(self, redistributor: int | None, offset: int, size: int, value: int) -> None:
        """A store."""
        if redistributor is None and (offset, size) == (GICD_CTLR, WORD):
            self.set_enabled_groups(value & self.control_writable)
        elif redistributor is not None and (offset, size) == (WAKER, WORD):
            self.set_sleep(self.cpus[redistributor], value & 0b10 != 0)
        elif redistributor is None and offset in (SETSPI, CLRSPI) and size in (2, WORD) and self.has_messages:
            self.set_message(value & 0x1FFF, offset == SETSPI)
        clears = offset & 0x80 != 0
        if redistributor is None and 0x1000 <= offset < 0x2000:
            clears = offset & 0x200 == 0
        for one, name, at, width, low in self._reached(redistributor, offset, size):
            self._write_field(one, name, value >> at & (1 << width) - 1, width, low, clears)

    def set_enabled_groups(self, enabled: int) -> None:
        """GICD_CTLR."""
        self.enabled_groups = enabled

    def set_sleep(self, cpu: Cpu, asleep: bool) -> None:
        """GICR_WAKER.ProcessorSleep."""
        cpu.asleep = asleep

    def typer(self, number: int, last: bool) -> int:
        """GICR_TYPER of a vCPU's Redistributor, which is the last one of a contiguous run or not."""
        aff3, aff2, aff1, aff0 = self.cpus[number].affinity
        packed = aff3 * self.typer_shows_aff3 << 24 | aff2 << 16 | aff1 << 8 | aff0
        return packed << 32 | number << 8 | last << 4 | self.typer_constants

    def _reached(self, redistributor: int | None, offset: int, size: int) -> list[Field]:
        """The fields that an access reaches. They are always the same, so each access is worked out once."""
        access = redistributor, offset, size
        if access not in self._fields:
            start = offset - (0 if redistributor is None else SGI_BASE)
            found = self._places(start, size)
            if redistributor is None and (0x1000 <= start < IROUTER or start >= IROUTER + 8 * 1024):
                found = self._extended_places(start, size)
            elif redistributor is not None:
                # From here on those of the extended range, as if 1024 were 0.
                found = [(intid if intid < 32 else intid + 1024, *rest) for intid, *rest in found]
            self._fields[access] = [
                (self.interrupts[redistributor, intid], name, at, width, low)
                for intid, name, at, width, low in found
                if (redistributor, intid) in self.interrupts
            ]
        return self._fields[access]

    @classmethod
    def _extended_places(cls, offset: int, size: int) -> list[Place]:
        """What an access to the Distributor's registers of extended SPIs reaches."""
        for first, last, usual in EXTENDED_ARRAYS:
            if first <= offset < last:
                return [(4096 + intid, *rest) for intid, *rest in cls._places(usual + offset - first, size)]
        return []

    @staticmethod
    def _places(offset: int, size: int) -> list[Place]:
        if offset % size:
            return []
        if size == WORD and IGROUPR <= offset < IPRIORITYR:
            first, name = offset % 0x80 * 8, BIT_ARRAYS[offset - offset % 0x80]
            return [(first + n, name, n, 1, 0) for n in range(32)]
        if size in (1, WORD) and IPRIORITYR <= offset < IPRIORITYR + 0x400:
            return [(offset - IPRIORITYR + n, "priority", 8 * n, 8, 0) for n in range(size)]
        if size == WORD and ICFGR <= offset < ICFGR + 0x100:
            return [(4 * (offset - ICFGR) + n, "config", 2 * n, 2, 0) for n in range(16)]
        if size in (WORD, 8) and offset >= IROUTER:
            return [((offset - IROUTER) // 8, "route", 0, 8 * size, offset % 8 * 8)]
        return []

    def _write_field(self, one: Interrupt, name: str, value: int, width: int, low: int, clears: bool) -> None:
        match name:
            case "group":
                one.group = value
                self.happened(one)
            case "priority":
                self.by_priority.remove(one)
                one.priority = self._implemented(value, self.stored_priority_bits or self.priority_bits)
                self.by_priority.add(one)
            case "config":
                if one.intid >= 32 or (one.intid >= 16 and self.ppis_configurable):
                    self.set_edge(one, value & 0b10 != 0)
            case "route":
                reached = ((1 << width) - 1) << low & self.router_writable
                if reached:
                    self.set_route(one, one.route & ~reached | value << low & reached)
            case _ if value:
                self.set_bit(one, "latch" if name == "pending" else name, not clears)

    def set_edge(self, one: Interrupt, edge: bool) -> None:
        """GICD_ICFGR or GICR_ICFGR1."""
        one.edge = edge

    def set_route(self, one: Interrupt, route: int) -> None:
        """GICD_IROUTER."""
        one.route = route
        one.routed = True

    def set_bit(self, one: Interrupt, name: str, value: bool) -> None:
        """A register that sets what is written as 1, or the one that clears it."""
        setattr(one, name, value)


class KvmReference(Reference):
    """Linux's KVM: no Aff3 in GICD_IROUTER, one group enable, no sleep, no messages, PPIs always level.

    Its CPU interfaces are virtual ones.
    """

    stored_priority_bits = 5
    control_writable = 0b10
    router_writable = 0x00FF_FFFF
    has_messages = False
    ppis_configurable = False
    ctlr_constants = 0
    typer_shows_aff3 = False

    def reset_interrupts(self) -> None:
        for (_, intid), interrupt in self.interrupts.items():
            interrupt.group = 1
            interrupt.enabled = intid < 16
            interrupt.edge = not 16 <= intid < 32
            interrupt.overlooked = True
            interrupt.routed = intid < 32
        for cpu in self.cpus:
            cpu.asleep = False

    def set_sleep(self, cpu: Cpu, asleep: bool) -> None:
        pass

    def forwards(self, group: int) -> bool:
        return self.enabled_groups != 0

    def set_line(self, interrupt: Interrupt, level: bool) -> None:
        # Every "high" of an edge-triggered line is an edge, and its level is not recorded.
        if not interrupt.edge:
            if level != interrupt.line:
                self.happened(interrupt)
            interrupt.line = level
        elif level:
            interrupt.latch = True
            self.happened(interrupt)

    # KVM queues an interrupt at a vCPU when something happens to it, and never else.

    def happened(self, interrupt: Interrupt) -> None:
        if self.enabled_groups:
            interrupt.overlooked = False
        if interrupt.active and interrupt.place is None:
            interrupt.place = self.target(interrupt)

    def set_enabled_groups(self, enabled: int) -> None:
        before, self.enabled_groups = self.enabled_groups, enabled
        for one in self.interrupts.values():
            if before and not enabled:
                one.overlooked = True
            elif enabled and not before and one.active and one.place is not None:
                one.overlooked = False

    def set_edge(self, one: Interrupt, edge: bool) -> None:
        before = self.waits(one)
        one.edge = edge
        one.overlooked = one.overlooked or (self.waits(one) and not before)

    def set_route(self, one: Interrupt, route: int) -> None:
        changes = route != one.route or not one.routed
        nowhere = one.active and one.place is None
        if changes and (self.waits(one) or nowhere) and self.target(one) is None:
            one.overlooked = True
        super().set_route(one, route)

    def set_bit(self, one: Interrupt, name: str, value: bool) -> None:
        if name == "active" and value and not one.active:
            one.place = self.target(one)
        super().set_bit(one, name, value)
        if value:
            self.happened(one)

    def target(self, one: Interrupt) -> int | None:
        """The vCPU that it goes to."""
        return next((cpu.number for cpu in self.cpus if self.targets(one, cpu)), None)

    # An interrupt is finished by the vCPU at which it is active.

    def taken(self, number: int, interrupt: Interrupt) -> None:
        interrupt.active = True
        interrupt.place = number
        if interrupt.edge:
            interrupt.latch = False

    def end(self, number: int, group: int, intid: int) -> None:
        cpu = self.cpus[number]
        if 1020 <= intid < 1024 or not (cpu.running[0] or cpu.running[1]):
            return
        dropped = self.running_priority(cpu)
        cpu.running[0 if dropped in cpu.running[0] else 1].remove(dropped)
        interrupt = self.visible(number, intid)
        if interrupt is None or cpu.eoi_mode or interrupt.group != group:
            return
        if interrupt.priority & self.preemption_mask(cpu, group) == dropped:
            self._finish(number, interrupt)

    def deactivate(self, number: int, intid: int) -> None:
        interrupt = self.visible(number, intid)
        if interrupt is not None and self.cpus[number].eoi_mode:
            self._finish(number, interrupt)

    def _finish(self, number: int, interrupt: Interrupt) -> None:
        if interrupt.active and interrupt.place == number:
            interrupt.active = False
            # A level that was seen is seen; one that is still high is pending by itself.
            interrupt.latch = interrupt.latch and interrupt.edge


class QemuReference(Reference):
    """QEMU 7.2: reserved bits stored, sleep without effect, a disabled group hides the other, 0xFF is idle."""

    stored_priority_bits = 8
    router_writable = (1 << 64) - 1
    has_messages = False
    ctlr_constants = 1 << 15 | 1 << 11  # A3V, 24 bits of INTID
    typer_constants = 1 << 24 | 1  # CommonLPIAff, PLPIS

    def counts(self, interrupt: Interrupt, cpu: Cpu) -> bool:
        return True

    def offered(self, number: int) -> Interrupt | None:
        best = super().offered(number)
        return None if best is not None and best.priority == IDLE else best

    def can_end(self, interrupt: Interrupt | None, intid: int) -> bool:
        return interrupt is not None or intid >= 8192  # LPIs

    def eoi_deactivates(self, interrupt: Interrupt, group: int) -> bool:
        return True

    def sgi_groups(self, name: str, secure: bool) -> set[int]:
        return {1} if name == "SGI1R" and not secure else super().sgi_groups(name, secure)
