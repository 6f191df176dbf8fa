"""How long the turns of a CPU are that masks an interrupt which waits for it.

An engine takes an interrupt between two turns only, so that one has to end where the guest unmasks it. Some guests
do that for an instruction or two: a loop around WFI masks everything, waits, unmasks for a moment and begins anew.
With turns of lengths that come again and again, all of them may end elsewhere, and the CPU never takes anything.

So a turn that begins behind a WFI is aimed: at as many instructions as were right the last time, and then, pass by
pass, at one more, one less, two more and so on. Others have lengths that follow no rhythm. Where much is
masked, every other one is long, so that the guest gets on.
"""

from typing import Any, Final

__all__ = ["Unmasking"]

_LONGEST_SHORT: Final = 67
"""Instructions."""
_PATIENCE: Final = 64
"""Short turns, before there are long ones among them."""
_FARTHEST: Final = 1024
"""Instructions behind a WFI where unmasking is looked for."""
_GOLDEN: Final = 40503
"""65536 divided by the golden ratio: its multiples are spread evenly, taken at whatever steps."""


class Unmasking:
    """Of one CPU."""

    def __init__(self) -> None:
        self._turns = 0
        """Since an interrupt waits."""
        self._passes = 0
        """Of these, that began behind a WFI."""
        self._distance = 32
        """Instructions from a WFI to where interrupts were unmasked."""
        self._aimed: int | None = None
        """Of the latest turn, if it was."""

    def length(self, behind_wfi: bool) -> int:
        """Instructions of the next turn, in which an interrupt waits that is masked now."""
        self._turns += 1
        self._aimed = None
        if behind_wfi:
            self._passes += 1
            step = self._passes // 2
            self._aimed = (self._distance - 1 + (-step if self._passes % 2 else step)) % _FARTHEST + 1
            return self._aimed
        if self._turns > _PATIENCE and self._turns % 2:
            return self._turns
        return 1 + (self._turns * _GOLDEN % 0x1_0000 * _LONGEST_SHORT >> 16)

    def over(self) -> None:
        """No interrupt is masked any more."""
        if self._aimed is not None:
            self._distance = self._aimed
        self._turns = self._passes = 0
        self._aimed = None

    def save(self) -> list[int | None]:
        """Plain data."""
        return [self._turns, self._passes, self._distance, self._aimed]

    def restore(self, state: list[Any]) -> None:
        """Take what `save` made. Raises TypeError or ValueError for anything else."""
        turns, passes, distance, aimed = state
        self._turns, self._passes, self._distance = int(turns), int(passes), int(distance)
        self._aimed = None if aimed is None else int(aimed)
