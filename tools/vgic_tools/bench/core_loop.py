"""Operations performed by a loop inside the core: compiled with it, as QEMU's and C's loops are with theirs.

Called from Python, what an operation costs is mostly the call.
"""

from typing import Final

from vgic.gic import Gic
from vgic.views import Interrupt

__all__ = ["LINE", "NOTHING", "READ", "SYSREG_READ", "SYSREG_WRITE", "WRITE", "perform_in_core"]

READ: Final = 0
WRITE: Final = 1
SYSREG_READ: Final = 2
SYSREG_WRITE: Final = 3
LINE: Final = 4
NOTHING: Final = 5


def perform_in_core(
    gic: Gic,
    operations: list[tuple[int, int, int, int, int]],
    lines: list[Interrupt],
    results: list[int] | None = None,
) -> int:
    """Perform operations as `operations.prepare` makes them; all that they read, ORed together.

    A device holds on to its line, so where a LINE goes is its place in `lines`.
    `results` gets what each one reads, 0 for those that read nothing. To keep a number is to make an object of it,
    which can cost as much as the access: nothing is kept while it is timed.
    """
    found = 0
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
            lines[where].set_level(value != 0)
        found |= result
        if results is not None:
            results.append(result)
    return found
