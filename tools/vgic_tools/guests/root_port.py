"""A PCI Express root port with an empty slot for hot-plugging: the smallest device that sends MSIs of its own.

Linux has the driver built in (pciehp), and every change of the slot's controls, such as of its attention indicator,
is answered by an interrupt: the command is completed. PCI Express Base Specification, "Slot Control Register" and
"Interrupts for Hot-Plug Events"; PCI Local Bus Specification 3.0, "MSI Capability Structure": *known* from there.
"""

from collections.abc import Callable
from typing import Final

from vgic_tools.guests.config_space import ConfigSpace, Register

__all__ = ["RootPort"]

_PCIE, _MSI = 0x40, 0x80
"""Where the capabilities are."""

_MSI_CONTROL: Final = Register(_MSI + 2, 2, 0x0080, writable=0x0071)
"""Enable, of one message; an address of 64 bits."""
_MSI_ADDRESS: Final = Register(_MSI + 4, 8, writable=0xFFFF_FFFF_FFFF_FFFC)
_MSI_DATA: Final = Register(_MSI + 12, 2, writable=0xFFFF)

_SLOT_CONTROL: Final = Register(_PCIE + 0x18, 2, 0x03C0, writable=0x1FFF)
_SLOT_STATUS: Final = Register(_PCIE + 0x1A, 2, cleared=0x011F)

_COMMAND_COMPLETED: Final = 1 << 4
"""In Slot Status; and in Slot Control, that an interrupt tells of it."""
_HOT_PLUG_INTERRUPTS: Final = 1 << 5
_EVENTS: Final = 0x1F
"""Bits of Slot Status which those of Slot Control enable, bit by bit."""

_REGISTERS: Final = (
    Register(0x00, 4, 0x000C_1B36),  # as QEMU's generic root port, which needs no driver of its own
    Register(0x04, 2, writable=0x0547),
    Register(0x06, 2, 0x0010),  # there are capabilities
    Register(0x08, 4, 0x0604_0000),  # a bridge from PCI to PCI
    Register(0x0C, 4, 0x0001_0000, writable=0x0000_00FF),  # with the header of a bridge
    Register(0x18, 4, writable=0x00FF_FFFF),  # buses
    Register(0x20, 4, writable=0xFFF0_FFF0),  # window of memory
    Register(0x34, 1, _PCIE),
    Register(0x3C, 1, writable=0xFF),
    Register(0x3E, 2, writable=0x0043),
    Register(_PCIE, 4, 0x0142_0010 | _MSI << 8),  # version 2, a root port with a slot
    Register(_PCIE + 0x04, 4, 0x0000_8000),
    Register(_PCIE + 0x08, 2, writable=0x000F),
    Register(_PCIE + 0x0C, 4, 0x0010_0011),  # one lane; says whether the link is active
    Register(_PCIE + 0x10, 2, writable=0x0FFF),
    Register(_PCIE + 0x12, 2, 0x0011),
    # Slot 1: an attention button and indicator, and hot-plugging.
    Register(_PCIE + 0x14, 4, 1 << 19 | 1 << 6 | 1 << 3 | 1),
    _SLOT_CONTROL,
    _SLOT_STATUS,
    Register(_PCIE + 0x1C, 2, writable=0x001F),
    Register(_PCIE + 0x20, 4, cleared=1 << 16),
    Register(_MSI, 2, 0x0005),
    _MSI_CONTROL,
    _MSI_ADDRESS,
    _MSI_DATA,
)


class RootPort:
    """The port. `send` stores a message (address, data) where the guest has told it to."""

    def __init__(self, send: Callable[[int, int], None]) -> None:
        self._space = ConfigSpace(_REGISTERS)
        self._send = send
        self._told = False
        """An event has been told of that is still there: no other message until software has cleared all."""

    def read(self, offset: int, size: int) -> int:
        """A load of configuration space."""
        return self._space.read(offset, size)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store to configuration space."""
        self._space.write(offset, size, value)
        if offset < _SLOT_STATUS.offset and offset + size > _SLOT_CONTROL.offset:
            # There is nothing to do: it is done at once.
            self._space[_SLOT_STATUS] |= _COMMAND_COMPLETED
        self._tell()

    def _tell(self) -> None:
        control = self._space[_SLOT_CONTROL]
        waits = bool(control & _HOT_PLUG_INTERRUPTS and control & self._space[_SLOT_STATUS] & _EVENTS)
        if waits and not self._told and self._space[_MSI_CONTROL] & 1:
            self._send(self._space[_MSI_ADDRESS], self._space[_MSI_DATA])
        self._told = waits

    def save(self) -> dict[str, object]:
        """Plain data."""
        return {"space": self._space.save(), "told": self._told}

    def restore(self, state: dict[str, object]) -> None:
        """Take what `save` made. Raises ValueError for anything else."""
        space, told = state.get("space"), state.get("told")
        if not (isinstance(space, str) and isinstance(told, bool)):
            raise ValueError("the state of a root port has its configuration space, and what it has told")
        self._space.restore(space)
        self._told = told
