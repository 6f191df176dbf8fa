"""The figure of the experiment `traps`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.plots import COLOURS, GREY, Plot, thousands
from vgic_tools.affinity.trap_study import TrapRow, mismatched, trace_labels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TRAP_PLOTS"]


def _exits(figure: "Figure", rows: Sequence[TrapRow]) -> None:
    from matplotlib.ticker import FuncFormatter, NullLocator

    axes = figure.add_subplot()
    shown = mismatched(rows)
    above, below = 6, -13  # Points; the numbers of neighbours must not meet.
    kinds = (
        ("exits added and needed", [row.needed for row in shown], COLOURS[4], above),
        ("exits added", [row.added for row in shown], COLOURS[1], above),
        ("SGI writes: exits anyway", [row.sgi_writes for row in shown], COLOURS[0], below),
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
    axes.set_xscale("log")
    axes.set_xlim(1, 2 * max(row.accesses for row in shown))
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks(range(len(shown)), trace_labels([row.trace for row in shown]))
    axes.set_ylim(len(shown) - 0.5, -0.7)
    axes.set_xlabel("accesses in the recording")
    figure.legend(loc="outside lower center", ncols=2)


TRAP_PLOTS: Final = (
    Plot(
        "traps",
        "Exits of recorded guests on a host whose A3V is not theirs. Both directions cost the same.",
        _exits,
        (8.0, 4.4),
    ),
)
