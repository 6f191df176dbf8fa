"""What a CPU interface has to know of its PE, which its embedder tells (rule PE-1 in specs/pe_states.md).

With one Security state and no virtual CPU interface nothing depends on it, and nobody needs to tell it.
"""

from dataclasses import dataclass, fields
from typing import Final

from vgic.arguments import check_integer
from vgic.errors import ConfigError

__all__ = ["AFTER_RESET", "AT_EL2_AFTER_RESET", "PeState"]


@dataclass(frozen=True, slots=True)
class PeState:
    """The state of a PE that decides which registers it reaches and how an interrupt is signalled to it.

    Of a PE whose EL3 is AArch32, Monitor mode is EL3, and the other modes of Secure PL1 are Secure EL1.

    Raises ConfigError for an Exception level that there is not, and for a flag that is neither True nor False.
    """

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
    """HCR_EL2.FMO, likewise of FIQs. Where neither is, Secure EL1 counts as without an EL2 (rule VCPU-20)."""
    sctlr_nmi: bool = False
    """SCTLR_ELx.NMI of the Exception level: an IRQ with superpriority is an NMI, which PSTATE.I does not mask and
    PSTATE.ALLINT does. The GIC sees neither: its outputs are the same, and `Gic.nmi` says whether it is one."""

    def __post_init__(self) -> None:
        check_integer("el", self.el)
        if not 0 <= self.el <= 3:
            raise ConfigError(f"el is an Exception level, 0 to 3, not {self.el}")
        for item in fields(self)[1:]:
            value = getattr(self, item.name)
            if not isinstance(value, bool):
                raise ConfigError(f"{item.name} is True or False, not {value!r}")


AFTER_RESET: Final = PeState(el=3, secure=True)
"""Where a PE with EL3 begins."""
AT_EL2_AFTER_RESET: Final = PeState(el=2)
"""Where one begins that has EL2 and no EL3."""
