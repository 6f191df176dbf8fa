"""What the hardware under a hypervisor can trap, as far as a host's file tells."""

from vgic.identity.host import Cpu, View
from vgic.identity.registers import REGISTERS

__all__ = ["field_of", "hardware_field"]


def field_of(cpu: Cpu, register: str, field: str) -> int | None:
    """A field of a CPU; None where its register is unknown."""
    value = cpu.registers.get(register)
    return None if value is None else REGISTERS[register].layout.field(field).extract(value)


def hardware_field(cpu: Cpu, register: str, field: str, view: View) -> int | None:
    """A field of which 0 means that the hardware lacks something; None where a file does not tell.

    A hypervisor hides from its guests, and a kernel from its programs, what they are not to use: 0 says nothing in
    their views. Rule IDENT-38.
    """
    value = field_of(cpu, register, field)
    return value if value or view is View.HARDWARE else None
