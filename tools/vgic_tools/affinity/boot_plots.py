"""The figure of the experiment `boots`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.boot_study import TOPOLOGIES, BootRow
from vgic_tools.affinity.plots import COLOURS, GREY, Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["BOOT_PLOTS"]

_HEIGHT: Final = 0.36


def _boots(figure: "Figure", rows: Sequence[BootRow]) -> None:
    counts, times = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    places = range(len(rows))
    for offset, name, colour, values in (
        (-_HEIGHT / 2, "CPUs reached", GREY, [row.sgi_targets for row in rows]),
        (_HEIGHT / 2, "writes of ICC_SGI1R_EL1", COLOURS[0], [row.sgi_writes for row in rows]),
    ):
        bars = counts.barh([place + offset for place in places], values, _HEIGHT, color=colour, label=name)
        counts.bar_label(bars, [f"{value:,}" for value in values], padding=4, fontsize=8)
    bars = times.barh(places, [row.end_s for row in rows], 2 * _HEIGHT, color=COLOURS[2])
    times.bar_label(bars, [f"{row.end_s:.2f}" for row in rows], padding=4, fontsize=8)
    labels = [f"{row.topology}\n{TOPOLOGIES[row.topology][0]}" for row in rows]
    counts.set_yticks(places, labels, fontsize=8)
    counts.set_ylim(len(rows) - 0.4, -0.6)
    counts.set_xlabel("in a boot")
    times.set_xlabel("seconds of the guest's own")
    for axes in (counts, times):
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.2)
    figure.legend(loc="outside lower center", ncols=2)


BOOT_PLOTS: Final = (
    Plot(
        "boots", "SGIs of a Linux guest, and its time, by how its CPUs have their affinities.", _boots, (8.0, 3.8)
    ),
)
