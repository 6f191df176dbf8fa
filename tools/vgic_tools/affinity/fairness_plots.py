"""The figures of the experiment `fairness`."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from vgic_tools.affinity.fairness_study import FairnessRow, over_seeds
from vgic_tools.affinity.intervals import Interval
from vgic_tools.affinity.plots import COLOURS, GREY, MARKERS, Plot, thousands
from vgic_tools.affinity.queueing import common_queue_wait, own_queue_wait

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAIRNESS_PLOTS"]

_LABELS: Final = {"first": "1-of-N, first", "rotate": "1-of-N, rotate", "directed": "directed in turn"}
_LEAST_WAIT: Final = 1e-3
_STEPS: Final = 60
"""Of a theoretical curve."""


def _by_load(figure: "Figure", rows: Sequence[FairnessRow]) -> None:
    from matplotlib.ticker import FuncFormatter

    counts = sorted({row.vcpus for row in rows})
    shown = counts if len(counts) < 4 else [counts[0], counts[len(counts) // 2], counts[-1]]
    least, most = min(row.load for row in rows), max(row.load for row in rows)
    loads = [least + (most - least) * step / _STEPS for step in range(_STEPS + 1)]
    panels = figure.subplots(2, len(shown), squeeze=False, sharex=True, sharey="row")
    for column, count in enumerate(shown):
        fairness, wait = panels[0][column], panels[1][column]
        for number, (choice, label) in enumerate(_LABELS.items()):
            runs = [row for row in rows if row.vcpus == count and row.choice == choice]
            style: dict[str, Any] = {"color": COLOURS[number], "marker": MARKERS[number], "label": label}
            if not number:
                # What coincides with the others shows around them.
                style |= {"markersize": 8, "markerfacecolor": "none"}
            _with_interval(fairness, over_seeds(runs, lambda row: row.jain), style | {"linestyle": "-"})
            _with_interval(wait, over_seeds(runs, lambda row: row.mean_wait), style)
        for theory, dashes, label in (
            (partial(common_queue_wait, count), "--", "theory: common queue (M/M/n)"),
            (own_queue_wait, ":", "theory: a queue each (M/M/1)"),
        ):
            waits = [theory(load) for load in loads]
            wait.plot(loads, waits, color=GREY, linestyle=dashes, linewidth=1.2, label=label, zorder=1)
        fairness.set_title(f"{count} vCPUs")
        fairness.set_ylim(0, 1.05)
        wait.set_yscale("log")
        wait.set_ylim(_LEAST_WAIT, None)
        wait.yaxis.set_major_formatter(FuncFormatter(thousands))
        wait.set_xlabel("load")
    panels[0][0].set_ylabel("Jain's fairness index")
    panels[1][0].set_ylabel("mean wait, service times")
    handles, labels = panels[1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3)


def _with_interval(axes: "Axes", values: Mapping[float, Interval], style: Mapping[str, Any]) -> None:
    """Means as markers with their confidence intervals; what is too small for the axis is not drawn."""
    shown = {load: value for load, value in values.items() if value.mean >= _LEAST_WAIT}
    axes.errorbar(
        list(shown),
        [value.mean for value in shown.values()],
        yerr=[value.half for value in shown.values()],
        **{"linestyle": "", "linewidth": 0.8, "capsize": 2, "elinewidth": 1, **style},
    )


def _shares(figure: "Figure", rows: Sequence[FairnessRow]) -> None:
    """Who took how many, in one middling case."""
    counts, loads = sorted({row.vcpus for row in rows}), sorted({row.load for row in rows})
    count = min(counts, key=lambda value: abs(value - 16))
    load = min(loads, key=lambda value: abs(value - 0.5))
    panels = figure.subplots(1, len(_LABELS), squeeze=False, sharey=True)[0]
    for number, (axes, choice) in enumerate(zip(panels, _LABELS, strict=True)):
        row = next(row for row in rows if (row.vcpus, row.load, row.choice) == (count, load, choice))
        _bars(axes, [int(share) for share in row.taken.split()], COLOURS[number])
        axes.set_title(f"{_LABELS[choice]} (Jain {row.jain:.2f})")
    panels[0].set_ylabel(f"share of the interrupts at load {load:g}")


def _bars(axes: "Axes", taken: list[int], colour: str) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    axes.bar(range(len(taken)), [share / sum(taken) for share in taken], color=colour)
    axes.axhline(1 / len(taken), color=GREY, linestyle="--", linewidth=1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.grid(visible=False, axis="x")
    axes.set_xlabel("vCPU")


FAIRNESS_PLOTS: Final = (
    Plot(
        "fairness",
        "Fairness and mean wait by load, with 95 % confidence intervals over the seeds. Waits below a thousandth of"
        " a service time are not drawn.",
        _by_load,
        (9.0, 5.4),
    ),
    Plot(
        "fairness_shares",
        "Which vCPU takes the interrupts, in one run. The dashed line is an equal share.",
        _shares,
        (9.0, 2.8),
    ),
)
