"""What the parts of the machine know of each other.

A device knows its registers and its interrupt line, PSCI knows who holds the power, and neither knows a CPU.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias

__all__ = ["Device", "Line", "Power", "PsciResult"]

Line: TypeAlias = Callable[[bool], None]
"""An interrupt line: called with its level, whether that has changed or not."""


class Device(Protocol):
    """What answers the accesses to a stretch of physical addresses. A guest can do nothing that makes it raise."""

    def read(self, offset: int, size: int) -> int:
        """A load of `size` bytes (1, 2, 4 or 8), `offset` from where the device begins."""

    def write(self, offset: int, size: int, value: int) -> None:
        """A store of the low `size` bytes of `value`."""

    def save(self) -> dict[str, object]:
        """The device's state as plain data that JSON can hold."""

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made, of a device of the same kind. The level of its line is told anew."""


class PsciResult(NamedTuple):
    """What becomes of a CPU that has called PSCI."""

    value: int
    """X0 of a call that returns: 64 bits, negative errors as two's complement."""
    returns: bool = True
    """False where the CPU does not go on: CPU_OFF, SYSTEM_OFF and SYSTEM_RESET."""


class Power(Protocol):
    """Who switches CPUs, and the whole machine, on and off. CPUs are numbered as in the topology."""

    def turn_on(self, cpu: int, entry: int, context: int) -> None:
        """Start CPU `cpu`, which is off, at physical address `entry` with `context` in X0."""

    def turn_off(self, cpu: int) -> None:
        """Stop CPU `cpu`, which is the one that calls."""

    def is_on(self, cpu: int) -> bool:
        """True of a CPU that runs or waits for an interrupt."""

    def system_off(self) -> None:
        """The guest ends the machine."""

    def system_reset(self) -> None:
        """The guest asks for the machine to begin anew."""
