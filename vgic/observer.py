"""What an embedder can be told of a guest's mistakes."""

from typing import NamedTuple, Protocol, runtime_checkable

from mmio import IllegalAccess
from vgic.its.errors import ItsCommandError

__all__ = [
    "IllegalSysReg",
    "ItsObserver",
    "NmiSink",
    "Observer",
    "VirtualLineSink",
    "VirtualNmiSink",
    "WakeObserver",
]


class IllegalSysReg(NamedTuple):
    """An access to a system register that the CPU interface does not have, or not in this direction."""

    cpu: int
    register: int
    """Encoding: op0[15:14] op1[13:11] CRn[10:7] CRm[6:3] op2[2:0]."""
    value: int | None
    """The value written, None for a read."""


class Observer(Protocol):
    """Is told of guest accesses that had no effect. It must not access the GIC in turn."""

    def illegal_access(self, access: IllegalAccess) -> None:
        """A memory access was answered RAZ/WI."""

    def illegal_sysreg(self, access: IllegalSysReg) -> None:
        """A system register access was ignored; a PE would take an Undefined Instruction exception."""


@runtime_checkable
class VirtualLineSink(Protocol):
    """A line sink that is also told of virtual interrupts."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """As that of `LineSink`."""

    def set_virtual_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The virtual IRQ and FIQ of vCPU `cpu` have changed to these levels."""


# Any observer may have the method; whether it has is asked of the object.
@runtime_checkable
class ItsObserver(Observer, Protocol):
    """An observer that is also told of commands of an ITS that were not obeyed."""

    def its_command_error(self, error: ItsCommandError) -> None:
        """A command was skipped, or stalls the queue."""


@runtime_checkable
class WakeObserver(Observer, Protocol):
    """An observer that is also told when an interrupt waits for a PE that sleeps."""

    def wake_request(self, cpu: int) -> None:
        """An interrupt waits for vCPU `cpu`, whose GICR_WAKER.ProcessorSleep is 1, and will not be signalled before
        that is cleared; told once until then. `Gic.wake` clears it, here or later.
        """


@runtime_checkable
class NmiSink(Protocol):
    """A `LineSink` that is also told whether what is signalled as IRQ has superpriority."""

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """As that of a LineSink."""

    def set_nmi(self, cpu: int, nmi: bool) -> None:
        """The IRQ output of vCPU `cpu` stands for an interrupt with superpriority from now on, or no longer."""


@runtime_checkable
class VirtualNmiSink(VirtualLineSink, Protocol):
    """A `VirtualLineSink` that is also told whether what is signalled as virtual IRQ has superpriority."""

    def set_virtual_nmi(self, cpu: int, nmi: bool) -> None:
        """The virtual IRQ of vCPU `cpu` stands for an interrupt with superpriority from now on, or no longer."""
