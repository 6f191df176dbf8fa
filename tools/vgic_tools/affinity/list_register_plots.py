"""The figure of the experiment `list-registers`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.list_register_study import ListRegisterRow, over_seeds
from vgic_tools.affinity.plots import COLOURS, MARKERS, Plot

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["LIST_REGISTER_PLOTS"]


def _by_count(figure: "Figure", rows: Sequence[ListRegisterRow]) -> None:
    panels = figure.subplots(1, 2, squeeze=False, sharex=True)[0]
    shown = (
        (panels[0], "maintenance interrupts", lambda row: row.maintenance),
        (panels[1], "list registers read and written", lambda row: row.reads + row.writes),
    )
    counts = sorted({row.list_registers for row in rows})
    for number, load in enumerate(sorted({row.load for row in rows})):
        for axes, _, value in shown:
            values = over_seeds(rows, load, value)
            axes.errorbar(
                list(values),
                [interval.mean for interval in values.values()],
                yerr=[interval.half for interval in values.values()],
                color=COLOURS[number % len(COLOURS)],
                marker=MARKERS[number % len(MARKERS)],
                linewidth=0.8,
                capsize=2,
                label=f"load {load:g}",
            )
    for axes, label, _ in shown:
        axes.set_xscale("log", base=2)
        axes.set_xticks(counts, [str(count) for count in counts])
        axes.set_xlabel("list registers")
        axes.set_ylabel(f"{label}\nfor each interrupt taken")
        axes.set_ylim(0, None)
    panels[0].legend()


LIST_REGISTER_PLOTS: Final = (
    Plot(
        "list_registers",
        "What a hypervisor does for each interrupt that its guest takes, by the number of list registers, with 95 %"
        " confidence intervals over the seeds.",
        _by_count,
        (9.0, 3.2),
    ),
)
