"""The system registers of the virtual CPU interface (ICV_*_EL1): those of the physical one, at the same encodings.

What they do is in registers.py, and the same for both; this is which of them a guest has.
"""

from typing import Final

from mypy_extensions import i64

from mmio import ILLEGAL
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.registers import (
    CBPR,
    EOI_MODE,
    MAX_BPR,
    Acknowledge,
    ActivePriorityWord,
    BinaryPoint,
    Control,
    Deactivate,
    EndOfInterrupt,
    GroupEnable,
    HighestPending,
    Pmr,
    Register,
    RunningPriority,
)
from vgic.cpu_interface.sysregs import Slot, constant_fields
from vgic.layouts import icc

__all__ = ["VirtualRegisters"]

_MAX_PREEMPTION_BITS: Final = 7
_LEVELS_OF_A_WORD: Final = 32
_WORD_MASK: Final = 0xFFFF_FFFF


class VirtualRegisters:
    """The ICV_*_EL1 registers of a VM, shared by its vCPUs' virtual CPU interfaces (rule VCPU-1)."""

    def __init__(self, config: Config) -> None:
        self.slots: dict[int, Slot] = {}
        """By encoding."""
        self._layouts = {layout.name: layout for layout in icc.ICC}
        self._add("ICC_PMR_EL1", Pmr(0xFF00 >> config.priority_bits & 0xFF))
        self._add("ICC_BPR0_EL1", BinaryPoint(MAX_BPR, GROUP0))
        self._add("ICC_BPR1_EL1", BinaryPoint(MAX_BPR, GROUP1))
        # There is no PMHE.
        self._add("ICC_CTLR_EL1", Control(CBPR | EOI_MODE, GROUP1), ones=icc.CTLR.encode(constant_fields(config)))
        self._add("ICC_RPR_EL1", RunningPriority())
        self._add("ICC_DIR_EL1", Deactivate())
        levels = 1 << min(config.priority_bits, _MAX_PREEMPTION_BITS)
        for group in (GROUP0, GROUP1):
            self._add(f"ICC_IGRPEN{group}_EL1", GroupEnable(1, group))
            self._add(f"ICC_IAR{group}_EL1", Acknowledge(group))
            self._add(f"ICC_EOIR{group}_EL1", EndOfInterrupt(group))
            self._add(f"ICC_HPPIR{group}_EL1", HighestPending(group))
            for number in range(max(1, levels // _LEVELS_OF_A_WORD)):
                self._add(f"ICC_AP{group}R<n>_EL1", ActivePriorityWord(_WORD_MASK, group, number), number)

    def _add(self, name: str, register: Register, index: int = 0, ones: int = 0) -> None:
        layout = self._layouts[name]
        self.slots[layout.offset + index] = Slot(register, layout, ones)

    def defined(self, encoding: int, write: bool) -> bool:
        """True where the virtual CPU interface takes the access."""
        found = self.slots.get(encoding)
        return found is not None and (found.writable if write else found.readable)

    def read(self, interface: CpuInterface, encoding: int) -> i64:
        """Read a register; ILLEGAL where the access is not `defined`."""
        found = self.slots.get(encoding)
        if found is None or not found.readable:
            return ILLEGAL
        return found.register.view(interface) | found.ones

    def write(self, interface: CpuInterface, encoding: int, value: int) -> bool:
        """Write the bits of `value` (64) that the register has; False where the access is not `defined`."""
        found = self.slots.get(encoding)
        if found is None or not found.writable:
            return False
        found.register.put(interface, value & found.reach, False)
        return True
