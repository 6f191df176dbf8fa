"""The registers of a Unicorn engine: which there are, and how to reach several at once."""

import ctypes
from collections.abc import Sequence
from typing import Final, TypeAlias

from unicorn import Uc
from unicorn.arm64_const import (
    UC_ARM64_REG_CP_REG,
    UC_ARM64_REG_X0,
    UC_ARM64_REG_X29,
    UC_ARM64_REG_X30,
)
from unicorn.unicorn_py3.arch.arm64 import UcRegCP64
from unicorn.unicorn_py3.unicorn import uclib

__all__ = [
    "CNTHCTL_EL2",
    "HCR_EL2",
    "MIDR_EL1",
    "SCR_EL3",
    "SCTLR_EL1",
    "SPSR_EL1",
    "SP_EL0",
    "SP_EL1",
    "VMPIDR_EL2",
    "VPIDR_EL2",
    "Registers",
    "SystemRegister",
    "general_purpose",
]

SystemRegister: TypeAlias = tuple[int, int, int, int, int]
"""(CRn, CRm, op0, op1, op2): the order in which Unicorn has them."""

# Registers that have no number of their own in Unicorn.
SPSR_EL1: Final[SystemRegister] = (4, 0, 3, 0, 0)
SP_EL0: Final[SystemRegister] = (4, 1, 3, 0, 0)
SP_EL1: Final[SystemRegister] = (4, 1, 3, 4, 0)
SCR_EL3: Final[SystemRegister] = (1, 1, 3, 6, 0)
HCR_EL2: Final[SystemRegister] = (1, 1, 3, 4, 0)
VPIDR_EL2: Final[SystemRegister] = (0, 0, 3, 4, 0)
VMPIDR_EL2: Final[SystemRegister] = (0, 0, 3, 4, 5)
CNTHCTL_EL2: Final[SystemRegister] = (14, 1, 3, 4, 0)
MIDR_EL1: Final[SystemRegister] = (0, 0, 3, 0, 0)
SCTLR_EL1: Final[SystemRegister] = (1, 0, 3, 0, 0)


class Registers:
    """Some registers of an engine, read or written all at once: quicker than one by one through `Uc`.

    Each is a number of Unicorn's, or (CRn, CRm, op0, op1, op2). `values` are what was read, or is to be written:
    objects with a `value` of 64 bits.
    """

    def __init__(self, uc: Uc, registers: Sequence[int | SystemRegister]) -> None:
        self._engine = uc._uch
        self._count = len(registers)
        self._numbers = (ctypes.c_int * self._count)()
        self._places = (ctypes.c_void_p * self._count)()
        self._held: list[object] = []
        self.values: list[ctypes.c_uint64] = []
        for at, register in enumerate(registers):
            if isinstance(register, int):
                self._numbers[at], value = register, ctypes.c_uint64()
                self._places[at] = ctypes.addressof(value)
            else:
                whole = UcRegCP64(*register)
                self._numbers[at], value = (
                    UC_ARM64_REG_CP_REG,
                    ctypes.c_uint64.from_buffer(whole, UcRegCP64.val.offset),
                )
                self._places[at] = ctypes.addressof(whole)
                self._held.append(whole)
            self.values.append(value)

    def read(self) -> list[ctypes.c_uint64]:
        """Read all; the result is `values`."""
        uclib.uc_reg_read_batch(self._engine, self._numbers, self._places, self._count)
        return self.values

    def write(self) -> None:
        """Write all, in their order."""
        uclib.uc_reg_write_batch(self._engine, self._numbers, self._places, self._count)


def general_purpose(number: int) -> int:
    """Unicorn's number of X0 to X30."""
    return (
        int(UC_ARM64_REG_X0) + number
        if number < 29
        else (int(UC_ARM64_REG_X29), int(UC_ARM64_REG_X30))[number - 29]
    )
