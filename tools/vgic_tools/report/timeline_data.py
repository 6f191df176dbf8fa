"""A timeline as the numbers that a page draws: as few characters as JSON allows.

Times are in ticks of `unit` nanoseconds, each as the difference from the one before it.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, Final

from vgic_tools.report.timeline import Changes, Timeline
from vgic_tools.report.words import line_name

__all__ = ["MOST", "timeline_data"]

MOST: Final = 200_000
"""Changes that a page holds: it is a few MB then, and still moves smoothly."""

_NEVER: Final = -1
_MICROSECOND: Final = 1000


def timeline_data(timeline: Timeline, divergence: int | None, most: int = MOST) -> tuple[dict[str, Any], bool]:
    """The data, and whether they were cut off where they have `most` changes; `divergence`: when one was."""
    times = sorted(_times(timeline))
    cut = len(times) > most
    end = times[most] if cut else timeline.duration
    # Recorders count microseconds, mostly.
    unit = _MICROSECOND if all(time % _MICROSECOND == 0 for time in times) else 1

    def ticks(time: int) -> int:
        return time // unit

    def differences(rows: Iterable[tuple[int, ...]]) -> list[int]:
        """Rows of a time, which becomes a difference, and other numbers, one after the other."""
        flat: list[int] = []
        before = 0
        for time, *others in rows:
            if time > end:
                break
            flat += (ticks(time) - before, *others)
            before = ticks(time)
        return flat

    def span(start: int, until: int | None) -> int:
        return _NEVER if until is None or until > end else ticks(until) - ticks(start)

    busy = set(timeline.busy())
    cpus = [
        {
            "name": f"{number}: {affinity}",
            "busy": number in busy,
            "handled": differences(
                (one.start, span(one.start, one.end), one.intid, one.depth) for one in timeline.handled[number]
            ),
            "outputs": differences(timeline.outputs[number]),
            "waiting": differences(timeline.waiting[number]),
        }
        for number, affinity in enumerate(timeline.cpus)
    ]
    lines = [
        {"name": line_name(timeline, line), "intid": line.intid, "times": differences(_alternating(changes))}
        for line, changes in sorted(timeline.lines.items(), key=lambda item: (item[0].intid, item[0].cpu or 0))
    ]
    taken = {(sgi, cpu): one.start for cpu, all_ in enumerate(timeline.handled) for one in all_ for sgi in one.sgis}
    sgis = differences(
        (one.time, one.sender, receiver, one.intid, span(one.time, taken.get((number, receiver))))
        for number, one in enumerate(timeline.sgis)
        for receiver in one.receivers
    )
    data = {
        "unit": unit,
        "end": ticks(end),
        "cpus": cpus,
        "lines": lines,
        "sgis": sgis,
        "divergence": None if divergence is None or divergence > end else ticks(divergence),
    }
    return data, cut


def _times(timeline: Timeline) -> Iterator[int]:
    """When anything changed."""
    for changes in chain(timeline.outputs, timeline.waiting, timeline.lines.values()):
        yield from (time for time, _ in changes)
    for handled in chain.from_iterable(timeline.handled):
        yield handled.start
    for sgi in timeline.sgis:
        yield from [sgi.time] * len(sgi.receivers)


def _alternating(changes: Changes) -> Iterator[tuple[int]]:
    """When a line rises, falls, rises..."""
    return ((time,) for time, _ in changes)
