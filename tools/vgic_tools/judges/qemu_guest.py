"""QEMU's virt machine whose vCPUs run: the resident guest (guest.c) on every one of them, lines from outside.

One vCPU at a time takes its turn, or the host does, which drives the input lines: whose turn it is says a word in
the RAM that all of them see. So a whole program needs no host but for its lines.
"""

import socket
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from mmap import mmap
from pathlib import Path
from typing import Final

from vgic_tools.judges import guest
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.guest import Guest, Result
from vgic_tools.judges.model import ModelJudge
from vgic_tools.judges.protocol import Line, Load, Machine, Mrs, Msr, Operation, Outcome, SaveRestore, Store
from vgic_tools.judges.qemu import QemuJudge, configured, line_of, properties
from vgic_tools.judges.qtest import TIMEOUT, Qtest, read
from vgic_tools.machines.qemu_cmdline import RAM_BASE

__all__ = ["RenewedQemu", "RunningQemu", "packed", "running_model"]

_MEBIBYTES: Final = 64
_TURN: Final = guest.RAM + 0x10_0000
"""The word that says whose turn it is: how many turns are over."""
_FREE: Final = 0x10_0000
"""Bytes from there on that the guest leaves free."""
_AT_ONCE: Final = 10_000
"""Operations of a program, so that those of a vCPU, and what hands its turns over, fit the guest's room."""
_PATIENCE: Final = 200
"""How often the host looks for its turn before it takes a rest."""
_REST: Final = 5e-5
"""Seconds."""
_TRAPPED: Final = 0x18
"""The class of the exception that a trapped access of a system register is."""
_HOST: Final = -1
"""Instead of a vCPU."""


def running_model(release: str) -> ModelJudge:
    """The model to be compared with a `RunningQemu` of this version."""
    return ModelJudge(configured(release))


class _Ram:
    """The machine's RAM, as its host sees it."""

    def __init__(self, path: Path) -> None:
        with path.open("w+b") as file:
            file.truncate(_MEBIBYTES << 20)
            self._map = mmap(file.fileno(), _MEBIBYTES << 20)
        self._words = memoryview(self._map).cast("I")

    def read(self, address: int, size: int, /) -> bytes:
        """Bytes of it."""
        return self._map[address - RAM_BASE : address - RAM_BASE + size]

    def write(self, address: int, data: bytes, /) -> None:
        """Replace bytes; eight that are aligned at once."""
        self._map[address - RAM_BASE : address - RAM_BASE + len(data)] = data

    def write_word(self, address: int, value: int) -> None:
        """Write 32 bits by one store. A slice of four bytes may be written twice, the second time after a vCPU has
        seen the first and has written something else.
        """
        self._words[(address - RAM_BASE) // 4] = value


class RunningQemu(QemuJudge):
    """QEMU's virt machine with the resident guest on every vCPU. It sees the signals of the vCPU that performs."""

    traced: Sequence[str] = ()
    """The events of QEMU's that the next machine traces."""
    _machine: Machine | None = None
    """The one that runs, all of whose vCPUs wait for their turn."""

    def start(self, machine: Machine) -> None:
        """Start this machine, or reset it where it runs already, and the guest on every vCPU."""
        if machine == self._machine:
            self._machine = None
            self._reset()
        else:
            self._start(machine)
        # Whoever has had a turn has been started, which resets its CPU interface.
        for cpu in range(machine.cpus):
            self._guest.load(cpu, [[]])
            self._await(cpu, self._guest.let_go(cpu))
        self._machine = machine

    def renew(self) -> None:
        """Have the next machine run in a process of its own."""
        self._machine = None

    def trace(self) -> bytes:
        """What the machine has traced since it was asked last."""
        return self._qtest.new_trace()

    def _reset(self) -> None:
        """Reset the machine; its RAM stays as it is, but for what the guest begins with and leaves free."""
        self._ram.write(_TURN, bytes(_FREE))
        self._guest = Guest(self._ram, self._cpus, starts=self._starts)
        try:
            self._monitor.sendall(b"system_reset\n")
        except OSError:
            raise self._qtest.failed("has ended") from None
        self._prompt()
        # It is reset before the next thing that it is asked is looked at.
        self._qtest.ask([read(RAM_BASE, 4)])

    def _prompt(self) -> None:
        """Wait until the monitor has done what it was told."""
        said = b""
        while not said.endswith(b"(qemu) "):
            try:
                piece = self._monitor.recv(1 << 12)
            except TimeoutError:
                raise self._qtest.failed("does not answer") from None
            except OSError:
                piece = b""
            if not piece:
                raise self._qtest.failed("has ended")
            said += piece

    def _start(self, machine: Machine) -> None:
        self.close()
        folder = self._folder()
        self._cpus = machine.cpus
        self._ram = _Ram(folder / "ram")
        # With EL3 there is nobody to start a vCPU: all run from the beginning.
        affinities = self._config(machine).topology.affinities
        self._starts = () if machine.secure else tuple(affinity & 0xFF_FFFF for affinity in affinities)
        self._guest = Guest(self._ram, machine.cpus, starts=self._starts)
        kind = f"virt,gic-version=3,{properties(machine)},memory-backend=ram"
        command = [*self._qemu, "-machine", kind, "-cpu", "max" if machine.nmi else "cortex-a57"]
        command += ["-smp", str(machine.cpus), "-m", str(_MEBIBYTES)]
        command += [
            "-object",
            f"memory-backend-file,id=ram,share=on,size={_MEBIBYTES}M,mem-path={folder / 'ram'}",
        ]
        for cpu in range(machine.cpus if machine.secure else 1):
            command += ["-device", f"loader,addr={guest.ENTRY:#x},cpu-num={cpu}"]
        self._monitor, theirs = socket.socketpair()
        self._undo.callback(self._monitor.close)
        self._monitor.settimeout(TIMEOUT)
        command += ["-chardev", f"socket,id=monitor,fd={theirs.fileno()}", "-mon", "chardev=monitor,mode=readline"]
        with theirs:
            started = Qtest(command, folder, self.traced, running=True, sockets=[theirs.fileno()])
            self._qtest = self._undo.enter_context(started)
        self._prompt()

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other."""
        machine, self._machine = self._machine, None
        outcomes: list[Outcome] = []
        for start in range(0, len(operations), _AT_ONCE):
            outcomes += self._program(operations[start : start + _AT_ONCE])
        self._machine = machine
        return outcomes

    def _program(self, operations: Sequence[Operation]) -> list[Outcome]:
        turns = [(cpu, list(turn)) for cpu, turn in groupby(operations, _performer)]
        programs: list[list[guest.Operation]] = [[] for _ in range(self._cpus)]
        for number, (cpu, turn) in enumerate(turns):
            if cpu != _HOST:
                programs[cpu].append(guest.wait(_TURN, number))
                programs[cpu] += map(packed, turn)
                programs[cpu].append(guest.write(_TURN, 4, number + 1))
        self._ram.write(_TURN, bytes(8))
        ends = []
        for cpu, program in enumerate(programs):
            if program:
                self._guest.load(cpu, [program])
                ends.append((cpu, self._guest.let_go(cpu)))
        for number, (cpu, turn) in enumerate(turns):
            if cpu == _HOST:
                self._until(lambda number=number: self._turn() >= number)  # type: ignore[misc]
                self._qtest.ask([line_of(line, self._cpus) for line in turn if isinstance(line, Line)])
                self._ram.write_word(_TURN, number + 1)
        for cpu, end in ends:
            self._await(cpu, end)
        return list(self._outcomes(turns))

    def _outcomes(self, turns: Sequence[tuple[int, list[Operation]]]) -> Iterator[Outcome]:
        results = [iter(self._guest.results(cpu)) for cpu in range(self._cpus)]
        for cpu, turn in turns:
            if cpu == _HOST:
                yield from (Outcome() for _ in turn)
                continue
            next(results[cpu])
            for operation in turn:
                yield self._outcome(operation, next(results[cpu]))
            next(results[cpu])

    def _outcome(self, operation: Operation, result: Result) -> Outcome:
        if result.undefined:
            return Outcome(undefined=True, signals=result.isr)
        if result.exception >> 26 not in (0, _TRAPPED) or (result.exception and not _place(operation)):
            raise self._qtest.failed(f"took an exception, ESR_ELx {result.exception:#x}, at {operation}")
        return Outcome(result.value, signals=result.isr, level=result.level)

    # Whose turn it is.

    def _turn(self) -> int:
        return int.from_bytes(self._ram.read(_TURN, 4), "little")

    def _await(self, cpu: int, end: int) -> None:
        self._until(lambda: self._guest.done(cpu) >= end)

    def _until(self, over: Callable[[], bool]) -> None:
        """Wait for something; for as long as turns are taken, this may last."""
        looks, turn, limit = 0, self._turn(), time.monotonic() + TIMEOUT
        while not over():
            looks += 1
            if looks < _PATIENCE:
                continue
            if looks % 64 == 0:
                if self._qtest.process.poll() is not None:
                    raise self._qtest.failed("has ended")
                now = time.monotonic()
                if self._turn() != turn:
                    turn, limit = self._turn(), now + TIMEOUT
                if now > limit:
                    taken = [self._guest.done(cpu) for cpu in range(self._cpus)]
                    raise self._qtest.failed(f"does not answer after turn {turn}, vCPUs after programs {taken}")
            time.sleep(_REST)


class RenewedQemu(RunningQemu):
    """One whose machines run in a process each: QEMU 10.0 does not reset GICD_INMIR<n> and GICR_INMIR0."""

    def start(self, machine: Machine) -> None:
        """Start this machine, and the guest on every vCPU."""
        self.renew()
        super().start(machine)


def _performer(operation: Operation) -> int:
    """The vCPU that performs an operation, or _HOST."""
    if isinstance(operation, Load | Store | Mrs | Msr):
        return operation.cpu
    if isinstance(operation, Line | SaveRestore):
        return _HOST
    raise JudgeError(f"the resident guest cannot perform {operation}")


def _place(operation: Operation) -> int:
    return operation.place if isinstance(operation, Load | Store | Mrs | Msr) else 0


def packed(operation: Operation) -> guest.Operation:
    """An operation of a vCPU as the resident guest has it."""
    match operation:
        case Load(_, address, size, place):
            return guest.read(address, size)._replace(place=place)
        case Store(_, address, size, value, place):
            return guest.write(address, size, value)._replace(place=place)
        case Mrs(_, register, place):
            return guest.mrs(register)._replace(place=place)
        case Msr(_, register, value, place):
            return guest.msr(register, value)._replace(place=place)
    raise JudgeError(f"no vCPU performs {operation}")
