"""What every judge has in common: the machine that it builds, the operations that it performs, what they come to.

A judge is another GIC. It builds a machine, performs operations on it, and says what each of them came to, as far
as it can see. So does the model, behind the same calls: whoever compares the two asks both the same.

>>> with StoppedQemu() as judge:                              # doctest: +SKIP
...     judge.start(Machine(cpus=2))
...     judge.perform([Load(0, 0x0800_0004, 4)])
[Outcome(value=58326022, errno=0, undefined=False, signals=None, offers=(None, None))]
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

from vgic import Gic, Pending

__all__ = [
    "GIC",
    "Attr",
    "Judge",
    "Line",
    "Load",
    "Machine",
    "Message",
    "Model",
    "Mrs",
    "Msr",
    "Operation",
    "Outcome",
    "Peek",
    "Poke",
    "SaveRestore",
    "Store",
    "may_change",
]

GIC: Final = -1
"""The device of an attribute that is the GICv3; ITSes count from 0."""


class Machine(NamedTuple):
    """A machine, as far as judges can build it; what else its GIC has is as each of them has it."""

    cpus: int = 4
    its: bool = False
    """It has an ITS."""
    ids: tuple[int, ...] = ()
    """Those of the vCPUs in the order of their creation, where they are not 0, 1, 2...: KVM lets a VMM choose."""
    secure: bool = False
    """It has both Security states, and its PEs EL3."""
    virtualization: bool = False
    """Its PEs have EL2."""
    nmi: bool = False
    """Its PEs and its GIC have NMIs."""


class Load(NamedTuple):
    """A load of `size` bytes (1, 2, 4 or 8), naturally aligned, by a vCPU."""

    cpu: int
    address: int
    size: int
    place: int = 0
    """Where the PE is, see `pe_places`."""


class Store(NamedTuple):
    """A store."""

    cpu: int
    address: int
    size: int
    value: int
    place: int = 0


class Mrs(NamedTuple):
    """A read of a system register, by its encoding, as in `vgic.layouts.icc`."""

    cpu: int
    register: int
    place: int = 0


class Msr(NamedTuple):
    """A write of a system register (64 bits)."""

    cpu: int
    register: int
    value: int
    place: int = 0


class Line(NamedTuple):
    """A level on the input line of an SPI, or of a PPI of a vCPU."""

    cpu: int
    intid: int
    level: bool


class Message(NamedTuple):
    """A device behind the ITS writes the number of an event of its own to GITS_TRANSLATER."""

    device_id: int
    event_id: int


class Poke(NamedTuple):
    """Bytes appear in the guest's RAM, not by way of the GIC."""

    address: int
    data: bytes


class Peek(NamedTuple):
    """A look at bytes of the guest's RAM, not by way of a vCPU: the big-endian number that they make."""

    address: int
    size: int


class Attr(NamedTuple):
    """A call of a VMM on an attribute of KVM's device."""

    call: str
    """has, get or set."""
    device: int
    """GIC, or an ITS."""
    group: int
    attr: int
    value: int = 0


class SaveRestore(NamedTuple):
    """The model is saved, and goes on as what was built from that. To any other judge it is nothing."""


Operation = Load | Store | Mrs | Msr | Line | Message | Poke | Peek | Attr | SaveRestore


class Outcome(NamedTuple):
    """What an operation came to, as far as the judge can see."""

    value: int = 0
    """What was read; 0 where nothing is."""
    errno: int = 0
    """KVM's number; 0 where it did as told."""
    undefined: bool = False
    """The vCPU took an Undefined Instruction exception."""
    signals: int | None = None
    """ISR_EL1 of the vCPU then: bit 7 IRQ, bit 6 FIQ. None where the judge does not see it."""
    offers: tuple[Pending | None, ...] | None = None
    """What every vCPU is offered then. None where the judge does not see it."""
    level: int = 0
    """The Exception level that the vCPU went to instead of performing it, by a trap or an interrupt; else 0."""

    def agrees(self, other: "Outcome") -> bool:
        """Whether two judges saw the same, in all that both can see."""
        return (
            self[:3] == other[:3]
            and self.level == other.level
            and (self.signals is None or other.signals is None or self.signals == other.signals)
            and (self.offers is None or other.offers is None or self.offers == other.offers)
        )


def may_change(operation: Operation) -> bool:
    """Whether an operation may change what a vCPU is offered: all but reads of a stopped machine may."""
    return not isinstance(operation, Load | Peek)


class Judge(ABC):
    """A GIC that can be asked; a context manager, which leaves nothing behind.

    Every method raises JudgeError where the judge hangs, ends, or answers nonsense, and MissingJudgeError where
    what it needs is not there.
    """

    name: str
    """Of the implementation: "QEMU"."""
    version: str
    """Of the implementation: "7.2.22"."""

    @abstractmethod
    def start(self, machine: Machine) -> None:
        """Build this machine, just reset, in place of the one that there was."""

    def renew(self) -> None:  # noqa: B027 - most have nothing to do
        """Have the next machine begin from nothing, where others may only have been reset."""

    @abstractmethod
    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other; what each came to."""

    @abstractmethod
    def close(self) -> None:
        """End everything that was started."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Model(Judge):
    """What another judge is compared with: this project's own."""

    gic: Gic
    """As it is now."""

    @abstractmethod
    def perform_one(self, operation: Operation) -> Outcome:
        """Perform one operation; what it came to."""

    def perform(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform operations one after the other; what each came to."""
        return [self.perform_one(operation) for operation in operations]

    def close(self) -> None:
        """Nothing was started."""
