"""PSCI, the calls with which a guest turns CPUs and the machine on and off.

Arm DEN 0022 (PSCI 1.1): ids, arguments and return values are *known* from there. Calls come by HVC or SMC, as the
device tree says; what is not here is answered with NOT_SUPPORTED.
"""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import Final

from vgic_tools.guests.seams import Power, PsciResult

__all__ = ["Function", "Psci", "Status"]


class Function(IntEnum):
    """The calls, by the id of their 32-bit form."""

    SMCCC_VERSION = 0x8000_0000
    """Of Arm's calling convention (DEN 0028), which is asked for by PSCI_FEATURES."""
    PSCI_VERSION = 0x8400_0000
    CPU_SUSPEND = 0x8400_0001
    CPU_OFF = 0x8400_0002
    CPU_ON = 0x8400_0003
    AFFINITY_INFO = 0x8400_0004
    MIGRATE_INFO_TYPE = 0x8400_0006
    SYSTEM_OFF = 0x8400_0008
    SYSTEM_RESET = 0x8400_0009
    PSCI_FEATURES = 0x8400_000A


class Status(IntEnum):
    """What a call returns, apart from values of its own."""

    SUCCESS = 0
    NOT_SUPPORTED = -1
    INVALID_PARAMETERS = -2
    ALREADY_ON = -4


_SMC64: Final = 0x4000_0000
"""Set in the ids of the calls whose arguments have 64 bits."""
_HAVE_SMC64: Final = frozenset({Function.CPU_SUSPEND, Function.CPU_ON, Function.AFFINITY_INFO})

_VERSION_1_1: Final = 1 << 16 | 1
_NO_MIGRATION: Final = 2
"""There is no Trusted OS that would have to be moved."""
_ON, _OFF = 0, 1

_AFFINITY: Final = 0xFF_00FF_FFFF
"""Aff3 to Aff0 as MPIDR_EL1 has them: the other bits of a target are zero."""
_32_BITS: Final = 0xFFFF_FFFF
_64_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF


class Psci:
    """The firmware's side.

    `find` gives the CPU that has an affinity as MPIDR_EL1 shows it (64 bits), None where there is nobody.
    """

    def __init__(self, power: Power, find: Callable[[int], int | None]) -> None:
        self._power = power
        self._find = find

    def handle(self, cpu: int, function: int, arguments: Sequence[int]) -> PsciResult:
        """The call of `cpu` with this W0, and X1 to X3 as `arguments` (64 bits each)."""
        wide = function & _SMC64 != 0
        try:
            called = Function(function & _32_BITS & ~_SMC64)
        except ValueError:
            return _returned(Status.NOT_SUPPORTED)
        if wide and called not in _HAVE_SMC64:
            return _returned(Status.NOT_SUPPORTED)
        target, second, third = (value & (_64_BITS if wide else _32_BITS) for value in arguments)
        match called:
            case Function.PSCI_VERSION | Function.SMCCC_VERSION:
                return _returned(_VERSION_1_1)
            case Function.CPU_SUSPEND:
                # As after a standby that an interrupt ends at once: the guest looks for one, or suspends again.
                return _returned(Status.SUCCESS)
            case Function.CPU_ON:
                return _returned(self._turn_on(target, second, third))
            case Function.AFFINITY_INFO:
                return _returned(self._affinity_info(target, second))
            case Function.MIGRATE_INFO_TYPE:
                return _returned(_NO_MIGRATION)
            case Function.PSCI_FEATURES:
                return _returned(_features(target))
            case Function.CPU_OFF:
                self._power.turn_off(cpu)
            case Function.SYSTEM_OFF:
                self._power.system_off()
            case Function.SYSTEM_RESET:
                self._power.system_reset()
        return PsciResult(Status.SUCCESS, returns=False)

    def _turn_on(self, target: int, entry: int, context: int) -> int:
        cpu = self._find(target) if not target & ~_AFFINITY else None
        if cpu is None:
            return Status.INVALID_PARAMETERS
        if self._power.is_on(cpu):
            return Status.ALREADY_ON
        self._power.turn_on(cpu, entry, context)
        return Status.SUCCESS

    def _affinity_info(self, target: int, lowest_level: int) -> int:
        """Only of single CPUs: level 0. PSCI 1.0 made the others optional."""
        cpu = self._find(target) if not (target & ~_AFFINITY or lowest_level) else None
        if cpu is None:
            return Status.INVALID_PARAMETERS
        return _ON if self._power.is_on(cpu) else _OFF


def _features(function: int) -> int:
    """Whether a call is there; of CPU_SUSPEND also its flags, which are none."""
    name = function & ~_SMC64
    known = name in set(Function) and (not function & _SMC64 or name in _HAVE_SMC64)
    return Status.SUCCESS if known else Status.NOT_SUPPORTED


def _returned(value: int) -> PsciResult:
    return PsciResult(value & _64_BITS)
