"""What must hold of virtual CPU interfaces between any two operations, from their list registers alone."""

from vgic.cpu_interface.group import GROUP0, GROUP1, GroupState
from vgic.cpu_interface.list_registers import ListRegister
from vgic.cpu_interface.nmi import NmiGroupState, signals_nmi
from vgic.cpu_interface.nmi_list_registers import NmiListRegisterInterface
from vgic.cpu_interface.pending import IDLE_KEY, IDLE_PRIORITY, INTID_BITS, NO_KEY
from vgic.cpu_interface.virtual_control import VirtualControl
from vgic.errors import InvariantError
from vgic.interrupts.banks import PrivateInterrupts

__all__ = ["check_virtual_interface"]


def check_virtual_interface(control: VirtualControl, private: PrivateInterrupts, maintenance_intid: int) -> None:
    """Raise InvariantError naming the first contradiction. O(list registers)."""
    interface = control.interface
    name = f"virtual CPU interface {interface.cpu}"
    with_nmis = isinstance(interface, NmiListRegisterInterface)
    keys = [
        (_key(register, with_nmis), register.group)
        for register in control.list_registers.registers
        if register.pending and not register.active
    ]
    offers = [(key, group) for key, group in keys if interface.groups[group].enabled and key < IDLE_KEY]
    best, group = min(offers, default=(NO_KEY, GROUP1))
    if interface.best_key != best or (offers and interface.best_in.number != group):
        raise InvariantError(f"{name}: chose {interface.best_key:#x}, should have {best:#x}")
    for register in control.list_registers.registers:
        if register.key != _key(register, with_nmis):
            raise InvariantError(f"{name}: list register {register.number} is sorted by {register.key:#x}")
    # Of equal ones Group 0 is first, but what has superpriority is before all others.
    running, _, running_group = min(
        (_running(state), not _has_active_nmi(state), number) for number, state in enumerate(interface.groups)
    )
    if interface.running != running or (running != IDLE_PRIORITY and interface.running_group != running_group):
        raise InvariantError(f"{name}: runs at {interface.running:#x}, should at {running:#x}")
    mask = interface.groups[group].mask
    # In halves, of which superpriority is one.
    priority = (best >> INTID_BITS) + 1 >> 1
    superior = with_nmis and bool(offers) and best >> INTID_BITS & 1 != 0
    preempts = running == IDLE_PRIORITY or priority & mask < running & mask
    if superior:
        preempts |= priority & mask == running & mask and not _has_active_nmi(interface.groups[GROUP1])
    signals = not interface.silent and bool(offers) and (superior or priority < interface.pmr) and preempts
    outputs = signals and group == GROUP1, signals and group == GROUP0
    if (interface.irq, interface.fiq) != outputs:
        raise InvariantError(f"{name}: IRQ and FIQ are {interface.irq, interface.fiq}, not {outputs}")
    if signals_nmi(interface) != (signals and superior):
        raise InvariantError(f"{name}: its IRQ has superpriority: {not (signals and superior)}")
    asserted = not interface.silent and control.status() != 0
    line = private.words[0].line >> maintenance_intid & 1 != 0
    if control.maintenance != asserted or line != asserted:
        raise InvariantError(
            f"{name}: the maintenance interrupt is {control.maintenance}, its line {line}; should be {asserted}"
        )


def _key(register: ListRegister, with_nmis: bool) -> int:
    """How a list register is sorted: superpriority is half a priority."""
    superior = with_nmis and register.value() >> 59 & 0b11 == 0b11
    return (2 * register.priority - superior << INTID_BITS) + register.number


def _has_active_nmi(group: GroupState) -> bool:
    return isinstance(group, NmiGroupState) and group.nmi_active


def _running(group: GroupState) -> int:
    """The highest group priority that is active, by the bits alone."""
    if _has_active_nmi(group):
        return 0
    active = group.all()
    return (active & -active).bit_length() - 1 << 8 - group.levels.bit_length() + 1 if active else IDLE_PRIORITY
