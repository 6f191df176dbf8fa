"""The system registers of a CPU interface: from an encoding and a value to what interface.py beside it does.

They have neither width nor alignment nor lanes, which is what most of a memory-mapped register is about, so they
are simpler than those (mmio.registers): what can be read or written comes from the layout, the rest is `view` and
`put` and, of a register that is state, `get` and `keep`, which are its storage and nothing else.
"""

from typing import Final

from mypy_extensions import i64

from mmio import ILLEGAL, AccessKind, RegisterLayout
from vgic.config import Config
from vgic.cpu_interface.group import GROUP0, GROUP1
from vgic.cpu_interface.interface import PREEMPTION, CpuInterface
from vgic.layouts import icc
from vgic.redistributor.sgi import SgiGenerator

__all__ = ["StoredRegister", "SystemRegisters"]

_CBPR: Final = icc.CTLR.mask("CBPR")
_EOI_MODE: Final = icc.CTLR.mask("EOImode")
_MAX_BPR: Final = 7
_MAX_PREEMPTION_BITS: Final = 7
_ENCODING_BITS: Final = 16
_NARROW_ID_BITS: Final = 16
"""Bits of INTID that a CPU interface has at least."""

_LAYOUTS: Final = {layout.name: layout for layout in icc.ICC}


class _Register:
    """What a system register does, the same for all CPU interfaces; by itself, one in which nothing is stored."""

    def view(self, interface: CpuInterface) -> i64:
        """What a read returns, but for the bits that always read as one."""
        return 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        """Write `value`, which has no bits but those that a write can reach."""


class StoredRegister(_Register):
    """A register that is state of the CPU interface: saved with it, and stored again where it is restored."""

    def __init__(self, kept: i64) -> None:
        self.kept: int = kept
        """The bits that may differ from one state to another."""
        self.name = ""
        self.ones: i64 = 0
        """The bits that always read as one."""

    def get(self, interface: CpuInterface) -> i64:
        """What is stored, whoever asks: what `view` returns, where that is the same for all."""
        return self.view(interface)

    def saved(self, interface: CpuInterface) -> i64:
        """What is stored, and the bits that always read as one."""
        return self.get(interface) | self.ones

    def restore(self, interface: CpuInterface, value: i64) -> None:
        """`keep` what `saved` returned once."""
        self.keep(interface, value & ~self.ones)

    def keep(self, interface: CpuInterface, value: i64) -> None:
        """Store what `get` returned once, and do nothing else: what follows is told when all is stored."""
        raise NotImplementedError

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        """Write it; what most of these change is what it takes to interrupt the PE."""
        self.keep(interface, value)
        interface.settle(PREEMPTION)


class _Slot:
    """An encoding: the register that it names, and the accesses that it takes; by itself, none."""

    __slots__ = ("ones", "reach", "readable", "register", "writable")

    def __init__(self) -> None:
        self.register = _Register()
        self.readable = False
        self.writable = False
        self.reach = 0
        """The bits that a write can reach: fewer than 63, whatever a guest writes."""
        self.ones: i64 = 0
        """The bits that always read as one."""

    def hold(self, register: _Register, layout: RegisterLayout, ones: i64) -> None:
        """Name a register that can be accessed as the layout says, in which `ones` always read as one too."""
        self.register = register
        self.readable = layout.access in (AccessKind.RW, AccessKind.RO)
        self.writable = layout.access in (AccessKind.RW, AccessKind.WO)
        self.reach = layout.writable
        self.ones = layout.ones | ones


_UNDEFINED: Final = _Slot()


class _Pmr(StoredRegister):
    def view(self, interface: CpuInterface) -> i64:
        return interface.pmr

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.pmr = value & interface.priority_mask


class _OfGroup(StoredRegister):
    """A register that is state of one group."""

    def __init__(self, kept: i64, group: i64) -> None:
        super().__init__(kept)
        self.group = group


class _BinaryPoint(_OfGroup):
    """With CBPR, a read shows where Group 0 splits priorities, and a write is ignored (PRIO-4, PRIO-6)."""

    def view(self, interface: CpuInterface) -> i64:
        state = interface.groups[self.group]
        if state.cbpr:
            return min(interface.groups[GROUP0].split() - state.split_offset, _MAX_BPR)
        return state.binary_point

    def get(self, interface: CpuInterface) -> i64:
        return interface.groups[self.group].binary_point

    def keep(self, interface: CpuInterface, value: i64) -> None:
        state = interface.groups[self.group]
        state.binary_point = max(value, state.min_binary_point)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        if not interface.groups[self.group].cbpr:
            self.keep(interface, value)
            interface.find_masks()
            interface.settle(PREEMPTION)


class _Control(_OfGroup):
    """CBPR is state of the group that preempts by another's binary point."""

    def view(self, interface: CpuInterface) -> i64:
        value: i64 = 0
        if interface.groups[self.group].cbpr:
            value |= _CBPR
        if interface.eoi_mode:
            value |= _EOI_MODE
        return value

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].cbpr = value & _CBPR != 0
        interface.eoi_mode = value & _EOI_MODE != 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.keep(interface, value)
        interface.find_masks()
        interface.settle(PREEMPTION)


class _GroupEnable(_OfGroup):
    def view(self, interface: CpuInterface) -> i64:
        return 1 if interface.groups[self.group].enabled else 0

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].enabled = value != 0

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        interface.set_group_enable(self.group, value != 0)


class _ActivePriorities(_OfGroup):
    """ICC_AP0R<n> or ICC_AP1R<n>: 32 group priorities a register, the highest in bit 0 of register 0 (CPU-8)."""

    def __init__(self, kept: i64, group: i64, number: int) -> None:
        super().__init__(kept, group)
        self.number = number

    def view(self, interface: CpuInterface) -> i64:
        return interface.groups[self.group].word(self.number)

    def keep(self, interface: CpuInterface, value: i64) -> None:
        interface.groups[self.group].set_word(self.number, value)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.keep(interface, value)
        interface.find_running()
        interface.settle(PREEMPTION)


class _Action(_Register):
    """A register by which a PE takes or finishes interrupts of one group."""

    def __init__(self, group: i64) -> None:
        self.group = group


class _RunningPriority(_Register):
    def view(self, interface: CpuInterface) -> i64:
        return interface.running


class _Acknowledge(_Action):
    """Reading takes the interrupt."""

    def view(self, interface: CpuInterface) -> i64:
        return interface.acknowledge(self.group)


class _HighestPending(_Action):
    def view(self, interface: CpuInterface) -> i64:
        return interface.highest_pending(self.group)


class _EndOfInterrupt(_Action):
    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        interface.end_of_interrupt(self.group, value)


class _Deactivate(_Register):
    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        interface.deactivate(value)


class _Sgi(_Register):
    def __init__(self, generator: SgiGenerator, register: int) -> None:
        self.generator = generator
        self.groups: i64 = generator.groups(register, secure=False)
        self.secure_groups: i64 = generator.groups(register, secure=True)

    def put(self, interface: CpuInterface, value: i64, secure: bool) -> None:
        self.generator.send(interface.cpu, value, self.secure_groups if secure else self.groups)


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
                "ExtRange": int(config.has_extended_ranges),
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
        self._add("ICC_PMR_EL1", _Pmr(0xFF00 >> priority_bits & 0xFF))
        self._add("ICC_BPR0_EL1", _BinaryPoint(_MAX_BPR, GROUP0))
        self._add("ICC_BPR1_EL1", _BinaryPoint(_MAX_BPR, GROUP1))
        self._add("ICC_CTLR_EL1", _Control(_CBPR | _EOI_MODE, GROUP1), ones=constant)
        self._add("ICC_SRE_EL1", _Register())
        self._add("ICC_RPR_EL1", _RunningPriority())
        self._add("ICC_DIR_EL1", _Deactivate())
        self._add("ICC_SGI1R_EL1", _Sgi(sgis, icc.ICC_SGI1R_EL1))
        self._add("ICC_ASGI1R_EL1", _Sgi(sgis, icc.ICC_ASGI1R_EL1))
        self._add("ICC_SGI0R_EL1", _Sgi(sgis, icc.ICC_SGI0R_EL1))
        levels = 1 << min(priority_bits, _MAX_PREEMPTION_BITS)
        for group in (GROUP0, GROUP1):
            self._add(f"ICC_IGRPEN{group}_EL1", _GroupEnable(1, group))
            self._add(f"ICC_IAR{group}_EL1", _Acknowledge(group))
            self._add(f"ICC_EOIR{group}_EL1", _EndOfInterrupt(group))
            self._add(f"ICC_HPPIR{group}_EL1", _HighestPending(group))
            # 32 group priorities a register: five bits of preemption need one register, seven need four.
            for number in range(max(1, levels // 32)):
                kept = min((1 << levels) - 1, 0xFFFF_FFFF)
                self._add(f"ICC_AP{group}R<n>_EL1", _ActivePriorities(kept, group, number), number)

    def _add(self, name: str, register: _Register, index: int = 0, ones: int = 0) -> None:
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
