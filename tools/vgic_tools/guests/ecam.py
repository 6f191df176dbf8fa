"""A PCI Express host: the configuration space of every function, one after the other (ECAM).

PCI Express Base Specification, "Enhanced Configuration Access Mechanism": bits [27:20] of an address are the bus,
[19:15] the device, [14:12] the function. These 16 bits are also the Requester ID by which an ITS knows a device.
"""

from collections.abc import Mapping
from typing import Final, Protocol

from vgic_tools.guests.config_space import SIZE as FUNCTION_SIZE

__all__ = ["BUSES", "SIZE", "Ecam", "Function"]

BUSES: Final = 16
SIZE: Final = BUSES << 20
"""Bytes of address space, as QEMU's virt has below 4 GiB."""


class Function(Protocol):
    """What answers in its part of configuration space."""

    def read(self, offset: int, size: int) -> int:
        """A load."""

    def write(self, offset: int, size: int, value: int) -> None:
        """A store."""

    def save(self) -> dict[str, object]:
        """The state as plain data."""

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made. Raises ValueError for anything else."""


class Ecam:
    """The host, with `functions` by their Requester IDs. It is a `Device`."""

    def __init__(self, functions: Mapping[int, Function]) -> None:
        self._functions = functions

    def read(self, offset: int, size: int) -> int:
        """A load; all ones where there is no function."""
        function = self._functions.get(offset // FUNCTION_SIZE)
        return (1 << 8 * size) - 1 if function is None else function.read(offset % FUNCTION_SIZE, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store."""
        function = self._functions.get(offset // FUNCTION_SIZE)
        if function is not None:
            function.write(offset % FUNCTION_SIZE, size, value)

    def save(self) -> dict[str, object]:
        """The functions' states, by their Requester IDs."""
        return {f"{requester:#06x}": function.save() for requester, function in self._functions.items()}

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made. Raises ValueError for anything else."""
        for requester, function in self._functions.items():
            about = state.get(f"{requester:#06x}")
            if not isinstance(about, dict):
                raise ValueError(f"there is no state of the PCI function {requester:#06x}")
            function.restore(about)
