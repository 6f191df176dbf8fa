"""The figure of the experiment `routing`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.plots import COLOURS, Plot, vcpu_axis
from vgic_tools.affinity.routing_study import RoutingRow, Spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ROUTING_PLOTS"]


_ASIDE: Final = 1.08


def _costs(figure: "Figure", rows: Sequence[RoutingRow]) -> None:
    most = max(row.vcpus for row in rows)
    operations = list(dict.fromkeys(row.operation for row in reversed(rows)))[::-1]
    columns = min(3, len(operations))
    panels = figure.subplots(-(-len(operations) // columns), columns, squeeze=False, sharex=True).flat
    for axes, operation in zip(panels, operations, strict=False):
        line = [row for row in rows if row.operation == operation]
        counts = [row.vcpus for row in line]
        without = [Spread(row.without_low, row.without_aff3, row.without_high) for row in line]
        with_aff3 = [Spread(row.with_low, row.with_aff3, row.with_high) for row in line]
        # Beside each other: where they coincide, both are seen.
        _series(axes, [count / _ASIDE for count in counts], without, "without Aff3", "o-", COLOURS[0])
        _series(axes, [count * _ASIDE for count in counts], with_aff3, "with Aff3", "s--", COLOURS[1])
        vcpu_axis(axes, most)
        axes.set_ylim(0, 1.15 * max(max(row.without_high, row.with_high) for row in line))
        axes.set_title(operation)
        axes.tick_params(labelbottom=True)
    figure.supylabel("cost, in empty method calls", fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    for axes in figure.axes[len(operations) :]:
        axes.set_axis_off()


def _series(
    axes: "Axes", counts: Sequence[float], spreads: Sequence[Spread], label: str, style: str, colour: str
) -> None:
    below = [spread.median - spread.low for spread in spreads]
    above = [spread.high - spread.median for spread in spreads]
    medians = [spread.median for spread in spreads]
    axes.errorbar(
        counts, medians, yerr=[below, above], fmt=style, color=colour, label=label, linewidth=1, markersize=3,
        elinewidth=1, capsize=2,
    )  # fmt: skip


ROUTING_PLOTS: Final = (
    Plot(
        "routing",
        "What an operation costs as a VM grows, in empty Python method calls timed in the same rounds: medians, and"
        " the quartiles of the rounds as bars.",
        _costs,
        (9.0, 4.8),
    ),
)
