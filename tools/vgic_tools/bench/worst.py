"""The worst that a guest can do to its embedder with one access: accesses that concern all there is at once.

A guest decides how many interrupts are pending, how many vCPUs could take them, and how many commands its ITS
finds; then one access may make the model look at all of them. Here is a guest that does such things on purpose.
Every access that it makes is timed by itself, also those that prepare the next one or ask whether the last is done.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from statistics import median
from time import thread_time_ns
from typing import Final, NamedTuple

import vgic
from vgic.features import IRM
from vgic.layouts import its_commands
from vgic_tools.bench.lpis import GITS, K64
from vgic_tools.bench.machines import GICD, SGI_BASE
from vgic_tools.bench.timing import quiet_heap

__all__ = ["MOST_VCPUS", "PROFILES", "Extent", "measure_worst", "worst_of"]

PROFILES: Final = (vgic.ARCH, vgic.KVM, vgic.QEMU)

SPIS: Final = 960
FIRST_LPI: Final = 8192
COMMAND: Final = 32
QUEUE_SIZE: Final = 0x10_0000
"""The largest command queue: 256 pages of 4 KiB."""
PATIENCE: Final = 100_000
"""So often a guest asks whether what it began is done; by then every rule about progress is broken."""

_ALL: Final = 0xFFFF_FFFF
_LPI_CPUS: Final = 2
_RAM: Final = 0x4000_0000
_BROADCAST: Final = 1 << 40  # ICC_SGI1R_EL1.IRM

CTLR: Final = 0x00
RWP: Final = 1 << 3
WAKER: Final = 0x14
PROPBASER: Final = 0x70
PENDBASER: Final = 0x78
INVLPIR: Final = 0xA0
INVALLR: Final = 0xB0
SYNCR: Final = 0xC0
CBASER: Final = 0x80
CWRITER: Final = 0x88
CREADR: Final = 0x90
BASER: Final = 0x100


class Extent(NamedTuple):
    """How much there is to look at."""

    rounds: int
    vcpus: int
    most_vcpus: int
    """Of a machine that has nothing else."""
    id_bits: tuple[int, ...]
    """INTID bits of machines all of whose LPIs are pending."""
    commands: int
    """That an ITS finds at once, where each is short."""


MOST_VCPUS: Final = "worst guest access, as many vCPUs as there can be"


def worst_of(profile: vgic.Profile) -> str:
    """What the figure of a profile is called."""
    return f"worst guest access, profile {profile.name}"


def measure_worst(extent: Extent) -> dict[str, float]:
    """The longest of each kind of access, in nanoseconds of CPU time: the median of the rounds.

    Named by the figure that it belongs to, a colon, and what the guest did.
    """
    found: dict[str, float] = {}
    for profile in PROFILES:
        found |= {f"{worst_of(profile)}: {name}": time for name, time in _of_profile(profile, extent).items()}
    with quiet_heap():
        longest: dict[str, float] = {}
        _many_vcpus(extent.most_vcpus, longest)
    return found | {f"{MOST_VCPUS}: {name}": time for name, time in longest.items()}


def _of_profile(profile: vgic.Profile, extent: Extent) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    with quiet_heap():
        for _ in range(extent.rounds):
            longest: dict[str, float] = {}
            _many_spis(profile, extent.vcpus, longest)
            for bits in extent.id_bits:
                _many_lpis(profile, bits, extent.commands, longest)
            for name, nanoseconds in longest.items():
                found.setdefault(name, []).append(nanoseconds)
    return {name: median(values) for name, values in found.items()}


class _Guest:
    """Accesses a machine, and remembers in `longest` how long the longest access of what it is `doing` took."""

    def __init__(self, gic: vgic.Gic, longest: dict[str, float]) -> None:
        self.gic = gic
        self.doing = ""
        self._longest = longest

    def write(self, address: int, size: int, value: int) -> None:
        """A store."""
        begin = thread_time_ns()
        self.gic.write(address, size, value)
        self._note(thread_time_ns() - begin)

    def read(self, address: int, size: int) -> int:
        """A load."""
        begin = thread_time_ns()
        value = self.gic.read(address, size)
        self._note(thread_time_ns() - begin)
        return value

    def sysreg_write(self, cpu: int, register: int, value: int) -> None:
        """An MSR."""
        begin = thread_time_ns()
        self.gic.sysreg_write(cpu, register, value)
        self._note(thread_time_ns() - begin)

    def take(self, cpu: int) -> None:
        """Acknowledge and end the best interrupt of a vCPU."""
        begin = thread_time_ns()
        intid = self.gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1)
        self._note(thread_time_ns() - begin)
        self.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)

    def wait(self, done: Callable[[], bool]) -> None:
        """Until what was begun is done."""
        for _ in range(PATIENCE):
            if done():
                return
        raise RuntimeError(f"{self.doing}: not done after the guest has asked {PATIENCE:,} times")

    def awake(self, cpus: int) -> None:
        """Let vCPUs take all private interrupts and all others, in Group 1."""
        self.write(GICD, 4, 0b11)
        for cpu in range(cpus):
            base = self.gic.redistributor_bases[cpu]
            self.write(base + WAKER, 4, 0)
            self.write(base + SGI_BASE + 0x80, 4, _ALL)
            self.write(base + SGI_BASE + 0x100, 4, _ALL)
            self.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
            self.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)

    def _note(self, nanoseconds: int) -> None:
        self._longest[self.doing] = max(float(nanoseconds), self._longest.get(self.doing, 0.0))


def _many_spis(profile: vgic.Profile, cpus: int, longest: dict[str, float]) -> None:
    """Every SPI pending, and any vCPU may take it where the profile has 1-of-N routing; every SGI and PPI too."""
    gic = vgic.Gic(vgic.Config(vgic.Topology.clusters(cpus, 16), spis=SPIS, profile=profile))
    guest = _Guest(gic, longest)
    what = f"{SPIS} SPIs pending, {cpus} vCPUs"
    guest.doing = f"beginning: {what}"
    words = [GICD + 4 * word for word in range(1, 1 + SPIS // 32)]
    for word in words:
        guest.write(word + 0x80, 4, _ALL)
        guest.write(word + 0x100, 4, _ALL)
    for intid in range(32, 32 + SPIS):
        guest.write(GICD + 0x6000 + 8 * intid, 8, IRM if profile.features.one_of_n else 0)
    guest.awake(cpus)
    for word in words:
        guest.write(word + 0x200, 4, _ALL)
    for base in gic.redistributor_bases:
        guest.write(base + SGI_BASE + 0x200, 4, _ALL)
    base = gic.redistributor_bases[0]
    for name, accesses in {
        "GICD_CTLR": [(GICD, 4, 0), (GICD, 4, 0b11)],
        "GICD_ICENABLER, ISENABLER": [(words[0] + at, 4, _ALL) for at in (0x180, 0x100)],
        "GICD_ICPENDR, ISPENDR": [(words[0] + at, 4, _ALL) for at in (0x280, 0x200)],
        "GICD_IGROUPR": [(words[0] + 0x80, 4, value) for value in (0, _ALL)],
        "GICD_IPRIORITYR": [(GICD + 0x420, 4, value) for value in (0x1010_1010, 0x8080_8080)],
        "GICD_IROUTER": [(GICD + 0x6100, 8, value) for value in (1, IRM)],
        "GICR_WAKER": [(base + WAKER, 4, value) for value in (2, 0)],
    }.items():
        guest.doing = f"{name}: {what}"
        for address, size, value in accesses:
            guest.write(address, size, value)
    for name, register, values in (
        ("ICC_IGRPEN1", vgic.ICC_IGRPEN1_EL1, (0, 1)),
        ("ICC_PMR", vgic.ICC_PMR_EL1, (0, 0xF8)),
        ("ICC_CTLR", vgic.ICC_CTLR_EL1, (1, 0)),
        ("ICC_SGI1R, to all", vgic.ICC_SGI1R_EL1, (_BROADCAST,)),
    ):
        guest.doing = f"{name}: {what}"
        for value in values:
            guest.sysreg_write(0, register, value)
    guest.doing = f"IAR1, EOIR1: {what}"
    for cpu in range(min(cpus, 16)):
        guest.take(cpu)


def _many_vcpus(cpus: int, longest: dict[str, float]) -> None:
    """What every vCPU hears of."""
    guest = _Guest(vgic.Gic(vgic.Config(vgic.Topology.clusters(cpus, 16))), longest)
    what = f"{cpus:,} vCPUs"
    guest.doing = f"beginning: {what}"
    guest.awake(cpus)
    guest.doing = f"ICC_SGI1R, to all: {what}"
    guest.sysreg_write(0, vgic.ICC_SGI1R_EL1, _BROADCAST)
    guest.doing = f"GICD_CTLR: {what}"
    for value in (0, 0b11):
        guest.write(GICD, 4, value)


def _many_lpis(profile: vgic.Profile, id_bits: int, commands: int, longest: dict[str, float]) -> None:
    """Every LPI that INTIDs of so many bits have, enabled and pending at the first of two vCPUs.

    Where an LPI is taken from the pending table only if an event has it (LPI-27), events have them all.
    """
    tables = _Tables(id_bits)
    ram = bytearray(tables.size)
    lpis = (1 << id_bits) - FIRST_LPI
    start = tables.configuration - _RAM
    ram[start : start + lpis] = b"\xa3" * lpis
    start = tables.pending(0) - _RAM
    ram[start + FIRST_LPI // 8 : start + (1 << id_bits) // 8] = b"\xff" * (lpis // 8)
    config = vgic.Config(vgic.Topology.kvm(_LPI_CPUS), profile=profile, its=(GITS,), lpi_id_bits=id_bits)
    gic = vgic.Gic(config, memory=vgic.Ram(_RAM, ram))
    guest = _Guest(gic, longest)
    what = f"{lpis:,} LPIs pending"
    guest.doing = f"beginning: {what}"
    guest.awake(_LPI_CPUS)
    bases = gic.redistributor_bases
    for cpu, base in enumerate(bases):
        guest.write(base + PROPBASER, 8, tables.configuration | id_bits - 1)
        guest.write(base + PENDBASER, 8, tables.pending(cpu))

    def settled() -> bool:
        busy = [guest.read(base + CTLR, 4) & RWP | guest.read(base + SYNCR, 4) & 1 for base in bases]
        # KVM's Redistributor shows nothing of it while it reads the pending table.
        return not any(busy) and not any(gic.lpis(cpu).busy for cpu in range(_LPI_CPUS))

    queue = _Queue(guest, tables, ram, settled)
    if profile.its.keeps_lpis:
        guest.doing = f"MAPC, MAPD, MAPTI of all: {what}"
        mapping = _mapping(tables, lpis)
        while some := list(islice(mapping, min(commands, _SOME))):
            queue.send(some)

    def do(name: str, address: int, size: int, value: int) -> None:
        guest.doing = f"{name}: {what}"
        guest.write(address, size, value)
        guest.wait(settled)
        guest.take(0)

    for base in reversed(bases):
        do("GICR_CTLR.EnableLPIs", base + CTLR, 4, 1)
    do("GICR_INVLPIR", bases[0] + INVLPIR, 8, FIRST_LPI + 7)
    do("GICR_INVALLR", bases[0] + INVALLR, 8, 0)
    guest.doing = f"ICC_PMR, ICC_IGRPEN1: {what}"
    for register, values in ((vgic.ICC_PMR_EL1, (0, 0xF8)), (vgic.ICC_IGRPEN1_EL1, (0, 1))):
        for value in values:
            guest.sysreg_write(0, register, value)

    for name, sent in {
        "MAPC": [its_commands.encode("MAPC", ICID=cpu, RDbase=cpu, V=1) for cpu in range(_LPI_CPUS)],
        "MAPD, MAPTI": [
            its_commands.encode("MAPD", DeviceID=0, Size=0, ITT_addr=tables.itt >> 8, V=1),
            its_commands.encode("MAPTI", DeviceID=0, EventID=0, pINTID=FIRST_LPI, ICID=0),
        ],
        "INV": [its_commands.encode("INV", DeviceID=0, EventID=0)],
        "INVALL": [its_commands.encode("INVALL", ICID=0)],
        "several INVALL": [its_commands.encode("INVALL", ICID=0)] * _SEVERAL,
        "MOVALL": [its_commands.encode("MOVALL", RDbase=0, RDbase2=1)],
        "several MOVALL": [
            its_commands.encode("MOVALL", RDbase=number % 2 ^ 1, RDbase2=number % 2) for number in range(_SEVERAL)
        ],
        "MOVI, DISCARD": [
            its_commands.encode("MOVI", DeviceID=0, EventID=0, ICID=1),
            its_commands.encode("DISCARD", DeviceID=0, EventID=0),
        ],
        "several MAPC": [its_commands.encode("MAPC", ICID=0, RDbase=number % 2, V=1) for number in range(_SEVERAL)],
        # KVM looks at every LPI for each of them.
        "a full queue of MAPC": [its_commands.encode("MAPC", ICID=1, RDbase=1, V=1)]
        * (_SEVERAL if profile.its.keeps_lpis else commands),
        "a full queue of errors": [its_commands.encode("INT", DeviceID=5, EventID=9)] * commands,
    }.items():
        guest.doing = f"{name}: {what}"
        queue.send(sent)
    do("GICR_CTLR.EnableLPIs off", bases[0] + CTLR, 4, 0)
    do("GICR_CTLR.EnableLPIs off", bases[1] + CTLR, 4, 0)


def _mapping(tables: "_Tables", lpis: int) -> Iterator[bytes]:
    """Commands that map each LPI, in the collection of the first vCPU."""
    yield its_commands.encode("MAPC", ICID=0, RDbase=0, V=1)
    for lpi in range(lpis):
        device, event = divmod(lpi, _EVENTS)
        if not event:
            itt = tables.itts + device * _EVENTS * _ENTRY
            size = _EVENTS.bit_length() - 2
            yield its_commands.encode("MAPD", DeviceID=1 + device, Size=size, ITT_addr=itt >> 8, V=1)
        yield its_commands.encode("MAPTI", DeviceID=1 + device, EventID=event, pINTID=FIRST_LPI + lpi, ICID=0)


_EVENTS: Final = 4096
"""Of a device."""
_ENTRY: Final = 8
"""Bytes of an entry of a KVM translation table."""
_SOME: Final = 4096
"""Commands at a time, where there are so many that a list of all is no small burden to the garbage collector."""
_SEVERAL: Final = 4
"""Commands, each of which concerns every LPI."""


class _Tables:
    """Where what the guest keeps for INTIDs of so many bits is in its RAM."""

    def __init__(self, id_bits: int) -> None:
        self.devices = _RAM
        self.collections = _RAM + K64
        self.itt = _RAM + 2 * K64
        self.queue = _RAM + 4 * K64
        self.configuration = self.queue + QUEUE_SIZE
        self._pending = self.configuration + max(K64, 1 << id_bits)
        self._pending_size = max(K64, 1 << id_bits - 3)
        self.itts = self.pending(_LPI_CPUS)
        """Translation tables for all LPIs."""
        self.size = self.itts + (_ENTRY << id_bits) - _RAM

    def pending(self, cpu: int) -> int:
        """The pending table of a vCPU."""
        return self._pending + cpu * self._pending_size


class _Queue:
    """The command queue, as large as one can be."""

    def __init__(self, guest: _Guest, tables: _Tables, ram: bytearray, settled: Callable[[], bool]) -> None:
        self._guest, self._ram, self._settled = guest, ram, settled
        self._start = tables.queue - _RAM
        self._at = 0
        guest.doing = "beginning: an ITS"
        guest.write(GITS + BASER, 8, 1 << 63 | tables.devices | 2 << 8)
        guest.write(GITS + BASER + 8, 8, 1 << 63 | tables.collections | 2 << 8)
        guest.write(GITS + CBASER, 8, 1 << 63 | tables.queue | QUEUE_SIZE // 0x1000 - 1)
        guest.write(GITS, 4, 1)

    def send(self, commands: Sequence[bytes]) -> None:
        """Have the ITS process commands, all of them begun by one access."""
        for command in commands:
            self._ram[self._start + self._at : self._start + self._at + COMMAND] = command
            self._at = (self._at + COMMAND) % QUEUE_SIZE
        guest = self._guest
        guest.write(GITS + CWRITER, 8, self._at)
        guest.wait(lambda: guest.read(GITS + CREADR, 8) == self._at)
        guest.wait(self._settled)
        guest.take(0)
        guest.take(1)
