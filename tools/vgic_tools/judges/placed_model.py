"""The model beside a judge whose PEs go from place to place: it is told where each of them is."""

from typing import Final

from vgic.cpu_interface.pe_state import PeState
from vgic_tools.judges import pe_places
from vgic_tools.judges.model import ISR_EL1, ModelJudge
from vgic_tools.judges.pe_places import TRAPPED, interrupted_to, shown_at, state_of
from vgic_tools.judges.protocol import Load, Machine, Mrs, Msr, Operation, Outcome, Store

__all__ = ["PlacedModel"]

_EL2: Final = 2
_EL3: Final = 3
_OP1_OF_EL2: Final = 4
"""Of its registers' encodings."""


class PlacedModel(ModelJudge):
    """A `vgic.Gic` whose PEs trap, reach the virtual face of registers, and take interrupts that are not masked.

    All of that is as `pe_places` says. Operations without a place are performed where the machine begins: Secure at
    EL3, or at EL2.
    """

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        super().start(machine)
        self._has_el2 = machine.virtualization
        begins = PeState(_EL3, secure=True) if machine.secure else PeState(_EL2)
        self._beginning = pe_places.place_of(begins)
        self._places = [self._beginning for _ in self._cpus]

    def perform_one(self, operation: Operation) -> Outcome:
        """What one operation comes to."""
        if not isinstance(operation, Load | Store | Mrs | Msr):
            return super().perform_one(operation)
        cpu, place = operation.cpu, operation.place or self._beginning
        self._places[cpu] = place
        self.gic.set_pe_state(cpu, self._state(cpu, place))
        level = interrupted_to(place, super()._signals(cpu))
        if not level and isinstance(operation, Mrs | Msr) and self._is_defined(operation):
            level = TRAPPED.get(self.gic.sysreg_reach(cpu, operation.register), 0)
        if level:
            offers = tuple([self.gic.highest_pending(cpu) for cpu in self._cpus])
            return Outcome(signals=self._signals(cpu), offers=offers, level=level)
        return super().perform_one(operation)

    def _state(self, cpu: int, place: int) -> PeState:
        """The state of a vCPU that is there."""
        return state_of(place)

    def _signals(self, cpu: int) -> int:
        """What is signalled where the vCPU is: what it is interrupted by, or else ISR_EL1."""
        physical, place = super()._signals(cpu), self._places[cpu]
        if interrupted_to(place, physical):
            # As the guest's vector says it.
            return physical & ~pe_places.IS
        if not self._has_el2:
            return physical
        irq, fiq = self.gic.virtual_outputs(cpu)
        virtual = irq * pe_places.IRQ | fiq * pe_places.FIQ | self.gic.virtual_nmi(cpu) * pe_places.IS
        return shown_at(place, physical, virtual)

    def _act(self, operation: Operation) -> tuple[int, bool]:
        if not isinstance(operation, Load | Store | Mrs | Msr):
            return super()._act(operation)
        gic, place = self.gic, self._places[operation.cpu]
        state = state_of(place)
        secure = state.secure or state.el == _EL3
        match operation:
            case Load(cpu, address, size):
                return gic.read(address, size, cpu, secure), False
            case Store(cpu, address, size, value):
                gic.write(address, size, value, cpu, secure)
                return 0, False
        if isinstance(operation, Mrs) and operation.register == ISR_EL1:
            return self._signals(operation.cpu), False
        if not self._is_defined(operation):
            return 0, True
        match operation:
            case Mrs(cpu, register):
                read = gic.mrs(cpu, register, secure)
                # EL3 of a PE without EL2 finds nothing in the registers of that.
                return 0 if read is None or self._lacks(register) else read, False
            case Msr(cpu, register, value):
                gic.msr(cpu, register, value, secure)
                return 0, False

    def _lacks(self, register: int) -> bool:
        return not self._has_el2 and _is_of_el2(register)

    def _is_defined(self, operation: Mrs | Msr) -> bool:
        """What is UNDEFINED is so before it can be trapped."""
        return self.gic.sysreg_defined(operation.register, isinstance(operation, Msr), operation.cpu)


def _is_of_el2(register: int) -> bool:
    return register >> 11 & 7 == _OP1_OF_EL2
