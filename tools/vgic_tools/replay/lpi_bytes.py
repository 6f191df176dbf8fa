"""The configuration bytes of LPIs, which are in guest RAM, as far as a trace shows what they must have been.

A guest that changes the byte of an LPI invalidates what the GIC may have kept of it, by an INV of its event or by
an INVALL. So a trace falls into stretches, for each LPI, in which its byte is the same. In a stretch in which the
LPI was offered or acknowledged it was enabled. In any other one nothing would have shown that it was, and it counts
as disabled. An offer tells the priority too. Without one, it is as in another stretch, or else the one that the
guest gives its SPIs, or `ASSUMED_PRIORITY`: Linux gives every interrupt the same.

This decides which LPIs can be delivered. Which one is pending, where and when, it does not touch.
"""

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from mmio.trace import Command, Event, TraceError, TraceReader
from mmio.trace.records import (
    ACCESS,
    CANDIDATE,
    DEVICE_SHIFT,
    GICD,
    ILLEGAL,
    SIZE_MASK,
    SYSREG,
    WRITE,
    WRITTEN,
    Packer,
    RecordError,
    RecordSink,
    Tables,
    number_of,
    value_of,
)
from vgic.intids import FIRST_LPI

__all__ = ["ASSUMED_PRIORITY", "START", "LpiBytes"]

ASSUMED_PRIORITY: Final = 0xA0
"""What Linux gives every interrupt, up to 6.x."""

START: Final = -1
"""Before the first event of a trace."""

_NOTHING_PENDING: Final = 255
_SHOWS_INTID: Final = ("ICC_IAR0", "ICC_IAR1", "ICC_HPPIR0", "ICC_HPPIR1")

_OF_SPIS: Final = SIZE_MASK | WRITE | ILLEGAL | -1 << DEVICE_SHIFT & 0xFF
_STORE: Final = 0b10 | WRITE | GICD << DEVICE_SHIFT
"""Of the flags of an access: a store of four bytes to a register of the Distributor."""
_PRIORITIES: Final = range(0x420, 0x7FC)
"""Offsets of GICD_IPRIORITYR<n> of SPIs."""
_EVERY_BYTE: Final = 0x0101_0101

_ENABLE: Final = 0b01
_RES1: Final = 0b10
_PRIORITY: Final = 0xFC


@dataclass
class _Stretch:
    """Events between two invalidations of an LPI."""

    start: int
    enabled: bool = False
    priority: int | None = None


class LpiBytes:
    """What must have been in the LPI configuration table, and from which event of the trace on.

    Events are counted from 0. With two Security states the bytes hold the Non-secure view of a priority, and so do
    the registers of SPIs that the guest writes; offers do not.
    """

    def __init__(self, trace: Iterable[Event], two_states: bool = False) -> None:
        found = _found(trace, two_states)
        self._stretches = found.stretches
        self._priorities = found.priorities
        self.assumed: int = ASSUMED_PRIORITY if found.spis is None else found.spis
        """The priority of those of which the trace shows none."""
        self._changes: dict[int, dict[int, int]] = {}
        for intid, stretches in self._stretches.items():
            for stretch in stretches:
                self._changes.setdefault(stretch.start, {})[intid] = self._byte(intid, stretch)

    @property
    def enabled(self) -> int:
        """How many LPIs are enabled at some time because the trace shows it."""
        return sum(any(stretch.enabled for stretch in stretches) for stretches in self._stretches.values())

    @property
    def priorities(self) -> int:
        """How many of them have a priority that the trace shows; the others' is assumed."""
        return len(self._priorities)

    def changes(self, index: int) -> Mapping[int, int]:
        """The bytes by INTID that are different from event `index` on; START stands for the start."""
        return self._changes.get(index, {})

    def _byte(self, intid: int, stretch: _Stretch) -> int:
        priority = stretch.priority
        if priority is None:
            priority = self._priorities.get(intid, self.assumed)
        return priority & _PRIORITY | _RES1 | (_ENABLE if stretch.enabled else 0)


class _Finder(RecordSink):
    """Looks for what a trace shows of LPIs."""

    def __init__(self, tables: Tables, two_states: bool) -> None:
        self._two_states = two_states
        self.stretches: dict[int, list[_Stretch]] = {}
        self.priorities: dict[int, int] = {}
        self.spis: int | None = None
        """The priority that the guest first gives several SPIs at once."""
        self._tables = tables
        # A machine without an ITS needs none of it.
        from vgic_tools.its_history import History

        self._history = History()

    def take(self, data: bytes, at: int, index: int, thread: int) -> bool:
        """The next event."""
        kind = data[at]
        if kind == CANDIDATE:
            intid, priority = number_of(data, at), value_of(data, at)
            if intid >= FIRST_LPI and priority != _NOTHING_PENDING:
                if self._two_states:
                    priority = priority << 1 & 0xFF
                stretch = self._of(intid)[-1]
                stretch.enabled = True
                if stretch.priority is None:
                    stretch.priority = priority
                self.priorities.setdefault(intid, priority)
        elif kind == SYSREG:
            intid = value_of(data, at)
            if intid >= FIRST_LPI and not data[at + 1] & WRITE:
                names, place = self._tables.registers, number_of(data, at)
                if place < len(names) and names[place] in _SHOWS_INTID:
                    self._of(intid)[-1].enabled = True
        elif kind == ACCESS:
            if self.spis is None and data[at + 1] & _OF_SPIS == _STORE and number_of(data, at) in _PRIORITIES:
                value = value_of(data, at)
                if value == (value & 0xFF) * _EVERY_BYTE:
                    self.spis = value & 0xFF
        elif kind == WRITTEN and number_of(data, at) < len(self._tables.written):
            self._command(self._tables.written[number_of(data, at)], index)
        return False

    def _command(self, event: Event, index: int) -> None:
        self._history.feed(event)
        match event:
            case Command(name="INV"):
                mapping = self._history.mapping(event.device, event.event)
                if mapping is not None:
                    self._of(mapping.intid).append(_Stretch(index))
            case Command(name="INVALL"):
                for stretches in self.stretches.values():
                    stretches.append(_Stretch(index))
            case _:
                pass

    def _of(self, intid: int) -> list[_Stretch]:
        return self.stretches.setdefault(intid, [_Stretch(START)])


def _found(trace: Iterable[Event], two_states: bool) -> _Finder:
    """What there is in a trace. What is wrong with it, the replay itself will say where it comes to it."""
    with suppress(TraceError, RecordError):
        if isinstance(trace, TraceReader):
            finder = _Finder(trace.tables, two_states)
            trace.feed(finder)
        else:
            packer = Packer()
            finder = _Finder(packer.tables, two_states)
            for index, event in enumerate(trace):
                finder.take(packer.pack(event), 0, index, 0)
    return finder
