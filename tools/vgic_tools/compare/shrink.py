"""Delta debugging: the shortest sequence in which something still happens."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from vgic_tools.judges.protocol import Attr, Msr, Operation, Store

__all__ = ["shorten", "shrink"]

T = TypeVar("T")
Happens = Callable[[Sequence[Operation]], int | None]


def shrink(items: Sequence[T], happens: Callable[[Sequence[T]], int | None]) -> list[T]:
    """A sequence of some of the items in which it happens and from which no single one can be taken away.

    `happens` is the number of items after which it has happened, None where it does not. It happens in `items`.
    Ever smaller pieces are tried, from the end on, which takes about k log n questions for k that are left of n.
    """
    kept = list(items)
    size = max(1, len(kept) // 2)
    while True:
        start, shorter = len(kept), False
        while start > 0:
            start = max(0, start - size)
            tried = kept[:start] + kept[start + size :]
            if tried and (after := happens(tried)) is not None:
                kept, shorter = tried[:after], True
                start = min(start, len(kept))
        if size > 1:
            size = max(1, size // 2)
        elif not shorter:
            return kept


def shorten(
    operations: Sequence[Operation], happens: Callable[[Sequence[Operation]], int | None]
) -> list[Operation]:
    """`shrink` operations, and take away bits of what is written, so that fewer operations are needed.

    What is left are operations and bits of which none can be taken away.
    """
    kept = shrink(operations, happens)
    while True:
        fewer = _with_fewer_bits(kept, happens)
        if fewer == kept:
            return kept
        kept = shrink(fewer, happens)
        if len(kept) == len(fewer):
            return kept


def _with_fewer_bits(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    kept = list(operations)
    for at in range(len(kept) - 1, -1, -1):
        kept[at] = _fewer_bits(kept, at, happens)
    return kept


def _fewer_bits(operations: Sequence[Operation], at: int, happens: Happens) -> Operation:
    """The operation at a place with as few bits of its value as will do."""
    operation = operations[at]
    if not isinstance(operation, Store | Msr | Attr) or not operation.value:
        return operation

    def with_bits(bits: Sequence[int]) -> Operation:
        return operation._replace(value=sum(1 << bit for bit in bits))

    def does(bits: Sequence[int]) -> int | None:
        tried = [*operations[:at], with_bits(bits), *operations[at + 1 :]]
        return len(bits) if happens(tried) == len(operations) else None

    bits = [bit for bit in range(operation.value.bit_length()) if operation.value >> bit & 1]
    return with_bits([] if does([]) is not None else shrink(bits, does))
