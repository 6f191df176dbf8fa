"""What LPIs cost: bytes each while they are mapped, and delivering one among many against one among few."""

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Final

import vgic
from vgic.layouts import its_commands
from vgic_tools.bench.timing import ROUNDS, Timed, medians, timed

__all__ = [
    "FEW",
    "LPI_FEW",
    "LPI_MANY",
    "MANY",
    "LpiMachine",
    "deliveries",
    "delivery_ratio",
    "measure_lpi_memory",
]

FEW: Final = 16
MANY: Final = 65_536
LPI_FEW: Final = f"message + IAR1 + EOIR1, {FEW} LPIs mapped"
LPI_MANY: Final = f"message + IAR1 + EOIR1, {MANY:,} LPIs mapped"

CPUS: Final = 4
ID_BITS: Final = 17
"""INTIDs enough for so many LPIs above 8191."""
EVENTS: Final = 1024
"""Events of a device."""

K64: Final = 0x1_0000
RAM: Final = 0x4000_0000
DEVICES: Final = RAM
COLLECTIONS: Final = RAM + K64
QUEUE: Final = RAM + 2 * K64
CONFIGURATION: Final = RAM + 4 * K64
PENDING: Final = RAM + 6 * K64
ITTS: Final = RAM + 16 * K64
ENTRY: Final = 16
"""Bytes of a translation table entry, at most."""
STRIDE: Final = 40_503
"""From one LPI to the next one that is delivered: odd, so that all come to be, and far, so that no cache helps."""
RAM_SIZE: Final = 16 * K64 + ENTRY * MANY

GICD: Final = 0x0800_0000
GITS: Final = 0x0808_0000


class LpiMachine:
    """Four vCPUs and an ITS through which the first `mapped` LPIs, up to 65,536, are spread over them."""

    def __init__(self, mapped: int, ram: bytearray) -> None:
        self.mapped = mapped
        config = vgic.Config(vgic.Topology.kvm(CPUS), its=(GITS,), lpi_id_bits=ID_BITS)
        self.gic = gic = vgic.Gic(config, memory=vgic.Ram(RAM, ram))
        ram[CONFIGURATION - RAM : CONFIGURATION - RAM + mapped] = b"\xa3" * mapped
        gic.write(GICD, 4, 0b11)
        for cpu, base in enumerate(gic.redistributor_bases):
            gic.write(base + 0x14, 4, 0)
            gic.write(base + 0x70, 8, CONFIGURATION | ID_BITS - 1)
            gic.write(base + 0x78, 8, PENDING + cpu * K64)
            gic.write(base, 4, 1)
            gic.sysreg_write(cpu, vgic.ICC_PMR_EL1, 0xF8)
            gic.sysreg_write(cpu, vgic.ICC_IGRPEN1_EL1, 1)
        gic.write(GITS + 0x100, 8, 1 << 63 | DEVICES | 2 << 8)
        gic.write(GITS + 0x108, 8, 1 << 63 | COLLECTIONS | 2 << 8)
        gic.write(GITS + 0x80, 8, 1 << 63 | QUEUE | 15)
        gic.write(GITS, 4, 1)
        self._send(ram, self._mapping())

    def _mapping(self) -> Iterator[bytes]:
        for cpu in range(CPUS):
            yield its_commands.encode("MAPC", ICID=cpu, RDbase=cpu, V=1)
        for device in range((self.mapped + EVENTS - 1) // EVENTS):
            itt = ITTS + device * EVENTS * ENTRY
            yield its_commands.encode("MAPD", DeviceID=device, Size=EVENTS.bit_length() - 2, ITT_addr=itt >> 8, V=1)
        for lpi in range(self.mapped):
            device, event = divmod(lpi, EVENTS)
            yield its_commands.encode("MAPTI", DeviceID=device, EventID=event, pINTID=8192 + lpi, ICID=lpi % CPUS)

    def _send(self, ram: bytearray, commands: Iterator[bytes]) -> None:
        """Have the ITS process commands, a part of the queue at a time."""
        at = 0
        for command in commands:
            start = QUEUE - RAM + at
            ram[start : start + len(command)] = command
            at = (at + len(command)) % (16 * 0x1000)
            if at % 0x1000 == 0:
                self.gic.write(GITS + 0x88, 8, at)
        self.gic.write(GITS + 0x88, 8, at)
        if self.gic.read(GITS + 0x90, 8) != at:
            raise RuntimeError(
                f"the ITS stopped at {self.gic.read(GITS + 0x90, 8):#x} of its queue, not at {at:#x}"
            )

    def deliver(self, calls: int) -> None:
        """Send messages, all over the LPIs; take and end each LPI where it arrives."""
        gic, mapped = self.gic, self.mapped
        for call in range(calls):
            lpi = call * STRIDE % mapped
            gic.msi(lpi // EVENTS, lpi % EVENTS)
            cpu = lpi % CPUS
            intid = gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1)
            gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)

    def arrives(self, lpi: int) -> bool:
        """Send the message of an LPI; True where it, and nothing else, is acknowledged and ended."""
        gic, cpu = self.gic, lpi % CPUS
        gic.msi(lpi // EVENTS, lpi % EVENTS)
        intid = gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1)
        gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, intid)
        return intid == 8192 + lpi


def deliveries(calls: int) -> dict[str, Timed]:
    """A message, the acknowledgement of its LPI and the end of that, among few and among many, each in turn.

    Called from Python; every LPI was delivered before.
    """
    machines = {LPI_FEW: FEW, LPI_MANY: MANY}
    return {
        name: timed(_spread(LpiMachine(mapped, bytearray(RAM_SIZE))), calls) for name, mapped in machines.items()
    }


def delivery_ratio(rounds: int = ROUNDS, calls: int = 2000) -> float:
    """What delivering one LPI among many costs, to the same among few."""
    times = medians(deliveries(calls), rounds)
    return times[LPI_MANY] / times[LPI_FEW]


def measure_lpi_memory(mapped: int = MANY) -> float:
    """Bytes that the model, beside the guest's tables, takes for each LPI that is mapped and has been delivered."""
    return (_bytes(mapped) - _bytes(0)) / mapped


def _spread(machine: LpiMachine) -> Callable[[int], None]:
    machine.deliver(machine.mapped)
    return machine.deliver


def _bytes(mapped: int) -> int:
    ram = bytearray(RAM_SIZE)
    gc.collect()
    tracemalloc.start()
    try:
        machine = LpiMachine(mapped, ram)
        machine.deliver(mapped)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        del machine
