"""Interrupts by their INTID and PEs by their affinity, as a person would name them."""

from typing import Final

from vgic import Topology, affinity
from vgic.intids import FOR_NONSECURE, FOR_SECURE, NMI_WAITS, SPURIOUS, kind_of

__all__ = ["interrupt_text", "pe_text"]


_SPECIAL: Final = {
    FOR_SECURE: "one of Secure Group 1, which Secure EL1 is to take",
    FOR_NONSECURE: "one of Non-secure Group 1, which the Non-secure state is to take",
    NMI_WAITS: "one with superpriority, which ICC_NMIAR1_EL1 takes",
    SPURIOUS: "no interrupt",
}
"""What the special INTIDs tell a PE that reads them."""


def interrupt_text(intid: int) -> str:
    """An interrupt by its number and type.

    >>> interrupt_text(42), interrupt_text(1023)
    ('INTID 42, an SPI', 'INTID 1023, no interrupt')
    """
    kind = kind_of(intid)
    what = f"{'a' if kind == 'PPI' else 'an'} {kind}" if kind else _SPECIAL.get(intid, "reserved")
    return f"INTID {intid}, {what}"


def pe_text(packed: int, topology: Topology | None) -> str:
    """A PE by its affinity, and by the number of its vCPU where the machine is known."""
    if topology is None:
        return affinity.text(packed)
    cpu = topology.find(packed)
    return f"{affinity.text(packed)} ({'no vCPU' if cpu is None else f'vCPU {cpu}'})"
