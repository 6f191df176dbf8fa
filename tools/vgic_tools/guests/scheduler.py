"""Which CPU runs, and for how long: round robin, by the machine's clock alone, so that two runs are the same.

Of the host's clock Unicorn knows enough to size its TLBs by it. A guest cannot tell: Linux on four CPUs goes the
same way, turn by turn, where all TLBs are emptied before each turn.
"""

from collections.abc import Callable, Sequence
from typing import Final

from vgic_tools.guests.clock import FREQUENCY, Clock
from vgic_tools.guests.cpu import GuestCpu
from vgic_tools.guests.timer import NEVER

__all__ = ["Scheduler"]

SLICE: Final = 10_000
"""Instructions of a turn."""
_ALONE: Final = 40_000
"""Instructions, where nobody else waits for its turn: each costs time, to begin and to translate code anew."""

SHORTEST: Final = 64
"""Instructions, where the next timer is due sooner."""


class Scheduler:
    """Gives CPUs their turns.

    `instructions` is about how many each has executed: Unicorn does not tell how far a turn got that ended early,
    which counts as half of it. The same run has the same numbers.
    """

    def __init__(self, clock: Clock, cpus: Sequence[GuestCpu]) -> None:
        self.clock = clock
        self.cpus = cpus
        self.instructions = [0] * len(cpus)
        self.turns = 0
        self._longest = SLICE if len(cpus) > 1 else _ALONE
        self.pause: Callable[[float | None], None] | None = None
        """Called while all CPUs wait, with the seconds until a timer is due, None where none is: somebody may have
        something to say to the guest. Without it, such times pass at once."""

    def round(self) -> bool:
        """A turn for each CPU that has something to do; False where none has."""
        busy = False
        for cpu in self.cpus:
            if cpu.ready:
                busy = True
                self._turn(cpu)
        return busy

    def _turn(self, cpu: GuestCpu) -> None:
        length = min(self._longest, max(SHORTEST, self.deadline() - self.clock.now))
        if (cpu.irq or cpu.fiq) and not cpu.take_interrupt():
            length = min(length, cpu.unmasking.length(cpu.behind_wfi))
        else:
            cpu.unmasking.over()
        self.clock.begin(length)
        stopped = cpu.run(length)
        ran = length // 2 if stopped else length
        self.turns += 1
        self.instructions[cpu.number] += ran
        self.clock.charge(ran)
        self.tell_timers()

    def tell_timers(self) -> None:
        """Raise the lines of the timers that are due."""
        now = self.clock.now
        for cpu in self.cpus:
            cpu.timers.go_on(now)

    def deadline(self) -> int:
        """When the next timer is due, in ticks, NEVER where none is armed."""
        return min([cpu.timers.deadline for cpu in self.cpus])

    def sleep(self) -> bool:
        """All CPUs wait: go on to when the next timer is due. False where nothing will ever happen."""
        deadline = self.deadline()
        if self.pause is not None:
            self.pause(None if deadline == NEVER else max(0, deadline - self.clock.now) / FREQUENCY)
            if deadline == NEVER or any(cpu.ready for cpu in self.cpus):
                return True
        if deadline == NEVER:
            return False
        self.clock.skip_to(deadline)
        self.tell_timers()
        return True

    def run(self, stop: Callable[[], bool]) -> bool:
        """Run until `stop` says so, asked after each round; False where nobody has anything to do, or ever will."""
        while not stop():
            if not self.round() and not self.sleep():
                return False
        return True
