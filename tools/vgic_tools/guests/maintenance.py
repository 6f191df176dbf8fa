"""Maintenance of TLBs and instruction caches: done in the engine that executes it, and made known to the others.

Where CPUs share memory, HCR_EL2 traps it. A trap takes Unicorn out of the guest's code and costs ten times as much
as a hook. So an instruction that has trapped often, such as the one in a kernel's loop over the lines of a page, is
hooked from then on; a hook at one address costs nothing elsewhere.
"""

import ctypes
from collections import Counter
from collections.abc import Callable
from typing import Final

from unicorn import UC_HOOK_INSN, Uc
from unicorn.arm64_const import UC_ARM64_INS_SYS
from unicorn.unicorn_py3.arch.arm64 import UcRegCP64
from unicorn.unicorn_py3.unicorn import uclib

__all__ = ["Maintenance", "is_maintenance"]

# SYS instructions: op0 = 1, L = 0.
_SYS: Final = 0xD508_0000
_SYS_MASK: Final = 0xFFF8_0000

_CACHES: Final = 7
_TLBS: Final = 8

_INNER_SHAREABLE, _LOCAL = 3, 7
"""CRm of TLB maintenance."""
_EL1_TLBI: Final = frozenset({0, 1, 2, 3, 5, 7})
"""op2: VMALLE1, VAE1, ASIDE1, VAAE1, VALE1, VAALE1."""

_IC: Final = frozenset({(0, 1, 0), (0, 5, 0), (3, 5, 1)})
"""(op1, CRm, op2) of IC IALLUIS, IALLU and IVAU."""
_DC_CVAU: Final = (3, 11, 1)

_OFTEN: Final = 32
"""Traps of one instruction, after which it is hooked."""
_KERNEL: Final = 1 << 63

_CALLBACK: Final = ctypes.CFUNCTYPE(
    ctypes.c_uint32, ctypes.c_void_p, ctypes.c_uint32, ctypes.POINTER(UcRegCP64), ctypes.c_void_p
)


def is_maintenance(word: int) -> bool:
    """True of an instruction word that HCR_EL2.TTLB or TPU traps."""
    if word & _SYS_MASK != _SYS:
        return False
    crn, rest = word >> 12 & 0xF, (word >> 16 & 7, word >> 8 & 0xF, word >> 5 & 7)
    if crn == _TLBS:
        return rest[0] == 0 and rest[1] in (_INNER_SHAREABLE, _LOCAL) and rest[2] in _EL1_TLBI
    return crn == _CACHES and (rest in _IC or rest == _DC_CVAU)


class Maintenance:
    """What a CPU does to its own engine, and tells the others.

    `tell_translations` says that theirs may be stale, `tell_code` that of the code at a virtual address, or all.
    """

    def __init__(
        self,
        uc: Uc,
        write_system: Callable[[tuple[int, int, int, int, int], int], None],
        tell_translations: Callable[[], None],
        tell_code: Callable[[int | None], None],
    ) -> None:
        self._engine = uc._uch
        self._uc = uc
        self._write_system = write_system
        self._tell_translations = tell_translations
        self._tell_code = tell_code
        self._traps: Counter[int] = Counter()
        self._callback = _CALLBACK(self._sys)
        self._failure: BaseException | None = None
        self.hooked: list[int] = []
        """Virtual addresses of the instructions that trap no more."""

    def perform(self, word: int, value: int) -> None:
        """Do what an instruction says of which `is_maintenance` is true; `value` is that of its register."""
        self._do(word >> 16 & 7, word >> 12 & 0xF, word >> 8 & 0xF, word >> 5 & 7, value)

    def _do(self, op1: int, crn: int, crm: int, op2: int, value: int) -> None:
        if crn == _TLBS:
            # This engine forgets no more than it is told.
            self._write_system((_TLBS, _LOCAL, 1, 0, op2), value)
            if crm == _INNER_SHAREABLE:
                self._tell_translations()
        elif (op1, crm, op2) != _DC_CVAU:
            # Unicorn sees by itself what its own CPU writes to code.
            self._tell_code(value if op1 else None)

    def trapped(self, pc: int) -> bool:
        """The instruction at virtual address `pc` has trapped. True: with its code forgotten, it will not again."""
        if not pc & _KERNEL:
            return False
        self._traps[pc] += 1
        if self._traps[pc] != _OFTEN:
            return False
        self._hook(pc)
        return True

    def save(self) -> list[list[int]]:
        """Plain data: which instructions have trapped, and how often."""
        return [list(each) for each in self._traps.items()]

    def restore(self, state: list[list[int]]) -> None:
        """Take what `save` made. Raises TypeError or ValueError for anything else."""
        for pc, count in state:
            self._traps[int(pc)] = int(count)
            if count >= _OFTEN:
                self._hook(int(pc))

    def _hook(self, pc: int) -> None:
        handle = ctypes.c_size_t()
        failed = uclib.uc_hook_add(
            self._engine,
            ctypes.byref(handle),
            UC_HOOK_INSN,
            self._callback,
            None,
            ctypes.c_uint64(pc),
            ctypes.c_uint64(pc),
            ctypes.c_int(UC_ARM64_INS_SYS),
        )
        assert not failed
        self.hooked.append(pc)

    def raise_failure(self) -> None:
        """Raise what a callback raised: no exception passes through Unicorn."""
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure

    def _sys(self, _: int, __: int, access: "ctypes._Pointer[UcRegCP64]", ___: int) -> int:
        """1: performed."""
        try:
            this = access.contents
            self._do(this.op1, this.crn, this.crm, this.op2, this.val)
        except BaseException as failure:
            self._failure = failure
            self._uc.emu_stop()
        return 1
