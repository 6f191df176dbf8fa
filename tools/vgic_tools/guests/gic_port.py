"""The GIC as the machine's CPUs and devices reach it: counted, timed and, where somebody wants it, recorded."""

from collections import Counter
from collections.abc import Callable, Iterator
from time import thread_time_ns
from typing import Any

import vgic
from mmio.address_map import Region
from vgic.intids import SPURIOUS
from vgic_tools.guests.tape import Tape

__all__ = ["GicPort"]

_IAR = (vgic.ICC_IAR0_EL1, vgic.ICC_IAR1_EL1)
_SGI = (vgic.ICC_SGI0R_EL1, vgic.ICC_SGI1R_EL1, vgic.ICC_ASGI1R_EL1)


class GicPort:
    """What an adapter asks of `vgic.Gic`, with the same names and meanings."""

    def __init__(self, gic: vgic.Gic, tape: Tape | None = None) -> None:
        self.gic = gic
        self.tape = tape or Tape()
        self.nanoseconds = 0
        """Time spent in the GIC."""
        self.taken: Counter[tuple[int, int]] = Counter()
        """How often each (vCPU, INTID) was acknowledged."""
        self.sgi_writes = 0
        """Writes of registers that generate SGIs."""
        self.accesses = 0

    def counts(self) -> dict[str, object]:
        """What has been counted, as plain data."""
        taken = [[cpu, intid, count] for (cpu, intid), count in sorted(self.taken.items())]
        return {"taken": taken, "sgi_writes": self.sgi_writes, "accesses": self.accesses}

    def go_on_counting(self, counts: dict[str, Any]) -> None:
        """Begin with what `counts` made. Raises KeyError, TypeError or ValueError for anything else."""
        self.taken = Counter({(int(cpu), int(intid)): int(count) for cpu, intid, count in counts["taken"]})
        self.sgi_writes, self.accesses = int(counts["sgi_writes"]), int(counts["accesses"])

    @property
    def map(self) -> Iterator[Region]:
        """The regions of the GIC's frames."""
        return iter(self.gic.map)

    def mpidr(self, cpu: int) -> int:
        """MPIDR_EL1 of a vCPU."""
        return self.gic.mpidr(cpu)

    def read(self, address: int, size: int, cpu: int) -> int:
        """A guest's load."""
        start = thread_time_ns()
        value = self.gic.read(address, size, cpu)
        self.nanoseconds += thread_time_ns() - start
        self.accesses += 1
        self.tape.access(address, size, value, False)
        return value

    def write(self, address: int, size: int, value: int, cpu: int, secure: bool = False) -> None:
        """A guest's store, or one of its firmware's, which is Secure."""
        start = thread_time_ns()
        self.gic.write(address, size, value, cpu, secure)
        self.nanoseconds += thread_time_ns() - start
        self.accesses += 1
        self.tape.access(address, size, value, True, secure)

    def mrs(self, cpu: int, register: int) -> int | None:
        """A guest's MRS; None where it is UNDEFINED."""
        start = thread_time_ns()
        value = self.gic.mrs(cpu, register)
        self.nanoseconds += thread_time_ns() - start
        if value is not None:
            self.accesses += 1
            if register in _IAR and not SPURIOUS - 3 <= value <= SPURIOUS:
                self.taken[cpu, value] += 1
            self.tape.sysreg(cpu, register, value, False)
        return value

    def msr(self, cpu: int, register: int, value: int) -> bool:
        """A guest's MSR; False where it is UNDEFINED."""
        if not self.gic.sysreg_defined(register, True, cpu):
            return False
        self.tape.sysreg(cpu, register, value, True)
        self.sgi_writes += register in _SGI
        start = thread_time_ns()
        taken = self.gic.msr(cpu, register, value)
        self.nanoseconds += thread_time_ns() - start
        self.accesses += 1
        return taken

    def reset_cpu(self, cpu: int) -> None:
        """PSCI CPU_ON."""
        self.tape.reset(cpu)
        self.gic.reset_cpu(cpu)

    def set_pe_state(self, cpu: int, state: vgic.PeState) -> None:
        """Where the PE is."""
        self.gic.set_pe_state(cpu, state)

    def msi(self, device_id: int, event_id: int) -> None:
        """A device writes to GITS_TRANSLATER."""
        self.tape.message(device_id, event_id)
        start = thread_time_ns()
        self.gic.msi(device_id, event_id)
        self.nanoseconds += thread_time_ns() - start

    def ppi_line(self, cpu: int, intid: int) -> Callable[[bool], None]:
        """The input line of a PPI."""
        return lambda level: self._drive(cpu, self.gic.ppi(cpu, intid), level)

    def spi_line(self, intid: int) -> Callable[[bool], None]:
        """The input line of an SPI."""
        return lambda level: self._drive(None, self.gic.spi(intid), level)

    def _drive(self, cpu: int | None, interrupt: vgic.Interrupt, level: bool) -> None:
        if level != interrupt.level:
            self.tape.line(cpu, interrupt.intid, level)
            start = thread_time_ns()
            interrupt.set_level(level)
            self.nanoseconds += thread_time_ns() - start
