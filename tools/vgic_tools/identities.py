"""Interrupts by their INTID and PEs by their affinity, as a person would name them."""

from vgic import Topology, affinity
from vgic.intids import FIRST_SPECIAL, LAST_SPECIAL, kind_of

__all__ = ["interrupt_text", "pe_text"]


def interrupt_text(intid: int) -> str:
    """An interrupt by its number and type.

    >>> interrupt_text(42), interrupt_text(1023)
    ('INTID 42, an SPI', 'INTID 1023, no interrupt')
    """
    kind = kind_of(intid)
    if kind:
        what = f"{'a' if kind == 'PPI' else 'an'} {kind}"
    else:
        what = "no interrupt" if FIRST_SPECIAL <= intid <= LAST_SPECIAL else "reserved"
    return f"INTID {intid}, {what}"


def pe_text(packed: int, topology: Topology | None) -> str:
    """A PE by its affinity, and by the number of its vCPU where the machine is known."""
    if topology is None:
        return affinity.text(packed)
    cpu = topology.find(packed)
    return f"{affinity.text(packed)} ({'no vCPU' if cpu is None else f'vCPU {cpu}'})"
