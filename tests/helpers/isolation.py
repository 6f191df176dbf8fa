"""Random operations of both Security states on one VM, and what of its state is Secure.

For properties of isolation: which interrupts are Secure, and how far GICD_NSACR and GICR_NSACR open them, is chosen
at the start and stays. Secure interrupts have the upper half of the priorities and one target each, as firmware
configures them: what is left to the Non-secure state then is what the architecture lets through. LPIs are the
Non-secure state's alone.
"""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import vgic
from access_table import Group
from isolated_hypervisors import MAINTENANCE, hypervisor_access
from isolated_vm import (
    BITS,
    CPUS,
    DEVICE,
    EVENTS,
    FIRSTS,
    INTIDS,
    LPIS,
    QUEUE_SIZE,
    SGIS,
    address,
    is_shared,
    isolated_vm,
    registers,
)
from its_driver import ITS, RAM
from offsets import GICD, GICR
from vgic.layouts import gits, its_commands

ALL_32: Final = 0xFFFF_FFFF
IRM: Final = 1 << 31

E1NWF, DS, GRP1S, GRP1NS, GRP0 = 1 << 7, 1 << 6, 1 << 2, 1 << 1, 1 << 0
DPG1S, DPG0 = 1 << 26, 1 << 24
ENABLE_LPIS: Final = 1

SECURE_EL1: Final = vgic.PeState(el=1, secure=True)
NONSECURE_EL1: Final = vgic.PeState(el=1, secure=False, scr_fiq=True)
"""As firmware sets it: Group 0 is none of the Non-secure state's business, and its registers trap to EL3."""

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
RAISING: Final = (GICD.SETSPI_NSR, GICD.SETSPI_SR)
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
ACKNOWLEDGING: Final = {
    vgic.ICC_IAR0_EL1: vgic.ICC_EOIR0_EL1,
    vgic.ICC_IAR1_EL1: vgic.ICC_EOIR1_EL1,
    vgic.ICC_NMIAR1_EL1: vgic.ICC_EOIR1_EL1,
}
"""By what a PE takes interrupts, and by what it finishes them."""
SENDING: Final = (vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1, vgic.ICC_SGI0R_EL1)
NONSECURE_ALONE: Final = (
    vgic.ICC_BPR1_EL1,
    vgic.ICC_AP1R0_EL1,
    vgic.ICC_CTLR_EL1,
    vgic.ICC_IGRPEN1_EL1,
    *SENDING,
)
"""What of a Non-secure PE's registers has nothing to do with what is Secure: all but what it takes and finishes."""
SHOW_BOTH_STATES: Final = (vgic.ICC_RPR_EL1, vgic.ICC_PMR_EL1, vgic.ICC_CTLR_EL1)
"""Secure reads of these are compared in what is stored, of which some is Non-secure."""
ACTIVE: Final = (vgic.ICC_AP0R0_EL1, vgic.ICC_AP1R0_EL1)
BINARY_POINTS: Final = (vgic.ICC_BPR0_EL1, vgic.ICC_BPR1_EL1)

ANY_INTID: Final = (*INTIDS, *LPIS, 1019, 1023, 1055, 1120, 4095, 4128, 8191)
LPI_TABLES: Final = ("GICR_PROPBASER", "GICR_PENDBASER")
OF_LPIS: Final = (
    (GICR.PROPBASER, (*3 * [RAM | 13], RAM | 12, RAM + 0x1000 | 13, 0)),
    (GICR.PENDBASER, (RAM + 0x1_0000, RAM + 0x2_0000, RAM + 0x2_0000 | 1 << 62, 0)),
    (GICR.SETLPIR, LPIS),
    (GICR.CLRLPIR, LPIS),
    (GICR.INVLPIR, LPIS),
    (GICR.INVALLR, (0,)),
    (GICR.SYNCR, (0,)),
)
"""Registers of RD_base that are about LPIs, and what is written to them."""

_GROUPS: Final = (Group.G0, Group.G1S, *3 * (Group.G1NS,), Group.RESERVED)
_STORED: Final = re.compile(r"(?:GICR\[(\d+)\]\.|GICD\.)?(?:GIC[DR]_)?([A-Za-z_]+)(\d*)(E?)")


class Operation(NamedTuple):
    """One of a guest or of a device: `read`, `write`, `line`, `msi`, `lpi`, `mrs` or `msr`."""

    kind: str
    secure: bool
    cpu: int
    place: int
    """An address, an INTID, a DeviceID, or the encoding of a system register."""
    size: int
    value: int
    compared: int
    """The bits of what it reads that are Secure."""
    pe: vgic.PeState | None = None
    """The state of the PE, where it is not at EL1 as that of an OS is."""


@dataclass
class Scenario:
    """Which interrupts are Secure, and how far they are open to the Non-secure state."""

    groups: dict[tuple[int, int], Group]
    """By vCPU and INTID; that of an SPI is the same for every vCPU."""
    access: dict[tuple[int, int], int]
    """GICD_NSACR of an SPI, GICR_NSACR of an SGI."""
    nmi: bool = False
    """There are NMIs."""
    list_registers: int = 0
    """Those of a Non-secure hypervisor."""
    _lanes: dict[tuple[int, int, int, int], int] = field(default_factory=dict)
    _parts: dict[str, int] = field(default_factory=dict)
    """What was found out before."""

    @classmethod
    def random(cls, rng: random.Random, opened: bool, nmi: bool = False, list_registers: int = 0) -> "Scenario":
        """Where not `opened`, nothing that is Secure is open."""
        scenario = cls({}, {}, nmi, list_registers)
        for cpu in range(CPUS):
            for intid in INTIDS:
                source = (0, intid) if is_shared(intid) and cpu else None
                scenario.groups[cpu, intid] = scenario.groups[source] if source else rng.choice(_GROUPS)
                level = rng.randrange(4) if opened and (intid < SGIS or is_shared(intid)) else 0
                scenario.access[cpu, intid] = scenario.access[source] if source else level
            if list_registers:
                scenario.groups[cpu, MAINTENANCE] = Group.G1NS
        return scenario

    def build(self, profile: vgic.Profile = vgic.ARCH) -> vgic.Gic:
        """A VM with these groups, booted: every interrupt is enabled and let through."""
        gic = isolated_vm(True, profile, self.nmi, self.list_registers)
        for cpu in range(CPUS):
            for name in CHOSEN_AT_THE_START:
                bits = BITS[name][1]
                for first in registers(cpu, name):
                    value = sum(self._chosen(name, cpu, first + lane) << lane * bits for lane in range(32 // bits))
                    gic.write(address(gic, cpu, name, first), 4, value, secure=True)
            for first in registers(cpu, "IPRIORITYR"):
                value = self.priorities(cpu, first, 0x4080_C020)
                gic.write(address(gic, cpu, "IPRIORITYR", first), 4, value, secure=True)
        gic.write(gic.config.gicd_base, 4, GRP1S | GRP1NS | GRP0, secure=True)
        for cpu in range(CPUS):
            gic.write(gic.redistributor_bases[cpu] + GICR.WAKER, 4, 0, secure=True)
            for first in registers(cpu, "ISENABLER"):
                gic.write(address(gic, cpu, "ISENABLER", first), 4, ALL_32, secure=True)
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
        asked = cpu, first, bits, closed_by
        if asked in self._lanes:
            return self._lanes[asked]
        mask = 0
        for lane in range(max(1, 32 // bits)):
            key = cpu, first + lane
            if key in self.groups and self.groups[key].secure and self.access[key] < closed_by:
                mask |= ((1 << bits) - 1) << lane * bits
        self._lanes[asked] = mask
        return mask

    def secure_part(self, name: str) -> int:
        """The bits of a saved register that no Non-secure access may change."""
        if name not in self._parts:
            self._parts[name] = self._secure_part(name)
        return self._parts[name]

    def _secure_part(self, name: str) -> int:
        if name.startswith(("GITS[", "LPI.", "ICH[")) or ".pending_lpi" in name or name.endswith(LPI_TABLES):
            return 0
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
        before = 0 if not match[4] else 1024 if match[1] else 4096
        if kind in CHOSEN_AT_THE_START or kind not in (*BITS, "pending_latch", "line_level", "message_level"):
            return -1
        if kind == "IROUTER":
            return self.secure_lanes(cpu, before + number, 64, closed_by=3)
        bits = BITS.get(kind, (0, 1))[1]
        opened = kind in ("pending_latch", "message_level")
        return self.secure_lanes(cpu, before + number * 32 // bits, bits, closed_by=1 if opened else 4)


class Operations:
    """Random operations on a VM of a scenario, each of one state."""

    def __init__(self, scenario: Scenario, gic: vgic.Gic, rng: random.Random) -> None:
        self.scenario = scenario
        self.gic = gic
        self.rng = rng
        self.affinities = [*gic.config.topology.affinities, 0x55]
        self.names = [name for name in BITS if scenario.nmi or name != "INMIR"]
        self.secure_names = [name for name in self.names if name not in CHOSEN_AT_THE_START]
        driven = [i for i in INTIDS if i >= SGIS and not (scenario.list_registers and i == MAINTENANCE)]
        self.lines = {
            (cpu, secure): [i for i in driven if scenario.groups[cpu, i].secure == secure]
            for cpu in range(CPUS)
            for secure in (False, True)
        }
        self.taken: dict[tuple[int, bool], tuple[int, int]] = {}
        """How a PE finishes what it took last in a state, where it has not yet: register and INTID."""
        self.executed = 0
        """Where the commands end that the ITS was told of."""

    def some(self, count: int, secure_share: float, system_registers: bool) -> Iterator[Operation]:
        """`count` of them, of which some are Secure."""
        for _ in range(count):
            secure = self.rng.random() < secure_share
            kind = self.rng.random()
            if kind < 0.1:
                yield self.line(secure)
            elif not secure and kind < 0.2:
                yield self.of_lpis()
            elif not secure and system_registers and self.scenario.list_registers and kind > 0.75:
                yield self.of_hypervisor()
            elif system_registers and kind < (0.5 if secure else 0.4):
                yield self.system_register(secure)
            elif kind < 0.6:
                yield self.control(secure)
            else:
                yield self.of_interrupts(secure)

    def line(self, secure: bool) -> Operation:
        """A device of that state drives its line."""
        cpu = self.rng.randrange(CPUS)
        level = int(self.rng.random() < (0.02 if secure else 0.6))
        return Operation("line", secure, cpu, self.rng.choice(self.lines[cpu, secure]), 0, level, 0)

    def of_lpis(self) -> Operation:
        """A message of a device, the ITS, or a register of a Redistributor that is about LPIs."""
        rng = self.rng
        cpu, share = rng.randrange(CPUS), rng.random()
        if share < 0.3:
            return Operation("msi", False, cpu, DEVICE, 0, rng.randrange(EVENTS), 0)
        if share < 0.4:
            return Operation("lpi", False, cpu, rng.choice(LPIS), 0, 0, 0)
        if share < 0.5:
            self.executed = (self.executed + its_commands.COMMAND_SIZE * rng.randrange(1, 4)) % QUEUE_SIZE
            return Operation("write", False, cpu, ITS + gits.CWRITER.offset, 8, self.executed, 0)
        base = self.gic.redistributor_bases[cpu]
        if share < 0.6:
            return Operation("write", False, cpu, base + GICR.CTLR, 4, ENABLE_LPIS, 0)
        offset, values = rng.choice(OF_LPIS)
        kind = "write" if rng.random() < 0.8 else "read"
        return Operation(kind, False, cpu, base + offset, 8, rng.choice(values), 0)

    def of_hypervisor(self) -> Operation:
        """A register of a Non-secure hypervisor, or of its guest."""
        cpu = self.rng.randrange(CPUS)
        kind, state, register, value = hypervisor_access(self.rng, lambda i: self.gic.interrupt(cpu, i).active)
        return Operation(kind, False, cpu, register, 0, value, 0, state)

    def of_interrupts(self, secure: bool) -> Operation:
        """A register with a field for each of many interrupts."""
        rng = self.rng
        name = rng.choice(self.secure_names if secure else self.names)
        bits = BITS[name][1]
        cpu = rng.randrange(CPUS)
        intid = rng.choice(FIRSTS[name])
        place = address(self.gic, cpu, name, intid)
        size, value = (8, self.route()) if bits == 64 else (4, rng.getrandbits(32))
        if name in RARELY_SET or (secure and name == "ISPENDR"):
            value &= rng.getrandbits(32) & rng.getrandbits(32)
            if secure:
                value &= rng.getrandbits(32) & rng.getrandbits(32)
        elif name in OFTEN_SET or (secure and name == "ICPENDR"):
            value |= rng.getrandbits(32) | rng.getrandbits(32)
        lanes = self.scenario.secure_lanes(cpu, intid, bits)
        if bits == 64 and not secure and rng.random() < 0.3:
            size, place = 4, place + rng.choice((0, 4))
        elif name == "IPRIORITYR" and not secure and rng.random() < 0.3:
            size, place = 1, place + rng.randrange(4)
        if secure and name == "IPRIORITYR":
            value = self.scenario.priorities(cpu, intid, value)
        if secure and bits == 64 and lanes:
            value &= ~IRM
        shown = lanes if name != "IROUTER" else self.scenario.secure_lanes(cpu, intid, bits, closed_by=3)
        if name in ("ISPENDR", "ICPENDR"):
            shown = self.scenario.secure_lanes(cpu, intid, bits, closed_by=1)
        kind = "write" if rng.random() < 0.7 else "read"
        return Operation(kind, secure, cpu, place, size, value, shown)

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
        place, value, compared = base + offset, rng.getrandbits(32), ALL_32
        if device == "GICR":
            if offset == GICR.CTLR:
                compared = DPG1S | DPG0
                value |= ENABLE_LPIS if rng.random() < 0.8 else 0
            if secure and offset == GICR.WAKER and rng.random() < 0.8:
                value = 0
        elif offset == GICD.CTLR:
            compared = ALL_32 & ~(GRP1NS | DS)
            value |= GRP1S | GRP1NS | GRP0 if rng.random() < 0.8 else 0
            if secure:
                value &= ~DS
        elif offset in MESSAGES:
            value = rng.choice(ANY_INTID)
            if secure and offset in RAISING and rng.random() < 0.8:
                place = base + GICD.CLRSPI_SR
        kind = "write" if rng.random() < 0.7 or offset in MESSAGES else "read"
        return Operation(kind, secure, cpu, place, 4, value, compared)

    def system_register(self, secure: bool) -> Operation:
        """An access of a PE at EL1 of that state."""
        rng = self.rng
        share = rng.random()
        registers = SECURE_REGISTERS if secure else NONSECURE_REGISTERS
        register = rng.choice(registers)
        if share < 0.8:
            register = rng.choice((TAKING if share < 0.4 else FINISHING)[0 if secure else 1 :: 1 if secure else 2])
        if register == vgic.ICC_IAR1_EL1 and self.scenario.nmi and rng.random() < 0.4:
            register = vgic.ICC_NMIAR1_EL1
        cpu = rng.randrange(CPUS)
        value = rng.choice((rng.getrandbits(32), rng.choice(ANY_INTID), 1, 0xFF, 0xF0))
        if register in FINISHING:
            value = rng.choice(ANY_INTID)
            if rng.random() < 0.8:
                register, value = self.taken.pop((cpu, secure), (register, value))
        elif register in ACTIVE:
            value = value & 0xFFFF if secure and rng.random() < 0.3 else 0
        elif secure and register in BINARY_POINTS:
            value = rng.randrange(7)
        elif register in USUALLY_ALL and rng.random() < 0.9:
            value = 0xFF
        takes = register in TAKING or register == vgic.ICC_NMIAR1_EL1
        kind = "mrs" if takes or (register not in FINISHING and rng.random() < 0.5) else "msr"
        compared = 0 if register in SHOW_BOTH_STATES else -1
        return Operation(kind, secure, cpu, register, 0, value, compared)

    def took(self, operation: Operation, intid: int) -> bool:
        """Know what a PE read; True where it took an interrupt by that."""
        if operation.kind != "mrs" or operation.place not in ACKNOWLEDGING or 1020 <= intid < 1024:
            return False
        if operation.pe is not None:
            return False
        self.taken[operation.cpu, operation.secure] = ACKNOWLEDGING[operation.place], intid
        return True


def perform(gic: vgic.Gic, operation: Operation) -> int:
    """Do it; what it read, 0 where it read nothing."""
    kind, secure, cpu, place, size, value, _, pe = operation
    if kind == "read":
        return gic.read(place, size, cpu, secure)
    if kind == "write":
        gic.write(place, size, value, cpu, secure)
    elif kind == "line":
        # Not every profile lets a VM have all that there may be.
        if gic.has(place):
            gic.interrupt(cpu, place).set_level(value)
    elif kind == "msi":
        gic.msi(place, value)
    elif kind == "lpi":
        gic.lpi(cpu, place).set_pending()
    else:
        gic.set_pe_state(cpu, pe or (SECURE_EL1 if secure else NONSECURE_EL1))
        if pe is not None and gic.sysreg_reach(cpu, place) in (vgic.Reach.EL2, vgic.Reach.EL3):
            return 0
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
