"""The CPU interface of a VM with NMIs (GICv3.3): interrupts with superpriority (rules NMI-1 to NMI-7).

What has superpriority is half a priority better than the priority that it counts as: one comparison of keys still
decides which interrupt is the highest priority pending one. That priority is the best, 0x00; with two Security
states it is 0x80, the best that is Non-secure's, for a Non-secure interrupt (two_state_nmis.py).
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.interface import CpuInterface, LineSink
from vgic.cpu_interface.pending import is_superior
from vgic.observer import NmiSink
from vgic.profiles import Profile

__all__ = [
    "NONSECURE_BEST",
    "NmiGroupState",
    "NmiInterface",
    "NmiOutput",
    "signals_nmi",
]

_BEST: Final = 0
"""The best priority of all."""

NONSECURE_BEST: Final = 0x80
"""The best priority that is Non-secure's while there are two Security states."""

_WORD_MASK: Final = 0xFFFF_FFFF
_SIGN: Final[int] = 1 << 63
"""Bit 63, which is set in an integer of the machine that is less than 0 by this much."""


def signals_nmi(interface: CpuInterface) -> bool:
    """True where the IRQ output stands for an interrupt with superpriority (NMI-6)."""
    return interface.irq and is_superior(interface.signalled_key)


class NmiGroupState(GroupState):
    """Group 1, of which an interrupt with superpriority may be active."""

    __slots__ = ("nmi_active", "nmi_first", "nmi_priority")

    def __init__(self, number: i64, preemption_bits: i64, hides: bool, irq: bool, split_offset: i64) -> None:
        self.nmi_active = False
        """ICC_AP1R0_EL1.NMI."""
        self.nmi_priority: i64 = _BEST
        """What an interrupt of the group with superpriority counts as."""
        self.nmi_first = False
        """One that is active comes before whatever else is, even what has preempted it (NMI-16)."""
        super().__init__(number, preemption_bits, hides, irq, split_offset)

    def word(self, number: int) -> int:
        """See `ActivePriorities.word`; that of the highest priorities has ICC_AP1R0_EL1.NMI as its sign."""
        bits = super().word(number)
        return bits - _SIGN if self.nmi_active and number == 0 else bits

    def set_word(self, number: int, bits: int) -> None:
        """See `ActivePriorities.set_word` and `word`."""
        if number == 0:
            self.nmi_active = bits < 0
        super().set_word(number, bits & _WORD_MASK)

    def set_nmi_priority(self, priority: i64) -> None:
        """An interrupt of the group with superpriority counts as this from now on, an active one, too."""
        self.nmi_priority = priority
        self._find_running()

    def runs_nmi(self) -> bool:
        """The highest that is active has superpriority."""
        return self.nmi_active and self.running == self.nmi_priority

    def take(self, key: i64) -> None:
        """See `GroupState.take`."""
        if is_superior(key):
            self.nmi_active = True
        else:
            super().take(key)
        self._let_nmi_run()

    def clear(self) -> None:
        """None is active."""
        self.nmi_active = False
        super().clear()

    def drop(self) -> None:
        """The highest is active no longer: of the same priority what has superpriority before all others."""
        if self.runs_nmi():
            self.nmi_active = False
            self._find_running()
        else:
            super().drop()

    def _find_running(self) -> None:
        super()._find_running()
        self._let_nmi_run()

    def _let_nmi_run(self) -> None:
        if self.nmi_active and (self.nmi_first or self.nmi_priority < self.running):
            self.running = self.nmi_priority


class NmiOutput:
    """What tells whether the IRQ output of a PE stands for an interrupt with superpriority (NMI-6)."""

    __slots__ = ("_sink", "_told")

    def __init__(self, lines: LineSink | None) -> None:
        self._sink = lines if isinstance(lines, NmiSink) else None
        self._told = False

    def follow(self, interface: CpuInterface) -> None:
        """The outputs may have changed, and have been told."""
        nmi = signals_nmi(interface)
        if nmi != self._told:
            self._told = nmi
            if self._sink is not None:
                self._sink.set_nmi(interface.cpu, nmi)


class NmiInterface(CpuInterface):
    """A CPU interface that can be signalled interrupts with superpriority. PMR masks none of them.

    They preempt whatever runs but for another such.
    """

    __slots__ = ("_nmi_group", "_nmi_output")

    def __init__(self, cpu: i64, profile: Profile, priority_bits: i64, lines: LineSink | None) -> None:
        super().__init__(cpu, profile, priority_bits, lines)
        self._nmi_group = NmiGroupState(GROUP1, min(priority_bits, 7), profile.disabled_group_hides, True, 0)
        self._nmi_output = NmiOutput(lines)
        self.groups = [self.groups[GROUP0], self._nmi_group]
        self.best_in = self._nmi_group
        self.find_masks()

    def superior_preempts(self, group: GroupState, key: i64) -> bool:
        """See `CpuInterface.superior_preempts`."""
        return not self._nmi_group.nmi_active

    def find_running(self) -> None:
        """See `CpuInterface.find_running`; what has superpriority comes before Group 0 of the best priority."""
        super().find_running()
        if self._nmi_group.nmi_active:
            self.running_group = GROUP1

    def update_outputs(self) -> i64:
        """See `CpuInterface.update_outputs`; whether the IRQ has superpriority is told after the level (NMI-6)."""
        displaced = super().update_outputs()
        self._nmi_output.follow(self)
        return displaced
