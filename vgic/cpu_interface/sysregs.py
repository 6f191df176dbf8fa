"""The system registers of a CPU interface, by encoding: from an access to what registers.py beside it does."""

from typing import Final

from mypy_extensions import i64

from mmio import ILLEGAL, AccessKind, RegisterLayout
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
    GenerateSgi,
    GroupEnable,
    HighestPending,
    Pmr,
    Register,
    RunningPriority,
    StoredRegister,
)
from vgic.layouts import icc
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["SystemRegisters"]

_MAX_PREEMPTION_BITS: Final = 7
_ENCODING_BITS: Final = 16
_NARROW_ID_BITS: Final = 16
"""Bits of INTID that a CPU interface has at least."""

_LAYOUTS: Final = {layout.name: layout for layout in icc.ICC}


class _Slot:
    """An encoding: the register that it names, and the accesses that it takes; by itself, none."""

    __slots__ = ("ones", "reach", "readable", "register", "writable")

    def __init__(self) -> None:
        self.register = Register()
        self.readable = False
        self.writable = False
        self.reach = 0
        """The bits that a write can reach: fewer than 63, whatever a guest writes."""
        self.ones: i64 = 0
        """The bits that always read as one."""

    def hold(self, register: Register, layout: RegisterLayout, ones: i64) -> None:
        """Name a register that can be accessed as the layout says, in which `ones` always read as one too."""
        self.register = register
        self.readable = layout.access in (AccessKind.RW, AccessKind.RO)
        self.writable = layout.access in (AccessKind.RW, AccessKind.WO)
        self.reach = layout.writable
        self.ones = layout.ones | ones


_UNDEFINED: Final = _Slot()


class SystemRegisters:
    """The ICC_*_EL1 registers of a VM, shared by its vCPUs' CPU interfaces."""

    def __init__(self, config: Config, sgis: SgiGenerator) -> None:
        priority_bits, features = config.priority_bits, config.features
        constant = icc.CTLR.encode(
            {
                "PRIbits": priority_bits - 1,
                "A3V": int(features.a3v),
                "RSS": int(features.rss),
                # Where there is 1-of-N, it looks at PMR, always (ROUTE-12).
                "PMHE": int(features.one_of_n),
                "IDbits": int(config.id_bits > _NARROW_ID_BITS),
                **config.profile.cpu_interface_ctlr,
            }
        )
        self._first: i64 = min(layout.offset for layout in icc.ICC)
        last = max(layout.offset + layout.count for layout in icc.ICC)
        self._count: i64 = last - self._first
        self._slots = [_Slot() for _ in range(self._count)]
        """By encoding, from the lowest to the highest."""
        self.stored: list[StoredRegister] = []
        """Those that are state."""
        self._add("ICC_PMR_EL1", Pmr(0xFF00 >> priority_bits & 0xFF))
        self._add("ICC_BPR0_EL1", BinaryPoint(MAX_BPR, GROUP0))
        self._add("ICC_BPR1_EL1", BinaryPoint(MAX_BPR, GROUP1))
        self._add("ICC_CTLR_EL1", Control(CBPR | EOI_MODE, GROUP1), ones=constant)
        self._add("ICC_SRE_EL1", Register())
        self._add("ICC_RPR_EL1", RunningPriority())
        self._add("ICC_DIR_EL1", Deactivate())
        self._add("ICC_SGI1R_EL1", GenerateSgi(sgis, icc.ICC_SGI1R_EL1))
        self._add("ICC_ASGI1R_EL1", GenerateSgi(sgis, icc.ICC_ASGI1R_EL1))
        self._add("ICC_SGI0R_EL1", GenerateSgi(sgis, icc.ICC_SGI0R_EL1))
        levels = 1 << min(priority_bits, _MAX_PREEMPTION_BITS)
        for group in (GROUP0, GROUP1):
            self._add(f"ICC_IGRPEN{group}_EL1", GroupEnable(1, group))
            self._add(f"ICC_IAR{group}_EL1", Acknowledge(group))
            self._add(f"ICC_EOIR{group}_EL1", EndOfInterrupt(group))
            self._add(f"ICC_HPPIR{group}_EL1", HighestPending(group))
            # 32 group priorities a register: five bits of preemption need one register, seven need four.
            for number in range(max(1, levels // 32)):
                kept = min((1 << levels) - 1, 0xFFFF_FFFF)
                self._add(f"ICC_AP{group}R<n>_EL1", ActivePriorityWord(kept, group, number), number)

    def _add(self, name: str, register: Register, index: int = 0, ones: int = 0) -> None:
        layout = _LAYOUTS[name]
        slot = self._slots[layout.offset + index - self._first]
        slot.hold(register, layout, ones)
        if isinstance(register, StoredRegister):
            register.name = layout.title(index)
            register.ones = slot.ones
            self.stored.append(register)

    def _find(self, encoding: int) -> _Slot:
        if encoding >> _ENCODING_BITS:
            return _UNDEFINED
        place = encoding - self._first
        if 0 <= place < self._count:
            return self._slots[place]
        return _UNDEFINED

    def defined(self, encoding: int, write: bool) -> bool:
        """True where the access is one that the CPU interface takes; any other is UNDEFINED at the PE (CPU-21)."""
        found = self._find(encoding)
        return found.writable if write else found.readable

    def stored_at(self, encoding: int) -> StoredRegister | None:
        """The register of this encoding where it is state, else None."""
        register = self._find(encoding).register
        return register if isinstance(register, StoredRegister) else None

    def read(self, interface: CpuInterface, encoding: int) -> i64:
        """Read a register; ILLEGAL where the access is not `defined`."""
        found = self._find(encoding)
        if not found.readable:
            return ILLEGAL
        return found.register.view(interface) | found.ones

    def write(self, interface: CpuInterface, encoding: int, value: int, secure: bool) -> bool:
        """Write the bits of `value` (64) that the register has; False where the access is not `defined`."""
        found = self._find(encoding)
        if not found.writable:
            return False
        found.register.put(interface, value & found.reach, secure)
        return True
