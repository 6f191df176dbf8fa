"""Random operations of both Security states on one VM, and what of its state is Secure.

For properties of isolation: which interrupts are Secure, and how far GICD_NSACR and GICR_NSACR open them, is chosen
at the start and stays. Secure interrupts have the upper half of the priorities and one target each, as firmware
configures them: what is left to the Non-secure state then is what the architecture lets through.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

import vgic
from access_table import Group
from offsets import BANK, GICD, GICR

CPUS: Final = 2
SPIS: Final = 64
SGIS: Final = 16
FIRST_SPI: Final = 32
ALL_32: Final = 0xFFFF_FFFF
IRM: Final = 1 << 31

E1NWF, DS, GRP1S, GRP1NS, GRP0 = 1 << 7, 1 << 6, 1 << 2, 1 << 1, 1 << 0
DPG1S, DPG0 = 1 << 26, 1 << 24

SECURE_EL1: Final = vgic.PeState(el=1, secure=True)
NONSECURE_EL1: Final = vgic.PeState(el=1, secure=False, scr_fiq=True)
"""As firmware sets it: Group 0 is none of the Non-secure state's business, and its registers trap to EL3."""

BITS: Final = {
    "IGROUPR": (BANK.IGROUPR, 1),
    "ISENABLER": (BANK.ISENABLER, 1),
    "ICENABLER": (BANK.ICENABLER, 1),
    "ISPENDR": (BANK.ISPENDR, 1),
    "ICPENDR": (BANK.ICPENDR, 1),
    "ISACTIVER": (BANK.ISACTIVER, 1),
    "ICACTIVER": (BANK.ICACTIVER, 1),
    "IPRIORITYR": (BANK.IPRIORITYR, 8),
    "ICFGR": (BANK.ICFGR, 2),
    "IGRPMODR": (BANK.IGRPMODR, 1),
    "NSACR": (BANK.NSACR, 2),
    "IROUTER": (GICD.IROUTER, 64),
}
"""Offset of the register of INTID 0, and bits for each INTID."""
RARELY_SET: Final = ("ICENABLER", "ISACTIVER")
OFTEN_SET: Final = ("ISENABLER", "ICACTIVER")
"""Else hardly anything would ever be signalled; and of what is Secure little is pending, for that comes first."""
CHOSEN_AT_THE_START: Final = ("IGROUPR", "IGRPMODR", "NSACR")
CONTROLS: Final = (
    ("GICD", GICD.CTLR),
    ("GICD", GICD.TYPER),
    *(("GICD", offset) for offset in (GICD.SETSPI_NSR, GICD.CLRSPI_NSR, GICD.SETSPI_SR, GICD.CLRSPI_SR)),
    ("GICR", GICR.CTLR),
    ("GICR", GICR.WAKER),
)
MESSAGES: Final = (GICD.SETSPI_NSR, GICD.CLRSPI_NSR, GICD.SETSPI_SR, GICD.CLRSPI_SR)

NONSECURE_REGISTERS: Final = (
    vgic.ICC_PMR_EL1,
    vgic.ICC_IAR1_EL1,
    vgic.ICC_EOIR1_EL1,
    vgic.ICC_HPPIR1_EL1,
    vgic.ICC_BPR1_EL1,
    vgic.ICC_AP1R0_EL1,
    vgic.ICC_DIR_EL1,
    vgic.ICC_RPR_EL1,
    vgic.ICC_CTLR_EL1,
    vgic.ICC_IGRPEN1_EL1,
    vgic.ICC_SGI1R_EL1,
    vgic.ICC_ASGI1R_EL1,
    vgic.ICC_SGI0R_EL1,
)
SECURE_REGISTERS: Final = (
    *NONSECURE_REGISTERS,
    vgic.ICC_IAR0_EL1,
    vgic.ICC_EOIR0_EL1,
    vgic.ICC_HPPIR0_EL1,
    vgic.ICC_BPR0_EL1,
    vgic.ICC_AP0R0_EL1,
    vgic.ICC_IGRPEN0_EL1,
)
TAKING: Final = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1, vgic.ICC_HPPIR0_EL1, vgic.ICC_HPPIR1_EL1)
FINISHING: Final = (vgic.ICC_EOIR0_EL1, vgic.ICC_EOIR1_EL1)
USUALLY_ALL: Final = (vgic.ICC_PMR_EL1, vgic.ICC_IGRPEN0_EL1, vgic.ICC_IGRPEN1_EL1)
"""Else hardly anything would ever be taken."""
ACKNOWLEDGING: Final = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
SHOW_BOTH_STATES: Final = (vgic.ICC_RPR_EL1, vgic.ICC_PMR_EL1, vgic.ICC_CTLR_EL1)
"""Secure reads of these are compared in what is stored, of which some is Non-secure."""
ACTIVE: Final = (vgic.ICC_AP0R0_EL1, vgic.ICC_AP1R0_EL1)
BINARY_POINTS: Final = (vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)

_GROUPS: Final = (Group.G0, Group.G1S, *3 * (Group.G1NS,), Group.RESERVED)
_STORED: Final = re.compile(r"(?:GICR\[(\d+)\]\.|GICD\.)?(?:GIC[DR]_)?([A-Za-z_]+)(\d*)")


class Operation(NamedTuple):
    """One of a guest or of a device: `read`, `write`, `line`, `mrs` or `msr`."""

    kind: str
    secure: bool
    cpu: int
    place: int
    """An address, an INTID, or the encoding of a system register."""
    size: int
    value: int
    compared: int
    """The bits of what it reads that are Secure."""


@dataclass
class Scenario:
    """Which interrupts are Secure, and how far they are open to the Non-secure state."""

    groups: dict[tuple[int, int], Group]
    """By vCPU and INTID; that of an SPI is the same for every vCPU."""
    access: dict[tuple[int, int], int]
    """GICD_NSACR of an SPI, GICR_NSACR of an SGI."""

    @classmethod
    def random(cls, rng: random.Random, opened: bool) -> "Scenario":
        """Where not `opened`, nothing that is Secure is open."""
        scenario = cls({}, {})
        for cpu in range(CPUS):
            for intid in range(FIRST_SPI + SPIS):
                source = (0, intid) if intid >= FIRST_SPI and cpu else None
                scenario.groups[cpu, intid] = scenario.groups[source] if source else rng.choice(_GROUPS)
                level = rng.randrange(4) if opened and not SGIS <= intid < FIRST_SPI else 0
                scenario.access[cpu, intid] = scenario.access[source] if source else level
        return scenario

    def build(self, profile: vgic.Profile = vgic.ARCH) -> vgic.Gic:
        """A VM with these groups, booted: every interrupt is enabled and let through."""
        gic = vgic.Gic(vgic.Config(vgic.Topology.kvm(CPUS), SPIS, profile, security="two"))
        for name in CHOSEN_AT_THE_START:
            offset, bits = BITS[name]
            for cpu in range(CPUS):
                for number in range((FIRST_SPI + SPIS) * bits // 32):
                    value = sum(
                        self._chosen(name, cpu, number * 32 // bits + lane) << lane * bits
                        for lane in range(32 // bits)
                    )
                    gic.write(frame(gic, cpu, number * 32 // bits) + offset + 4 * number, 4, value, secure=True)
        for cpu in range(CPUS):
            for first in range(0, FIRST_SPI + SPIS, 4):
                address = frame(gic, cpu, first) + BANK.IPRIORITYR + first
                gic.write(address, 4, self.priorities(cpu, first, 0x4080_C020), secure=True)
        gic.write(gic.config.gicd_base, 4, GRP1S | GRP1NS | GRP0, secure=True)
        for word in range(1, (FIRST_SPI + SPIS) // 32):
            gic.write(gic.config.gicd_base + BANK.ISENABLER + 4 * word, 4, ALL_32, secure=True)
        for cpu in range(CPUS):
            gic.write(gic.redistributor_bases[cpu] + GICR.WAKER, 4, 0, secure=True)
            gic.write(frame(gic, cpu, 0) + BANK.ISENABLER, 4, ALL_32, secure=True)
            for state in (NONSECURE_EL1, SECURE_EL1):
                gic.set_pe_state(cpu, state)
                gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
            gic.sysreg_write(cpu, vgic.ICC_IGRPEN0_EL1, 1)
            gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xFF)
        return gic

    def _chosen(self, name: str, cpu: int, intid: int) -> int:
        group = self.groups[cpu, intid]
        return {"IGROUPR": group.bit, "IGRPMODR": group.modifier, "NSACR": self.access[cpu, intid]}[name]

    def priorities(self, cpu: int, first: int, value: int) -> int:
        """`value` for the priorities of four INTIDs from `first` on: Secure ones in the upper half."""
        lanes = self.secure_lanes(cpu, first, 8)
        return value & ~(0x8080_8080 & lanes) | 0x8080_8080 & ~lanes

    def secure_lanes(self, cpu: int, first: int, bits: int, closed_by: int = 4) -> int:
        """Of a register with `bits` for each INTID from `first` on, those of Secure ones with less access."""
        mask = 0
        for lane in range(max(1, 32 // bits)):
            key = cpu, first + lane
            if key in self.groups and self.groups[key].secure and self.access[key] < closed_by:
                mask |= ((1 << bits) - 1) << lane * bits
        return mask

    def secure_part(self, name: str) -> int:
        """The bits of a saved register that no Non-secure access may change."""
        if name.startswith("ICC["):
            return 0 if name.endswith(("_NS", "ICC_PMR_EL1")) else -1
        match = _STORED.fullmatch(name)
        if match is None:
            return -1
        cpu, kind, number = int(match[1] or 0), match[2], int(match[3] or 0)
        if kind == "chosen_mpidr":
            return 0  # Where a 1-of-N SPI waits follows from how busy the PEs are.
        if kind == "CTLR":
            return DPG1S | DPG0 if match[1] else ~GRP1NS
        if kind in CHOSEN_AT_THE_START or kind not in (*BITS, "pending_latch", "line_level", "message_level"):
            return -1
        if kind == "IROUTER":
            return self.secure_lanes(cpu, number, 64, closed_by=3)
        bits = BITS.get(kind, (0, 1))[1]
        opened = kind in ("pending_latch", "message_level")
        return self.secure_lanes(cpu, number * 32 // bits, bits, closed_by=1 if opened else 4)


def frame(gic: vgic.Gic, cpu: int, intid: int) -> int:
    """Where the registers of an INTID begin."""
    return gic.config.gicd_base if intid >= FIRST_SPI else gic.redistributor_bases[cpu] + GICR.SGI_BASE


class Operations:
    """Random operations on a VM of a scenario, each of one state."""

    def __init__(self, scenario: Scenario, gic: vgic.Gic, rng: random.Random) -> None:
        self.scenario = scenario
        self.gic = gic
        self.rng = rng
        self.affinities = [*gic.config.topology.affinities, 0x55]

    def some(self, count: int, secure_share: float, system_registers: bool) -> Iterator[Operation]:
        """`count` of them, of which some are Secure."""
        for _ in range(count):
            secure = self.rng.random() < secure_share
            kind = self.rng.random()
            if kind < 0.1:
                yield self.line(secure)
            elif system_registers and kind < 0.4:
                yield self.system_register(secure)
            elif kind < 0.55:
                yield self.control(secure)
            else:
                yield self.of_interrupts(secure)

    def line(self, secure: bool) -> Operation:
        """A device of that state drives its line."""
        cpu = self.rng.randrange(CPUS)
        level = int(self.rng.random() < (0.2 if secure else 0.6))
        candidates = [i for i in range(SGIS, FIRST_SPI + SPIS) if self.scenario.groups[cpu, i].secure == secure]
        return Operation("line", secure, cpu, self.rng.choice(candidates), 0, level, 0)

    def of_interrupts(self, secure: bool) -> Operation:
        """A register with a field for each of many interrupts."""
        rng = self.rng
        names = [name for name in BITS if not (secure and name in CHOSEN_AT_THE_START)]
        name = rng.choice(names)
        offset, bits = BITS[name]
        cpu = rng.randrange(CPUS)
        per_register = max(1, 32 // bits)
        intid = rng.randrange(FIRST_SPI if bits == 64 else 0, FIRST_SPI + SPIS) // per_register * per_register
        address = frame(self.gic, cpu, intid) + offset + intid * bits // 8
        size, value = (8, self.route()) if bits == 64 else (4, rng.getrandbits(32))
        if name in RARELY_SET or (secure and name == "ISPENDR"):
            value &= rng.getrandbits(32) & rng.getrandbits(32)
        elif name in OFTEN_SET or (secure and name == "ICPENDR"):
            value |= rng.getrandbits(32) | rng.getrandbits(32)
        lanes = self.scenario.secure_lanes(cpu, intid, bits)
        if bits == 64 and not secure and rng.random() < 0.3:
            size, address = 4, address + rng.choice((0, 4))
        elif name == "IPRIORITYR" and not secure and rng.random() < 0.3:
            size, address = 1, address + rng.randrange(4)
        if secure and name == "IPRIORITYR":
            value = self.scenario.priorities(cpu, intid, value)
        if secure and bits == 64 and lanes:
            value &= ~IRM
        shown = lanes if name != "IROUTER" else self.scenario.secure_lanes(cpu, intid, bits, closed_by=3)
        if name in ("ISPENDR", "ICPENDR"):
            shown = self.scenario.secure_lanes(cpu, intid, bits, closed_by=1)
        kind = "write" if rng.random() < 0.7 else "read"
        return Operation(kind, secure, cpu, address, size, value, shown)

    def route(self) -> int:
        """A value for GICD_IROUTER<n>."""
        packed = self.rng.choice(self.affinities)
        return packed & 0xFF_FFFF | (packed >> 24) << 32 | (IRM if self.rng.random() < 0.2 else 0)

    def control(self, secure: bool) -> Operation:
        """Another register."""
        rng = self.rng
        device, offset = rng.choice(CONTROLS)
        cpu = rng.randrange(CPUS)
        base = self.gic.config.gicd_base if device == "GICD" else self.gic.redistributor_bases[cpu]
        value, compared = rng.getrandbits(32), ALL_32
        if device == "GICR":
            compared = DPG1S | DPG0 if offset == GICR.CTLR else ALL_32
            if secure and offset == GICR.WAKER and rng.random() < 0.8:
                value = 0
        elif offset == GICD.CTLR:
            compared = ALL_32 & ~(GRP1NS | DS)
            value |= GRP1S | GRP1NS | GRP0 if rng.random() < 0.8 else 0
            if secure:
                value &= ~DS
        elif offset in MESSAGES:
            value = rng.randrange(FIRST_SPI + SPIS + 8)
        kind = "write" if rng.random() < 0.7 or offset in MESSAGES else "read"
        return Operation(kind, secure, cpu, base + offset, 4, value, compared)

    def system_register(self, secure: bool) -> Operation:
        """An access of a PE at EL1 of that state."""
        rng = self.rng
        share = rng.random()
        registers = SECURE_REGISTERS if secure else NONSECURE_REGISTERS
        register = rng.choice(registers)
        if share < 0.8:
            register = rng.choice([known for known in (TAKING if share < 0.4 else FINISHING) if known in registers])
        value = rng.choice((rng.getrandbits(32), rng.randrange(FIRST_SPI + SPIS), 1, 0xFF, 0xF0))
        if register in FINISHING:
            value = rng.randrange(FIRST_SPI + SPIS)
        elif register in ACTIVE:
            value = value & 0xFFFF if secure and rng.random() < 0.3 else 0
        elif secure and register in BINARY_POINTS:
            value = rng.randrange(7)
        elif register in USUALLY_ALL and rng.random() < 0.9:
            value = 0xFF
        kind = "mrs" if register in TAKING or (register not in FINISHING and rng.random() < 0.5) else "msr"
        compared = 0 if register in SHOW_BOTH_STATES else -1
        return Operation(kind, secure, rng.randrange(CPUS), register, 0, value, compared)


def perform(gic: vgic.Gic, operation: Operation) -> int:
    """Do it; what it read, 0 where it read nothing."""
    kind, secure, cpu, place, size, value, _ = operation
    if kind == "read":
        return gic.read(place, size, cpu, secure)
    if kind == "write":
        gic.write(place, size, value, cpu, secure)
    elif kind == "line":
        gic.interrupt(cpu, place).set_level(value)
    else:
        gic.set_pe_state(cpu, SECURE_EL1 if secure else NONSECURE_EL1)
        if kind == "mrs":
            return gic.sysreg_read(cpu, place)
        gic.sysreg_write(cpu, place, value)
    return 0


def secure_state(gic: vgic.Gic, scenario: Scenario) -> dict[str, int]:
    """What of the VM's state is Secure; of a priority mask that the Non-secure state may change, that it may."""
    state = gic.save()["registers"]
    found = {name: value & scenario.secure_part(name) for name, value in state.items()}
    for cpu in range(CPUS):
        mask = state.get(f"ICC[{cpu}].ICC_PMR_EL1", 0)
        found[f"ICC[{cpu}].ICC_PMR_EL1"] = min(mask, 0x80)
    return {name: value for name, value in found.items() if value}
