"""Operations performed by a loop inside the core: compiled with it, as QEMU's and C's loops are with theirs.

Called from Python, what an operation costs is mostly the call.
"""

from typing import Final

from mypy_extensions import i64

from vgic.gic import Gic
from vgic.handles import Interrupt

__all__ = ["LINE", "NOTHING", "READ", "SYSREG_READ", "SYSREG_WRITE", "WRITE", "Step", "perform_in_core"]

READ: Final = 0
WRITE: Final = 1
SYSREG_READ: Final = 2
SYSREG_WRITE: Final = 3
LINE: Final = 4
NOTHING: Final = 5


class Step:
    """An operation as the loop takes it, so that to take it apart costs next to nothing, as in C's loop."""

    __slots__ = ("cpu", "kind", "size", "value", "where")

    def __init__(self, kind: i64, cpu: i64, where: int, size: int, value: int) -> None:
        self.kind = kind
        self.cpu = cpu
        self.where = where
        self.size = size
        self.value = value


def perform_in_core(
    gic: Gic,
    steps: list[Step],
    lines: list[Interrupt],
    results: list[int] | None = None,
) -> int:
    """Perform operations as `operations.prepare` makes them; all that they read, ORed together.

    A device holds on to its line, so where a LINE goes is its place in `lines`.
    `results` gets what each one reads, 0 for those that read nothing. To keep a number is to make an object of it,
    which can cost as much as the access: nothing is kept while it is timed.
    """
    found = 0
    for step in steps:
        kind, result = step.kind, 0
        if kind == READ:
            result = gic.read(step.where, step.size)
        elif kind == WRITE:
            gic.write(step.where, step.size, step.value)
        elif kind == SYSREG_READ:
            result = gic.sysreg_read(step.cpu, step.where)
        elif kind == SYSREG_WRITE:
            gic.sysreg_write(step.cpu, step.where, step.value)
        elif kind == LINE:
            lines[step.where].set_level(step.value != 0)
        found |= result
        if results is not None:
            results.append(result)
    return found
