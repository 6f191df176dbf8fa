"""A CPU of the machine: a Unicorn engine with what Unicorn leaves out.

Exceptions are delivered with their syndromes, HVC and SMC go to PSCI, counters and timers to the machine's clock,
and what one CPU invalidates, of translations and of code, becomes stale in the others, too.
"""

import ctypes
from collections.abc import Callable, Sequence
from typing import Final

from unicorn import Uc
from unicorn.arm64_const import UC_ARM64_REG_X0, UC_ARM64_REG_X28, UC_ARM64_REG_X29, UC_ARM64_REG_X30
from unicorn.unicorn_const import UC_CTL_IO_WRITE, UC_CTL_TLB_FLUSH, UC_PROT_READ
from unicorn.unicorn_py3.unicorn import uclib

from vgic import sysreg_of_instruction
from vgic.adapters.unicorn import SYNCHRONOUS, UNDEFINED, UNKNOWN_REASON, GicAccess, UnicornCpu
from vgic_tools.guests.counters import CounterHooks, TimerSites
from vgic_tools.guests.maintenance import Maintenance, is_maintenance
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

_EL1: Final = 1

_SCTLR_EL1: Final = (1, 0, 3, 0, 0)
_MMU: Final = 1

_PAGE: Final = 0x1000
_MOST_PAGES: Final = 1024
"""With more of them, all translated code is forgotten."""


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
        self.stale_pages: set[int] = set()
        """Physical addresses of pages in which others may have changed code."""
        self._psci = psci
        self._syndromes = Syndromes(uc)
        self.counters = CounterHooks(uc, sites, self._timer_register)
        self.maintenance = Maintenance(uc, self.write_system, self._tell_translations, self._tell_code)
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
        if self.stale_code or len(self.stale_pages) > _MOST_PAGES:
            self.flush_code()
        elif self.stale_pages:
            self._forget_pages()
        stopped = super().run(instructions)
        self.counters.raise_failure()
        self.maintenance.raise_failure()
        return stopped

    def flush_translations(self) -> None:
        """Forget the TLB's entries."""
        self.stale_translations = False
        self.uc.ctl(UC_CTL_TLB_FLUSH, UC_CTL_IO_WRITE)

    def flush_code(self) -> None:
        """Forget the code that Unicorn has translated."""
        self.stale_code = False
        self.stale_pages.clear()
        self.uc.ctl_flush_tb()

    def _forget_pages(self) -> None:
        """Forget the code of some pages. Unicorn wants virtual addresses; without MMU, those are physical."""
        control = self.read_system(_SCTLR_EL1)
        self.write_system(_SCTLR_EL1, control & ~_MMU)
        step = self.uc.ctl_get_page_size()
        for page in sorted(self.stale_pages):
            for address in range(page, page + _PAGE, step):
                self.uc.ctl_remove_cache(address, address + step)
        self.write_system(_SCTLR_EL1, control)
        self.stale_pages.clear()

    def other_exception(self, number: int) -> bool:
        """An exception that is not the GIC's."""
        if number in (_HVC, _SMC):
            self._call_psci()
            return True
        pc = self.pc
        self._locate_kernel(pc)
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
        if is_maintenance(word):
            if self._syndromes.read().target <= _EL1:
                return False
            self.maintenance.perform(word, self.read_x(word & 0x1F))
            if self.maintenance.trapped(pc):
                self._code_changed(self, pc)
        else:
            access = sysreg_of_instruction(word)
            if access is None or not self._timer(access.register, access.write, access.rt):
                return False
        self.pc = pc + 4
        return True

    def _tell_translations(self) -> None:
        for other in self.others:
            other.stale_translations = True

    def _tell_code(self, address: int | None) -> None:
        for other in self.others:
            self._code_changed(other, address)

    def _code_changed(self, cpu: "GuestCpu", address: int | None) -> None:
        """The code at a virtual address of this CPU is not what another has translated, or this one."""
        physical = ctypes.c_uint64()
        if address is None or uclib.uc_vmem_translate(
            self.uc._uch, ctypes.c_uint64(address), UC_PROT_READ, ctypes.byref(physical)
        ):
            cpu.stale_code = True
        else:
            cpu.stale_pages.add(physical.value & -_PAGE)

    def _locate_kernel(self, pc: int) -> None:
        """Trap less, as soon as it is seen where the kernel runs."""
        if self.counters.locate(pc):
            self.stale_code = True
            self.stop()

    def _timer_register(self, register: int, write: bool, unicorn_number: int) -> bool:
        # A kernel looks at its clock long before its first exception.
        if self.counters.located is None:
            self._locate_kernel(self.pc)
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
