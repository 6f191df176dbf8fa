"""The VM of the properties of isolation: interrupts of every kind, where their registers are, and LPIs with an ITS.

LPIs are the Non-secure state's. Their tables and the commands of the ITS are in RAM from the start: which LPIs
there are changes as the queue, which is full of commands, is executed bit by bit, round and round.
"""

import random
from typing import Final

import vgic
from its_driver import ITS, RAM, ItsDriver
from offsets import BANK, EXTENDED, GICD, GICR
from vgic.layouts import its_commands

CPUS: Final = 2
FIRST_SPI: Final = 32
FIRST_EXTENDED: Final = 4096
PRIVATE: Final = (*range(32), *range(1056, 1088))
SHARED: Final = (*range(32, 96), *range(4096, 4128))
INTIDS: Final = (*PRIVATE, *SHARED)
SGIS: Final = 16
LPIS: Final = range(8192, 8208)
DEVICE: Final = 0x10
EVENTS: Final = 8

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
    "INMIR": (BANK.INMIR, 1),
    "IROUTER": (GICD.IROUTER, 64),
}
"""Offset of the register of INTID 0, and bits for each INTID."""

FIRSTS: Final = {
    name: tuple(intid for intid in (SHARED if name == "IROUTER" else INTIDS) if intid % max(1, 32 // bits) == 0)
    for name, (_, bits) in BITS.items()
}
"""The first INTID of each register."""

_RAM_SIZE: Final = 0x20_0000
_ID_BITS: Final = 14
QUEUE_SIZE: Final = 0x1000


def is_shared(intid: int) -> bool:
    """An SPI, of either range."""
    return FIRST_SPI <= intid < 1024 or intid >= FIRST_EXTENDED


def address(gic: vgic.Gic, cpu: int, name: str, intid: int) -> int:
    """Of the register of an INTID that is the first of one."""
    offset, bits = BITS[name]
    if not is_shared(intid):
        return gic.redistributor_bases[cpu] + GICR.SGI_BASE + offset + intid % 1024 * bits // 8
    if intid >= FIRST_EXTENDED:
        return gic.config.gicd_base + EXTENDED[offset] + (intid - FIRST_EXTENDED) * bits // 8
    return gic.config.gicd_base + offset + intid * bits // 8


def registers(cpu: int, name: str) -> tuple[int, ...]:
    """The first INTIDs of the registers of this name that `cpu` configures: the Distributor's are vCPU 0's."""
    return tuple(intid for intid in FIRSTS[name] if not (cpu and is_shared(intid)))


def isolated_vm(
    two: bool, profile: vgic.Profile = vgic.ARCH, nmi: bool = False, list_registers: int = 0
) -> vgic.Gic:
    """A VM of two Security states or one, with LPIs whose tables are in RAM, and an ITS that has a device."""
    extended = 32 if profile.extended_ranges else 0
    ram = vgic.Ram.zeroed(RAM, _RAM_SIZE)
    config = vgic.Config(
        vgic.Topology.kvm(CPUS),
        64,
        profile,
        security="two" if two else "one",
        nmi=nmi,
        list_registers=list_registers,
        extended_spis=extended,
        extended_ppis=extended,
        lpi_id_bits=_ID_BITS,
        its=(ITS,),
    )
    gic = vgic.Gic(config, memory=ram)
    driver = ItsDriver(gic, ram, queue_pages=QUEUE_SIZE // 0x1000)
    driver.start_lpis()
    driver.start_its()
    for cpu in range(CPUS):
        driver.map_collection(cpu, cpu)
    driver.map_device(DEVICE, EVENTS)
    for event in range(EVENTS):
        driver.map_event(DEVICE, event, event % CPUS, 0x10 * event)
    for intid in LPIS[EVENTS:]:
        driver.configure(intid, intid << 4 & 0xF0 | 0b11)
    rng = random.Random(1)
    for offset in range(0, QUEUE_SIZE, its_commands.COMMAND_SIZE):
        driver.put(offset, _command(driver, rng))
    return gic


def _command(driver: ItsDriver, rng: random.Random) -> bytes:
    cpu, event, intid = rng.randrange(CPUS), rng.randrange(EVENTS), rng.choice(LPIS)
    name = rng.choice(("INT", "INT", "CLEAR", "INV", "INVALL", "DISCARD", "MOVI", "MOVALL", "MAPC", *4 * ["MAPTI"]))
    its_event = {"DeviceID": DEVICE, "EventID": event}
    fields = {
        "INVALL": {"ICID": cpu},
        "MOVI": {**its_event, "ICID": cpu},
        "MAPTI": {**its_event, "pINTID": intid, "ICID": cpu},
        "MAPC": {"ICID": cpu, "RDbase": driver.rdbase(rng.randrange(CPUS)), "V": 1},
        "MOVALL": {"RDbase": driver.rdbase(cpu), "RDbase2": driver.rdbase(1 - cpu)},
    }.get(name, its_event)
    return its_commands.encode(name, **fields)
