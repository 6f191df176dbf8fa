"""A run of a guest: until it ends, somebody has heard enough, or it makes no progress."""

from collections.abc import Callable
from enum import Enum
from typing import Final

from vgic_tools.guests.clock import FREQUENCY
from vgic_tools.guests.console_script import Script
from vgic_tools.guests.machine import GuestMachine

__all__ = ["End", "Session"]


class End(Enum):
    """Why a run is over."""

    OFF = "the guest has ended the machine"
    HEARD = "all that was expected has been heard"
    STUCK = "every CPU waits for an interrupt, and no timer is armed"
    SILENT = "the guest has said nothing for too long"
    LATE = "the guest has had all the time that it was given"


class Session:
    """Runs a machine. Times are those of its clock, in seconds, so that the same run ends the same."""

    def __init__(
        self,
        machine: GuestMachine,
        script: Script | None = None,
        patience: float | None = None,
        limit: float | None = None,
        saving: tuple[float, Callable[[], None]] | None = None,
        after_round: Callable[[], None] = lambda: None,
    ) -> None:
        self.machine = machine
        self.script = script
        self._after_round = after_round
        self._patience = _ticks(patience)
        self._limit = _ticks(limit)
        # When, and what to do then.
        self._saving = None if saving is None else (saving[0] * FREQUENCY, saving[1])
        self._heard = machine.clock.now
        self._heard_at_turn = machine.scheduler.turns
        self._end: End | None = None

    def hear(self, byte: int) -> None:
        """The guest sends a byte to its console."""
        self._heard = self.machine.clock.now
        self._heard_at_turn = self.machine.scheduler.turns
        if self.script is not None:
            self.script.hear(byte)

    def run(self) -> End:
        """Run until something of `End` has come about."""
        alive = self.machine.run(self._over)
        # The guest's last words may be what was waited for.
        if self.script is not None and self.script.done:
            return End.HEARD
        if not alive:
            return End.STUCK
        return End.OFF if self._end is None else self._end

    def _silence(self, now: int) -> int:
        """Ticks since the guest has said something."""
        return max(now - self._heard, (self.machine.scheduler.turns - self._heard_at_turn) * _TURN)

    def _over(self) -> bool:
        now = self.machine.clock.now
        if self._saving is not None and now >= self._saving[0]:
            save, self._saving = self._saving[1], None
            save()
        if self.script is not None and self.script.done:
            self._end = End.HEARD
        elif self._limit is not None and now >= self._limit:
            self._end = End.LATE
        elif self._patience is not None and self._silence(now) >= self._patience:
            self._end = End.SILENT
        else:
            self._after_round()
            return False
        return True


# A storm of interrupts ends every turn at once, so that the clock hardly moves.
_TURN: Final = FREQUENCY // 50_000
"""Ticks that a turn counts for at least, where a guest's silence is measured."""


def _ticks(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * FREQUENCY)
