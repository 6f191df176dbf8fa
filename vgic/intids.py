"""The ranges of interrupt identifiers (IHI 0069, "INTIDs")."""

from typing import Final

__all__ = ["FIRST_LPI", "FIRST_PPI", "FIRST_SPECIAL", "FIRST_SPI", "LAST_SPECIAL", "SPURIOUS"]

# Software Generated Interrupts start at 0.
FIRST_PPI: Final = 16
"""Private Peripheral Interrupts."""

FIRST_SPI: Final = 32
"""Shared Peripheral Interrupts."""

FIRST_SPECIAL: Final = 1020
LAST_SPECIAL: Final = 1023
"""1020 to 1023 are no interrupts."""

SPURIOUS: Final = 1023
"""What IAR and HPPIR read where there is no interrupt."""

FIRST_LPI: Final = 8192
"""Locality-specific Peripheral Interrupts."""
