"""The values that a register has for each of many INTIDs."""

from collections.abc import Iterable, Iterator

from mmio import RegisterLayout
from vgic.layouts.intids import intids_in

__all__ = ["in_ranges", "intid_values"]


def intid_values(layout: RegisterLayout, element: int, value: int) -> list[tuple[int, int]]:
    """Each INTID of register `element` of an array with its part of `value`; empty where it has none.

    >>> from vgic.layouts.gicd import GICD
    >>> [priorities] = [known for known in GICD if known.name == "GICD_IPRIORITYR" and known.first == 8]
    >>> intid_values(priorities, 2, 0xA0)
    [(40, 160), (41, 0), (42, 0), (43, 0)]
    """
    intids = list(intids_in(layout, element, (1 << layout.width) - 1))
    if not intids:
        return []
    width = layout.width // len(intids)
    return [(intid, value >> lane * width & (1 << width) - 1) for lane, intid in enumerate(intids)]


def in_ranges(parts: Iterable[tuple[int | str, str]]) -> Iterator[tuple[str, str]]:
    """The parts with their texts, INTIDs in a row with the same text as one: "INTID 42" or "INTIDs 40-43"."""
    runs: list[tuple[int | str, int | str, str]] = []
    for part, text in parts:
        if runs and isinstance(part, int) and runs[-1][1] == part - 1 and runs[-1][2] == text:
            runs[-1] = (runs[-1][0], part, text)
        else:
            runs.append((part, part, text))
    for first, last, text in runs:
        if isinstance(first, str):
            yield first, text
        else:
            yield (f"INTID {first}" if first == last else f"INTIDs {first}-{last}"), text
