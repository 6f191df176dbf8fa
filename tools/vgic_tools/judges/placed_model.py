"""The model beside a judge whose PEs go from place to place: it is told where each of them is."""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

import vgic
from vgic.cpu_interface.pe_state import PeState
from vgic_tools.judges import pe_places
from vgic_tools.judges.model import ISR_EL1, ModelJudge
from vgic_tools.judges.pe_places import interrupted_to, trapped_to
from vgic_tools.judges.protocol import Load, Machine, Mrs, Msr, Operation, Outcome, Store

__all__ = ["PlacedModel"]

_EL3: Final = 3
_OP1_OF_EL2: Final = 4
"""Of its registers' encodings."""

_state_of = lru_cache(None)(pe_places.state_of)


class PlacedModel(ModelJudge):
    """A `vgic.Gic` with PEs that trap, and take interrupts that are not masked, as `pe_places` says.

    Operations of vCPUs without a place are performed where a machine with EL3 begins: there, Secure.
    """

    def __init__(self, configure: Callable[[Machine], vgic.Config]) -> None:
        super().__init__(configure)
        self._beginning = pe_places.place_of(PeState(el=_EL3, secure=True))

    def perform_one(self, operation: Operation) -> Outcome:
        """What one operation comes to."""
        if not isinstance(operation, Load | Store | Mrs | Msr):
            return super().perform_one(operation)
        cpu, place = operation.cpu, operation.place or self._beginning
        self.gic.set_pe_state(cpu, _state_of(place))
        level = interrupted_to(place, self._signals(cpu))
        if not level and isinstance(operation, Mrs | Msr) and self._is_defined(operation):
            level = trapped_to(place, operation.register)
        if level:
            offers = tuple([self.gic.highest_pending(cpu) for cpu in self._cpus])
            return Outcome(signals=self._signals(cpu), offers=offers, level=level)
        return super().perform_one(operation)

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        super().start(machine)
        self._has_el2 = machine.virtualization

    def _lacks(self, register: int) -> bool:
        """A register of EL2 reads as zero at EL3 of a PE that has no EL2."""
        return not self._has_el2 and register >> 11 & 7 == _OP1_OF_EL2

    def _is_defined(self, operation: Mrs | Msr) -> bool:
        """What is UNDEFINED is so before it can be trapped."""
        return self.gic.sysreg_defined(operation.register, isinstance(operation, Msr), operation.cpu)

    def _act(self, operation: Operation) -> tuple[int, bool]:
        if not isinstance(operation, Load | Store | Mrs | Msr):
            return super()._act(operation)
        gic, state = self.gic, _state_of(operation.place or self._beginning)
        secure = state.secure or state.el == _EL3
        match operation:
            case Load(cpu, address, size):
                return gic.read(address, size, cpu, secure), False
            case Store(cpu, address, size, value):
                gic.write(address, size, value, cpu, secure)
                return 0, False
            case Mrs(cpu, register):
                if register == ISR_EL1:
                    return self._signals(cpu), False
                read = gic.mrs(cpu, register, secure)
                if read is None:
                    return 0, True
                return (0 if self._lacks(register) else read), False
            case Msr(cpu, register, value):
                return 0, not gic.msr(cpu, register, value, secure)
