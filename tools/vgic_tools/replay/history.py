"""Where a replay finds the events again that it says something about."""

from collections.abc import Iterable
from itertools import islice

from mmio.trace import Event, TraceReader

__all__ = ["EventHistory", "History", "TraceHistory"]

_KEPT = 4096


class History:
    """The events of a trace by their index, counted from 0."""

    def events(self, first: int, last: int) -> list[Event]:
        """The events from `first` up to and without `last`; fewer where they are not to be had any more."""
        raise NotImplementedError

    def all_events(self) -> Iterable[Event] | None:
        """The events from the first on, as far as they are there yet; None where the first is not any more."""
        raise NotImplementedError

    def event(self, index: int) -> Event:
        """One event."""
        [found] = self.events(index, index + 1)
        return found


class TraceHistory(History):
    """Reads a trace again; only a divergence asks for it."""

    def __init__(self, trace: TraceReader) -> None:
        self._trace = trace

    def events(self, first: int, last: int) -> list[Event]:
        """Read them from the file."""
        return list(islice(self._trace.events_from(first), last - first))

    def all_events(self) -> Iterable[Event] | None:
        """Read them from the file."""
        return self._trace.events_from(0)


class EventHistory(History):
    """Remembers the last events of a trace that may not be there a second time."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._first = 0

    def saw(self, event: Event) -> None:
        """The next event."""
        self._events.append(event)

    def needs(self, index: int) -> None:
        """Events before this one will not be asked for."""
        if index - self._first > _KEPT:
            del self._events[: index - self._first]
            self._first = index

    def events(self, first: int, last: int) -> list[Event]:
        """Take them from memory."""
        return self._events[max(first - self._first, 0) : last - self._first]

    def all_events(self) -> Iterable[Event] | None:
        """Take them from memory."""
        return None if self._first else self._events
