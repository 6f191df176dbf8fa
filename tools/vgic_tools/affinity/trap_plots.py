"""The figure of the experiment `traps`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.plots import COLOURS, GREY, Plot, thousands
from vgic_tools.affinity.trap_study import TrapRow, mismatched, trace_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["TRAP_PLOTS"]

NEEDED: Final = COLOURS[4]
ADDED: Final = COLOURS[1]
SGIS: Final = COLOURS[0]
_WIDTH: Final = 8.0
"""Inches; how high it is depends on how much there is to show."""


def _exits(figure: "Figure", rows: Sequence[TrapRow]) -> None:
    shown = mismatched(rows)
    if len(shown) == 1:
        _one(figure, shown[0])
    else:
        _compared(figure, shown)


def _one(figure: "Figure", row: TrapRow) -> None:
    """The accesses of one recording, down to the registers whose accesses become exits."""
    bars = [
        ("all accesses to the CPU interface", row.accesses, GREY),
        ("SGI writes: exits anyway", row.sgi_writes, SGIS),
    ]
    bars += [("exits added", row.added, ADDED), ("exits added and needed", row.needed, NEEDED)]
    for exits in row.added_registers.split():
        register, access, number = exits.split(":")
        bars.append((f"added: {access}s of {register}", int(number), ADDED))
    figure.set_size_inches(_WIDTH, 1.1 + 0.3 * len(bars))
    axes = figure.add_subplot()
    places = range(len(bars))
    axes.barh(places, [count for _, count, _ in bars], color=[colour for *_, colour in bars], height=0.6, left=0)
    for place, (_, count, _) in zip(places, bars, strict=True):
        axes.annotate(
            f"{count:,}", (max(count, 1), place), (5, 0), textcoords="offset points", va="center", fontsize=8
        )
    axes.set_yticks(places, [label for label, *_ in bars])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    axes.set_title(trace_labels([row.trace])[0])
    _counts(axes, row.accesses)


def _compared(figure: "Figure", shown: Sequence[TrapRow]) -> None:
    """Several recordings, one below the other."""
    figure.set_size_inches(_WIDTH, 1.5 + 0.5 * len(shown))
    axes = figure.add_subplot()
    above, below = 6, -13  # Points; the numbers of neighbours must not meet.
    kinds = (
        ("exits added and needed", [row.needed for row in shown], NEEDED, above),
        ("exits added", [row.added for row in shown], ADDED, above),
        ("SGI writes: exits anyway", [row.sgi_writes for row in shown], SGIS, below),
        ("all accesses to the CPU interface", [row.accesses for row in shown], GREY, above),
    )
    for label, counts, colour, offset in kinds:
        places = [place for place, number in enumerate(counts) if number]
        axes.plot([counts[place] for place in places], places, "o", color=colour, markersize=7, label=label)
        for place in places:
            text = f"{counts[place]:,}"
            axes.annotate(
                text, (counts[place], place), (0, offset), textcoords="offset points", ha="center", fontsize=8
            )
    axes.set_yticks(range(len(shown)), trace_labels([row.trace for row in shown]))
    axes.set_ylim(len(shown) - 0.5, -0.7)
    _counts(axes, max(row.accesses for row in shown))
    figure.legend(loc="outside lower center", ncols=2)


def _counts(axes: "Axes", most: int) -> None:
    """Numbers of accesses along x, from 1 to `most`."""
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes.set_xscale("log")
    axes.set_xlim(1, 2 * max(most, 1))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("accesses in the recording")


TRAP_PLOTS: Final = (
    Plot(
        "traps",
        "Exits of recorded guests on a host whose A3V bit differs. Both directions cost the same.",
        _exits,
        (_WIDTH, 4.4),
    ),
)
