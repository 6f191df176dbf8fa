"""List registers: the interrupts that a hypervisor gives a virtual CPU interface, and what becomes of them."""

from typing import Final

from mypy_extensions import i64

from vgic.bits import bit
from vgic.cpu_interface.interface import NOT_ACTIVE, ActivationBank, CpuInterface
from vgic.cpu_interface.pending import NO_KEY, PRIORITY_LSB
from vgic.intids import FIRST_LPI, FIRST_SPECIAL, LAST_SPECIAL

__all__ = ["NO_REGISTER", "ListRegister", "ListRegisters"]

NO_REGISTER: Final = -1

_PENDING: Final = 1 << 62
_ACTIVE: Final = 1 << 63
_STATE: Final = _PENDING | _ACTIVE
_HW: Final = 1 << 61
_GROUP: Final = 1 << 60
_EOI: Final = 1 << 41
"""Only where HW is 0."""
_PRIORITY_LSB: Final = 48
_PHYSICAL_LSB: Final = 32
_PHYSICAL_MASK: Final = 0x1FFF
_VIRTUAL_MASK: Final = 0xFFFF_FFFF


class ListRegister:
    """One list register, its fields apart; `value` is all of it."""

    __slots__ = (
        "_rest",
        "active",
        "asks",
        "group",
        "hardware",
        "intid",
        "key",
        "number",
        "pending",
        "physical",
        "priority",
    )

    def __init__(self, number: i64) -> None:
        self.number = number
        self.set_value(0)

    def value(self) -> int:
        """What ICH_LR<n>_EL2 reads as (64 bits)."""
        return self._rest | (_PENDING if self.pending else 0) | (_ACTIVE if self.active else 0)

    def set_value(self, value: int) -> None:
        """What is written to it, but for bits that it does not have."""
        self._rest = value & ~_STATE
        """All but the state."""
        self.pending = value & _PENDING != 0
        self.active = value & _ACTIVE != 0
        self.hardware = value & _HW != 0
        """Deactivating it deactivates the `physical` interrupt."""
        self.asks = value & (_HW | _EOI) == _EOI
        """Its end asks for a maintenance interrupt."""
        self.group: i64 = 1 if value & _GROUP else 0
        self.priority: i64 = value >> _PRIORITY_LSB & 0xFF
        self.physical: i64 = value >> _PHYSICAL_LSB & _PHYSICAL_MASK
        self.intid: i64 = value & _VIRTUAL_MASK
        self.key: i64 = self.priority << PRIORITY_LSB | self.number
        """How it is sorted among the pending ones (rule VCPU-5)."""


class ListRegisters(ActivationBank):
    """The list registers of one PE: a bank whose interrupts are known by the number of their register."""

    __slots__ = ("_physical", "registers")

    def __init__(self, registers: list[ListRegister], physical: CpuInterface) -> None:
        super().__init__(0, len(registers))
        self.registers = registers
        self._physical = physical
        """The CPU interface of the PE."""

    def group(self, index: i64) -> i64:
        """0 or 1."""
        return self.registers[index].group

    def active_priority(self, index: i64, cpu: i64) -> i64:
        """The priority of what is active."""
        register = self.registers[index]
        return register.priority if register.active else NOT_ACTIVE

    def acknowledge(self, index: i64) -> None:
        """Pending to active, whatever kind of interrupt the guest takes it for (rule VCPU-7)."""
        register = self.registers[index]
        register.pending = False
        register.active = True

    def deactivate(self, index: i64) -> None:
        """Active to inactive, and with it the physical interrupt that it stands for, if any (rule VCPU-12)."""
        register = self.registers[index]
        register.active = False
        physical = register.physical
        if register.hardware and not FIRST_SPECIAL <= physical <= LAST_SPECIAL and physical < FIRST_LPI:
            self._physical.finish(physical)

    def active(self, intid: i64) -> i64:
        """The first register in which this INTID is active, NO_REGISTER where there is none."""
        for register in self.registers:
            if register.active and register.intid == intid:
                return register.number
        return NO_REGISTER

    def best(self, group: i64) -> i64:
        """The lowest key, `priority << 25 | number`, of what is pending in a group and not active (rule VCPU-5)."""
        best: i64 = NO_KEY
        for register in self.registers:
            if register.pending and not register.active and register.group == group and register.key < best:
                best = register.key
        return best

    def pending(self) -> i64:
        """How many are pending and not active."""
        count: i64 = 0
        for register in self.registers:
            if register.pending and not register.active:
                count += 1
        return count

    def in_use(self) -> i64:
        """How many hold an interrupt that is pending or active."""
        count: i64 = 0
        for register in self.registers:
            if register.pending or register.active:
                count += 1
        return count

    def ended(self) -> i64:
        """ICH_EISR_EL2: bit n where list register n is empty and its end asked for a maintenance interrupt."""
        return self._empty(True)

    def free(self) -> i64:
        """ICH_ELRSR_EL2: bit n where list register n is empty, and its end asked for nothing."""
        return self._empty(False)

    def _empty(self, asks: bool) -> i64:
        found: i64 = 0
        for register in self.registers:
            if not register.pending and not register.active and register.asks == asks:
                found |= bit(register.number)
        return found
