"""The machine's one clock: an instruction of any CPU is a tick, so that two runs are the same.

Nobody tells how many instructions of a slice were executed when a register is read in its midst. So each look at
the clock makes it go on by some ticks, which also shortens the time that guests spend polling it. A CPU that has
executed its whole slice is charged all of it, one that was stopped by something half.
"""

from typing import Final

__all__ = ["FREQUENCY", "Clock"]

FREQUENCY: Final = 62_500_000
"""Ticks a second, as CNTFRQ_EL0 says: of QEMU's virt, and of Unicorn's CPUs."""

LOOK: Final = 400
"""Ticks that a look at the clock takes."""


class Clock:
    """Ticks since the machine began."""

    def __init__(self) -> None:
        self.now = 0
        """Ticks, up to the present slice."""
        self.slice_ends = 0
        """When the present slice is over, if nothing ends it before."""
        self._looked = 0

    def begin(self, ticks: int) -> None:
        """A slice begins that takes `ticks`, if nothing ends it before."""
        self.slice_ends = self.now + ticks

    def look(self) -> int:
        """The time, for a guest that reads a counter; no two looks see the same."""
        self._looked += LOOK
        return self.now + self._looked

    @property
    def time(self) -> int:
        """The time within a slice, without a look."""
        return self.now + self._looked

    def charge(self, ticks: int) -> None:
        """A slice is over that took `ticks`, or as long as the looks at the clock in it."""
        self.now += max(ticks, self._looked)
        self._looked = 0

    def skip_to(self, ticks: int) -> None:
        """Nobody has anything to do until then."""
        self.now = max(self.now, ticks)

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return self.now / FREQUENCY
