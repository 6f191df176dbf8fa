"""Freedoms: where another implementation may differ from the model, each by the rule of specs/ that says why."""

from typing import Final, Protocol

from vgic import Pending
from vgic.layouts import icc
from vgic_tools.judges.model import ISR_EL1
from vgic_tools.judges.pe_places import leaves_beginning
from vgic_tools.judges.protocol import Line, Load, Mrs, Msr, Operation, Outcome, Store
from vgic_tools.machines.qemu_cmdline import GICD_BASE, LOW_REGION

__all__ = ["Freedom", "LateOutputs"]

_FRAME: Final = 0x1_0000
_REDISTRIBUTOR: Final = 0x2_0000
_ICFGR: Final = range(0xC00, 0xD00)
_FIRST_PPI: Final = 16
_FIRST_SPI: Final = 32
_TAKES: Final = (icc.ICC_IAR0_EL1, icc.ICC_IAR1_EL1)
_FINISHES: Final = (icc.ICC_EOIR0_EL1, icc.ICC_EOIR1_EL1, icc.ICC_DIR_EL1)
_SENDS: Final = (icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1)
_NOBODY: Final = -1


class Freedom(Protocol):
    """Sees every operation of a machine, from its start on, and explains those differences that it is about."""

    rule: str
    """Its id in specs/."""

    def explains(self, operation: Operation, told: Outcome, got: Outcome) -> bool:
        """Whether the difference of what the judge came to and the model, if there is one, is this freedom's."""


class LateOutputs:
    """QEMU drives the outputs of other PEs late after a change of trigger that waited.

    A PE may be late once an operation on another PE has changed what it is offered, which nothing but a change of
    trigger that waited makes happen. It is until both agree again, or it writes ICC_PMR_EL1 or goes to another
    Exception level, which drives its outputs; and meanwhile nothing but its outputs may differ.
    """

    rule = "STATE-15"

    def __init__(self) -> None:
        self._changed = False
        """A trigger has been changed."""
        self._late: set[int] = set()
        self._offers: tuple[Pending | None, ...] = ()

    def explains(self, operation: Operation, told: Outcome, got: Outcome) -> bool:
        """Whether nothing but the outputs of a PE that is late differs."""
        if not isinstance(operation, Load | Store | Mrs | Msr):
            self._watch(operation, got)
            return False
        # It goes there before the operation, and comes back after it.
        goes = operation.cpu if leaves_beginning(operation.place) else _NOBODY
        self._late.discard(goes)
        self._watch(operation, got)
        explained = self._is_late(operation, told, got)
        self._late.discard(goes)
        return explained

    def _is_late(self, operation: Load | Store | Mrs | Msr, told: Outcome, got: Outcome) -> bool:
        cpu = operation.cpu
        if told.signals is None:
            return False
        masks = isinstance(operation, Msr) and operation.register == icc.ICC_PMR_EL1
        if masks or told.signals == got.signals:
            self._late.discard(cpu)
        if told.level != got.level:
            return False
        return cpu in self._late and (told[:3] == got[:3] or _reads_outputs(operation))

    def _watch(self, operation: Operation, got: Outcome) -> None:
        """Find out who may be late from now on."""
        offers = got.offers or ()
        before, self._offers = self._offers, offers
        if isinstance(operation, Store) and operation.address % _FRAME in _ICFGR:
            self._changed = True
        if not self._changed or before == offers:
            return
        own = _evaluated(operation, got)
        if own is None:
            return
        sends = isinstance(operation, Msr) and operation.register in _SENDS
        for cpu, (was, now) in enumerate(zip(before, offers, strict=False)):
            arrived = sends and now is not None and now.intid < _FIRST_PPI
            if was != now and cpu != own and not arrived:
                self._late.add(cpu)


def _reads_outputs(operation: Operation) -> bool:
    return isinstance(operation, Mrs) and operation.register == ISR_EL1


def _evaluated(operation: Operation, got: Outcome) -> int | None:
    """The one PE whose outputs an operation drives, or _NOBODY; None where it drives those of all."""
    match operation:
        case Store(_, address):
            if address < LOW_REGION.base:
                return None if address >= GICD_BASE else _NOBODY
            return (address - LOW_REGION.base) // _REDISTRIBUTOR
        case Line(cpu, intid, _):
            return cpu if intid < _FIRST_SPI else None
        case Mrs(cpu, register) if register in _TAKES:
            return cpu if got.value < _FIRST_SPI else None
        case Msr(cpu, register, value) if register in _FINISHES:
            return cpu if value < _FIRST_SPI else None
        case Mrs(cpu) | Msr(cpu):
            return cpu
    return _NOBODY
