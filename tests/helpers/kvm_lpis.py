"""Programs for two vCPUs with an LPI at vCPU 0: what they take, on a live KVM and in the model alike.

Some are about what KVM overlooks (STATE-17), some about an LPI that a vCPU has taken and not ended (KVM-74).
"""

from collections.abc import Callable
from typing import Final

import vgic
from vgic_tools.compare import command_words as its
from vgic_tools.judges.guest import Kind, Result, mrs, msr, read, write
from vgic_tools.judges.kvm_guest import GICD_BASE, GICR_BASE, ITS_BASE, TABLES, GuestStep, Step
from vgic_tools.judges.protocol import Message, Poke

__all__ = ["LPI", "NONE", "OVERLOOKED", "TAKEN", "taken"]

LPI: Final = 8192
NONE: Final = 1023
CONFIGURATION, QUEUE, DEVICE_TABLE, COLLECTION_TABLE, ITT, PENDING = (TABLES + 0x1_0000 * n for n in range(6))
ENABLED, DISABLED = 0x81, 0x80


class _Driver:
    """Makes the steps of a program; event n of device 0 is LPI 8192 + n."""

    def __init__(self) -> None:
        self.written = 0

    def preparation(self) -> list[Step]:
        """Both vCPUs take interrupts, collection n goes to vCPU n, and two events to collection 0."""
        steps: list[Step] = [_distributor(2), Poke(CONFIGURATION, bytes([ENABLED, ENABLED]))]
        for cpu in range(2):
            frame = GICR_BASE + 0x2_0000 * cpu
            steps += [
                GuestStep(cpu, msr(vgic.ICC_PMR_EL1, 0xF8)),
                GuestStep(cpu, msr(vgic.ICC_IGRPEN1_EL1, 1)),
                GuestStep(cpu, write(frame + 0x70, 8, CONFIGURATION | 13)),
                GuestStep(cpu, write(frame + 0x78, 8, PENDING + 0x1_0000 * cpu)),
                GuestStep(cpu, write(frame, 4, 1)),
            ]
        bases = ((0x80, QUEUE), (0x100, DEVICE_TABLE), (0x108, COLLECTION_TABLE))
        steps += [GuestStep(0, write(ITS_BASE + offset, 8, its.VALID | base)) for offset, base in bases]
        steps.append(GuestStep(0, write(ITS_BASE, 4, 1)))
        steps += self.does(its.mapc(0, 0), its.mapc(1, 1), its.mapd(0, 5, ITT))
        return [*steps, *self.does(its.mapti(0, 0, LPI, 0), its.mapti(0, 1, LPI + 1, 0)), *LOOKS]

    def does(self, *commands: bytes) -> list[Step]:
        """Commands, and every vCPU leaves its guest."""
        steps: list[Step] = []
        for command in commands:
            steps.append(Poke(QUEUE + self.written, command))
            self.written += its.SIZE
            steps.append(GuestStep(0, write(ITS_BASE + 0x88, 8, self.written)))
        return [*steps, *LOOKS]

    def configured(self, byte: int, event: int = 0) -> list[Step]:
        """The configuration of an LPI, which the ITS is told of."""
        return [Poke(CONFIGURATION + event, bytes([byte])), *self.does(its.on_event(its.INV, 0, event))]


def _distributor(value: int) -> Step:
    return GuestStep(0, write(GICD_BASE, 4, value))


def _take(cpu: int = 0) -> Step:
    return GuestStep(cpu, mrs(vgic.ICC_IAR1_EL1))


def _end(intid: int = LPI) -> Step:
    return GuestStep(0, msr(vgic.ICC_EOIR1_EL1, intid))


LOOKS: Final[list[Step]] = [GuestStep(cpu, read(GICD_BASE, 4)) for cpu in range(2)]
MESSAGE: Final = [Message(0, 0), *LOOKS]
OFF: Final = [_distributor(0), *LOOKS]
ON: Final = [_distributor(2), *LOOKS]
AT_BOTH: Final = [_take(0), _take(1)]
AGAIN: Final = [*OFF, *MESSAGE, *ON]
"""An LPI is overlooked."""

Program = Callable[[_Driver], list[Step]]

OVERLOOKED: Final[dict[str, tuple[Program, list[int]]]] = {
    "arrives-while-disabled": (lambda of: [*AGAIN, _take()], [NONE]),
    "pending-before": (lambda of: [*MESSAGE, *OFF, *ON, _take()], [NONE]),
    "invalidated-while-disabled": (
        lambda of: [*OFF, *MESSAGE, *of.does(its.on_event(its.INV, 0, 0)), *ON, _take()],
        [NONE],
    ),
    "another-is-noticed": (
        lambda of: [*OFF, *MESSAGE, Message(0, 1), *ON, Message(0, 1), *LOOKS, _take(), _take()],
        [LPI + 1, NONE],
    ),
    "message": (lambda of: [*AGAIN, *MESSAGE, _take()], [LPI]),
    "INT": (lambda of: [*AGAIN, *of.does(its.on_event(its.INT, 0, 0)), _take()], [LPI]),
    "INV": (lambda of: [*AGAIN, *of.does(its.on_event(its.INV, 0, 0)), _take()], [LPI]),
    "INV-of-another": (lambda of: [*AGAIN, *of.does(its.on_event(its.INV, 0, 1)), _take()], [NONE]),
    "INVALL": (lambda of: [*AGAIN, *of.does(its.invall(0)), _take()], [LPI]),
    "MOVI": (lambda of: [*AGAIN, *of.does(its.movi(0, 0, 1)), *AT_BOTH], [NONE, NONE]),
    "MAPC": (lambda of: [*AGAIN, *of.does(its.mapc(0, 1)), *AT_BOTH], [NONE, NONE]),
    "MOVALL": (lambda of: [*AGAIN, *of.does(its.movall(0, 1)), *AT_BOTH], [NONE, NONE]),
    "mapped-anew": (
        lambda of: [*AGAIN, *of.does(its.on_event(its.DISCARD, 0, 0), its.mapti(0, 0, LPI, 0)), _take()],
        [NONE],
    ),
    "not-enabled-then": (
        lambda of: [*of.configured(DISABLED), *MESSAGE, *OFF, *ON, *of.configured(ENABLED), _take()],
        [LPI],
    ),
}
"""What happens, and what is taken."""

TAKEN: Final[dict[str, tuple[Program, list[int], list[int]]]] = {
    "ended": (
        lambda of: [*MESSAGE, _take(), *MESSAGE, _take(), _end(), _take()],
        [LPI, NONE, LPI],
        [LPI, NONE, LPI],
    ),
    "arrives-and-moves": (
        lambda of: [*MESSAGE, _take(), *MESSAGE, *of.does(its.movi(0, 0, 1)), _take(1), _end(), *LOOKS, _take(1)],
        [LPI, NONE, LPI],
        [LPI, LPI, NONE],
    ),
    "moves-and-arrives": (
        lambda of: [*MESSAGE, _take(), *of.does(its.movi(0, 0, 1)), *MESSAGE, _take(1), _end(), *LOOKS, _take(1)],
        [LPI, NONE, LPI],
        [LPI, LPI, NONE],
    ),
    "disabled-meanwhile": (
        lambda of: [*MESSAGE, _take(), *MESSAGE, *of.configured(DISABLED), _end(), *LOOKS, _take()],
        [LPI, NONE],
        [LPI, NONE],
    ),
    "ended-as-another": (
        lambda of: [*MESSAGE, _take(), _end(0), *MESSAGE, _end(), _take(), _end(), *LOOKS, _take()],
        [LPI, NONE, NONE],
        [LPI, LPI, NONE],
    ),
    "the-distributor-off-and-on": (
        lambda of: [*MESSAGE, _take(), *MESSAGE, *OFF, *ON, _end(), *LOOKS, _take()],
        [LPI, LPI],
        [LPI, NONE],
    ),
}
"""What happens; what is taken where LPIs can be active, and elsewhere."""


def taken(program: Program, performed: Callable[[list[Step]], list[Result | None]]) -> list[int]:
    """What a program takes on a machine with two vCPUs and an ITS."""
    driver = _Driver()
    performed(driver.preparation())
    steps = program(driver)
    results = zip(steps, performed(steps), strict=True)
    return [
        result.value
        for step, result in results
        if isinstance(step, GuestStep) and step.operation.kind is Kind.MRS and result is not None
    ]
