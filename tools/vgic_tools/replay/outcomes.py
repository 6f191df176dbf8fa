"""The kinds of recorded outcomes that are no register's value, as a result names them."""

from typing import Final

__all__ = [
    "LEGALITY",
    "MAINTENANCE",
    "OFFERS",
    "OUTPUTS",
    "SGI_DELIVERIES",
    "VIRTUAL_OFFERS",
    "VIRTUAL_OUTCOMES",
    "VIRTUAL_OUTPUTS",
]

LEGALITY: Final = "access taken or refused"
"""What is compared of an access that shows no value."""
SGI_DELIVERIES: Final = "SGI deliveries"

OFFERS: Final = "highest pending interrupts"
OUTPUTS: Final = "IRQ and FIQ outputs"

VIRTUAL_OFFERS: Final = "highest pending virtual interrupts"
VIRTUAL_OUTPUTS: Final = "virtual IRQ and FIQ outputs"
MAINTENANCE: Final = "maintenance interrupts"
VIRTUAL_OUTCOMES: Final = frozenset((VIRTUAL_OFFERS, VIRTUAL_OUTPUTS, MAINTENANCE))
