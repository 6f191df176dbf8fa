"""The ranges of interrupt identifiers (IHI 0069, "INTIDs")."""

from typing import Final

__all__ = [
    "FIRST_EXTENDED_PPI",
    "FIRST_EXTENDED_SPI",
    "FIRST_LPI",
    "FIRST_PPI",
    "FIRST_SPECIAL",
    "FIRST_SPI",
    "FOR_NONSECURE",
    "FOR_SECURE",
    "LAST_SPECIAL",
    "NMI_WAITS",
    "SPURIOUS",
    "is_private",
    "kind_of",
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

NMI_WAITS: Final = 1022
"""What ICC_IAR1_EL1 reads where the interrupt is to be taken by ICC_NMIAR1_EL1."""

SPURIOUS: Final = 1023
"""What IAR and HPPIR read where there is no interrupt."""

FIRST_EXTENDED_PPI: Final = 1056
"""Private Peripheral Interrupts of the extended range (GICv3.1), up to 1119."""

FIRST_EXTENDED_SPI: Final = 4096
"""Shared Peripheral Interrupts of the extended range (GICv3.1), up to 5119."""

FIRST_LPI: Final = 8192
"""Locality-specific Peripheral Interrupts."""


_EXTENDED_PPIS: Final = range(FIRST_EXTENDED_PPI, FIRST_EXTENDED_PPI + 64)
_EXTENDED_SPIS: Final = range(FIRST_EXTENDED_SPI, FIRST_EXTENDED_SPI + 1024)


def is_private(intid: int) -> bool:
    """True for an SGI or PPI, of which every PE has its own.

    >>> [intid for intid in (0, 31, 32, 1056, 4096, 8192) if is_private(intid)]
    [0, 31, 1056]
    """
    return intid < FIRST_SPI or intid in _EXTENDED_PPIS


def kind_of(intid: int) -> str:
    """The type of an interrupt; "" for an INTID that is none.

    >>> [kind_of(intid) for intid in (7, 1119, 42, 1023, 5119, 8192)]
    ['SGI', 'PPI', 'SPI', '', 'SPI', 'LPI']
    """
    if intid < FIRST_PPI:
        return "SGI"
    if is_private(intid):
        return "PPI"
    if intid < FIRST_SPECIAL or intid in _EXTENDED_SPIS:
        return "SPI"
    return "LPI" if intid >= FIRST_LPI else ""
