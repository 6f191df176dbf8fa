"""The recording of random operations (tests/traces/fuzz_ds1_smp4): read it, and perform it on a model.

Each line is one operation that a bare-metal program, or the machine around it, performed on QEMU's GIC, with the
exact result where there is one.
"""

import gzip
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import vgic

RECORDING: Final = Path(__file__).parent.parent / "traces" / "fuzz_ds1_smp4" / "ops.tsv.gz"

_SYSREGS: Final = {
    name.removeprefix("ICC_").removesuffix("_EL1"): getattr(vgic, name)
    for name in vgic.__all__
    if name.startswith("ICC_")
}
_IRQ: Final = 0x80
_FIQ: Final = 0x40


class Operation(NamedTuple):
    """One line of the recording."""

    seq: int
    cpu: int
    """The affinity of the vCPU; 0 for the input line of an SPI."""
    kind: str
    """"r4", "w8": memory, with the size in bytes; "r", "w": a system register; "line": an input line."""
    target: str
    """"GICD+0x104", "GICR[0x1]+0x10400", "IAR1", "SPI42", "PPI27"."""
    value: int | None
    """What was written, or the level of the line."""
    result: int | None
    """What was read."""


class Mismatch(NamedTuple):
    """A result other than the recorded one."""

    operation: Operation
    got: int | None

    def __str__(self) -> str:
        operation = self.operation
        return (
            f"operation {operation.seq}: {operation.kind} {operation.target} by {operation.cpu:#x}:"
            f" expected {operation.result:#x}, got {'nothing' if self.got is None else hex(self.got)}"
        )


def recorded_machine() -> vgic.Gic:
    """The machine that the recording was made on."""
    return vgic.Gic(vgic.Config(topology=vgic.Topology.qemu(4), spis=256, profile=vgic.QEMU))


def recorded_operations() -> Iterator[Operation]:
    """Every operation, in order."""
    with gzip.open(RECORDING, "rt") as lines:
        for line in lines:
            if not line.startswith("#"):
                seq, cpu, _, kind, target, value, result = line.rstrip("\n").split("\t")
                yield Operation(int(seq), _number(cpu) or 0, kind, target, _number(value), _number(result))


def perform(gic: vgic.Gic, operation: Operation) -> int | None:
    """Perform an operation through the public interface; what it reads, None where it reads nothing."""
    cpu = gic.config.topology.find(operation.cpu)
    kind, target, value = operation.kind, operation.target, operation.value or 0
    if kind == "line":
        intid = int(target[3:])
        line = gic.spi(intid) if target.startswith("SPI") else gic.ppi(cpu, intid)
        line.set_level(value == 1)
    elif kind == "r":
        if target == "ISR":
            irq, fiq = gic.outputs(cpu)
            return irq * _IRQ | fiq * _FIQ
        return gic.sysreg_read(cpu, _SYSREGS[target])
    elif kind == "w":
        gic.sysreg_write(cpu, _SYSREGS[target], value)
    elif kind.startswith("r"):
        return gic.read(_address(gic, target), int(kind[1:]), cpu)
    else:
        gic.write(_address(gic, target), int(kind[1:]), value, cpu)
    return None


def first_mismatch(gic: vgic.Gic) -> Mismatch | None:
    """Perform the whole recording up to the first result that differs, None where none does."""
    for operation in recorded_operations():
        got = perform(gic, operation)
        if operation.result is not None and got != operation.result:
            return Mismatch(operation, got)
    return None


def _address(gic: vgic.Gic, target: str) -> int:
    device, offset = target.split("+")
    if device == "GICD":
        return gic.config.gicd_base + int(offset, 16)
    redistributor = gic.config.topology.find(int(device[len("GICR[") : -1], 16))
    return gic.redistributor_bases[redistributor] + int(offset, 16)


def _number(text: str) -> int | None:
    return None if text == "-" else int(text, 16)
