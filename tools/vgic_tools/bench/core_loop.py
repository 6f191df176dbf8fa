"""Operations performed by a loop inside the core: compiled with it, as QEMU's and C's loops are with theirs.

Called from Python, what an operation costs is mostly the call.
"""

from typing import Final

from vgic.gic import Gic

__all__ = ["LINE", "NOTHING", "READ", "SYSREG_READ", "SYSREG_WRITE", "WRITE", "perform_in_core"]

READ: Final = 0
WRITE: Final = 1
SYSREG_READ: Final = 2
SYSREG_WRITE: Final = 3
LINE: Final = 4
NOTHING: Final = 5


def perform_in_core(gic: Gic, operations: list[tuple[int, int, int, int, int]]) -> list[int]:
    """Perform operations (see `operations.Operation`); what each one reads, 0 for the others."""
    results: list[int] = []
    for kind, cpu, where, size, value in operations:
        result = 0
        if kind == READ:
            result = gic.read(where, size)
        elif kind == WRITE:
            gic.write(where, size, value)
        elif kind == SYSREG_READ:
            result = gic.sysreg_read(cpu, where)
        elif kind == SYSREG_WRITE:
            gic.sysreg_write(cpu, where, value)
        elif kind == LINE:
            gic.interrupt(cpu, where).set_level(value != 0)
        results.append(result)
    return results
