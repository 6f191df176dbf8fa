"""What single accesses cost an embedder: operations called from Python, one by one."""

from collections.abc import Callable
from typing import Final, NamedTuple

import vgic
from vgic_tools.bench.machines import GICD, RD_BASE, awake_machine

__all__ = ["EMPTY", "READ_CALLED", "SGI_CYCLE", "Case", "cases", "cycle"]

EMPTY: Final = "empty method call"
READ_CALLED: Final = "GICD_CTLR read"
SGI_CYCLE: Final = "SGI to self + IAR1 + EOIR1, 4 vCPUs"

ENABLE1: Final = GICD + 0x104
PEND1: Final = GICD + 0x204
UNPEND1: Final = GICD + 0x284
ROUTE32: Final = GICD + 0x6100


class Case(NamedTuple):
    """Something to time: `run` does it as often as it is told."""

    name: str
    run: Callable[[int], None]


class _Empty:
    def method(self) -> None:
        """Nothing."""


def cycle(gic: vgic.Gic, value: int, targets: list[int]) -> Callable[[int], None]:
    """Send an SGI by writing `value`, and take and end it at each of `targets`."""

    def run(calls: int) -> None:
        for _ in range(calls):
            gic.sysreg_write(0, vgic.ICC_SGI1R_EL1, value)
            for cpu in targets:
                gic.sysreg_write(cpu, vgic.ICC_EOIR1_EL1, gic.sysreg_read(cpu, vgic.ICC_IAR1_EL1))

    return run


def cases() -> list[Case]:
    """Every case, the empty method call first."""
    empty = _Empty()
    small, large = awake_machine(4), awake_machine(512)

    def read(gic: vgic.Gic, address: int, size: int) -> Callable[[int], None]:
        def run(calls: int) -> None:
            for _ in range(calls):
                gic.read(address, size)

        return run

    def write(gic: vgic.Gic, address: int, size: int, *values: int) -> Callable[[int], None]:
        def run(calls: int) -> None:
            for _ in range(calls // len(values)):
                for value in values:
                    gic.write(address, size, value)

        return run

    def nothing(calls: int) -> None:
        for _ in range(calls):
            empty.method()

    def pend(calls: int) -> None:
        for _ in range(calls // 2):
            small.write(PEND1, 4, 1)
            small.write(UNPEND1, 4, 1)

    def line(calls: int) -> None:
        spi = small.spi(40)
        for _ in range(calls // 2):
            spi.set_level(True)
            spi.set_level(False)

    def spurious(calls: int) -> None:
        for _ in range(calls):
            small.sysreg_read(0, vgic.ICC_IAR1_EL1)

    def pmr(calls: int) -> None:
        for _ in range(calls // 2):
            small.sysreg_write(0, vgic.ICC_PMR_EL1, 0x80)
            small.sysreg_write(0, vgic.ICC_PMR_EL1, 0xF8)

    return [
        Case(EMPTY, nothing),
        Case(READ_CALLED, read(small, GICD, 4)),
        Case("GICR_TYPER read, 64 bits", read(small, RD_BASE + 8, 8)),
        Case("hole read", read(small, GICD + 0xE000, 4)),
        Case("GICD_ISENABLER write, nothing changes", write(small, ENABLE1, 4, 0xFFFF_FFFF)),
        Case("GICD_IPRIORITYR write, one byte", write(small, GICD + 0x420, 1, 0xA0, 0x80)),
        Case("GICD_IROUTER write, 64 bits", write(small, ROUTE32, 8, 1, 2)),
        Case("GICD_ISPENDR or ICPENDR write", pend),
        Case("SPI line change", line),
        Case("ICC_PMR write", pmr),
        Case("ICC_IAR1 read, spurious", spurious),
        Case(SGI_CYCLE, cycle(small, 1, [0])),
        Case("SGI to self + IAR1 + EOIR1, 512 vCPUs", cycle(large, 1, [0])),
        Case("SGI to 16 + their IAR1 + EOIR1, 512 vCPUs", cycle(large, 0xFFFF, list(range(16)))),
    ]
