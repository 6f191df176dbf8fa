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

    What is left are operations of which no two, and bits of which none, can be taken away.
    """
    kept = shrink(operations, happens)
    while True:
        fewer = _without_an_interrupt(_without_two(_with_fewer_bits(kept, happens), happens), happens)
        shorter = shrink(fewer, happens)
        if shorter == kept:
            return kept
        kept = shorter


def _without_two(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    """The operations without any two that are needed by each other alone; the last one is needed."""
    for second in range(len(operations) - 2, 0, -1):
        for first in range(second - 1, -1, -1):
            tried = [operation for at, operation in enumerate(operations) if at not in (first, second)]
            if happens(tried) is not None:
                return _without_two(tried, happens)
    return list(operations)


def _without_an_interrupt(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    """The operations without one of several interrupts that are taken: a bit in several values, and two operations."""
    values = [_value(operation) for operation in operations]
    for bit in range(32):
        if sum(value >> bit & 1 for value in values) < 2:
            continue
        without = [
            operation._replace(value=operation.value & ~(1 << bit))
            if isinstance(operation, Store | Msr | Attr)
            else operation
            for operation in operations
        ]
        for second in range(len(without) - 2, 0, -1):
            for first in range(second - 1, -1, -1):
                tried = [operation for at, operation in enumerate(without) if at not in (first, second)]
                if happens(tried) is not None:
                    return _without_an_interrupt(tried, happens)
    return list(operations)


def _value(operation: Operation) -> int:
    return operation.value if isinstance(operation, Store | Msr | Attr) else 0


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
