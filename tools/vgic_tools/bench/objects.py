"""A slow design, as a yardstick: an object for each interrupt, and for each PE a sorted list of what is pending.

It is what one would write first, and shows what the shape of the core gains. It performs recorded boots as the
model does, with the choices of its profile qemu. It has no LPIs, no 1-of-N routing and no sleep, and does not check
access sizes.
"""

from dataclasses import dataclass, field
from typing import Final

from sortedcontainers import SortedKeyList

import vgic
from vgic import affinity
from vgic.config import REDISTRIBUTOR_SIZE
from vgic.layouts import gicd, gicr, icc
from vgic.topology import NO_VCPU, AffinityIndex

__all__ = ["FRAME", "Objects"]

FRAME: Final = 0x10000
_SPURIOUS: Final = 1023
_IDLE: Final = 0xFF

# Registers with a bit for each INTID: which attribute they show, and what writing 1 makes of it.
_BITS: Final = {
    0x100: ("enabled", True),
    0x180: ("enabled", False),
    0x200: ("latch", True),
    0x280: ("latch", False),
    0x300: ("active", True),
    0x380: ("active", False),
}
_IGROUPR: Final = 0x080
_IPRIORITYR: Final = 0x400
_ICFGR: Final = 0xC00
_IROUTER: Final = 0x6000
_IDENTIFICATION: Final = 0xFFD0


@dataclass(eq=False, slots=True)
class Interrupt:
    """One interrupt: an SPI, or the SGI or PPI of one PE."""

    intid: int
    cpu: int
    """Where it goes, NO_VCPU for nowhere."""
    group: int = 0
    priority: int = 0
    edge: bool = False
    enabled: bool = False
    latch: bool = False
    line: bool = False
    active: bool = False
    route: int = 0
    waiting: bool = False
    """It is in its PE's list."""

    @property
    def pending(self) -> bool:
        """By its latch, or by the level of its line."""
        return self.latch or (self.line and not self.edge)


@dataclass(eq=False)
class Cpu:
    """A PE: its CPU interface, and what waits for it."""

    waiting: SortedKeyList[Interrupt, tuple[int, int]] = field(
        default_factory=lambda: SortedKeyList(key=lambda one: (one.priority, one.intid))
    )
    asleep: bool = True
    pmr: int = 0
    bpr: list[int] = field(default_factory=lambda: [2, 3])
    control: int = 0
    enabled: list[bool] = field(default_factory=lambda: [False, False])
    running: list[set[int]] = field(default_factory=lambda: [set(), set()])
    irq: bool = False
    fiq: bool = False


class Objects:
    """A machine of this configuration with an object for each interrupt."""

    def __init__(self, config: vgic.Config) -> None:
        self._config = config
        model = vgic.Gic(config)
        self._bases = {base: cpu for cpu, base in enumerate(model.redistributor_bases)}
        self._find = AffinityIndex(config.topology).find
        self._control = 0
        self.cpus = [Cpu() for _ in self._bases]
        self._private = [[Interrupt(n, cpu, edge=n < 16) for n in range(32)] for cpu in self._bases.values()]
        first = self._find(0)
        self._spis = [Interrupt(32 + n, first) for n in range(config.spis)]
        # What identification registers read is not in question: it is the model's.
        self._constants = {
            base + layout.offset: model.read(base + layout.offset, layout.width // 8)
            for frame, layouts in ((config.gicd_base, gicd.GICD), *((base, gicr.RD_BASE) for base in self._bases))
            for base, layout in ((frame, layout) for layout in layouts)
        }

    # What happens to interrupts.

    def set_line(self, cpu: int, intid: int, level: bool) -> None:
        """An input line goes to `level`."""
        one = self._interrupt(cpu, intid)
        one.latch |= one.edge and level and not one.line
        one.line = level
        self._evaluate(one)

    def outputs(self, cpu: int) -> tuple[bool, bool]:
        """The IRQ and FIQ outputs of a PE."""
        return self.cpus[cpu].irq, self.cpus[cpu].fiq

    def _interrupt(self, cpu: int, intid: int) -> Interrupt:
        return self._private[cpu][intid] if intid < 32 else self._spis[intid - 32]

    def _evaluate(self, one: Interrupt) -> None:
        forwarded = self._control >> one.group & 1 and one.priority != _IDLE and one.cpu != NO_VCPU
        waits = bool(forwarded and one.pending and one.enabled and not one.active)
        if one.cpu != NO_VCPU:
            if waits != one.waiting:
                (self.cpus[one.cpu].waiting.add if waits else self.cpus[one.cpu].waiting.remove)(one)
                one.waiting = waits
            self._drive(self.cpus[one.cpu])

    def _withdraw(self, one: Interrupt) -> None:
        if one.waiting:
            self.cpus[one.cpu].waiting.remove(one)
            one.waiting = False
            self._drive(self.cpus[one.cpu])

    def _drive(self, cpu: Cpu) -> None:
        best = self._signalled(cpu)
        cpu.irq = best is not None and best.group == 1
        cpu.fiq = best is not None and best.group == 0

    def _mask(self, cpu: Cpu, group: int) -> int:
        return 0xFF & -(1 << (cpu.bpr[1] if group and not cpu.control & 1 else cpu.bpr[0] + 1))

    def _signalled(self, cpu: Cpu) -> Interrupt | None:
        best: Interrupt | None = cpu.waiting[0] if cpu.waiting else None
        if best is None or not cpu.enabled[best.group] or best.priority >= cpu.pmr:
            return None
        mask = self._mask(cpu, best.group)
        running = min(cpu.running[0] | cpu.running[1], default=None)
        return best if running is None or best.priority & mask < running & mask else None

    def _acknowledge(self, cpu: Cpu, group: int) -> int:
        best = self._signalled(cpu)
        if best is None or best.group != group:
            return _SPURIOUS
        cpu.running[group].add(best.priority & self._mask(cpu, group))
        best.active, best.latch = True, False
        self._evaluate(best)
        return best.intid

    def _end(self, number: int, group: int, intid: int) -> None:
        cpu = self.cpus[number]
        if intid >= 32 + len(self._spis) or not cpu.running[group]:
            return
        mine, other = min(cpu.running[group]), min(cpu.running[1 - group], default=_IDLE)
        if other < mine + group:  # The same priority in both groups counts as one of Group 0.
            return
        cpu.running[group].remove(mine)
        self._drive(cpu)
        if not cpu.control & 2:
            self._deactivate(number, intid)

    def _deactivate(self, number: int, intid: int) -> None:
        one = self._interrupt(number, intid)
        one.active = False
        self._evaluate(one)

    def _send(self, sender: int, value: int, group: int) -> None:
        cluster = affinity.sgi_cluster(value & icc.GENERATE_SGI.writable) << 8
        if value >> 40 & 1:
            named = [cpu for cpu in range(len(self.cpus)) if cpu != sender]
        else:
            named = [self._find(cluster | bit) for bit in range(16) if value >> bit & 1]
        for cpu in named:
            if cpu != NO_VCPU and self._private[cpu][value >> 24 & 0xF].group == group:
                one = self._private[cpu][value >> 24 & 0xF]
                one.latch = True
                self._evaluate(one)

    # Registers.

    def read(self, address: int, size: int) -> int:
        """A load."""
        cpu, offset = self.locate(address)
        if cpu is None and offset == 0:
            return self._constants[address] & ~3 | self._control
        if cpu is not None and offset == gicr.WAKER.offset:
            return 6 if self.cpus[cpu].asleep else 0
        if offset >= _IROUTER and offset < _IDENTIFICATION and cpu is None:
            return self._spis[(offset - _IROUTER) // 8 - 32].route
        reached = self._reached(cpu, offset, size)
        if reached is None:
            return self._constants.get(address, 0)
        bank, places, width = reached
        return sum(self._field(bank[index], offset % FRAME) << at * width for at, index in places)

    def _field(self, one: Interrupt, offset: int) -> int:
        if offset >= _ICFGR:
            return 2 * one.edge
        if offset >= _IPRIORITYR:
            return one.priority
        if offset < 0x100:
            return one.group
        name = _BITS[offset & ~0x7F][0]
        return int(one.pending if name == "latch" else getattr(one, name))

    def write(self, address: int, size: int, value: int) -> None:
        """A store."""
        cpu, offset = self.locate(address)
        if cpu is None and offset == 0:
            self._control = value & 3
            for one in (*self._spis, *(one for bank in self._private for one in bank)):
                self._evaluate(one)
        elif cpu is not None and offset == gicr.WAKER.offset:
            self.cpus[cpu].asleep = value & 2 != 0
        elif offset >= _IROUTER and cpu is None:
            one = self._spis[(offset - _IROUTER) // 8 - 32]
            self._withdraw(one)
            one.route, one.cpu = value, self._find(affinity.from_irouter(value))
            self._evaluate(one)
        else:
            bank, places, width = self._reached(cpu, offset, size) or ([], [], 1)
            for at, index in places:
                one = bank[index]
                self._withdraw(one)
                self._set_field(one, offset % FRAME, value >> at * width & (1 << width) - 1)
                self._evaluate(one)

    def _set_field(self, one: Interrupt, offset: int, value: int) -> None:
        if offset >= _ICFGR:
            one.edge = one.intid < 16 or value & 2 != 0
        elif offset >= _IPRIORITYR:
            one.priority = value
        elif offset < 0x100:
            one.group = value
        elif value:
            name, sets = _BITS[offset & ~0x7F]
            setattr(one, name, sets)

    def locate(self, address: int) -> tuple[int | None, int]:
        """The Redistributor's PE, None for the Distributor, and the offset in its frames."""
        offset = address - self._config.gicd_base
        if 0 <= offset < FRAME:
            return None, offset
        base = address & ~(REDISTRIBUTOR_SIZE - 1)
        base += 0 if base in self._bases else -FRAME
        return self._bases[base], address - base

    def _reached(
        self, cpu: int | None, offset: int, size: int
    ) -> tuple[list[Interrupt], list[tuple[int, int]], int] | None:
        """Whose fields an access reaches: the bank, (place, index) of each, and how wide they are."""
        bank, first = (self._spis, 32) if cpu is None else (self._private[cpu], 0)
        if cpu is not None:
            if offset < FRAME:
                return None
            offset -= FRAME
        if not _IGROUPR <= offset < _ICFGR + 0x100:
            return None
        width = 2 if offset >= _ICFGR else 8 if offset >= _IPRIORITYR else 1
        start = _ICFGR if width == 2 else _IPRIORITYR if width == 8 else offset & ~0x7F
        lowest = (offset - start) * 8 // width - first
        indices = range(lowest, lowest + size * 8 // width)
        return bank, [(at, index) for at, index in enumerate(indices) if 0 <= index < len(bank)], width

    def sysreg_read(self, cpu: int, register: int) -> int:
        """An MRS."""
        pe = self.cpus[cpu]
        match register:
            case vgic.ICC_IAR0_EL1 | vgic.ICC_IAR1_EL1:
                return self._acknowledge(pe, int(register == vgic.ICC_IAR1_EL1))
            case vgic.ICC_PMR_EL1:
                return pe.pmr
            case vgic.ICC_CTLR_EL1:
                return 1 << 15 | 1 << 11 | self._config.priority_bits - 1 << 8 | pe.control
            case vgic.ICC_SRE_EL1:
                return 7
            case vgic.ICC_RPR_EL1:
                return min(pe.running[0] | pe.running[1], default=_IDLE)
        return 0

    def sysreg_write(self, cpu: int, register: int, value: int) -> None:
        """An MSR."""
        pe = self.cpus[cpu]
        match register:
            case vgic.ICC_EOIR0_EL1 | vgic.ICC_EOIR1_EL1:
                self._end(cpu, int(register == vgic.ICC_EOIR1_EL1), value & 0xFF_FFFF)
            case vgic.ICC_DIR_EL1 if pe.control & 2:
                self._deactivate(cpu, value & 0xFF_FFFF)
            case vgic.ICC_SGI1R_EL1 | vgic.ICC_SGI0R_EL1:
                self._send(cpu, value, int(register == vgic.ICC_SGI1R_EL1))
            case vgic.ICC_PMR_EL1:
                pe.pmr = value & 0xFF00 >> self._config.priority_bits & 0xFF
            case vgic.ICC_BPR0_EL1:
                pe.bpr[0] = max(value & 7, 2)
            case vgic.ICC_BPR1_EL1:
                pe.bpr[1] = max(value & 7, 3)
            case vgic.ICC_CTLR_EL1:
                pe.control = value & 3
            case vgic.ICC_IGRPEN0_EL1 | vgic.ICC_IGRPEN1_EL1:
                pe.enabled[int(register == vgic.ICC_IGRPEN1_EL1)] = value & 1 != 0
            case vgic.ICC_AP0R0_EL1 | vgic.ICC_AP1R0_EL1:
                levels = {bit << 3 for bit in range(32) if value >> bit & 1}
                pe.running[int(register == vgic.ICC_AP1R0_EL1)] = levels
        self._drive(pe)
