"""The loops that QEMU's guest repeats, as operations: the same on every design, from the same state.

Their machine is QEMU's virt with one vCPU. A loop reads the same each time, which tells whether the design really
does what it is timed for.
"""

import tempfile
from pathlib import Path
from typing import Final, NamedTuple

import vgic
from vgic_tools.bench.core_loop import LINE, NOTHING, READ, SYSREG_READ, SYSREG_WRITE, WRITE
from vgic_tools.bench.machines import GICD, RD_BASE, SGI_BASE
from vgic_tools.bench.operations import Operation
from vgic_tools.machines.qemu_cmdline import config_from_qemu_cmdline

__all__ = ["EMPTY_LOOP", "LOOPS", "QEMU", "QEMU_MACHINE", "READY", "Loop", "loop_machine"]

QEMU: Final = "qemu-system-aarch64"
QEMU_MACHINE: Final = "-machine virt,gic-version=3,its=off -cpu cortex-a57 -smp 1"

TIMER_PPI: Final = 27
"""Of the virtual timer."""


class Loop(NamedTuple):
    """What is repeated."""

    name: str
    letter: str
    """What the guest (yardstick/guest.S) calls it."""
    operations: tuple[Operation, ...]
    before: tuple[Operation, ...] = ()
    """What makes the machine ready for it."""


def _sysreg(register: int, value: int | None = None) -> Operation:
    if value is None:
        return Operation(SYSREG_READ, 0, register, 8)
    return Operation(SYSREG_WRITE, 0, register, 8, value)


def _take(intid: int) -> tuple[Operation, ...]:
    return _sysreg(vgic.ICC_IAR1_EL1), _sysreg(vgic.ICC_EOIR1_EL1, intid)


READY: Final = (
    Operation(WRITE, 0, GICD, 4, 0b11),
    Operation(WRITE, 0, RD_BASE + SGI_BASE + 0x80, 4, 0xFFFF_FFFF),
    Operation(WRITE, 0, RD_BASE + SGI_BASE + 0x100, 4, 1 | 1 << TIMER_PPI),
    _sysreg(vgic.ICC_PMR_EL1, 0xF8),
    _sysreg(vgic.ICC_IGRPEN1_EL1, 1),
)
"""What the guest does first."""

EMPTY_LOOP: Final = Loop("empty loop", "e", (Operation(NOTHING, 0, 0),))
"""What repeating costs by itself: the times of the others are net of it."""

LOOPS: Final = (
    Loop("GICD_CTLR read", "d", (Operation(READ, 0, GICD, 4),)),
    Loop("GICR_TYPER read", "r", (Operation(READ, 0, RD_BASE + 8, 8),)),
    Loop("ICC_PMR read", "m", (_sysreg(vgic.ICC_PMR_EL1),)),
    Loop("ICC_PMR write", "w", (_sysreg(vgic.ICC_PMR_EL1, 0xF8),)),
    Loop(
        # The line of the virtual timer stays high, so the interrupt is pending again once it has ended.
        "IAR1 + EOIR1",
        "t",
        _take(TIMER_PPI),
        (Operation(LINE, 0, TIMER_PPI, 0, 1),),
    ),
    Loop("SGI to self + IAR1 + EOIR1", "s", (_sysreg(vgic.ICC_SGI1R_EL1, 1), *_take(0))),
)


def loop_machine() -> vgic.Config:
    """The model of the machine that the guest runs on."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "cmd.txt")
        path.write_text(f"{QEMU} {QEMU_MACHINE}")
        return config_from_qemu_cmdline(path)
