"""The generic timers of a CPU, and the counters that they compare with (Arm ARM D11).

EL1's physical and virtual timer; CNTVOFF_EL2 is 0, so that both counters show the machine's clock.
"""

from typing import Any, Final

from vgic import sysreg
from vgic_tools.guests.clock import Clock
from vgic_tools.guests.seams import Line

__all__ = ["COUNTERS", "NEVER", "PHYSICAL_PPI", "TIMER_REGISTERS", "VIRTUAL_PPI", "GenericTimer", "Timers"]

PHYSICAL_PPI: Final = 30
VIRTUAL_PPI: Final = 27

COUNTERS: Final = frozenset(sysreg(3, 3, 14, 0, op2) for op2 in (1, 2, 5, 6))
"""CNTPCT_EL0, CNTVCT_EL0, and their self-synchronised ones."""

_TVAL, _CTL, _CVAL = range(3)
_PHYSICAL: Final = {sysreg(3, 3, 14, 2, op2): op2 for op2 in (_TVAL, _CTL, _CVAL)}
_VIRTUAL: Final = {sysreg(3, 3, 14, 3, op2): op2 for op2 in (_TVAL, _CTL, _CVAL)}

TIMER_REGISTERS: Final = frozenset(_PHYSICAL) | frozenset(_VIRTUAL)

_ENABLE: Final = 1
_IMASK: Final = 2
_ISTATUS: Final = 4
_64_BITS: Final = (1 << 64) - 1

NEVER: Final = 1 << 64
"""Ticks, more than any timer has."""


class GenericTimer:
    """CNTx_CTL, CNTx_CVAL and CNTx_TVAL of one timer."""

    def __init__(self, line: Line) -> None:
        self.control: int = 0
        """ENABLE and IMASK."""
        self.compare: int = 0
        self.level = False
        """Of the line, as it was last told."""
        self.deadline = NEVER
        """When the line will rise by itself, in ticks, NEVER where it will not."""
        self._line = line

    def read(self, register: int, now: int) -> int:
        """Register 0 is TVAL, 1 CTL, 2 CVAL."""
        if register == _TVAL:
            return (self.compare - now) & 0xFFFF_FFFF
        if register == _CVAL:
            return self.compare
        return self.control | (_ISTATUS if self._due(now) else 0)

    def write(self, register: int, value: int, now: int) -> None:
        """Write TVAL (signed, 32 bits), CTL or CVAL (64 bits)."""
        if register == _TVAL:
            value &= 0xFFFF_FFFF
            self.compare = (now + (value ^ 0x8000_0000) - 0x8000_0000) & _64_BITS
        elif register == _CVAL:
            self.compare = value & _64_BITS
        else:
            self.control = value & (_ENABLE | _IMASK)
        self.update(now)

    def _due(self, now: int) -> bool:
        return bool(self.control & _ENABLE) and now >= self.compare

    def update(self, now: int) -> None:
        """Tell the line, if it changes."""
        level = self._due(now) and not self.control & _IMASK
        self.deadline = self.compare if self.control == _ENABLE and not level else NEVER
        if level != self.level:
            self.level = level
            self._line(level)


class Timers:
    """The timers of a CPU, by the encodings of their registers."""

    def __init__(self, clock: Clock, physical: Line, virtual: Line) -> None:
        self._clock = clock
        self.physical = GenericTimer(physical)
        self.virtual = GenericTimer(virtual)
        self.deadline = NEVER
        """The earlier of the timers' deadlines."""

    def read(self, register: int) -> int:
        """An MRS of one of `COUNTERS` or `TIMER_REGISTERS`."""
        now = self._clock.look()
        # What a guest sees of the counter and of the interrupt agree.
        self.go_on(now)
        if register in COUNTERS:
            return now
        if register in _VIRTUAL:
            return self.virtual.read(_VIRTUAL[register], now)
        return self.physical.read(_PHYSICAL[register], now)

    def write(self, register: int, value: int) -> None:
        """An MSR of one of `TIMER_REGISTERS`."""
        now = self._clock.time
        if register in _VIRTUAL:
            self.virtual.write(_VIRTUAL[register], value, now)
        else:
            self.physical.write(_PHYSICAL[register], value, now)
        self.deadline = min(self.physical.deadline, self.virtual.deadline)

    def go_on(self, now: int) -> None:
        """Time has gone on: raise the lines of timers that are due. Until one is, nothing changes."""
        if now >= self.deadline:
            self._update(now)

    def _update(self, now: int) -> None:
        self.physical.update(now)
        self.virtual.update(now)
        self.deadline = min(self.physical.deadline, self.virtual.deadline)

    @property
    def due_in_slice(self) -> bool:
        """True where a line will rise before the present slice is over."""
        return self.deadline < self._clock.slice_ends

    def reset(self) -> None:
        """As PSCI CPU_ON finds them: off."""
        for timer in (self.physical, self.virtual):
            timer.control = timer.compare = 0
        self._update(0)

    def tell_lines(self, now: int) -> None:
        """Tell the lines their levels, to somebody who does not know them."""
        for timer in (self.physical, self.virtual):
            timer.level = False
        self._update(now)

    def save(self) -> dict[str, object]:
        """Plain data."""
        return {
            name: [timer.control, timer.compare]
            for name, timer in (("physical", self.physical), ("virtual", self.virtual))
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take what `save` made; the levels of the lines are told anew."""
        for name, timer in (("physical", self.physical), ("virtual", self.virtual)):
            control, compare = state[name]
            timer.control, timer.compare = int(control), int(compare)
        self.tell_lines(self._clock.now)
