"""The figures of the experiment `fairness`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.fairness_study import FairnessRow
from vgic_tools.affinity.plots import COLOURS, GREY, MARKERS, Plot, thousands

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAIRNESS_PLOTS"]

_LABELS: Final = {"first": "1-of-N, first", "rotate": "1-of-N, rotate", "directed": "directed in turn"}
_LEAST_WAIT: Final = 1e-3


def _by_load(figure: "Figure", rows: Sequence[FairnessRow]) -> None:
    from matplotlib.ticker import FuncFormatter

    counts = sorted({row.vcpus for row in rows})
    shown = counts if len(counts) < 4 else [counts[0], counts[len(counts) // 2], counts[-1]]
    panels = figure.subplots(2, len(shown), squeeze=False, sharex=True, sharey="row")
    for column, count in enumerate(shown):
        fairness, wait = panels[0][column], panels[1][column]
        for number, (choice, label) in enumerate(_LABELS.items()):
            line = [row for row in rows if row.vcpus == count and row.choice == choice]
            loads = [row.load for row in line]
            style = {"color": COLOURS[number], "marker": MARKERS[number]}
            fairness.plot(loads, [row.jain for row in line], label=label, **style)
            wait.plot(loads, [max(row.mean_wait, _LEAST_WAIT) for row in line], label=label, **style)
        ideal = {row.load: max(row.ideal_wait, _LEAST_WAIT) for row in rows if row.vcpus == count}
        wait.plot(ideal.keys(), ideal.values(), color=GREY, linestyle="--", label="ideal: common queue")
        fairness.set_title(f"{count} vCPUs")
        fairness.set_ylim(0, 1.05)
        wait.set_yscale("log")
        wait.set_ylim(_LEAST_WAIT, None)
        wait.yaxis.set_major_formatter(FuncFormatter(thousands))
        wait.set_xlabel("load")
    panels[0][0].set_ylabel("Jain's fairness index")
    panels[1][0].set_ylabel("mean wait, service times")
    handles, labels = panels[1][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)


def _shares(figure: "Figure", rows: Sequence[FairnessRow]) -> None:
    """Who took how many, in one middling case."""
    counts, loads = sorted({row.vcpus for row in rows}), sorted({row.load for row in rows})
    count = min(counts, key=lambda value: abs(value - 16))
    load = min(loads, key=lambda value: abs(value - 0.5))
    panels = figure.subplots(1, len(_LABELS), squeeze=False, sharey=True)[0]
    for number, (axes, choice) in enumerate(zip(panels, _LABELS, strict=True)):
        for row in rows:
            if (row.vcpus, row.load, row.choice) == (count, load, choice):
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
        "Fairness and mean wait by load. Waits below a thousandth of a service time are drawn there.",
        _by_load,
        (9.0, 5.4),
    ),
    Plot(
        "fairness_shares",
        "Which vCPU takes the interrupts. The dashed line is an equal share.",
        _shares,
        (9.0, 2.8),
    ),
)
