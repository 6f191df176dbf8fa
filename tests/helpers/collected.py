"""Records made events again, for comparing them with what a parser says."""

from mmio.trace import Event, Other, Text
from mmio.trace.records import RecordSink, Tables, placed, unpack


class Collector(RecordSink):
    """Keeps every event that comes, until there are `most`."""

    def __init__(self, tables: Tables, most: int = 1 << 40) -> None:
        self.events: list[Event] = []
        self.indices: list[int] = []
        self._tables = tables
        self._most = most

    def take(self, data: bytes, at: int, index: int, thread: int) -> bool:
        # Only the events of some kinds come with their thread; the index tells the line.
        self.events.append(unpack(placed(data[at : at + 24], index + 1, thread), 0, self._tables))
        self.indices.append(index)
        return len(self.events) == self._most


def kept(event: Event) -> Event:
    """What a record keeps of an event."""
    event = event._replace(time=None)
    return event._replace(text="") if isinstance(event, Other | Text) else event
