"""A guest's driver of LPIs and of an ITS, which does what Linux does: tables in RAM of its own, commands, MSIs.

ram = Ram.zeroed(RAM, RAM_SIZE)
gic = Gic(Config(Topology.clusters(4, 4), its=(ITS,)), memory=ram)
driver = ItsDriver(gic, ram)
driver.start()
driver.map_device(0x10, events=4)
intid = driver.map_event(0x10, 0, cpu=2)
gic.msi(0x10, 0)
assert driver.take(2) == intid
"""

from typing import Final

from guest import Recorder
from mmio import RegisterLayout
from vgic import (
    ARCH,
    ICC_EOIR1_EL1,
    ICC_IAR1_EL1,
    ICC_IGRPEN1_EL1,
    ICC_PMR_EL1,
    Config,
    Gic,
    ItsCommandError,
    ItsError,
    Profile,
    Ram,
    Topology,
)
from vgic.layouts import gicd, gicr, gits, its_commands

RAM: Final = 0x4000_0000
RAM_SIZE: Final = 0x0080_0000
ITS: Final = 0x0808_0000

FIRST_LPI: Final = 8192
SPURIOUS: Final = 1023
GICD_CTLR_GROUPS: Final = 0b11

PAGE_SIZES: Final = (0x1000, 0x4000, 0x1_0000)

_DEVICES: Final = 0
_COLLECTIONS: Final = 1

ENABLED: Final = 0b11
"""A configuration byte without its priority, of an LPI that is enabled."""
DISABLED: Final = 0b10


class Heard(Recorder):
    """An observer that remembers the commands that were not obeyed, too."""

    def __init__(self) -> None:
        super().__init__()
        self.errors: list[ItsCommandError] = []

    def its_command_error(self, error: ItsCommandError) -> None:
        self.errors.append(error)

    def take(self) -> list[tuple[str, ItsError]]:
        """Command and error of what was heard since the last time."""
        heard = [(error.command, error.error) for error in self.errors]
        self.errors.clear()
        return heard


class Memory:
    """Hands out stretches of RAM, zeroed, from low to high."""

    def __init__(self, ram: Ram) -> None:
        self.ram = ram
        self._next = ram.base

    def take(self, size: int, alignment: int = 0x1_0000) -> int:
        """The address of a new stretch."""
        start = -(-self._next // alignment) * alignment
        self._next = start + size
        assert self.ram.is_ram(start, size), "the test's RAM is too small"
        return start


class ItsDriver:
    """Drives the ITS `number` of a VM, and the LPIs of its Redistributors.

    Several drivers of the ITSes of one VM share the `memory`; only the first one calls `start_lpis`.
    """

    def __init__(
        self,
        gic: Gic,
        ram: Ram,
        number: int = 0,
        memory: Memory | None = None,
        page_size: int = 0x1_0000,
        indirect: bool = False,
        queue_pages: int = 16,
        first_lpi: int = FIRST_LPI,
    ) -> None:
        self.gic = gic
        self.ram = ram
        self.number = number
        self.base = gic.config.its[number]
        self.memory = Memory(ram) if memory is None else memory
        self.cpus = len(gic.config.topology)
        self.page_size = page_size
        self.indirect = indirect
        self.queue_size = queue_pages * 0x1000
        self.queue = self.devices = self.collections = 0
        self.properties = 0
        self.pending: list[int] = []
        self.events: dict[tuple[int, int], int] = {}
        """The LPI of each event that is mapped, by DeviceID and EventID."""
        self._next_lpi = first_lpi
        self._level2: set[int] = set()

    # Registers.

    def read(self, register: RegisterLayout, index: int = 0) -> int:
        return self.gic.read(self.base + register.offset + index * register.stride, register.width // 8)

    def write(self, register: RegisterLayout, value: int, index: int = 0) -> None:
        self.gic.write(self.base + register.offset + index * register.stride, register.width // 8, value)

    def redistributor(self, cpu: int, register: RegisterLayout) -> int:
        """The address of a register of a vCPU's Redistributor."""
        return self.gic.redistributor_bases[cpu] + register.offset

    # Bringing it up.

    def start(self) -> None:
        """Interrupts, LPIs, the ITS, and a collection for every vCPU."""
        self.start_cpus()
        self.start_lpis()
        self.start_its()
        for cpu in range(self.cpus):
            self.map_collection(cpu, cpu)

    def start_cpus(self) -> None:
        self.gic.write(self.gic.config.gicd_base + gicd.CTLR.offset, 4, GICD_CTLR_GROUPS)
        for cpu in range(self.cpus):
            self.gic.write(self.redistributor(cpu, gicr.WAKER), 4, 0)
            self.gic.sysreg_write(cpu, ICC_PMR_EL1, 0xF8)
            self.gic.sysreg_write(cpu, ICC_IGRPEN1_EL1, 1)

    def start_lpis(self, pending_zero: bool = True) -> None:
        """One configuration table for all, a pending table for each, and EnableLPIs."""
        bits = self.gic.config.lpi_id_bits
        self.properties = self.memory.take(1 << bits)
        for cpu in range(self.cpus):
            self.pending.append(self.memory.take(1 << bits >> 3))
            value = gicr.PROPBASER.encode({"IDbits": bits - 1}) | self.properties
            self.gic.write(self.redistributor(cpu, gicr.PROPBASER), 8, value)
            value = gicr.PENDBASER.encode({"PTZ": int(pending_zero)}) | self.pending[cpu]
            self.gic.write(self.redistributor(cpu, gicr.PENDBASER), 8, value)
        for cpu in range(self.cpus):
            self.enable_lpis(cpu)

    def enable_lpis(self, cpu: int, enabled: bool = True) -> None:
        self.gic.write(self.redistributor(cpu, gicr.CTLR), 4, int(enabled))

    def start_its(self) -> None:
        """The tables and the queue; then GITS_CTLR.Enabled."""
        self.devices = self._table(_DEVICES, self.indirect)
        self.collections = self._table(_COLLECTIONS, False)
        self.queue = self.memory.take(self.queue_size)
        value = gits.CBASER.encode({"Valid": 1, "Size": self.queue_size // 0x1000 - 1}) | self.queue
        self.write(gits.CBASER, value)
        self.write(gits.CWRITER, 0)
        self.enable()

    def enable(self, enabled: bool = True) -> None:
        self.write(gits.CTLR, int(enabled))

    def _table(self, index: int, indirect: bool) -> int:
        """Enough pages for 16 bits of ids in entries of 8 bytes, or a level 1 for as many."""
        entries = 0x1_0000 * 8 if not indirect else 0x1_0000 * 8 // self.page_size * 8
        pages = max(1, min(256, entries // self.page_size))
        address = self.memory.take(pages * self.page_size)
        fields = {"Valid": 1, "Indirect": int(indirect), "Size": pages - 1}
        fields["Page_Size"] = PAGE_SIZES.index(self.page_size)
        self.write(gits.BASER, gits.BASER.encode(fields) | address, index)
        return address

    # Commands.

    def put(self, offset: int, command: bytes) -> None:
        """Write a command into the queue, and nothing else."""
        self.ram.write(self.queue + offset, command)

    def add(self, command: bytes) -> None:
        """Queue a command and tell the ITS."""
        offset = self.read(gits.CWRITER)
        self.put(offset, command)
        self.write(gits.CWRITER, (offset + its_commands.COMMAND_SIZE) % self.queue_size)

    def send(self, name: str, **fields: int) -> None:
        """Queue a command, tell the ITS, and see that it has been read."""
        self.add(its_commands.encode(name, **fields))
        assert self.read(gits.CREADR) == self.read(gits.CWRITER), f"{name} was not read"

    def sync(self, cpu: int) -> None:
        self.send("SYNC", RDbase=self.rdbase(cpu))

    def rdbase(self, cpu: int) -> int:
        """How the ITS wants to be told a vCPU."""
        if gits.TYPER.field("PTA").extract(self.read(gits.TYPER)):
            return self.gic.redistributor_bases[cpu] >> 16
        typer = self.gic.read(self.redistributor(cpu, gicr.TYPER), 8)
        return gicr.TYPER.field("Processor_Number").extract(typer)

    # What Linux does with them.

    def map_collection(self, collection: int, cpu: int) -> None:
        self.send("MAPC", ICID=collection, RDbase=self.rdbase(cpu), V=1)
        self.sync(cpu)
        self.send("INVALL", ICID=collection)
        self.sync(cpu)

    def unmap_collection(self, collection: int) -> None:
        self.send("MAPC", ICID=collection)

    def map_device(self, device: int, events: int) -> int:
        """A translation table for at least this many events; its address."""
        self._need_page(device)
        bits = max(1, (events - 1).bit_length())
        entry = gits.TYPER.field("ITT_entry_size").extract(self.read(gits.TYPER)) + 1
        table = self.memory.take(entry << bits, 0x100)
        self.send("MAPD", DeviceID=device, Size=bits - 1, ITT_addr=table >> 8, V=1)
        return table

    def _need_page(self, device: int) -> None:
        if not self.indirect:
            return
        page = device // (self.page_size // 8)
        if page not in self._level2:
            self._level2.add(page)
            address = self.memory.take(self.page_size, self.page_size)
            self.ram.write(self.devices + 8 * page, (1 << 63 | address).to_bytes(8, "little"))

    def unmap_device(self, device: int) -> None:
        self.send("MAPD", DeviceID=device)

    def map_event(self, device: int, event: int, cpu: int, priority: int = 0xA0) -> int:
        """Give an event the next LPI, enable that, and send it to a vCPU's collection; its INTID."""
        intid = self._next_lpi
        self._next_lpi += 1
        self.configure(intid, DISABLED | priority)
        self.send("MAPTI", DeviceID=device, EventID=event, pINTID=intid, ICID=cpu)
        self.sync(cpu)
        self.events[device, event] = intid
        self.unmask(device, event, priority)
        return intid

    def configure(self, intid: int, byte: int) -> None:
        """Write a byte of the configuration table, and tell nobody."""
        self.ram.write(self.properties + intid - FIRST_LPI, bytes([byte]))

    def mask(self, device: int, event: int, priority: int = 0xA0) -> None:
        self.configure(self.events[device, event], DISABLED | priority)
        self.send("INV", DeviceID=device, EventID=event)

    def unmask(self, device: int, event: int, priority: int = 0xA0) -> None:
        self.configure(self.events[device, event], ENABLED | priority)
        self.send("INV", DeviceID=device, EventID=event)

    def set_affinity(self, device: int, event: int, cpu: int) -> None:
        self.send("MOVI", DeviceID=device, EventID=event, ICID=cpu)
        self.sync(cpu)

    def unbind(self, device: int) -> None:
        """The device goes away: its events are discarded, and then it is unmapped."""
        for mapped, event in list(self.events):
            if mapped == device:
                self.send("DISCARD", DeviceID=device, EventID=event)
                del self.events[mapped, event]
        self.unmap_device(device)

    # What a vCPU does.

    def take(self, cpu: int) -> int:
        """Acknowledge and finish an interrupt; its INTID, SPURIOUS where there is none."""
        intid = self.gic.sysreg_read(cpu, ICC_IAR1_EL1)
        if intid != SPURIOUS:
            self.gic.sysreg_write(cpu, ICC_EOIR1_EL1, intid)
        return intid

    def take_all(self) -> list[tuple[int, int]]:
        """What every vCPU takes until none has anything left: vCPU and INTID, in that order."""
        taken: list[tuple[int, int]] = []
        for cpu in range(self.cpus):
            while (intid := self.take(cpu)) != SPURIOUS:
                taken.append((cpu, intid))
        return taken


def vm(cpus: int = 4, profile: Profile = ARCH, started: bool = True, **choices: int) -> tuple[ItsDriver, Heard]:
    """A VM with an ITS and a driver, which has brought it up; `choices` are those of `ItsDriver`."""
    ram, heard = Ram.zeroed(RAM, RAM_SIZE), Heard()
    config = Config(Topology.clusters(cpus, 16), spis=32, profile=profile, its=(ITS,))
    driver = ItsDriver(Gic(config, lines=heard, observer=heard, memory=ram), ram, **choices)
    if started:
        driver.start()
    return driver, heard
