"""The system registers of a CPU interface, by encoding: from an access to what registers.py beside it does."""

from typing import Final

from mypy_extensions import i64

from mmio import ILLEGAL, AccessKind, RegisterLayout
from vgic.bits import signed
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1
from vgic.cpu_interface.interface import CpuInterface
from vgic.cpu_interface.reach import GROUP0_VIRTUAL, GROUP1_VIRTUAL, is_virtual
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
    VirtualFace,
)
from vgic.layouts import icc
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["Slot", "SystemRegisters", "constant_fields"]

_MAX_PREEMPTION_BITS: Final = 7
_EL2: Final = 2
_EL3: Final = 3
_OP1_OF_EL3: Final = 6 << 11
"""op1 of the registers of EL3; that of EL2 is 4."""
# Written out, so that an access has no attribute to look at for them.
_FIRST: Final = 0xC230
"""The lowest encoding of EL1."""
_COUNT: Final = 0x438
"""Encodings from it to the highest."""
_END: Final = 0xC668
"""The first behind them."""
assert min(layout.offset for layout in icc.ICC) == _FIRST
assert max(layout.offset + layout.count for layout in icc.ICC) == _END == _FIRST + _COUNT
_NARROW_ID_BITS: Final = 16
"""Bits of INTID that a CPU interface has at least."""

_LAYOUTS: Final = {layout.name: layout for layout in (*icc.ICC, *icc.ICC_OF_HIGHER_LEVELS)}


class Slot:
    """An encoding: the register that it names, and the accesses that it takes."""

    __slots__ = ("layout", "ones", "reach", "readable", "register", "writable")

    def __init__(self, register: Register, layout: RegisterLayout, ones: i64) -> None:
        self.register = register
        self.layout = layout
        self.readable = layout.access in (AccessKind.RW, AccessKind.RO)
        self.writable = layout.access in (AccessKind.RW, AccessKind.WO)
        self.reach = signed(layout.writable)
        """The bits that a write can reach: an integer of the machine, whatever a guest writes."""
        self.ones = layout.ones | ones
        """The bits that always read as one."""


def _undefined() -> Slot:
    slot = Slot(Register(), icc.SRE, 0)
    slot.readable = False
    slot.writable = False
    return slot


UNDEFINED: Final = _undefined()
"""No register is named."""


class SystemRegisters:
    """The ICC_*_EL1 registers of a VM, shared by its vCPUs' CPU interfaces."""

    def __init__(self, config: Config, sgis: SgiGenerator) -> None:
        priority_bits = config.priority_bits
        # Where there is 1-of-N, it looks at PMR, always (ROUTE-12).
        self._constant_fields = {**constant_fields(config), "PMHE": int(config.features.one_of_n)}
        """What ICC_CTLR_EL1 always reads, by field."""
        self._layouts = _LAYOUTS
        self._constant = icc.CTLR.encode(self._constant_fields)
        self._slots: list[Slot] = []
        """By encoding, from the lowest to the highest of EL1: a table for each `CpuInterface.view`."""
        self._higher: dict[int, Slot] = {}
        """By encoding, those of higher Exception levels."""
        self.stored: list[StoredRegister] = []
        """Those that are state."""
        levels = 1 << min(priority_bits, _MAX_PREEMPTION_BITS)
        self._active_bits = min((1 << levels) - 1, 0xFFFF_FFFF)
        # 32 group priorities a register: five bits of preemption need one register, seven need four.
        self._active_words = range(max(1, levels // 32))
        self._fill(config, sgis)

    def _fill(self, config: Config, sgis: SgiGenerator) -> None:
        """Name the registers."""
        self._add_views(1)
        self._hold("ICC_PMR_EL1", Pmr(0xFF00 >> config.priority_bits & 0xFF))
        self._hold("ICC_BPR0_EL1", BinaryPoint(MAX_BPR, GROUP0))
        self._hold("ICC_BPR1_EL1", BinaryPoint(MAX_BPR, GROUP1))
        self._hold("ICC_CTLR_EL1", Control(CBPR | EOI_MODE, GROUP1), ones=self._constant)
        self._add("ICC_SRE_EL1", Register())
        self._add("ICC_RPR_EL1", RunningPriority())
        self._add("ICC_DIR_EL1", Deactivate())
        self._add("ICC_SGI1R_EL1", GenerateSgi(sgis, icc.ICC_SGI1R_EL1))
        self._add("ICC_ASGI1R_EL1", GenerateSgi(sgis, icc.ICC_ASGI1R_EL1))
        self._add("ICC_SGI0R_EL1", GenerateSgi(sgis, icc.ICC_SGI0R_EL1))
        for group in (GROUP0, GROUP1):
            self._hold(f"ICC_IGRPEN{group}_EL1", GroupEnable(1, group))
            self._add(f"ICC_IAR{group}_EL1", Acknowledge(group))
            self._add(f"ICC_EOIR{group}_EL1", EndOfInterrupt(group))
            self._add(f"ICC_HPPIR{group}_EL1", HighestPending(group))
            for number in self._active_words:
                name, index, bits = self._active(group, number)
                self._hold(name, ActivePriorityWord(bits, group, number), index)

    def _active(self, group: int, number: int) -> tuple[str, int, int]:
        """Of a register of active priorities the name, which of that name it is, and its bits."""
        return f"ICC_AP{min(group, GROUP1)}R<n>_EL1", number, self._active_bits

    def _add_views(self, count: int) -> None:
        """Have as many tables, in which nothing is defined."""
        self._slots = [UNDEFINED] * (count * _COUNT)

    def _add(self, name: str, register: Register, index: int = 0, ones: int = 0, view: int = 0) -> None:
        """Let a name of EL1 stand for a register in one of the tables; `ones` always read as one."""
        layout = self._layouts[name]
        slot = Slot(register, layout, ones)
        self._slots[view * _COUNT + layout.offset + index - _FIRST] = slot

    def _add_higher(self, name: str, register: Register, ones: int = 0) -> None:
        """Let a name of EL2 or EL3 stand for a register."""
        layout = self._layouts[name]
        self._higher[layout.offset] = Slot(register, layout, ones)

    def add_faces(self, virtual: dict[int, Slot]) -> None:
        """Let a PE with EL2 see its virtual CPU interface, in tables of their own (`CpuInterface.face`)."""
        self._add_higher("ICC_SRE_EL2", Register())
        physical = self._slots
        for face in (GROUP0_VIRTUAL, GROUP1_VIRTUAL, GROUP0_VIRTUAL | GROUP1_VIRTUAL):
            table = list(physical)
            for place, slot in enumerate(physical):
                encoding = _FIRST + place % _COUNT
                if encoding in virtual and slot is not UNDEFINED and is_virtual(encoding, face):
                    found = virtual[encoding]
                    table[place] = Slot(VirtualFace(found.register, slot.register), found.layout, found.ones)
            self._slots = self._slots + table

    def _hold(self, name: str, register: StoredRegister, index: int = 0, ones: int = 0) -> None:
        """`_add` one that is state."""
        self._add(name, register, index, ones)
        self._store(name, register, index, ones)

    def _store(self, name: str, register: StoredRegister, index: int = 0, ones: int = 0, bank: str = "") -> None:
        """Have a register saved; `bank` is put behind its name."""
        layout = self._layouts[name]
        register.name = layout.title(index) + bank
        register.ones = layout.ones | ones
        self.stored.append(register)

    def _find(self, interface: CpuInterface, encoding: int) -> Slot:
        if _FIRST <= encoding < _END:
            place: i64 = encoding
            return self._slots[interface.view * _COUNT + (place - _FIRST)]
        return self._find_higher(interface, encoding)

    def _find_higher(self, interface: CpuInterface, encoding: int) -> Slot:
        """One that lower Exception levels have not; op1 of its encoding tells which has."""
        found = self._higher.get(encoding)
        if found is None or interface.el < (_EL3 if encoding & _OP1_OF_EL3 == _OP1_OF_EL3 else _EL2):
            return UNDEFINED
        return found

    def defined(self, interface: CpuInterface, encoding: int, write: bool) -> bool:
        """True where the access is one that the CPU interface takes; any other is UNDEFINED at the PE (CPU-21)."""
        found = self._find(interface, encoding)
        return found.writable if write else found.readable

    def stored_at(self, interface: CpuInterface, encoding: int) -> StoredRegister | None:
        """The register of this encoding where it is state, else None; behind a virtual face the physical one."""
        register = self._find(interface, encoding).register
        if isinstance(register, VirtualFace):
            register = register.physical
        return register if isinstance(register, StoredRegister) else None

    def read(self, interface: CpuInterface, encoding: int) -> i64:
        """Read a register; ILLEGAL where the access is not `defined`."""
        found = self._find(interface, encoding)
        if not found.readable:
            return ILLEGAL
        return found.register.view(interface) | found.ones

    def write(self, interface: CpuInterface, encoding: int, value: int, secure: bool) -> bool:
        """Write the bits of `value` (64) that the register has; False where the access is not `defined`."""
        found = self._find(interface, encoding)
        if not found.writable:
            return False
        found.register.put(interface, value & found.reach, secure)
        return True


def constant_fields(config: Config) -> dict[str, int]:
    """The fields of ICC_CTLR_EL1 and of its virtual face that never change, some of which ICH_VTR_EL2 has too."""
    return {
        "PRIbits": config.priority_bits - 1,
        "A3V": int(config.features.a3v),
        "RSS": int(config.features.rss),
        "IDbits": int(config.id_bits > _NARROW_ID_BITS),
        "ExtRange": int(config.has_extended_ranges),
        **config.profile.cpu_interface_ctlr,
    }
