"""The page of a replay: what was compared, what happened when, and where the two part."""

from collections import Counter
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

from vgic import affinity
from vgic_tools.fields import differing_fields
from vgic_tools.replay.describe import describe
from vgic_tools.replay.result import Divergence, Result
from vgic_tools.report.pages import rendered
from vgic_tools.report.timeline import ANY, Changes, Timeline
from vgic_tools.report.timeline_data import MOST, timeline_data
from vgic_tools.report.words import interrupt_name
from vgic_tools.state_words import difference

__all__ = ["replay_page"]

_KINDS: Final = ("SGI", "PPI", "SPI", "LPI")
_MOST_PES: Final = 24
"""Rows and columns of the matrix of SGIs; those with few are one row together."""
_MOST_SPANS: Final = 200
_FIRST_HUE: Final = 210
_GOLDEN: Final = 137.508
"""Degrees: hues that far apart are told apart, however many there are."""


def replay_page(result: Result, timeline: Timeline, title: str, provenance: Mapping[str, str]) -> str:
    """A page of its own. Raises UsageError without Jinja."""
    first = result.first
    data, cut = timeline_data(timeline, None if first is None else timeline.time_of(first.event))
    return rendered(
        "replay.html",
        title=title,
        result=result,
        timeline=timeline,
        verdict=_verdict(result),
        cards=_cards(result, timeline),
        divergence=None if first is None else _divergence(result, first),
        final=_final(result),
        compared=_compared(result),
        inputs=result.inputs.most_common(),
        accepted=result.accepted.most_common(),
        taken=_taken(result, timeline),
        matrix=_matrix(timeline),
        routes=_routes(timeline),
        accesses=_accesses(timeline),
        exits=None if result.exits is None else result.exits.most_common(),
        data=data,
        cut=cut,
        most=MOST,
        provenance=provenance,
    )


def _verdict(result: Result) -> dict[str, str]:
    compared, different = result.compared.total(), result.divergences.total()
    if result.undecided:
        return {"kind": "doubt", "text": f"no verdict: {result.undecided}"}
    if not result.diverged:
        return {"kind": "good", "text": f"no divergence: {compared:,} recorded values came out the same"}
    stopped = "; the replay stopped there" if result.stopped else ""
    return {"kind": "bad", "text": f"diverged: {different:,} of {compared:,} values differ{stopped}"}


def _cards(result: Result, timeline: Timeline) -> dict[str, str]:
    cards = {
        "vCPUs": f"{len(timeline.cpus):,}",
        "events": f"{result.events:,}",
        "values compared": f"{result.compared.total():,}",
        "interrupts taken": f"{sum(map(len, timeline.handled)):,}",
        "SGIs generated": f"{len(timeline.sgis):,}",
    }
    return cards | {"from first to last": _time(timeline.duration)} if timeline.timed else cards


def _time(nanoseconds: float) -> str:
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if nanoseconds >= size:
            return (
                f"{nanoseconds / size:.3g} {unit}"
                if nanoseconds < 100 * size
                else f"{nanoseconds / size:,.0f} {unit}"
            )
    return f"{nanoseconds:.0f} ns"


def _divergence(result: Result, first: Divergence) -> dict[str, Any]:
    fields: list[tuple[str, ...]] = []
    if first.layout is not None:
        fields = list(differing_fields(first.layout, first.expected_value, first.got_value))
    return {
        "where": f"{result.trace}:{first.event.line}",
        "what": first.what,
        "place": first.place,
        "expected": first.expected,
        "got": first.got,
        "fields": fields,
        "interrupts": first.interrupts,
        "events": [(event.line, describe(event)) for event in (*first.before, first.event)],
    }


def _final(result: Result) -> list[tuple[str, ...]]:
    return [
        (one.register, f"{one.expected:#x}", f"{one.got:#x}", difference(one.register, one.expected, one.got))
        for one in result.final_differences
    ]


def _compared(result: Result) -> dict[str, Any]:
    rows = [(name, count, result.divergences[name]) for name, count in result.compared.most_common()]
    if result.diverged:
        return {"headings": ("compared", "different"), "rows": rows}
    return {"headings": ("compared",), "rows": [row[:2] for row in rows]}


def _taken(result: Result, timeline: Timeline) -> dict[str, Any]:
    rows = []
    for cpu, name in enumerate(timeline.cpus):
        handled = timeline.handled[cpu]
        if handled:
            kinds = Counter(interrupt_name(one.intid).partition(" ")[0] for one in handled)
            lasted = [one.end - one.start for one in handled if one.end is not None]
            times = (_time(median(lasted)), _time(max(lasted))) if lasted and timeline.timed else ("", "")
            rows.append((f"{cpu}: {name}", [kinds[kind] for kind in _KINDS], *times))
    return {"kinds": _KINDS, "rows": rows}


def _matrix(timeline: Timeline) -> dict[str, Any] | None:
    """How many SGIs from whom to whom: those with the most by name, the others together."""
    sent = timeline.sent()
    if not sent:
        return None
    both: Counter[int] = Counter()
    for (sender, receiver), count in sent.items():
        both.update({sender: count})
        both.update({receiver: count})
    named = sorted(cpu for cpu, _ in both.most_common(_MOST_PES))
    rest = len(both) - len(named)
    place = {cpu: at for at, cpu in enumerate(named)}
    size = len(named) + (rest > 0)
    cells = [[0] * size for _ in range(size)]
    for (sender, receiver), count in sent.items():
        cells[place.get(sender, size - 1)][place.get(receiver, size - 1)] += count
    names = [timeline.cpus[cpu] for cpu in named] + [f"{rest} others"] * (rest > 0)
    most = max(map(max, cells))
    shares = [[(count, round(80 * count / most)) for count in row] for row in cells]
    return {"receivers": names, "rows": list(zip(names, shares, strict=True))}


def _routes(timeline: Timeline) -> list[dict[str, Any]]:
    """The routes that were changed, as stretches of the whole time."""
    hues = {text: round((_FIRST_HUE + number * _GOLDEN) % 360) for number, text in enumerate(timeline.cpus)}
    return [
        {
            "name": interrupt_name(intid),
            "spans": _spans(changes, timeline, hues),
            "last": _route(changes[-1][1]),
            "changes": len(changes),
        }
        for intid, changes in sorted(timeline.routes.items())
        if changes
    ]


def _spans(changes: Changes, timeline: Timeline, hues: Mapping[str, int]) -> list[tuple[str, str, int | None, str]]:
    whole = max(timeline.duration, 1)
    shown = [(0, 0), *changes][-_MOST_SPANS:]
    spans = []
    for (start, to), (until, _) in zip(shown, [*shown[1:], (whole, 0)], strict=True):
        text = _route(to)
        title = f"{text} from {_time(start)} to {_time(until)}" if timeline.timed else text
        spans.append((text, f"{100 * (until - start) / whole:.3f}", hues.get(text), title))
    return spans


def _route(to: int) -> str:
    return "any vCPU" if to == ANY else affinity.text(to)


def _accesses(timeline: Timeline) -> list[tuple[str, int, int, float]]:
    by_name: dict[str, list[int]] = {}
    for (name, write), count in timeline.accesses.items():
        by_name.setdefault(name, [0, 0])[write] += count
    most = max(map(sum, by_name.values()), default=1)
    ranked = sorted(by_name.items(), key=lambda item: -sum(item[1]))
    return [(name, reads, writes, round(100 * (reads + writes) / most, 1)) for name, (reads, writes) in ranked]
