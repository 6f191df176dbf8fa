"""What takes note of all that the GIC of a machine is told and answers; this one does not."""

from mmio import IllegalAccess
from vgic import Gic, IllegalSysReg

__all__ = ["Tape"]


class Tape:
    """Told of each operation by the `GicPort`; and the GIC's observer."""

    def follow(self, gic: Gic) -> None:
        """The GIC that will be told of; before anything happens to it."""

    def access(self, address: int, size: int, value: int, write: bool, secure: bool = False) -> None:
        """A load or store of a frame has been done."""

    def sysreg(self, cpu: int, register: int, value: int, write: bool) -> None:
        """A register of the CPU interface is about to be written, or has been read."""

    def line(self, cpu: int | None, intid: int, level: bool) -> None:
        """An input line is about to change; `cpu` is None for an SPI."""

    def reset(self, cpu: int) -> None:
        """A PE is about to be reset."""

    def message(self, device_id: int, event_id: int) -> None:
        """A device is about to write to GITS_TRANSLATER."""

    def fetched(self, address: int, command: bytes) -> None:
        """The ITS has read a command of its queue."""

    def illegal_access(self, access: IllegalAccess) -> None:
        """The GIC has refused a load or store."""

    def illegal_sysreg(self, access: IllegalSysReg) -> None:
        """The GIC does not have a system register."""
