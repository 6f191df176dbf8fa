"""The model with an ITS next to a running QEMU that has one, and RAM of the same content."""

from itertools import islice
from pathlib import Path
from typing import Final

import vgic
from its_places import RAM, RAM_SIZE, every_its_register, stretches
from live_qemu import MARK, Difference, LiveQemu, arguments
from qtest import load, read, store
from random_accesses import Operation
from random_its import ItsOperation, Store, random_its_operations
from vgic.layouts import gits

MEBIBYTES: Final = RAM_SIZE >> 20
CHUNK: Final = 0x1_0000
"""Bytes of memory that are compared at once."""


class LiveIts(LiveQemu):
    """QEMU's virt machine with an ITS, and a model of it with this configuration; a context manager."""

    def __init__(self, machine: vgic.Config, directory: Path) -> None:
        self.ram = bytearray(RAM_SIZE)
        cpus = len(machine.topology)
        gic = vgic.Gic(machine, memory=vgic.Ram(RAM, self.ram))
        super().__init__(gic, [*arguments(cpus, its=True), "-m", str(MEBIBYTES)], directory)
        registers = every_its_register()
        self._registers += registers
        self._reads += [read(access.address(gic), access.size) for access in registers]

    def compare_random_its(self, seed: int, count: int, batch: int) -> None:
        """Perform random operations; after each compare what it reads and the offers, after each batch the rest."""
        operations = random_its_operations(seed, self.gic, MARK)
        while count > 0:
            self.perform(islice(operations, min(batch, count)), f"seed {seed}, ")
            self.compare_registers()
            self.compare_memory()
            self.gic.check()
            count -= batch

    def compare_memory(self) -> None:
        """Compare what the guest's tables hold."""
        for start, length in stretches(self._cpus):
            for address in range(start, start + length, CHUNK):
                size = min(CHUNK, start + length - address)
                [answer] = self._qtest.ask([load(address, size)])
                self._same_bytes(address, answer.to_bytes(size, "big"))

    def _same_bytes(self, address: int, answer: bytes) -> None:
        got = self.ram[address - RAM : address - RAM + len(answer)]
        if got != answer:
            at = next(index for index, pair in enumerate(zip(got, answer, strict=True)) if pair[0] != pair[1])
            place = f"after {self.operations} operations, memory at {address + at:#x}"
            raise Difference(f"{place}: {got[at : at + 16].hex(' ')}, QEMU {answer[at : at + 16].hex(' ')}")

    def _model(self, operation: Operation | Store) -> int:
        if isinstance(operation, Store):
            start = operation.address - RAM
            self.ram[start : start + len(operation.data)] = operation.data
            return 0
        result = super()._model(operation)
        # QEMU takes a whole queue at once, the model some hundred commands an access: the guest polls GITS_CREADR.
        while self.gic.its().queue.unfinished:
            self.gic.read(self.gic.config.its[0] + gits.CREADR.offset, 8)
        return result

    def _command(self, operation: ItsOperation) -> str:
        return (
            store(operation.address, operation.data)
            if isinstance(operation, Store)
            else super()._command(operation)
        )
