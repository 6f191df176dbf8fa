"""The ranges of interrupt identifiers (IHI 0069, "INTIDs")."""

from typing import Final

__all__ = [
    "FIRST_LPI",
    "FIRST_PPI",
    "FIRST_SPECIAL",
    "FIRST_SPI",
    "FOR_NONSECURE",
    "FOR_SECURE",
    "LAST_SPECIAL",
    "SPURIOUS",
]

# Software Generated Interrupts start at 0.
FIRST_PPI: Final = 16
"""Private Peripheral Interrupts."""

FIRST_SPI: Final = 32
"""Shared Peripheral Interrupts."""

FIRST_SPECIAL: Final = 1020
LAST_SPECIAL: Final = 1023
"""1020 to 1023 are no interrupts."""

FOR_SECURE: Final = 1020
"""What ICC_IAR0_EL1 and ICC_HPPIR0_EL1 read at EL3 for a Secure Group 1 interrupt."""
FOR_NONSECURE: Final = 1021
"""Likewise for a Non-secure Group 1 interrupt."""

SPURIOUS: Final = 1023
"""What IAR and HPPIR read where there is no interrupt."""

FIRST_LPI: Final = 8192
"""Locality-specific Peripheral Interrupts."""
