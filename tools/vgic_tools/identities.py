"""Interrupts by their INTID and PEs by their affinity, as a person would name them."""

from vgic import Topology, affinity
from vgic.intids import FIRST_LPI, FIRST_PPI, FIRST_SPECIAL, FIRST_SPI, SPURIOUS
from vgic.topology import NO_VCPU

__all__ = ["interrupt_text", "pe_text"]


def interrupt_text(intid: int) -> str:
    """An interrupt by its number and type.

    >>> interrupt_text(42), interrupt_text(1023)
    ('INTID 42, an SPI', 'INTID 1023, no interrupt')
    """
    if intid < FIRST_PPI:
        what = "an SGI"
    elif intid < FIRST_SPI:
        what = "a PPI"
    elif intid < FIRST_SPECIAL:
        what = "an SPI"
    elif intid <= SPURIOUS:
        what = "no interrupt"
    else:
        what = "an LPI" if intid >= FIRST_LPI else "of an extended range, or reserved"
    return f"INTID {intid}, {what}"


def pe_text(packed: int, topology: Topology | None) -> str:
    """A PE by its affinity, and by the number of its vCPU where the machine is known."""
    if topology is None:
        return affinity.text(packed)
    cpu = topology.find(packed)
    return f"{affinity.text(packed)} ({'no vCPU' if cpu == NO_VCPU else f'vCPU {cpu}'})"
