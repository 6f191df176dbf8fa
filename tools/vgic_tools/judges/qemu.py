"""QEMU's virt machine as a judge.

`StoppedQemu` never runs a CPU: memory accesses and input lines come from outside (qtest), and what every vCPU is
offered after each operation is in QEMU's trace. It has no system registers.
"""

import contextlib
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import vgic
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import (
    Judge,
    Line,
    Load,
    Machine,
    Operation,
    Outcome,
    Peek,
    Poke,
    SaveRestore,
    Store,
    may_change,
)
from vgic_tools.judges.qemus import NEWER, fetch_qemu
from vgic_tools.judges.qtest import TIMEOUT, Qtest, load, read, set_line, store, write
from vgic_tools.machines.qemu_cmdline import GICD_BASE, LIST_REGISTERS, QEMU_SPIS, RAM_BASE, virt_config

__all__ = [
    "MARK",
    "MEASURED",
    "RAM_SIZE",
    "StoppedQemu",
    "arguments",
    "configured",
    "profile_of",
    "properties",
    "stopped_model",
    "version",
]

RAM_SIZE: Final = 0x100_0000

LAST_SPI: Final = 31 + QEMU_SPIS

TELL: Final = Store(0, GICD_BASE + 0x400 + LAST_SPI, 1, 0x80)
"""Follows every operation, on both sides: has QEMU trace what it offers every vCPU.

Where the best interrupt of a vCPU goes away through its Redistributor, QEMU looks at all vCPUs anew but traces
only that one; what the others are offered may change too, where a trigger was changed (rule STATE-8). The last SPI
always has this priority; nothing else depends on it.
"""

MARK: Final = Load(0, GICD_BASE + 0xC000, 4)
"""A read of a hole, which QEMU traces: it separates one operation from the next in the trace."""

EVENTS: Final = ("gicv3_cpuif_update", "gicv3_dist_badread")

_OFFER: Final = re.compile(
    rb"^gicv3_cpuif_update GICv3 CPU i/f 0x([0-9a-f]+) HPPI update: irq (\d+) group (\d) prio (\d+)$"
    rb"|^gicv3_dist_badread GICv3 distributor read: offset (0x%x) size %d " % (MARK.address - GICD_BASE, MARK.size),
    re.MULTILINE,
)

NOTHING: Final = 255
"""The priority with which QEMU traces that there is nothing to offer."""

MEASURED: Final = {"7.2": vgic.QEMU, "10.0": vgic.QEMU_10_0}
"""The profiles of the versions that were measured."""

FIRST_WITH_NMIS: Final = "QEMU has them since 9.1, and the model since 10.0; --qemu newer fetches one"


def version(qemu: str = QEMU) -> str | None:
    """The version of a QEMU, a path or a program on PATH: "7.2.22"; None where there is none that says."""
    if shutil.which(qemu) is None:
        return None
    try:
        told = subprocess.run([qemu, "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    words = told.stdout.partition("version ")[2].split()
    return words[0] if words else None


def profile_of(release: str) -> vgic.Profile:
    """The profile for a version of QEMU: that of the last one before it that was measured, or the first."""
    numbers = [int(part) for part in release.split(".")[:2] if part.isdigit()]
    known = [(tuple(map(int, name.split("."))), profile) for name, profile in MEASURED.items()]
    before = [profile for measured, profile in known if measured <= tuple(numbers)]
    return before[-1] if before else known[0][1]


def arguments(cpus: int, its: bool = False) -> list[str]:
    """The machine: everything in QEMU's command line that the GIC depends on."""
    machine = f"virt,gic-version=3,{properties(Machine(its=its))}"
    return ["-machine", machine, "-cpu", "cortex-a57", "-smp", str(cpus), "-m", str(RAM_SIZE >> 20)]


def properties(machine: Machine) -> str:
    """Those of QEMU's machine that say what a machine has."""
    has = {"its": machine.its, "secure": machine.secure, "virtualization": machine.virtualization}
    return ",".join(f"{name}={'on' if value else 'off'}" for name, value in has.items())


def line_of(operation: Line, cpus: int) -> str:
    """The qtest command that drives an input line: the GIC's inputs are first the SPIs, then 32 for each vCPU."""
    private = operation.intid < 32
    number = QEMU_SPIS + 32 * operation.cpu + operation.intid if private else operation.intid - 32
    # The CPUs are the first devices of the machine, and the GIC comes next.
    return set_line(f"/machine/unattached/device[{cpus}]", number, operation.level)


def configured(release: str) -> Callable[[Machine], vgic.Config]:
    """What a version of QEMU has of each machine."""
    profile = profile_of(release)
    return lambda machine: virt_config(
        machine.cpus,
        profile,
        its=machine.its,
        list_registers=LIST_REGISTERS if machine.virtualization else 0,
        secure=machine.secure,
        nmi=machine.nmi,
    )


def stopped_model(release: str) -> ModelJudge:
    """The model to be compared with a `StoppedQemu` of this version."""
    return ModelJudge(configured(release), ram_base=RAM_BASE, ram_size=RAM_SIZE, after=TELL)


class QemuJudge(Judge):
    """What both judges of QEMU have in common: a program on PATH, a path, or NEWER. Raises MissingJudgeError."""

    name = "QEMU"

    def __init__(self, qemu: str = QEMU) -> None:
        if qemu == NEWER:
            qemu = str(fetch_qemu())
        self._qemu = [qemu]
        found = version(qemu)
        if found is None:
            package = ", of the Debian package qemu-system-arm" if qemu == QEMU else ""
            raise MissingJudgeError(f"there is no {qemu} that says its version{package}")
        self.version = found
        self._config = configured(found)
        # One that was unpacked somewhere has its files beside it.
        share = Path(shutil.which(qemu) or qemu).resolve().parent.parent / "share" / "qemu"
        if share.is_dir():
            self._qemu += ["-L", str(share)]
        self._undo = contextlib.ExitStack()

    def close(self) -> None:
        """End the machine."""
        self._undo.close()

    def _folder(self) -> Path:
        """A folder that goes with the machine."""
        return Path(self._undo.enter_context(tempfile.TemporaryDirectory(prefix="vgic-judge-")))


class StoppedQemu(QemuJudge):
    """QEMU's virt machine, whose CPUs never run. It sees what every vCPU is offered, and no signals."""

    def start(self, machine: Machine) -> None:
        """Start this machine."""
        self.close()
        self._cpus = machine.cpus
        self._affinities = self._config(machine).topology.affinities
        command = [*self._qemu, *arguments(machine.cpus, machine.its)]
        self.qtest = self._undo.enter_context(Qtest(command, self._folder(), EVENTS))
        self._after = [self._command(TELL), self._command(MARK)]

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other."""
        commands: list[str] = []
        places: list[int] = []
        for operation in operations:
            places.append(len(commands))
            commands.append(self._command(operation))
            if may_change(operation):
                commands += self._after
        answers = self.qtest.ask(commands)
        told = iter(self._traced_offers(sum(map(may_change, operations))))
        return [
            Outcome(offers=next(told)) if may_change(operation) else Outcome(answers[place])
            for operation, place in zip(operations, places, strict=True)
        ]

    def _command(self, operation: Operation) -> str:
        match operation:
            case Load(_, address, size):
                return read(address, size)
            case Store(_, address, size, value):
                return write(address, size, value)
            case Line():
                return line_of(operation, self._cpus)
            case Poke(address, data):
                return store(address, data)
            case Peek(address, size):
                return load(address, size)
            case SaveRestore():
                return read(RAM_BASE, 1)
        raise ValueError(f"a QEMU whose CPUs do not run cannot perform {operation}")

    def _traced_offers(self, steps: int) -> list[tuple[vgic.Pending | None, ...]]:
        """What QEMU offers every vCPU after each of the operations that were just performed."""
        found: list[tuple[vgic.Pending | None, ...]] = []
        told: dict[int, vgic.Pending | None] = {}
        for line in _OFFER.finditer(self.qtest.new_trace()):
            affinity, intid, group, priority, mark = line.groups()
            if mark is not None:
                if not all(packed in told for packed in self._affinities):
                    raise self.qtest.failed("does not trace what it offers every vCPU")
                found.append(tuple([told[packed] for packed in self._affinities]))
                told = {}
            elif int(priority) == NOTHING:
                told[int(affinity, 16)] = None
            else:
                told[int(affinity, 16)] = vgic.Pending(int(intid), int(group != b"0"), int(priority))
        if len(found) != steps:
            raise self.qtest.failed(f"was asked {steps} operations and traced {len(found)}")
        return found
