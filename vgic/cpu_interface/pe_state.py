"""What a CPU interface has to know of its PE, which its embedder tells (rule PE-1 in specs/cpu_interface.md).

With one Security state and no virtualisation nothing depends on it, and nobody needs to tell it.
"""

from dataclasses import dataclass

__all__ = ["PeState"]


@dataclass(frozen=True, slots=True)
class PeState:
    """The state of a PE that decides which registers it reaches and how an interrupt is signalled to it."""

    el: int = 1
    """The Exception level, 0 to 3."""
    secure: bool = False
    """The Security state; at EL3 the one that SCR_EL3.NS chooses banks by: not NS."""
    scr_irq: bool = False
    """SCR_EL3.IRQ: IRQs are taken to EL3."""
    scr_fiq: bool = False
    """SCR_EL3.FIQ: FIQs are taken to EL3."""
    hcr_imo: bool = False
    """HCR_EL2.IMO, where EL2 is enabled in the PE's Security state: IRQs are EL2's, EL1 has virtual ones."""
    hcr_fmo: bool = False
    """HCR_EL2.FMO, likewise of FIQs."""
