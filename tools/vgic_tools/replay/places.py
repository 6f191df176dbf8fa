"""What records and addresses refer to on the machine of a replay, and errors that say where in the trace it is."""

from mypy_extensions import i64

from mmio import Location
from mmio.trace import Event
from mmio.trace.records import RecordError, Tables, number_of, pe_of
from vgic import Gic, affinity
from vgic.topology import NO_VCPU
from vgic_tools.replay.history import History
from vgic_tools.replay.system_registers import SystemRegister, system_register

__all__ = ["Places", "ReplayError"]


class ReplayError(Exception):
    """An event that this machine cannot have produced; the message starts with file and line."""


class Places:
    """Finds vCPUs, registers and names by their places in the tables. The tables may grow on the way."""

    def __init__(self, path: str, tables: Tables, gic: Gic, history: History) -> None:
        self.tables = tables
        self.registers: list[SystemRegister] = []
        """The system registers of the tables, as far as records referred to them."""
        self._path = path
        self._topology = gic.config.topology
        self._list_registers = gic.config.list_registers
        self._map = gic.map
        self._history = history
        self._cpus: list[int] = []
        self._locations: dict[int, Location] = {}

    def cpu(self, data: bytes, at: i64, index: i64) -> i64:
        """The vCPU of a record, event `index`. Raises ReplayError where the machine lacks it."""
        pe = pe_of(data, at)
        if pe >= len(self._cpus):
            pes = self.tables.pes
            _check(pe, len(pes), "PE", index)
            for packed in pes[len(self._cpus) :]:
                found = self._topology.find(packed)
                self._cpus.append(NO_VCPU if found is None else found)
        cpu: i64 = self._cpus[pe]
        if cpu == NO_VCPU:
            first, last = self._topology.affinities[0], self._topology.affinities[-1]
            raise self.error(
                index,
                f"no vCPU has affinity {affinity.text(self.tables.pes[pe])};"
                f" the machine has {len(self._topology)}: {affinity.text(first)} to {affinity.text(last)}",
            )
        return cpu

    def register(self, data: bytes, at: i64, index: i64) -> SystemRegister:
        """The system register of a record."""
        number = number_of(data, at)
        if number >= len(self.registers):
            names = self.tables.registers
            _check(number, len(names), "register", index)
            added = names[len(self.registers) :]
            self.registers += [system_register(name, self._list_registers) for name in added]
        return self.registers[number]

    def name(self, data: bytes, at: i64, index: i64) -> i64:
        """The place of a record's name in the tables."""
        number = number_of(data, at)
        if number >= len(self.tables.names):
            _check(number, len(self.tables.names), "name", index)
        return number

    def token(self, data: bytes, at: i64, index: i64) -> str:
        """The token of a record."""
        number = number_of(data, at)
        _check(number, len(self.tables.tokens), "token", index)
        return self.tables.tokens[number]

    def written(self, data: bytes, at: i64, index: i64) -> Event:
        """The event that a record stands for, without line, time and thread."""
        number = number_of(data, at)
        _check(number, len(self.tables.written), "written event", index)
        return self.tables.written[number]

    def error(self, index: i64, message: str) -> ReplayError:
        """What is wrong with event `index`, and on which line of the trace it is."""
        return ReplayError(f"{self._path}:{self._history.event(index).line}: {message}")

    def locate(self, address: int) -> Location:
        """What lies at an address of the distributor or a redistributor."""
        found = self._locations.get(address)
        if found is None:
            found = self._map.locate(address)
            assert found is not None
            self._locations[address] = found
        return found

    def name_at(self, address: int) -> str:
        """The register at an address, or the place where there is none."""
        location = self.locate(address)
        if location.register is not None:
            return location.register.name
        return f"{location.owner.partition('[')[0]}+{location.offset:#x}"


def _check(place: i64, count: i64, what: str, index: i64) -> None:
    if place >= count:
        raise RecordError(f"record {index} refers to {what} {place}, and the tables have {count}")
