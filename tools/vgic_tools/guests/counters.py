"""Traps of the counters and timers, which Unicorn has, but by its host's clock and with writes left out.

Nothing architectural traps the virtual ones from EL1, so that their instructions are hooked. A hook on every MRS
and MSR costs as much time as the whole boot. So only those at which a kernel accesses its timers are hooked, found
in its image, as soon as it is known where it runs; and all outside the image.
"""

import ctypes
import re
from collections.abc import Callable, Iterable
from typing import Any, Final

from unicorn import UC_HOOK_INSN, UC_PROT_EXEC, Uc
from unicorn.arm64_const import UC_ARM64_INS_MRS, UC_ARM64_INS_MSR
from unicorn.unicorn_py3.arch.arm64 import UcRegCP64
from unicorn.unicorn_py3.unicorn import uclib

from vgic import sysreg, sysreg_of_instruction

__all__ = ["CounterHooks", "TimerSites"]

# MRS or MSR of a register with op0 = 3, op1 = 3 and CRn = 14, little-endian: all but the first byte, which is any.
_ACCESS: Final = re.compile(rb"[\xe0\xe2\xe3][\x1b\x3b]\xd5")

_KERNEL: Final = 1 << 63
_EVERYWHERE: Final = (1, 0)
_LAST: Final = (1 << 64) - 1

_CALLBACK: Final = ctypes.CFUNCTYPE(
    ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(UcRegCP64), ctypes.c_void_p
)
# Where it is known which register is accessed, what Unicorn says of it is not unpacked.
_SITE_CALLBACK: Final = ctypes.CFUNCTYPE(
    ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
)

Access = Callable[[int, bool, int], bool]
"""(encoding, write, number of Unicorn's of the general-purpose register) -> whether it was performed."""


class TimerSites:
    """Where a kernel's image, loaded at physical address `base`, accesses counters and timers.

    `accesses` are offsets and instruction words. Raises ValueError for a word that is no MRS or MSR.
    """

    def __init__(self, base: int, size: int, accesses: Iterable[tuple[int, int]]) -> None:
        self.base = base
        self.size = size
        """Bytes of memory that the kernel takes."""
        self.accesses = list(accesses)
        for offset, word in self.accesses:
            if sysreg_of_instruction(word) is None:
                raise ValueError(f"{word:#010x} at {offset:#x} accesses no system register")

    @classmethod
    def of(cls, base: int, size: int, image: bytes) -> "TimerSites":
        """Those of an image."""
        found = (match.start() - 1 for match in _ACCESS.finditer(image))
        offsets = [offset for offset in found if offset % 4 == 0]
        return cls(
            base, size, ((offset, int.from_bytes(image[offset : offset + 4], "little")) for offset in offsets)
        )

    def save(self) -> dict[str, object]:
        """Plain data."""
        return {"base": self.base, "size": self.size, "accesses": [list(access) for access in self.accesses]}

    @classmethod
    def restored(cls, state: dict[str, Any]) -> "TimerSites":
        """What was saved. Raises KeyError, TypeError or ValueError for anything else."""
        accesses = ((int(offset), int(word)) for offset, word in state["accesses"])
        return cls(int(state["base"]), int(state["size"]), accesses)


class CounterHooks:
    """The hooks of one engine."""

    def __init__(self, uc: Uc, sites: TimerSites | None, perform: Access) -> None:
        self._engine = uc._uch
        self._uc = uc
        self._sites = sites
        self._perform = perform
        self._failure: BaseException | None = None
        self._callbacks = {
            UC_ARM64_INS_MRS: _CALLBACK(self._mrs),
            UC_ARM64_INS_MSR: _CALLBACK(self._msr),
        }
        self._site_callback = _SITE_CALLBACK(self._site)
        self._everywhere = [self._add(instruction, *_EVERYWHERE) for instruction in self._callbacks]
        self.located: int | None = None
        """Where the kernel's image runs, a virtual address: only what matters in it is hooked."""

    def locate(self, pc: int) -> bool:
        """Hook less, if `pc`, a virtual address, shows where the kernel runs. True: translated code is stale."""
        if self.located is not None or self._sites is None or not pc & _KERNEL:
            return False
        physical = ctypes.c_uint64()
        if uclib.uc_vmem_translate(self._engine, ctypes.c_uint64(pc), UC_PROT_EXEC, ctypes.byref(physical)):
            return False
        offset = physical.value - self._sites.base
        if not 0 <= offset < self._sites.size:
            return False
        self.narrow_to(pc - offset)
        return True

    def narrow_to(self, start: int) -> None:
        """Hook no more than needed of a kernel whose image runs from virtual address `start` on."""
        assert self._sites is not None
        for handle in self._everywhere:
            uclib.uc_hook_del(self._engine, handle)
        for offset, word in self._sites.accesses:
            self._add_site(start + offset, word)
        for instruction in self._callbacks:
            self._add(instruction, 0, start - 1)
            self._add(instruction, start + self._sites.size, _LAST)
        self.located = start

    def raise_failure(self) -> None:
        """Raise what a callback raised: no exception passes through Unicorn."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _add_site(self, address: int, word: int) -> None:
        access = sysreg_of_instruction(word)
        assert access is not None
        instruction = UC_ARM64_INS_MSR if access.write else UC_ARM64_INS_MRS
        self._hook(instruction, self._site_callback, access.register << 1 | access.write, address, address)

    def _add(self, instruction: int, begin: int, end: int) -> ctypes.c_size_t:
        return self._hook(instruction, self._callbacks[instruction], 0, begin, end)

    def _hook(
        self, instruction: int, callback: "ctypes._FuncPointer", told: int, begin: int, end: int
    ) -> ctypes.c_size_t:
        """Have `callback` called, with `told` as its last argument, for the instructions at these addresses."""
        handle = ctypes.c_size_t()
        failed = uclib.uc_hook_add(
            self._engine,
            ctypes.byref(handle),
            UC_HOOK_INSN,
            callback,
            ctypes.c_void_p(told),
            ctypes.c_uint64(begin),
            ctypes.c_uint64(end),
            ctypes.c_int(instruction),
        )
        assert not failed
        return handle

    def _mrs(self, _: int, register: int, access: "ctypes._Pointer[UcRegCP64]", __: int) -> int:
        return self._instruction(register, access.contents, False)

    def _msr(self, _: int, register: int, access: "ctypes._Pointer[UcRegCP64]", __: int) -> int:
        return self._instruction(register, access.contents, True)

    def _instruction(self, register: int, access: UcRegCP64, write: bool) -> int:
        """1: performed, 0: Unicorn is to do it."""
        if access.crn != 14 or access.op1 != 3:
            return 0
        return self._try(sysreg(access.op0, 3, 14, access.crm, access.op2), write, register)

    def _site(self, _: int, register: int, __: int, told: int) -> int:
        return self._try(told >> 1, told & 1 != 0, register)

    def _try(self, encoding: int, write: bool, register: int) -> int:
        try:
            return self._perform(encoding, write, register)
        except BaseException as failure:
            self._failure = failure
            self._uc.emu_stop()
            return 1
