"""The configuration bytes of LPIs, which are in guest RAM, as far as a trace shows what they must have been.

A guest that changes the byte of an LPI invalidates what the GIC may have kept of it, by an INV of its event or by
an INVALL. So a trace falls into stretches, for each LPI, in which its byte is the same. In a stretch in which the
LPI was offered or acknowledged it was enabled. In any other one nothing would have shown that it was, and it counts
as disabled. An offer tells the priority too; without any, it is `ASSUMED_PRIORITY`.

This decides which LPIs can be delivered. Which one is pending, where and when, it does not touch.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mmio.trace import Candidate, Command, Event, SysReg, TraceError
from vgic.intids import FIRST_LPI
from vgic_tools.its_history import History

__all__ = ["ASSUMED_PRIORITY", "LpiBytes"]

ASSUMED_PRIORITY: Final = 0xA0
"""What Linux gives every interrupt."""

_NOTHING_PENDING: Final = 255
_SHOWS_INTID: Final = ("ICC_IAR0", "ICC_IAR1", "ICC_HPPIR0", "ICC_HPPIR1")

_ENABLE: Final = 0b01
_RES1: Final = 0b10
_PRIORITY: Final = 0xFC


@dataclass
class _Stretch:
    """Events between two invalidations of an LPI."""

    start: int
    enabled: bool = False


class LpiBytes:
    """What must have been in the LPI configuration table, and from which event of the trace on.

    Events are counted from 1, as `Result.events` does.
    """

    def __init__(self, trace: Iterable[Event]) -> None:
        self._stretches: dict[int, list[_Stretch]] = {}
        self._priorities: dict[int, int] = {}
        self._history = History()
        # What is wrong with the trace, the replay itself will say where it comes to it.
        with suppress(TraceError):
            for number, event in enumerate(trace, 1):
                self._saw(number, event)
        self._changes: dict[int, dict[int, int]] = {}
        for intid, stretches in self._stretches.items():
            for stretch in stretches:
                self._changes.setdefault(stretch.start, {})[intid] = self._byte(intid, stretch)

    def _saw(self, number: int, event: Event) -> None:
        self._history.feed(event)
        match event:
            case Command(name="INV"):
                mapping = self._history.mapping(event.device, event.event)
                if mapping is not None:
                    self._stretches_of(mapping.intid).append(_Stretch(number))
            case Command(name="INVALL"):
                for stretches in self._stretches.values():
                    stretches.append(_Stretch(number))
            case Candidate() if event.intid >= FIRST_LPI and event.priority != _NOTHING_PENDING:
                self._stretches_of(event.intid)[-1].enabled = True
                self._priorities.setdefault(event.intid, event.priority)
            case SysReg() if event.value >= FIRST_LPI and not event.write and event.register in _SHOWS_INTID:
                self._stretches_of(event.value)[-1].enabled = True
            case _:
                pass

    @property
    def enabled(self) -> int:
        """How many LPIs are enabled at some time because the trace shows it."""
        return sum(any(stretch.enabled for stretch in stretches) for stretches in self._stretches.values())

    @property
    def priorities(self) -> int:
        """How many of them have a priority that the trace shows; the others' is assumed."""
        return len(self._priorities)

    def changes(self, number: int) -> Mapping[int, int]:
        """The bytes by INTID that are different from event `number` on; 0 stands for the start."""
        return self._changes.get(number, {})

    def _stretches_of(self, intid: int) -> list[_Stretch]:
        return self._stretches.setdefault(intid, [_Stretch(0)])

    def _byte(self, intid: int, stretch: _Stretch) -> int:
        return self._priorities.get(intid, ASSUMED_PRIORITY) & _PRIORITY | _RES1 | (stretch.enabled and _ENABLE)
