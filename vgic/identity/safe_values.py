"""Safe values: which value of an ID register's field can stand for two that differ. Rule IDENT-2.

Where the CPUs of a system differ in a field, software that runs on all of them can rely on the safe value alone.
A field's `SafeValue` says which of two values that is; it decides, too, what a hypervisor may show instead of what
its hardware has.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

__all__ = ["EXACT", "HIGHER", "HIGHER_OR_ZERO", "LOWER", "SIGNED_LOWER", "Order", "SafeValue"]


class Order(Enum):
    """How the values of a field compare."""

    LOWER = "the lower is safe"
    HIGHER = "the higher is safe"
    HIGHER_OR_ZERO = "zero, or else the higher, is safe"
    EXACT = "neither is safe"


@dataclass(frozen=True)
class SafeValue:
    """Which of two values of a field is safe."""

    order: Order
    signed: bool = False
    """The field is a signed number: all ones is -1, below 0."""
    fallback: int = 0
    """What is safe where neither value is."""

    def of(self, one: int, other: int, width: int) -> int:
        """The safe value of two, each of `width` bits.

        >>> LOWER.of(1, 15, 4), SIGNED_LOWER.of(1, 15, 4), HIGHER_OR_ZERO.of(0, 4, 4), EXACT(2).of(1, 3, 2)
        (1, 15, 0, 2)
        """
        if one == other:
            return one
        if self.order is Order.EXACT:
            return self.fallback
        if self.order is Order.HIGHER_OR_ZERO and 0 in (one, other):
            return 0
        low, high = sorted((one, other), key=lambda value: self._number(value, width))
        return low if self.order is Order.LOWER else high

    def _number(self, value: int, width: int) -> int:
        return value - (1 << width) if self.signed and value >> (width - 1) else value

    def __str__(self) -> str:
        if self.order is Order.EXACT:
            return f"{self.order.value}, {self.fallback:#x} is"
        return f"{self.order.value}, as signed numbers" if self.signed else self.order.value


LOWER: Final = SafeValue(Order.LOWER)
SIGNED_LOWER: Final = SafeValue(Order.LOWER, signed=True)
HIGHER: Final = SafeValue(Order.HIGHER)
HIGHER_OR_ZERO: Final = SafeValue(Order.HIGHER_OR_ZERO)


def EXACT(fallback: int = 0) -> SafeValue:  # noqa: N802 - named as the others are
    """The values do not compare: only `fallback` can stand for two that differ."""
    return SafeValue(Order.EXACT, fallback=fallback)
