"""The resident guest (guest.c): operations on every vCPU, in a guest of KVM or on QEMU's bare machine.

>>> guest = Guest(vm, vcpus=2, leave=LEAVE)                  # doctest: +SKIP
>>> guest.load(0, [[read(0x0800_0000, 4), msr(ICC_PMR_EL1, 0xF0)], [mrs(ICC_IAR1_EL1)]])     # doctest: +SKIP
... # let vCPU 0 take its turns
>>> guest.results(0)                                         # doctest: +SKIP
[Result(value=18, exception=0, isr=0, level=0), ...]

Whoever has the machine lets the vCPUs take their turns. In a guest of KVM the end of a turn is a store to an
address without memory, at which KVM_RUN returns, and the next KVM_RUN is the next turn. On a bare machine its host
polls `done` after `let_go`.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Final, NamedTuple, Protocol

from vgic_tools.judges.building import built

__all__ = [
    "ENTRY",
    "LEAVE",
    "MOST_VCPUS",
    "OPTIONS",
    "RAM",
    "RAM_SIZE",
    "Guest",
    "GuestRam",
    "Kind",
    "Operation",
    "Result",
    "mrs",
    "msr",
    "read",
    "wait",
    "write",
]

RAM: Final = 0x4020_0000
"""The guest's own RAM. QEMU's bare machine has it, too, and puts its device tree below."""
RAM_SIZE: Final = 0x0200_0000
ENTRY: Final = RAM
"""Where each vCPU begins, with its number in X0 unless that is EL3."""
MOST_VCPUS: Final = 16
LEAVE: Final = 0x0900_0000
"""An address without memory in a guest of KVM: that of a UART on QEMU's machine."""

_MAILBOXES: Final = RAM + 0x1_0000
_HEADER: Final = RAM + 0x1_1000
_AREAS: Final = RAM + 0x20_0000
"""The program of each vCPU, and from its middle on the results."""
_AREA: Final = (RAM_SIZE - 0x20_0000) // MOST_VCPUS & ~0xFFF

_MAILBOX: Final = 64
_GO: Final = 0
_DONE: Final = 8
_NEXT: Final = 16
_EVERY_TURN: Final = (1 << 64) - 1

_OPERATION: Final = struct.Struct("<BBHIQQ")
_RESULT: Final = struct.Struct("<QIHH")
_MOST_OPERATIONS: Final = _AREA // 2 // _OPERATION.size

OPTIONS: Final = (
    *("-O2", "-ffreestanding", "-nostdlib", "-static", "-mgeneral-regs-only", "-mstrict-align", "-ffixed-x28"),
    *("-fno-toplevel-reorder", "-fno-asynchronous-unwind-tables", "-fno-stack-protector", "-fno-pic", "-no-pie"),
    f"-Wl,-N,-Ttext={RAM:#x},--build-id=none,--no-warn-rwx-segments",
)
"""Of the compiler."""


class Kind(IntEnum):
    """What a vCPU does, as guest.c counts it."""

    PAUSE = 0
    READ = 1
    WRITE = 2
    MRS = 3
    MSR = 4
    WAIT = 5


class Operation(NamedTuple):
    """What a vCPU does: `read`, `write`, `mrs`, `msr` and `wait` make them."""

    kind: Kind
    size: int = 0
    encoding: int = 0
    address: int = 0
    value: int = 0
    place: int = 0
    """The state of the PE that it is performed in, see `pe_places`; 0 where the guest is."""

    @property
    def packed(self) -> bytes:
        """As the guest reads it."""
        return _OPERATION.pack(self.kind, self.size, self.encoding, self.place, self.address, self.value)


def read(address: int, size: int) -> Operation:
    """A load of 1, 2, 4 or 8 bytes."""
    return Operation(Kind.READ, size, address=address)


def write(address: int, size: int, value: int) -> Operation:
    """A store."""
    return Operation(Kind.WRITE, size, address=address, value=value)


def mrs(encoding: int) -> Operation:
    """A read of a system register, by its encoding, as in `vgic.layouts.icc`. Raises ValueError."""
    return Operation(Kind.MRS, encoding=_checked(encoding))


def msr(encoding: int, value: int) -> Operation:
    """A write, of 64 bits. Raises ValueError."""
    return Operation(Kind.MSR, encoding=_checked(encoding), value=value)


def wait(address: int, value: int) -> Operation:
    """Wait until the 32-bit word at an address of RAM is `value` or more: what another vCPU, or the host, wrote."""
    return Operation(Kind.WAIT, address=address, value=value)


def _checked(encoding: int) -> int:
    """The guest has instructions for registers of op0 3 and op1 0, and those of EL2 and EL3 with CRn 1 or 12."""
    if encoding & ~0x7FF != 0xC000 and encoding & ~0x7F not in (0xE080, 0xE600, 0xF080, 0xF600):
        raise ValueError(f"system register {encoding:#x}: the guest has no instruction for it")
    return encoding


class Result(NamedTuple):
    """What came of an operation."""

    value: int
    """What a READ or MRS read, 0 where it took an exception."""
    exception: int
    """ESR_ELx of the exception that it took, 0 where it took none."""
    isr: int
    """ISR_EL1 afterwards."""
    level: int = 0
    """That x. Where it took none: an interrupt was taken to there, and it was not performed."""

    @property
    def undefined(self) -> bool:
        """The instruction was UNDEFINED: exception class 0."""
        return self.exception != 0 and self.exception >> 26 == 0

    @property
    def irq(self) -> bool:
        """An IRQ is signalled."""
        return bool(self.isr & 0x80)

    @property
    def fiq(self) -> bool:
        """An FIQ is signalled."""
        return bool(self.isr & 0x40)


class GuestRam(Protocol):
    """The RAM of a machine, as its host sees it: a `LiveVm` is one."""

    def read(self, address: int, size: int, /) -> bytes:
        """Bytes of it."""

    def write(self, address: int, data: bytes, /) -> None:
        """Replace bytes; eight that are aligned at once."""


def _image() -> bytes:
    """The resident guest, as it lies in RAM. Raises MissingJudgeError."""
    return built("guest.c", OPTIONS, _loaded).read_bytes()


def _loaded(program: bytes) -> bytes:
    """What an ELF file loads: one segment."""
    (headers,) = struct.unpack_from("<Q", program, 32)
    kind, _, start, address, _, size, _, _ = struct.unpack_from("<IIQQQQQQ", program, headers)
    assert (kind, address) == (1, RAM)
    return program[start : start + size]


class Guest:
    """The resident guest in the RAM of a machine with so many vCPUs.

    `leave` is the address that a vCPU stores to at the end of a turn, 0 for none; with it each vCPU takes a turn
    whenever it runs, without it only after `let_go`. `starts` are the MPIDR_EL1 of the vCPUs if vCPU 0 has to start
    the others.
    """

    def __init__(self, ram: GuestRam, vcpus: int, *, leave: int = 0, starts: Sequence[int] = ()) -> None:
        if not 1 <= vcpus <= MOST_VCPUS:
            raise ValueError(f"{vcpus} vCPUs: the resident guest has 1 to {MOST_VCPUS}")
        self._ram = ram
        self._counts = [0] * vcpus
        ram.write(RAM, _image())
        others = max(0, len(starts) - 1)
        ram.write(_HEADER, struct.pack(f"<{1 + len(starts)}Q", others, *starts))
        go = _EVERY_TURN if leave else 0
        ram.write(_MAILBOXES, b"".join(_mailbox(vcpu, go, leave) for vcpu in range(vcpus)))

    def load(self, vcpu: int, turns: Sequence[Sequence[Operation]]) -> None:
        """Give a vCPU, which is not in a turn, the turns that it takes next. Raises ValueError for too many."""
        pause = Operation(Kind.PAUSE).packed
        program = b"".join(b"".join(operation.packed for operation in turn) + pause for turn in turns)
        count = len(program) // _OPERATION.size
        if count > _MOST_OPERATIONS:
            raise ValueError(f"{count} operations: a vCPU has room for {_MOST_OPERATIONS}, one more for each turn")
        self._counts[vcpu] = count - len(turns)
        self._ram.write(_area(vcpu), program)
        self._ram.write(_box(vcpu) + _NEXT, struct.pack("<QQ", _area(vcpu), _results(vcpu)))

    def results(self, vcpu: int, first: int = 0, count: int | None = None) -> list[Result]:
        """What came of the operations that were loaded last, once their turns are over; from one on, so many."""
        if count is None:
            count = self._counts[vcpu] - first
        size = _RESULT.size
        data = self._ram.read(_results(vcpu) + first * size, count * size)
        return [Result(*result) for result in _RESULT.iter_unpack(data)]

    def let_go(self, vcpu: int, turns: int = 1) -> int:
        """Let a vCPU take more turns; what `done` is when they are over."""
        at = _box(vcpu) + _GO
        limit = int.from_bytes(self._ram.read(at, 8), "little") + turns
        self._ram.write(at, limit.to_bytes(8, "little"))
        return limit

    def done(self, vcpu: int) -> int:
        """How many turns a vCPU has taken."""
        return int.from_bytes(self._ram.read(_box(vcpu) + _DONE, 8), "little")


def _box(vcpu: int) -> int:
    return _MAILBOXES + vcpu * _MAILBOX


def _area(vcpu: int) -> int:
    return _AREAS + vcpu * _AREA


def _results(vcpu: int) -> int:
    return _area(vcpu) + _AREA // 2


def _mailbox(vcpu: int, go: int, leave: int) -> bytes:
    return struct.pack("<QQQQQ", go, 0, _area(vcpu), _results(vcpu), leave).ljust(_MAILBOX, b"\0")
