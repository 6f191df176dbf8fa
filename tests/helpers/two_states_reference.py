"""A slow and obvious GICv3 with two Security states, written from the rules: the `Reference`, and who may what.

An interrupt's group is 0 for Group 0, 1 for Non-secure Group 1 and 2 for Secure Group 1. Accesses say by which
state they are; those of the CPU interface go by what was last told of the PE.
"""

from dataclasses import dataclass, field
from typing import Final

from reference import (
    CLRSPI,
    GICD_CTLR,
    IDLE,
    IGROUPR,
    SETSPI,
    SPURIOUS,
    WAKER,
    WORD,
    Affinity,
    Cpu,
    Interrupt,
    Reference,
)
from vgic import PeState

IGRPMODR: Final = 0xD00
NSACR: Final = 0xE00
SETSPI_SR: Final = 0x050
CLRSPI_SR: Final = 0x058
DS: Final = 1 << 6
ARE_S, ARE_NS = 1 << 4, 1 << 5
ENABLES: Final = 0b111

NEVER: Final = 4
READS: Final = {
    "igroup": NEVER,
    "modifier": NEVER,
    "access": NEVER,
    "enabled": NEVER,
    "priority": NEVER,
    "config": NEVER,
    "pending": 1,
    "active": 2,
    "route": 3,
}
"""From which GICD_NSACR on Non-secure software reads a field of a Secure SPI."""
ONLY_SECURE: Final = ("igroup", "modifier", "access")
"""Fields that it reaches of no interrupt."""

# By register, the least GICR_NSACR of a target at which the SGI is in Group 0, Non-secure Group 1, Secure Group 1.
SENDS: Final = {
    (True, "SGI0R"): (0, NEVER, NEVER),
    (True, "SGI1R"): (NEVER, NEVER, 0),
    (True, "ASGI1R"): (NEVER, 0, NEVER),
    (False, "SGI0R"): (1, NEVER, NEVER),
    (False, "SGI1R"): (1, 0, 2),
    (False, "ASGI1R"): (1, NEVER, 2),
}


AFTER_RESET: Final = PeState(3, secure=True)


@dataclass(eq=False)
class TwoStateCpu(Cpu):
    """The CPU interface of a PE with EL3."""

    bpr: list[int] = field(default_factory=lambda: [0, 0, 0])
    group_enabled: list[bool] = field(default_factory=lambda: [False] * 3)
    running: list[set[int]] = field(default_factory=lambda: [set(), set(), set()])
    cbprs: list[bool] = field(default_factory=lambda: [False] * 3)
    eoi_modes: list[bool] = field(default_factory=lambda: [False] * 3)
    """Of EL3, the Non-secure bank, the Secure bank."""
    pe: PeState = AFTER_RESET

    @property
    def bank(self) -> int:
        """Which bank the PE reaches: the number of its group."""
        return 2 if self.pe.secure else 1

    @property
    def trusted(self) -> bool:
        """It is not Non-secure software that runs."""
        return self.pe.secure or self.pe.el == 3


class TwoStatesReference(Reference):
    """Two Security states until DS is set; without 1-of-N, LPIs, range selectors and extended ranges."""

    control_writable = ENABLES

    def __init__(self, affinities: list[Affinity], spis: int, priority_bits: int, *extended: int) -> None:
        self.ds = False
        super().__init__(affinities, spis, priority_bits, *extended)

    def reset_interrupts(self) -> None:
        for one in self.interrupts.values():
            one.igroup = one.modifier = one.access = 0

    def reset_cpu(self, number: int) -> None:
        old = self.cpus[number]
        lowest = 7 - min(self.priority_bits, 7)
        fresh = TwoStateCpu(number, old.affinity, asleep=old.asleep, bpr=[lowest, lowest + 1, lowest])
        if isinstance(old, TwoStateCpu):
            fresh.pe = old.pe
        self.cpus[number] = fresh

    # Which interrupt a PE is offered, and how.

    def preemption_mask(self, cpu: Cpu, group: int) -> int:
        source = 0 if cpu.cbprs[group] else group
        return 0xFF & -(1 << cpu.bpr[source] + (source != 1))

    def running_priority(self, cpu: Cpu) -> int:
        return min(set().union(*cpu.running), default=IDLE)

    def signalled(self, number: int) -> Interrupt | None:
        cpu, best = self.cpus[number], self.offered(number)
        if best is None or best.priority >= cpu.pmr:
            return None
        mask, running = self.preemption_mask(cpu, best.group), self.running_priority(cpu)
        return best if running == IDLE or best.priority & mask < running & mask else None

    def outputs(self, number: int) -> tuple[bool, bool]:
        best, pe = self.signalled(number), self.cpus[number].pe
        if best is None:
            return False, False
        if best.group == 0:
            irq = False
        elif self.ds:
            irq = True
        else:
            irq = pe.el != 3 and pe.secure == (best.group == 2)
        return irq, not irq

    def shown(self, number: int, register: int, best: Interrupt | None) -> int:
        """What IAR0, IAR1, HPPIR0 or HPPIR1 shows of an interrupt to the PE as it is now."""
        if best is None:
            return SPURIOUS
        cpu = self.cpus[number]
        if cpu.pe.el == 3:
            if register == 0 and best.group:
                return 1020 if best.group == 2 else 1021
            mine = register == min(best.group, 1)
        elif cpu.pe.secure:
            mine = best.group == (2 if register else 0)
        else:
            mine = best.group == register and (register == 1 or self.ds)
        return best.intid if mine else SPURIOUS

    # Taking and finishing.

    def acknowledge(self, number: int, group: int) -> int:
        best = self.signalled(number)
        shown = self.shown(number, group, best)
        if best is not None and shown == best.intid:
            cpu = self.cpus[number]
            cpu.running[best.group].add(best.priority & self.preemption_mask(cpu, best.group))
            self.taken(number, best)
        return shown

    def splits(self, cpu: TwoStateCpu) -> bool:
        """EOImode of whoever runs."""
        return cpu.eoi_modes[0 if cpu.pe.el == 3 else cpu.bank]

    def end(self, number: int, group: int, intid: int) -> None:
        cpu, one = self.cpus[number], self.visible(number, intid)
        # Of the same priority, Group 0 is highest and Non-secure Group 1 lowest.
        order = sorted((level, (0, 2, 1)[which], which) for which in range(3) for level in cpu.running[which])
        if one is None or not order:
            return
        level, _, running = order[0]
        if cpu.pe.el == 3:
            allowed = {1, 2} if group else {0}
        elif cpu.pe.secure:
            allowed = {2} if group else {0}
        else:
            allowed = {1} if group else {0} if self.ds else set()
        if running not in allowed:
            return
        cpu.running[running].remove(level)
        if one.group == running and not self.splits(cpu):
            one.active = False

    def deactivate(self, number: int, intid: int) -> None:
        cpu, one = self.cpus[number], self.visible(number, intid)
        if one is None or not self.splits(cpu):
            return
        pe = cpu.pe
        if pe.el == 3:
            mine = True
        elif one.group == 0:
            mine = not pe.scr_fiq and not (pe.el == 1 and pe.hcr_fmo) and (pe.secure or self.ds)
        else:
            mine = not pe.scr_irq and not (pe.el == 1 and pe.hcr_imo) and (pe.secure or one.group == 1)
        if mine:
            one.active = False

    def send(self, number: int, name: str, value: int, secure: bool) -> None:
        trusted = self.cpus[number].trusted
        if self.ds:
            super().send(number, name, value, trusted)
            return
        cluster = value >> 48 & 0xFF, value >> 32 & 0xFF, value >> 16 & 0xFF
        for cpu in self.cpus:
            sgi, aff0 = self.interrupts[cpu.number, value >> 24 & 0xF], cpu.affinity[3]
            named = cpu.affinity[:3] == cluster and aff0 < 16 and value >> aff0 & 1 == 1
            if value >> 40 & 1:
                named = cpu.number != number
            if named and sgi.access >= SENDS[trusted, name][sgi.group]:
                sgi.latch = True

    # System registers.

    def has(self, number: int, name: str) -> bool:
        """The PE has this register where it is."""
        lowest = {"SRE_EL2": 2}.get(name, 3 if name.endswith("_EL3") else 1)
        return self.cpus[number].pe.el >= lowest

    def shifts(self, cpu: TwoStateCpu) -> bool:
        """The PE has the Non-secure view of priorities."""
        return not cpu.trusted and cpu.pe.scr_fiq and not self.ds

    @staticmethod
    def halved(priority: int) -> int:
        """A priority in the Non-secure view."""
        return 0 if priority < 0x80 else priority << 1 & 0xFF

    def sysreg_read(self, number: int, name: str) -> int:
        cpu = self.cpus[number]
        bank, at_el3 = cpu.bank, cpu.pe.el == 3
        constant = self.ctlr_constants | self.priority_bits - 1 << 8
        if not self.has(number, name):
            return 0
        if name.startswith("AP1"):
            levels = self._levels(int(name[-1]))
            return sum(1 << bit for bit, level in enumerate(levels) if level in cpu.running[bank])
        match name:
            case "PMR":
                return self.halved(cpu.pmr) if self.shifts(cpu) else cpu.pmr
            case "RPR":
                running = self.running_priority(cpu)
                return self.halved(running) if self.shifts(cpu) and running != IDLE else running
            case "BPR1":
                if cpu.cbprs[bank] and not at_el3:
                    return cpu.bpr[0] if bank == 2 else min(cpu.bpr[0] + 1, 7)
                return cpu.bpr[bank]
            case "CTLR":
                return constant | cpu.eoi_modes[bank] << 1 | cpu.cbprs[bank]
            case "CTLR_EL3":
                modes = cpu.eoi_modes[0] << 2 | cpu.eoi_modes[2] << 3 | cpu.eoi_modes[1] << 4
                return constant | cpu.cbprs[2] | cpu.cbprs[1] << 1 | modes
            case "SRE_EL2" | "SRE_EL3":
                return 0xF
            case "IGRPEN1":
                return cpu.group_enabled[bank]
            case "IGRPEN1_EL3":
                return cpu.group_enabled[1] | cpu.group_enabled[2] << 1
            case "HPPIR0" | "HPPIR1":
                return self.shown(number, int(name[-1]), self.offered(number))
        return super().sysreg_read(number, name)

    def sysreg_write(self, number: int, name: str, value: int, secure: bool = False) -> None:
        cpu = self.cpus[number]
        bank, at_el3 = cpu.bank, cpu.pe.el == 3
        lowest = 7 - min(self.priority_bits, 7)
        if not self.has(number, name):
            return
        if name.startswith("AP1"):
            for bit, level in enumerate(self._levels(int(name[-1]))):
                if level >= 0x80 or cpu.trusted or self.ds:
                    (cpu.running[bank].add if value >> bit & 1 else cpu.running[bank].discard)(level)
            return
        match name:
            case "PMR" if self.shifts(cpu):
                if cpu.pmr >= 0x80:
                    cpu.pmr = self._implemented((value & 0xFF) >> 1 | 0x80, self.priority_bits)
            case "BPR1":
                shared = cpu.cbprs[bank] and not at_el3
                if shared and bank == 2:
                    cpu.bpr[0] = max(value & 7, lowest)
                elif not shared:
                    cpu.bpr[bank] = max(value & 7, lowest + (bank == 1))
            case "CTLR":
                cpu.eoi_modes[bank] = value & 2 == 2
                if self.ds:
                    cpu.cbprs[bank] = value & 1 == 1
            case "CTLR_EL3":
                cpu.cbprs[2], cpu.cbprs[1] = value & 1 == 1, value & 2 == 2
                cpu.eoi_modes[:] = [value >> bit & 1 == 1 for bit in (2, 4, 3)]
            case "IGRPEN1":
                cpu.group_enabled[bank] = value & 1 == 1
            case "IGRPEN1_EL3":
                cpu.group_enabled[1:] = [value & 1 == 1, value & 2 == 2]
            case _:
                super().sysreg_write(number, name, value, secure)

    # Memory-mapped registers.

    def read(self, redistributor: int | None, offset: int, size: int, secure: bool = True) -> int:
        secure = secure or self.ds
        if redistributor is None and (offset, size) == (GICD_CTLR, WORD):
            if self.ds:
                return self.enabled_groups | DS | ARE_S
            if secure:
                return self.enabled_groups | ARE_S | ARE_NS
            return self.enabled_groups & 0b10 | ARE_S
        if redistributor is not None and (offset, size) == (WAKER, WORD):
            return 0b110 if secure and self.cpus[redistributor].asleep else 0
        # ICPENDR shows what it lets clear; Arm leaves that open.
        clears = offset & 0x80 != 0
        return sum(
            self.field(one, name, secure, clears) >> low << at & ((1 << width) - 1) << at
            for one, name, at, width, low in self._reached(redistributor, offset, size)
        )

    def field(self, one: Interrupt, name: str, secure: bool, clears: bool) -> int:
        """A field as a state sees it."""
        value = getattr(one, name)
        if self.ds:
            return 0 if name in ("modifier", "access") else value
        if secure:
            return value
        least = 2 if name == "pending" and clears else READS[name]
        if name in ONLY_SECURE or (one.group != 1 and self.opened(one) < least):
            return 0
        return value << 1 & 0xFF if name == "priority" and one.group == 1 else value

    @staticmethod
    def opened(one: Interrupt) -> int:
        """How far a Secure interrupt is open to Non-secure accesses: GICR_NSACR is about SGIs, not registers."""
        return one.access if one.cpu is None else 0

    def write(self, redistributor: int | None, offset: int, size: int, value: int, secure: bool = True) -> None:
        secure = secure or self.ds
        if redistributor is None and (offset, size) == (GICD_CTLR, WORD):
            self.write_control(value, secure)
        elif redistributor is not None and (offset, size) == (WAKER, WORD) and secure:
            self.set_sleep(self.cpus[redistributor], value & 0b10 != 0)
        elif redistributor is None and size in (2, WORD):
            self.write_message(offset, value & 0x1FFF, secure)
        clears = offset & 0x80 != 0
        for one, name, at, width, low in self._reached(redistributor, offset, size):
            part = value >> at & (1 << width) - 1
            if secure or self.lets(one, name, clears):
                shifted = not secure and name == "priority" and one.group == 1
                self._write_field(one, name, part >> 1 | 0x80 if shifted else part, width, low, clears)

    def write_control(self, value: int, secure: bool) -> None:
        """GICD_CTLR."""
        if self.ds:
            self.enabled_groups = value & 0b11
        elif not secure:
            self.enabled_groups = self.enabled_groups & ~0b10 | value & 0b10
        elif value & DS:
            self.ds = True
            self.enabled_groups = value & 0b11
            for one in self.interrupts.values():
                one.modifier = 0
                one.group = one.igroup
        else:
            self.enabled_groups = value & ENABLES

    def write_message(self, offset: int, intid: int, secure: bool) -> None:
        """GICD_SETSPI_NSR, GICD_SETSPI_SR and those that clear."""
        one = self.interrupts.get((None, intid))
        if one is None:
            return
        if offset in (SETSPI, CLRSPI):
            if secure or one.group == 1 or one.access >= (1 if offset == SETSPI else 2):
                self.set_message(intid, offset == SETSPI)
        elif offset in (SETSPI_SR, CLRSPI_SR) and secure and not self.ds:
            self.set_message(intid, offset == SETSPI_SR)

    def lets(self, one: Interrupt, name: str, clears: bool) -> bool:
        """True where Non-secure software may write a field."""
        if name in ONLY_SECURE:
            return False
        if one.group == 1:
            return True
        if name == "pending":
            return self.opened(one) >= (2 if clears else 1)
        return name == "route" and self.opened(one) >= 3

    @staticmethod
    def _places(offset: int, size: int) -> list[tuple[int, str, int, int, int]]:
        if size == WORD and not offset % WORD:
            if IGROUPR <= offset < IGROUPR + 0x80:
                return [(8 * (offset - IGROUPR) + n, "igroup", n, 1, 0) for n in range(32)]
            if IGRPMODR <= offset < IGRPMODR + 0x80:
                return [(8 * (offset - IGRPMODR) + n, "modifier", n, 1, 0) for n in range(32)]
            if NSACR <= offset < NSACR + 0x100:
                return [(4 * (offset - NSACR) + n, "access", 2 * n, 2, 0) for n in range(16)]
        return Reference._places(offset, size)

    def _write_field(self, one: Interrupt, name: str, value: int, width: int, low: int, clears: bool) -> None:
        match name:
            case "igroup" | "modifier":
                if name == "modifier" and self.ds:
                    return
                setattr(one, name, value)
                one.group = 1 if one.igroup else 2 * one.modifier
            case "access":
                if not self.ds and not 16 <= one.intid < 32:
                    # Of an SGI 3 is the same as 2.
                    one.access = min(value, 2) if one.intid < 16 else value
            case _:
                super()._write_field(one, name, value, width, low, clears)
