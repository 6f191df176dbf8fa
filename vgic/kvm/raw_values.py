"""What userspace has written and reads back as it was, because nothing has made anything else of it yet.

KVM keeps some registers for a VM whose guest cannot use them, or not yet:

| register | until | then |
|---|---|---|
| ICC_PMR_EL1, ICC_BPR0_EL1, ICC_BPR1_EL1 | their vCPU runs | cut to what the host's CPU interface implements |
| ICC_CTLR_EL1.PRIbits, IDbits | for ever | a guest finds its CPU interface's |
| GICR_PROPBASER, GICR_PENDBASER | an ITS is created | those of the VM's LPIs |
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from vgic.cpu_interface.group import GROUP0, GROUP1
from vgic.gic import Gic
from vgic.kvm.uapi import Group, register_at
from vgic.layouts import gicr, icc
from vgic.lpis.base_registers import Substitutes
from vgic.profiles.choices import LpiChoices

__all__ = ["IdleTables", "RawInterface", "Widths"]

_HALF: Final = (1 << 32) - 1
_PTZ: Final[int] = gicr.PENDBASER.mask("PTZ")

_MASKS: Final[Mapping[int, int]] = {icc.ICC_PMR_EL1: 0xFF, icc.ICC_BPR0_EL1: 0b111, icc.ICC_BPR1_EL1: 0b111}
_BINARY_POINTS: Final[Mapping[int, int]] = {icc.ICC_BPR0_EL1: GROUP0, icc.ICC_BPR1_EL1: GROUP1}
_WIDEST_BPR1: Final = 7


class Widths(NamedTuple):
    """How wide userspace has said that a CPU interface is, as ICC_CTLR_EL1 does."""

    pribits: int
    """Bits of priority, minus one."""
    idbits: int
    """0: INTIDs of 16 bits, 1: of 24."""


class RawInterface:
    """Registers of CPU interfaces as userspace wrote them; a guest that has changed one has the last word."""

    def __init__(self) -> None:
        self._values: dict[tuple[int, int], tuple[int, int]] = {}
        """By vCPU and encoding: what was written, and what the interface made of it."""
        self._ran: set[int] = set()
        self._widths: dict[int, Widths] = {}

    def runs(self, cpu: int) -> None:
        """A vCPU runs."""
        self._ran.add(cpu)
        for encoding in _MASKS:
            self._values.pop((cpu, encoding), None)

    def widths(self, cpu: int, widest: Widths) -> Widths:
        """How wide the interface of a vCPU is; `widest` unless userspace has said less."""
        return self._widths.get(cpu, widest)

    def narrow(self, cpu: int, widths: Widths) -> None:
        """Userspace has said less."""
        self._widths[cpu] = widths

    def get(self, gic: Gic, cpu: int, encoding: int) -> int | None:
        """A register of a vCPU, None where it is what its CPU interface shows."""
        if encoding not in _MASKS:
            return None
        if _follows_bpr0(gic, cpu, encoding):
            bpr0 = self.get(gic, cpu, icc.ICC_BPR0_EL1)
            return None if bpr0 is None else min(bpr0 + 1, _WIDEST_BPR1)
        at_first = None if cpu in self._ran else (0, _least(gic, cpu, encoding))
        held = self._values.get((cpu, encoding), at_first)
        return held[0] if held is not None and held[1] == gic.stored_sysreg(cpu, encoding) else None

    def set(self, gic: Gic, cpu: int, encoding: int, value: int) -> None:
        """Userspace has written a register of a vCPU."""
        if encoding in _MASKS and not _follows_bpr0(gic, cpu, encoding):
            held = value & _MASKS[encoding], gic.stored_sysreg(cpu, encoding)
            self._values[cpu, encoding] = held


def _follows_bpr0(gic: Gic, cpu: int, encoding: int) -> bool:
    return encoding == icc.ICC_BPR1_EL1 and gic.interface(cpu).groups[GROUP1].cbpr


def _least(gic: Gic, cpu: int, encoding: int) -> int:
    group = _BINARY_POINTS.get(encoding)
    return 0 if group is None else gic.interface(cpu).groups[group].min_binary_point


class IdleTables:
    """GICR_PROPBASER, which is one for all vCPUs, and GICR_PENDBASER of a VM without LPIs."""

    def __init__(self, choices: LpiChoices) -> None:
        self._stored = {
            layout.name: Substitutes(layout, choices.attributes) for layout in (gicr.PROPBASER, gicr.PENDBASER)
        }
        self.propbaser = 0
        self.pendbasers: dict[int, int] = {}
        """By vCPU, with PTZ as it was written; those that are left out are as after reset."""
        self._pendbaser_reset = choices.pendbaser_reset

    def pendbaser(self, cpu: int) -> int:
        """GICR_PENDBASER of a vCPU (64 bits), with PTZ as it was written."""
        return self.pendbasers.get(cpu, self._pendbaser_reset)

    def get(self, cpu: int, offset: int) -> int | None:
        """A half of one of the two, None where the offset is no half of one."""
        found = register_at(Group.REDIST_REGS, offset)
        if found is None or found[0].name not in self._stored:
            return None
        layout, _, half = found
        value = self.propbaser if layout is gicr.PROPBASER else self.pendbaser(cpu) & ~_PTZ
        return value >> 8 * half & _HALF

    def set(self, cpu: int, offset: int, value: int) -> None:
        """Write a half of one of the two, or do nothing."""
        found = register_at(Group.REDIST_REGS, offset)
        if found is None or found[0].name not in self._stored:
            return
        layout, _, half = found
        before = self.propbaser if layout is gicr.PROPBASER else self.pendbaser(cpu)
        mask = layout.writable & _HALF << 8 * half
        stored = self._stored[layout.name].stored(before & ~mask | value << 8 * half & mask)
        if layout is gicr.PROPBASER:
            self.propbaser = stored
        else:
            self.pendbasers[cpu] = stored
