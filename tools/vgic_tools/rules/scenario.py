"""What a rule says of a machine that can be asked: operations, and what each of them must come to.

A `Check` is data, written once for all judges: every machine has its frames where QEMU's virt machine has them.
Registers go by Arm's names:

>>> check = Check("DIST-12", steps(put("GICD_ICFGR2", 0xFFFF_FFFF), get("GICD_ICFGR2", 0xAAAA_AAAA)))
>>> check.steps[1].operation
Load(cpu=0, address=134220808, size=4)
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from mmio import RegisterLayout
from vgic.layouts.gicr import RD_BASE, SGI_BASE
from vgic.layouts.gits import CONTROL, TRANSLATION
from vgic_tools.decode.names import find_by_name
from vgic_tools.judges.model import FIQ, IRQ, ISR_EL1
from vgic_tools.judges.protocol import Line, Load, Mrs, Msr, Operation, Outcome, Store
from vgic_tools.machines.qemu_cmdline import GICD_BASE, GITS_BASE, LOW_REGION

__all__ = [
    "Check",
    "Step",
    "Steps",
    "at",
    "get",
    "given",
    "level",
    "memory",
    "mpidr",
    "put",
    "shows",
    "signalled",
    "steps",
    "store",
    "undefined",
]

WHOLE: Final = (1 << 64) - 1
FRAME: Final = 0x1_0000
MPIDR_EL1: Final = 0xC005


class Step(NamedTuple):
    """An operation, and what it must come to where that is judged."""

    operation: Operation
    wanted: int | None = None
    """What must be read, in the bits of the mask; None where any value will do."""
    mask: int = WHOLE
    undefined: bool = False
    """The system register must be UNDEFINED."""
    unless: str = ""
    """The rule cannot be asked where it is otherwise: why."""

    def fits(self, outcome: Outcome) -> bool:
        """Whether the operation came to what it must."""
        if outcome.undefined != self.undefined:
            return False
        return self.wanted is None or not (outcome.value ^ self.wanted) & self.mask


Steps = tuple[Step, ...]


class Check(NamedTuple):
    """What one rule says, as a scenario on a machine that was just reset."""

    rule: str
    steps: Steps
    cpus: int = 2
    its: bool = False
    """The machine has an ITS, and LPIs."""
    of: str = ""
    """The only implementation that the rule is about; empty where it is about all."""


def steps(*parts: Step | Iterable[Step]) -> Steps:
    """Steps one after the other."""
    found: list[Step] = []
    for part in parts:
        found += [part] if isinstance(part, Step) else part
    return tuple(found)


def _place(name: str, of: int) -> tuple[bool, int, int]:
    """Whether a register is a system register, its encoding or address, and its size in bytes."""
    found = find_by_name(name)
    layout, element = found.layout, found.element or 0
    assert isinstance(layout, RegisterLayout)
    if layout.name.startswith("ICC_"):
        return True, layout.offset + element, 8
    if layout in CONTROL or layout in TRANSLATION:
        frame = GITS_BASE + (0 if layout in CONTROL else FRAME)
    elif layout in RD_BASE or layout in SGI_BASE:
        frame = LOW_REGION.base + 2 * FRAME * of + (0 if layout in RD_BASE else FRAME)
    else:
        frame = GICD_BASE
    return False, frame + layout.offset + element * layout.stride, layout.width // 8


def get(
    name: str,
    wanted: int | None = None,
    mask: int = WHOLE,
    *,
    cpu: int = 0,
    of: int | None = None,
    size: int = 0,
    byte: int = 0,
) -> Step:
    """A vCPU reads a register, its own Redistributor's unless `of` another vCPU, or `size` bytes of it."""
    system, place, width = _place(name, cpu if of is None else of)
    operation = Mrs(cpu, place) if system else Load(cpu, place + byte, size or width)
    return Step(operation, wanted, mask)


def put(name: str, value: int, *, cpu: int = 0, of: int | None = None, size: int = 0, byte: int = 0) -> Step:
    """A vCPU writes a register, or a part of it."""
    system, place, width = _place(name, cpu if of is None else of)
    return Step(Msr(cpu, place, value) if system else Store(cpu, place + byte, size or width, value))


def at(frame: str, offset: int, wanted: int | None = None, *, cpu: int = 0, size: int = 4) -> Step:
    """A vCPU reads at an offset of a frame: "GICD", or "GICR" for the first of its own."""
    base = GICD_BASE if frame == "GICD" else LOW_REGION.base + 2 * FRAME * cpu
    return Step(Load(cpu, base + offset, size), wanted)


def memory(address: int, wanted: int | None = None, mask: int = WHOLE, *, cpu: int = 0, size: int = 8) -> Step:
    """A vCPU reads its RAM."""
    return Step(Load(cpu, address, size), wanted, mask)


def store(address: int, value: int, *, cpu: int = 0, size: int = 8) -> Step:
    """A vCPU writes to its RAM, or to a frame."""
    return Step(Store(cpu, address, size, value))


def shows(name: str, *, cpu: int = 0, of: int | None = None, **fields: int) -> Step:
    """A vCPU reads a register whose fields must have these values."""
    layout = find_by_name(name).layout
    wanted, mask = layout.encode(fields) & ~layout.ones, 0
    for field in fields:
        mask |= layout.mask(field)
    return get(name, wanted, mask, cpu=cpu, of=of)


def given(step: Step, unless: str) -> Step:
    """What must be so for the rule to say anything; where it is not, it cannot be asked, and why."""
    return step._replace(unless=unless)


def signalled(cpu: int = 0, *, irq: bool = False, fiq: bool = False) -> Step:
    """What a vCPU is signalled now."""
    return Step(Mrs(cpu, ISR_EL1), irq * IRQ | fiq * FIQ, IRQ | FIQ)


def level(intid: int, high: bool, cpu: int = 0) -> Step:
    """The input line of an SPI, or of a PPI of a vCPU, goes up or down."""
    return Step(Line(cpu, intid, high))


def undefined(step: Step) -> Step:
    """The access must be UNDEFINED."""
    return step._replace(undefined=True, wanted=None)


def mpidr(wanted: int, mask: int, cpu: int = 0) -> Step:
    """A vCPU reads its MPIDR_EL1."""
    return Step(Mrs(cpu, MPIDR_EL1), wanted, mask)
