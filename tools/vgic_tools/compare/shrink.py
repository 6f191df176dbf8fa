"""Delta debugging: the shortest sequence in which something still happens."""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Final, TypeVar

from vgic_tools.judges.protocol import Attr, Mrs, Msr, Operation, Store

__all__ = ["shorten", "shrink"]

T = TypeVar("T")
Happens = Callable[[Sequence[Operation]], int | None]


_WRITES: Final = (Store, Msr, Attr)
_FEW: Final = 24
"""Operations of which any two may be tried."""


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


def shorten(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    """`shrink` operations, and take away bits of what is written, so that fewer operations are needed.

    What is left are operations of which no two, where they are few, and bits of which none can be taken away.
    """
    kept = shrink(operations, happens)
    while True:
        fewer = _without_an_interrupt(_without_two(_with_fewer_bits(kept, happens), happens), happens)
        shorter = shrink(fewer, happens)
        if shorter == kept:
            return kept
        kept = shorter


def _without_two(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    """The operations without any two that are needed by each other alone."""
    if len(operations) <= _FEW:
        for tried in _less_two(operations):
            if happens(tried) is not None:
                return _without_two(tried, happens)
    return list(operations)


def _without_an_interrupt(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    """The operations without one of several interrupts: a bit in two values, and what takes and finishes it."""
    if len(operations) <= _FEW:
        for bit in range(32):
            holders = [at for at, operation in enumerate(operations) if _value(operation) >> bit & 1]
            for two in combinations(holders, 2):
                cleared = [
                    _with_value(operation, _value(operation) & ~(1 << bit)) if at in two else operation
                    for at, operation in enumerate(operations)
                ]
                for tried in _less_two(cleared, taken=True):
                    if happens(tried) is not None:
                        return _without_an_interrupt(tried, happens)
    return list(operations)


def _less_two(operations: Sequence[Operation], *, taken: bool = False) -> Iterator[list[Operation]]:
    """The operations without any two of them, or any that may take and finish an interrupt; the last one stays."""
    for two in combinations(range(len(operations) - 1), 2):
        if taken and not (isinstance(operations[two[0]], Mrs) and isinstance(operations[two[1]], Msr)):
            continue
        yield [operation for at, operation in enumerate(operations) if at not in two]


def _value(operation: Operation) -> int:
    return operation.value if isinstance(operation, _WRITES) else 0


def _with_value(operation: Operation, value: int) -> Operation:
    return operation._replace(value=value) if isinstance(operation, _WRITES) else operation


def _with_fewer_bits(operations: Sequence[Operation], happens: Happens) -> list[Operation]:
    kept = list(operations)
    for at in range(len(kept) - 1, -1, -1):
        kept[at] = _fewer_bits(kept, at, happens)
    return kept


def _fewer_bits(operations: Sequence[Operation], at: int, happens: Happens) -> Operation:
    """The operation at a place with as few bits of its value as will do."""
    value = _value(operations[at])
    if not value:
        return operations[at]

    def with_bits(bits: Sequence[int]) -> Operation:
        return _with_value(operations[at], sum(1 << bit for bit in bits))

    def does(bits: Sequence[int]) -> int | None:
        tried = [*operations[:at], with_bits(bits), *operations[at + 1 :]]
        return len(bits) if happens(tried) == len(operations) else None

    bits = [bit for bit in range(value.bit_length()) if value >> bit & 1]
    return with_bits([] if does([]) is not None else shrink(bits, does))
