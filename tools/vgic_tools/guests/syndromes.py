"""What an exception's syndrome and fault address are, which Unicorn tells under no register's number.

Both are in the state that `uc_context_save` copies, whose layout is Unicorn's own affair. So their place is found:
an engine is made to fault at an address that is known, once in each process.
"""

import ctypes
from functools import cache
from typing import Final, NamedTuple

from unicorn import UC_HOOK_INTR, Uc
from unicorn.arm64_const import UC_ARM64_REG_CP_REG
from unicorn.unicorn_py3.unicorn import uclib

from vgic.adapters.unicorn import new_engine
from vgic_tools.errors import UsageError

__all__ = ["Syndrome", "Syndromes"]

# No translation for any address: TCR_EL1.EPD0 and EPD1 are set. The address is one that comes up nowhere else.
_TCR_EL1: Final = (2, 0, 3, 0, 2, 1 << 7 | 1 << 23 | 25 | 25 << 16 | 2 << 30)
_SCTLR_EL1: Final = (1, 0, 3, 0, 0, 0x30D0_0801)
_ADDRESS: Final = 0x51_2345_6780
_INSTRUCTION_ABORT: Final = 0x21
_BEFORE: Final = 8
"""Bytes from the syndrome to the address."""


class Syndrome(NamedTuple):
    """What an exception tells of its reason."""

    esr: int
    """As ESR_EL1 holds it, 32 bits."""
    far: int
    """The virtual address, of an abort."""
    target: int
    """The Exception level that Unicorn would take it to."""


class Syndromes:
    """Reads the syndrome of the exception that an engine's UC_HOOK_INTR reports."""

    def __init__(self, uc: Uc) -> None:
        self._uc = uc
        self._context = uc.context_save()
        self._engine = uc._uch
        start = self._context.context.value + _place()
        self._esr = ctypes.c_uint32.from_address(start)
        self._far = ctypes.c_uint64.from_address(start + _BEFORE)
        self._target = ctypes.c_uint32.from_address(start + _BEFORE + 8)

    def read(self) -> Syndrome:
        """Of the exception that is reported now."""
        uclib.uc_context_save(self._engine, self._context.context)
        return Syndrome(self._esr.value, self._far.value, self._target.value)


@cache
def _place() -> int:
    """Where in a context the syndrome is, in bytes. Raises UsageError for a Unicorn in which it is not found."""
    uc = new_engine()
    found: list[int] = []

    def fault(uc: Uc, _: int, __: object) -> None:
        context = uc.context_save()
        data = ctypes.string_at(context.context.value, uclib.uc_context_size(uc._uch))
        wanted = _ADDRESS.to_bytes(8, "little")
        at = data.find(wanted)
        while at >= 0:
            if at >= _BEFORE and int.from_bytes(data[at - _BEFORE : at - 4], "little") >> 26 == _INSTRUCTION_ABORT:
                found.append(at - _BEFORE)
            at = data.find(wanted, at + 1)
        uc.emu_stop()

    uc.hook_add(UC_HOOK_INTR, fault)
    for register in (_TCR_EL1, _SCTLR_EL1):
        uc.reg_write(UC_ARM64_REG_CP_REG, register)
    uc.emu_start(_ADDRESS, 1, count=1)
    if len(found) != 1:
        raise UsageError("this Unicorn does not tell the syndrome of an abort where others do; 2.1.4 does")
    return found[0]
