"""The figure of the experiment `routing`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.plots import COLOURS, Plot, vcpu_axis
from vgic_tools.affinity.routing_study import RoutingRow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["ROUTING_PLOTS"]


def _costs(figure: "Figure", rows: Sequence[RoutingRow]) -> None:
    most = max(row.vcpus for row in rows)
    operations = list(dict.fromkeys(row.operation for row in reversed(rows)))[::-1]
    columns = min(3, len(operations))
    panels = figure.subplots(-(-len(operations) // columns), columns, squeeze=False, sharex=True).flat
    for axes, operation in zip(panels, operations, strict=False):
        line = [row for row in rows if row.operation == operation]
        counts = [row.vcpus for row in line]
        axes.plot(counts, [row.without_aff3 for row in line], "o-", color=COLOURS[0], label="without Aff3")
        axes.plot(counts, [row.with_aff3 for row in line], "s--", color=COLOURS[1], label="with Aff3")
        vcpu_axis(axes, most)
        axes.set_ylim(0, 1.25 * max(max(row.without_aff3, row.with_aff3) for row in line))
        axes.set_title(operation)
        axes.tick_params(labelbottom=True)
    first = figure.axes[0]
    figure.supylabel("cost, in empty method calls", fontsize=9)
    first.legend(loc="lower right")
    for axes in figure.axes[len(operations) :]:
        axes.set_axis_off()


ROUTING_PLOTS: Final = (
    Plot(
        "routing",
        "What an operation costs as a VM grows, in empty Python method calls timed in the same rounds.",
        _costs,
        (9.0, 4.8),
    ),
)
