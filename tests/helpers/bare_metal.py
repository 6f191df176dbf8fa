"""Programs of a bare-metal guest: GIC operations of several PEs, one after the other, which QEMU runs and traces.

The program is straight-line machine code at EL1 with the MMU off and interrupts masked. Each PE has its own, and
they take turns: before its next operations a PE waits until a word in RAM says that it is its turn. An instruction
that is undefined is stepped over. The first PE starts the others by PSCI, and switches the machine off at the end.
"""

import subprocess
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final, NamedTuple

from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.qtest import TIMEOUT

EVENTS: Final = ("gicv3_*", "guest_cpu_reset")

_CODE: Final = 0x4100_0000
_CODE_OF_ONE: Final = 0x10_0000
_TURN: Final = 0x4070_0000
_VECTORS: Final = 0x4080_0000
_PSCI_OFF: Final = 0x8400_0008
_PSCI_ON: Final = 0xC400_0003
_VBAR_EL1: Final = 0xC600

# Words of machine code; registers are x0 and so on.
_HVC: Final = 0xD400_0002
_YIELD: Final = 0xD503_203F
_LOADS: Final = {1: 0x3940_0020, 2: 0x7940_0020, 4: 0xB940_0020, 8: 0xF940_0020}
"""Load x0 from where x1 points, by size."""
_STORES: Final = {1: 0x3900_0020, 2: 0x7900_0020, 4: 0xB900_0020, 8: 0xF900_0020}
# mrs x9, elr_el1; add x9, x9, #4; msr elr_el1, x9; eret
_STEP_OVER: Final = (0xD538_4029, 0x9100_1129, 0xD518_4029, 0xD69F_03E0)


class Load(NamedTuple):
    """A load of `size` bytes by a PE, counted from 0."""

    cpu: int
    address: int
    size: int = 4


class Store(NamedTuple):
    """A store."""

    cpu: int
    address: int
    value: int
    size: int = 4


class Mrs(NamedTuple):
    """A read of a system register, by its encoding, as in `vgic.layouts.icc`."""

    cpu: int
    register: int


class Msr(NamedTuple):
    """A write."""

    cpu: int
    register: int
    value: int


Operation = Load | Store | Mrs | Msr


def run(
    operations: Iterable[Operation], arguments: Sequence[str], affinities: Sequence[int], directory: Path
) -> Path:
    """Have QEMU, started with these arguments, perform the operations; the trace of what its GIC did.

    `affinities` are those of the PEs, packed.
    """
    directory.mkdir(exist_ok=True)
    images = {_VECTORS + 0x200: list(_STEP_OVER)}
    for cpu, code in enumerate(_programs(list(operations), affinities)):
        assert 4 * len(code) <= _CODE_OF_ONE
        images[_CODE + cpu * _CODE_OF_ONE] = code
    trace = directory / "trace.log"
    command = [QEMU, *arguments, "-m", "64", "-accel", "tcg,thread=single", "-nodefaults", "-display", "none"]
    command += ["-serial", "null", "-D", str(trace)]
    for event in EVENTS:
        command += ["-trace", event]
    for address, code in images.items():
        image = directory / f"{address:x}.bin"
        image.write_bytes(b"".join(word.to_bytes(4, "little") for word in code))
        command += ["-device", f"loader,file={image},addr={address:#x},force-raw=on"]
    command += ["-device", f"loader,addr={_CODE:#x},cpu-num=0"]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=True)
    return trace


def _programs(operations: Sequence[Operation], affinities: Sequence[int]) -> list[list[int]]:
    """The machine code of each PE."""
    codes: list[list[int]] = [[*_set(0, _VECTORS), _msr(_VBAR_EL1), *_set(20, _TURN)] for _ in affinities]
    for cpu, packed in enumerate(affinities[1:], 1):
        mpidr = packed & 0xFF_FFFF | packed >> 24 << 32
        start = _CODE + cpu * _CODE_OF_ONE
        codes[0] += [*_set(0, _PSCI_ON), *_set(1, mpidr), *_set(2, start), *_set(3, 0), _HVC]
    turns = [(cpu, list(group)) for cpu, group in groupby(operations, lambda operation: operation.cpu)]
    turns.append((0, []))
    for turn, (cpu, group) in enumerate(turns):
        code = codes[cpu]
        # ldr w3, [x20]; cmp w3, w4; b.eq to the operations; yield; b to the load
        code += [*_set(4, turn), 0xB940_0283, 0x6B04_007F, 0x5400_0060, _YIELD, 0x17FF_FFFC]
        for operation in group:
            code += _instructions(operation)
        code += [*_set(4, turn + 1), 0xB900_0284]
    codes[0] += [*_set(0, _PSCI_OFF), _HVC]
    for code in codes:
        code.append(0x1400_0000)
    return codes


def _instructions(operation: Operation) -> list[int]:
    match operation:
        case Load(_, address, size):
            return [*_set(1, address), _LOADS[size]]
        case Store(_, address, value, size):
            return [*_set(1, address), *_set(0, value), _STORES[size]]
        case Mrs(_, register):
            return [0xD520_0000 | register << 5]
        case Msr(_, register, value):
            return [*_set(0, value), _msr(register)]


def _set(register: int, value: int) -> list[int]:
    """Give a register a value, 64 bits: movz, and movk for the rest."""
    code = [0xD280_0000 | (value & 0xFFFF) << 5 | register]
    for half in (1, 2, 3):
        bits = value >> 16 * half & 0xFFFF
        if bits:
            code.append(0xF280_0000 | half << 21 | bits << 5 | register)
    return code


def _msr(register: int) -> int:
    """Write x0 to a system register."""
    return 0xD500_0000 | register << 5
