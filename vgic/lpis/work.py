"""How much of what concerns many LPIs is done in one access of a guest (rule LPI-29 in specs/lpis.md).

Work is counted in steps, each about what a short command of an ITS takes. Reading or writing the tables of a piece
of 4096 LPIs is several. What an access begins with INTIDs of 16 bits is done when it returns; of more LPIs the rest
waits, and goes on with other accesses.
"""

from typing import Final

from mypy_extensions import i64

__all__ = ["LOOKS_OF_A_STEP", "LPIS_OF_A_STEP", "STEPS_OF_AN_ACCESS", "STEPS_OF_A_PIECE", "Work"]

STEPS_OF_AN_ACCESS: Final = 512
"""After these no further piece is begun: more than the 14 pieces take that INTIDs of 16 bits have."""

STEPS_OF_A_PIECE: Final = 32
"""What it takes where at least one LPI of it is pending; a single step where none is."""

LPIS_OF_A_STEP: Final = 8
"""So many are read one by one in a step, where not all of a piece of the configuration table is in RAM."""

LOOKS_OF_A_STEP: Final = 14
"""So many LPIs are looked up in a step, where what is kept of them is asked for."""


class Work:
    """Counts what has been done: one for a VM."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        self.steps: i64 = 0
