"""The system registers of a CPU interface: from an encoding and a value to what vgic/cpu_interface.py does.

The registers behave by the same classes as memory-mapped ones (mmio.registers); their owner is a `CpuInterface`.
"""

from collections.abc import Callable
from typing import Final

from mmio import ILLEGAL, AccessKind, ReadOnly, ReadWrite, Register, Word, WriteOnly
from vgic.config import Config
from vgic.cpu_interface import GROUP0, GROUP1, CpuInterface
from vgic.layouts import icc
from vgic.sgi import ASGI1R, SGI0R, SGI1R, SgiGenerator

__all__ = ["CBPR", "EOI_MODE", "SystemRegisters"]

CBPR: Final = icc.CTLR.mask("CBPR")
"""ICC_CTLR_EL1.CBPR."""
EOI_MODE: Final = icc.CTLR.mask("EOImode")
"""ICC_CTLR_EL1.EOImode."""
_AP_BITS: Final = 0xFFFF_FFFF
_INTID_MASK: Final = icc.DIR.mask("INTID")
_MAX_BPR: Final = 7
_NARROW_ID_BITS: Final = 16
"""Bits of INTID that a CPU interface has at least."""


class _Pmr(Word[CpuInterface]):
    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return owner.pmr

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        owner.pmr = value & owner.priority_mask
        owner.settle()


class _Bpr0(Word[CpuInterface]):
    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return owner.bpr0

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        owner.bpr0 = max(value, owner.min_bpr0)
        owner.settle()


class _Bpr1(Word[CpuInterface]):
    """With CBPR, a read shows BPR0 plus one and a write is ignored."""

    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return min(owner.bpr0 + 1, _MAX_BPR) if owner.cbpr else owner.bpr1

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        if not owner.cbpr:
            owner.bpr1 = max(value, owner.min_bpr1)
            owner.settle()


class _Control(Word[CpuInterface]):
    def __init__(self, constant: int) -> None:
        self.constant = constant

    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return self.constant | (CBPR if owner.cbpr else 0) | (EOI_MODE if owner.eoi_mode else 0)

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        owner.cbpr = value & CBPR != 0
        owner.eoi_mode = value & EOI_MODE != 0
        owner.settle()


class _GroupEnable(Word[CpuInterface]):
    def __init__(self, group: int) -> None:
        self.group = group

    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return int(owner.group(self.group).enabled)

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        owner.set_group_enable(self.group, value != 0)


class _ActivePriorities(Word[CpuInterface]):
    """ICC_AP0R<n> or ICC_AP1R<n>: 32 group priorities a register, the highest in bit 0 of register 0."""

    def __init__(self, group: int) -> None:
        self.group = group

    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return owner.group(self.group).active_priorities >> 32 * index & _AP_BITS

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        state = owner.group(self.group)
        others = state.active_priorities & ~(_AP_BITS << 32 * index)
        implemented = (1 << owner.levels) - 1
        state.active_priorities = (others | value << 32 * index) & implemented
        owner.settle()


class _RunningPriority(Word[CpuInterface]):
    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return owner.running_priority()


class _Acknowledge(Word[CpuInterface]):
    """Reading takes the interrupt."""

    def __init__(self, group: int) -> None:
        self.group = group

    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return owner.acknowledge(self.group)


class _HighestPending(Word[CpuInterface]):
    def __init__(self, group: int) -> None:
        self.group = group

    def get(self, owner: CpuInterface, index: int, secure: bool) -> int:
        return owner.highest_pending(self.group)


class _EndOfInterrupt(Word[CpuInterface]):
    def __init__(self, group: int) -> None:
        self.group = group

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        owner.end_of_interrupt(self.group, value & _INTID_MASK)


class _Deactivate(Word[CpuInterface]):
    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        owner.deactivate(value & _INTID_MASK)


class _Sgi(Word[CpuInterface]):
    def __init__(self, generator: SgiGenerator, register: int) -> None:
        self.generator = generator
        self.register = register

    def put(self, owner: CpuInterface, index: int, value: int, mask: int, secure: bool) -> None:
        self.generator.send(owner.cpu, self.register, value, secure)


class _Entry:
    """A register in the table of encodings."""

    def __init__(self, register: Register[CpuInterface], index: int, reach: int) -> None:
        self.register = register
        self.index = index
        self.reach = reach
        """The bits that a write can reach. Without the reserved ones above them, values are small integers."""


class SystemRegisters:
    """The ICC_*_EL1 registers of a VM, shared by its vCPUs' CPU interfaces."""

    def __init__(self, config: Config, sgis: SgiGenerator) -> None:
        priority_bits, features = config.priority_bits, config.features
        constant = icc.CTLR.encode(
            {
                "PRIbits": priority_bits - 1,
                "A3V": int(features.a3v),
                "RSS": int(features.rss),
                "IDbits": int(config.id_bits > _NARROW_ID_BITS),
                **config.profile.cpu_interface_ctlr,
            }
        )
        words: dict[str, Word[CpuInterface]] = {
            "ICC_PMR_EL1": _Pmr(),
            "ICC_BPR0_EL1": _Bpr0(),
            "ICC_BPR1_EL1": _Bpr1(),
            "ICC_CTLR_EL1": _Control(constant),
            "ICC_SRE_EL1": Word(),
            "ICC_RPR_EL1": _RunningPriority(),
            "ICC_DIR_EL1": _Deactivate(),
            "ICC_SGI1R_EL1": _Sgi(sgis, SGI1R),
            "ICC_ASGI1R_EL1": _Sgi(sgis, ASGI1R),
            "ICC_SGI0R_EL1": _Sgi(sgis, SGI0R),
        }
        for group in (GROUP0, GROUP1):
            words[f"ICC_IGRPEN{group}_EL1"] = _GroupEnable(group)
            words[f"ICC_IAR{group}_EL1"] = _Acknowledge(group)
            words[f"ICC_EOIR{group}_EL1"] = _EndOfInterrupt(group)
            words[f"ICC_HPPIR{group}_EL1"] = _HighestPending(group)
            words[f"ICC_AP{group}R<n>_EL1"] = _ActivePriorities(group)
        # 32 group priorities a register: five bits of preemption need one register, seven need four.
        active_priority_registers = max(1, (1 << min(priority_bits, 7)) // 32)
        self._first = min(layout.offset for layout in icc.ICC)
        last = max(layout.offset + layout.count for layout in icc.ICC)
        self._entries: list[_Entry | None] = [None] * (last - self._first)
        """By encoding, from the lowest to the highest."""
        for layout in icc.ICC:
            make = _KINDS[layout.access]
            register = make(words[layout.name], layout.writable, layout.ones)
            for index in range(min(layout.count, active_priority_registers)):
                self._entries[layout.offset + index - self._first] = _Entry(register, index, layout.writable)

    def _find(self, encoding: int) -> _Entry | None:
        place = encoding - self._first
        return self._entries[place] if 0 <= place < len(self._entries) else None

    def defined(self, encoding: int, write: bool) -> bool:
        """True where the access is one that the CPU interface takes; any other is UNDEFINED at the PE."""
        found = self._find(encoding)
        return found is not None and (found.register.writable if write else found.register.readable)

    def read(self, interface: CpuInterface, encoding: int, secure: bool) -> int:
        """Read a register; ILLEGAL where the access is not `defined`."""
        found = self._find(encoding)
        if found is None or not found.register.readable:
            return ILLEGAL
        return found.register.read(interface, found.index, secure)

    def write(self, interface: CpuInterface, encoding: int, value: int, secure: bool) -> bool:
        """Write the bits of `value` that the register has; False where the access is not `defined`."""
        found = self._find(encoding)
        if found is None or not found.register.writable:
            return False
        found.register.write(interface, found.index, value & found.reach, found.reach, secure)
        return True


_Make = Callable[[Word[CpuInterface], int, int], Register[CpuInterface]]

_KINDS: Final[dict[AccessKind, _Make]] = {
    AccessKind.RW: ReadWrite,
    AccessKind.RO: lambda word, writable, ones: ReadOnly(word),
    AccessKind.WO: lambda word, writable, ones: WriteOnly(word),
}
