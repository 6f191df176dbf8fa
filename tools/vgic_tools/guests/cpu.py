"""A CPU of the machine: a Unicorn engine with what Unicorn leaves out.

Exceptions are delivered with their syndromes, HVC and SMC go to PSCI, counters and timers to the machine's clock,
and what one CPU invalidates, of translations and of code, becomes stale in the others, too.
"""

from collections.abc import Callable, Sequence
from typing import Final

from unicorn import Uc
from unicorn.arm64_const import UC_ARM64_REG_X0, UC_ARM64_REG_X28, UC_ARM64_REG_X29, UC_ARM64_REG_X30
from unicorn.unicorn_const import UC_CTL_IO_WRITE, UC_CTL_TLB_FLUSH

from vgic import sysreg_of_instruction
from vgic.adapters.unicorn import SYNCHRONOUS, UNDEFINED, UNKNOWN_REASON, GicAccess, UnicornCpu
from vgic_tools.guests.counters import CounterHooks, TimerSites
from vgic_tools.guests.seams import PsciResult
from vgic_tools.guests.syndromes import Syndromes
from vgic_tools.guests.timer import COUNTERS, TIMER_REGISTERS, Timers
from vgic_tools.guests.unmasking import Unmasking

__all__ = ["GuestCpu", "PsciCall"]

PsciCall = Callable[[int, int, Sequence[int]], PsciResult]
"""(CPU, function id, X1 to X3) -> what becomes of the call."""

_PREFETCH_ABORT: Final = 3
_DATA_ABORT: Final = 4
_HVC: Final = 11
_SMC: Final = 13

_HCR_TTLB: Final = 1 << 25
"""TLB maintenance at EL1 traps."""
_HCR_TPU: Final = 1 << 24
"""Instruction cache maintenance traps."""

# SYS instructions by CRn: op0 = 1, L = 0.
_SYS: Final = 0xD508_0000
_SYS_MASK: Final = 0xFFF8_0000
_CACHES: Final = 7
_TLBS: Final = 8

_EL1: Final = 1
_EXCEPTION_LEVEL: Final = 0b1100


class GuestCpu(UnicornCpu):
    """A CPU; `others` are those that share memory with it."""

    def __init__(
        self, number: int, uc: Uc, gic: GicAccess, timers: Timers, psci: PsciCall, sites: TimerSites | None
    ) -> None:
        super().__init__(number, uc, gic, None)
        self.timers = timers
        self.others: list[GuestCpu] = []
        self.unmasking = Unmasking()
        self.stale_translations = False
        self.stale_code = False
        self._psci = psci
        self._syndromes = Syndromes(uc)
        self.counters = CounterHooks(uc, sites, self._timer_register)
        self._numbers = {_X0 + number: number for number in range(29)} | {
            UC_ARM64_REG_X29: 29,
            UC_ARM64_REG_X30: 30,
        }

    def share_memory(self, others: "list[GuestCpu]") -> None:
        """These CPUs have to hear of what this one invalidates. Where there are none, nothing needs to trap."""
        self.others = others
        self.hypervisor_traps = _HCR_TTLB | _HCR_TPU if others else 0

    def run(self, instructions: int) -> bool:
        """Execute a slice; see `UnicornCpu.run`."""
        if self.stale_translations:
            self.flush_translations()
        if self.stale_code:
            self.flush_code()
        stopped = super().run(instructions)
        self.counters.raise_failure()
        return stopped

    def flush_translations(self) -> None:
        """Forget the TLB's entries."""
        self.stale_translations = False
        self.uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)

    def flush_code(self) -> None:
        """Forget the code that Unicorn has translated."""
        self.stale_code = False
        self.uc.ctl_flush_tb()

    def other_exception(self, number: int) -> bool:
        """An exception that is not the GIC's."""
        if number in (_HVC, _SMC):
            self._call_psci()
            return True
        pc = self.pc
        if self.counters.locate(pc):
            self.stale_code = True
            self.stop()
        if number == UNDEFINED and self._trapped(pc):
            return True
        syndrome = self._syndromes.read()
        if number in (_PREFETCH_ABORT, _DATA_ABORT):
            self.enter(SYNCHRONOUS, syndrome.esr, syndrome.far)
        else:
            # What only this machine traps is UNDEFINED to a guest that has no EL2.
            self.enter(SYNCHRONOUS, syndrome.esr if syndrome.target <= _EL1 else UNKNOWN_REASON)
        return True

    def _trapped(self, pc: int) -> bool:
        """Perform an instruction that HCR_EL2 or CNTHCTL_EL2 traps; False where it is UNDEFINED."""
        word = self.word(pc)
        if word & _SYS_MASK == _SYS:
            kind = word >> 12 & 0xF
            if kind == _TLBS and self.pstate & _EXCEPTION_LEVEL:
                self.flush_translations()
                # CRm 3: the Inner Shareable ones.
                if word >> 8 & 0xF == 3:
                    for other in self.others:
                        other.stale_translations = True
            elif kind == _CACHES and self._syndromes.read().target > _EL1:
                for other in self.others:
                    other.stale_code = True
            else:
                return False
        else:
            access = sysreg_of_instruction(word)
            if access is None or not self._timer(access.register, access.write, access.rt):
                return False
        self.pc = pc + 4
        return True

    def _timer_register(self, register: int, write: bool, unicorn_number: int) -> bool:
        return self._timer(register, write, self._numbers.get(unicorn_number, 31))

    def _timer(self, register: int, write: bool, rt: int) -> bool:
        """An access to a counter or timer; False where it is none, or cannot be written."""
        if register not in TIMER_REGISTERS and (write or register not in COUNTERS):
            return False
        if write:
            self.timers.write(register, self.read_x(rt))
            # The slice was measured for another deadline.
            if self.timers.due_in_slice:
                self.stop()
        else:
            self.write_x(rt, self.timers.read(register))
        return True

    def _call_psci(self) -> None:
        result = self._psci(
            self.number, self.read_x(0) & 0xFFFF_FFFF, [self.read_x(number) for number in (1, 2, 3)]
        )
        if result.returns:
            self.write_x(0, result.value)


_X0: Final = int(UC_ARM64_REG_X0)
assert UC_ARM64_REG_X28 == _X0 + 28
