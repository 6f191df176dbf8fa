"""The model next to a running QEMU: every operation on both, and everything that can be seen compared."""

import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

import vgic
from qtest import BINARY, Qtest, read, set_line, write
from random_accesses import DISTRIBUTOR, Access, Operation, every_address, every_register, random_operations
from vgic_tools.qemu_cmdline import QEMU_SPIS, config_from_qemu_cmdline

LAST_SPI: Final = 31 + QEMU_SPIS

TELL: Final = Access(DISTRIBUTOR, 0x400 + LAST_SPI, 1, 0x80)
"""Follows every operation, on both sides: has QEMU trace what it offers every vCPU.

Where the best interrupt of a vCPU goes away through its Redistributor, QEMU looks at all vCPUs anew but traces
only that one; what the others are offered may change too, where a trigger was changed (rule STATE-8). The last SPI
always has this priority; nothing else depends on it.
"""

MARK: Final = Access(DISTRIBUTOR, 0xC000, 4)
"""A read of a hole, which QEMU traces: it separates one operation from the next in the trace."""

EVENTS: Final = ("gicv3_cpuif_update", "gicv3_dist_badread")

_OFFER: Final = re.compile(
    rb"^gicv3_cpuif_update GICv3 CPU i/f 0x([0-9a-f]+) HPPI update: irq (\d+) group (\d) prio (\d+)$"
    rb"|^gicv3_dist_badread GICv3 distributor read: offset (0x%x) size %d " % (MARK.offset, MARK.size),
    re.MULTILINE,
)

NOTHING: Final = 255
"""The priority with which QEMU traces that there is nothing to offer."""


_MEASURED: Final = {"7.2": vgic.QEMU, "10.0": vgic.QEMU_10_0}


def profile_of(version: str | None) -> vgic.Profile | None:
    """The profile of a version of QEMU, None where it was not measured."""
    return _MEASURED.get((version or "").rpartition(".")[0])


class Difference(AssertionError):  # noqa: N818 - it is what a test fails with
    """The model does something else than QEMU."""


class Counts(NamedTuple):
    """What was compared."""

    operations: int
    registers: int
    """Registers read when nothing else was going on."""
    changes: int
    """Operations after which some vCPU was offered something else."""


def arguments(cpus: int, its: bool = False) -> list[str]:
    """The machine: everything in QEMU's command line that the GIC depends on."""
    machine = f"virt,gic-version=3,its={'on' if its else 'off'}"
    return ["-machine", machine, "-cpu", "cortex-a57", "-smp", str(cpus)]


def config(cpus: int, directory: Path, its: bool = False) -> vgic.Config:
    """The model of that machine, as the tools read it from the command line."""
    path = directory / "cmd.txt"
    path.write_text(shlex.join([BINARY, *arguments(cpus, its)]))
    return config_from_qemu_cmdline(path)


class LiveQemu:
    """QEMU's virt machine started with these arguments, and a model of it; a context manager.

    Every method raises Difference where they do not agree.
    """

    def __init__(self, gic: vgic.Gic, started_with: Sequence[str], directory: Path) -> None:
        self.gic = gic
        self._cpus = len(gic.config.topology)
        self._qtest = Qtest(started_with, directory, EVENTS)
        self._after = [self._command(TELL), self._command(MARK)]
        self._registers = every_register(self._cpus)
        self._reads = [self._command(access) for access in self._registers]
        self._before: list[vgic.Pending | None] = []
        self.operations = self.registers = self.changes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._qtest.__exit__(kind, error, trace)

    @property
    def counts(self) -> Counts:
        return Counts(self.operations, self.registers, self.changes)

    def compare_random(self, seed: int, count: int, batch: int) -> None:
        """Perform random operations; after each compare what it reads and the offers, after each batch the rest."""
        self.compare_registers()
        operations = random_operations(seed, self.gic, MARK)
        while count > 0:
            self.perform(islice(operations, min(batch, count)), f"seed {seed}, ")
            self.compare_registers()
            self.gic.check()
            count -= batch

    def perform(self, operations: Iterable[Operation], where: str = "") -> None:
        """Perform operations; after each, compare what it reads and what every vCPU is offered."""
        places, commands = [], []
        values, offers = [], []
        for operation in operations:
            places.append(f"{where}operation {self.operations}, {operation}")
            self.operations += 1
            commands += [self._command(operation), *self._after]
            values.append(self._model(operation))
            self._model(TELL)
            offers.append([self.gic.highest_pending(cpu) for cpu in range(self._cpus)])
        answers = self._qtest.ask(commands)[:: 1 + len(self._after)]
        told = self._traced_offers(len(commands) // (1 + len(self._after)))
        for place, value, answer, got, expected in zip(places, values, answers, offers, told, strict=True):
            self._same(place, answer, value)
            if got != expected:
                cpu = next(cpu for cpu in range(self._cpus) if got[cpu] != expected[cpu])
                raise Difference(f"{place}: vCPU {cpu} is offered {got[cpu]}, by QEMU {expected[cpu]}")
            if got != self._before:
                self.changes += 1
                self._before = got

    def compare_registers(self) -> None:
        """Compare every register."""
        for access, answer in zip(self._registers, self._qtest.ask(self._reads), strict=True):
            self._same(f"after {self.operations} operations, {access}", answer, self._model(access))
        self.registers += len(self._registers)

    def compare_addresses(self, frame: int, size: int) -> None:
        """Compare what is read at every aligned address of the Distributor, or of a vCPU's Redistributor."""
        accesses = every_address(frame, size)
        answers = self._qtest.ask([self._command(access) for access in accesses])
        for access, answer in zip(accesses, answers, strict=True):
            self._same(str(access), answer, self._model(access))
        self.registers += len(accesses)

    def _same(self, place: str, answer: int, got: int) -> None:
        if got != answer:
            raise Difference(f"{place}: {got:#x}, QEMU {answer:#x}")

    def _model(self, operation: Operation) -> int:
        """Perform an operation on the model; what it reads, else 0."""
        if not isinstance(operation, Access):
            if operation.intid < 32:
                self.gic.ppi(operation.cpu, operation.intid).set_level(operation.level)
            else:
                self.gic.spi(operation.intid).set_level(operation.level)
            return 0
        if operation.value is None:
            return self.gic.read(operation.address(self.gic), operation.size)
        self.gic.write(operation.address(self.gic), operation.size, operation.value)
        return 0

    def _command(self, operation: Operation) -> str:
        if isinstance(operation, Access):
            address = operation.address(self.gic)
            if operation.value is None:
                return read(address, operation.size)
            return write(address, operation.size, operation.value)
        # The inputs of the GIC: first the SPIs, then 32 for each vCPU.
        private = operation.intid < 32
        number = QEMU_SPIS + 32 * operation.cpu + operation.intid if private else operation.intid - 32
        # The CPUs are the first devices of the machine, and the GIC comes next.
        return set_line(f"/machine/unattached/device[{self._cpus}]", number, operation.level)

    def _traced_offers(self, steps: int) -> list[list[vgic.Pending | None]]:
        """What QEMU offers every vCPU after each of the operations that were just performed."""
        found: list[list[vgic.Pending | None]] = []
        told: dict[int, vgic.Pending | None] = {}
        for line in _OFFER.finditer(self._qtest.new_trace()):
            affinity, intid, group, priority, mark = line.groups()
            if mark is not None:
                found.append([told[packed] for packed in self.gic.config.topology.affinities])
                told = {}
            elif int(priority) == NOTHING:
                told[int(affinity, 16)] = None
            else:
                told[int(affinity, 16)] = vgic.Pending(int(intid), int(group != b"0"), int(priority))
        assert len(found) == steps, f"{steps} operations, and {len(found)} in QEMU's trace"
        return found
