"""The figures of the experiment `layouts`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.layout_study import LayoutRow
from vgic_tools.affinity.plots import COLOURS, GREY, MARKERS, Plot, kvm_limit, short, thousands, vcpu_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LAYOUT_PLOTS"]


def _sgi_writes(figure: "Figure", rows: Sequence[LayoutRow]) -> None:
    from matplotlib.ticker import FuncFormatter

    axes = figure.add_subplot()
    lines = _by_layout(rows)
    for number, (label, line) in enumerate(lines.items()):
        line = [row for row in line if row.vcpus > 1]
        axes.plot(
            [row.vcpus for row in line],
            [row.sgi_writes_rss for row in line],
            label=label,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKERS[number % len(MARKERS)],
        )
    axes.axhline(1, color=GREY, linestyle=":", label="any layout, with IRM")
    axes.set_yscale("log", base=2)
    _plain(axes, rows)
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    kvm_limit(axes, 0.31)
    axes.set_ylabel("writes of ICC_SGI1R_EL1")
    axes.set_title("Writes to send an SGI to every other vCPU by target list")
    figure.legend(loc="outside lower center", ncols=3)


def _walk(figure: "Figure", rows: Sequence[LayoutRow]) -> None:
    from matplotlib.ticker import FuncFormatter

    axes = figure.add_subplot()
    walks = {row.vcpus: row for row in rows}
    for how, marker, filled in (("model", "o", True), ("closed form", "o", False)):
        counts = [count for count in sorted(walks) if walks[count].walk_by == how]
        axes.plot(
            counts,
            [walks[count].typer_reads for count in counts],
            linestyle="",
            marker=marker,
            markerfacecolor=COLOURS[0] if filled else "white",
            color=COLOURS[0],
            label="registers read from the model" if filled else "closed form",
            zorder=3,
        )
    counts = sorted(walks)
    axes.plot(counts, [walks[count].typer_reads for count in counts], color=COLOURS[0], linewidth=0.8, zorder=2)
    axes.set_yscale("log")
    _plain(axes, rows)
    axes.yaxis.set_major_formatter(FuncFormatter(short))
    kvm_limit(axes)
    axes.set_ylabel("reads of GICR_TYPER")
    axes.set_title("Reads of GICR_TYPER until every vCPU has found its redistributor")
    figure.legend(loc="outside lower center", ncols=2)


def _plain(axes: "Axes", rows: Sequence[LayoutRow]) -> None:
    from matplotlib.ticker import NullLocator

    vcpu_axis(axes, max(row.vcpus for row in rows))
    axes.yaxis.set_minor_locator(NullLocator())


def _by_layout(rows: Sequence[LayoutRow]) -> dict[str, list[LayoutRow]]:
    """The rows of each layout; layouts that cost the same share a line."""
    lines: dict[str, list[LayoutRow]] = {}
    for row in rows:
        lines.setdefault(row.layout, []).append(row)
    merged: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for name, line in lines.items():
        merged.setdefault(tuple((row.vcpus, row.sgi_writes_rss) for row in line), []).append(name)
    label = {name: f"{name} (RSS)" if line[-1].needs_rss else name for name, line in lines.items()}
    return {", ".join(map(label.__getitem__, names)): lines[names[0]] for names in merged.values()}


LAYOUT_PLOTS: Final = (
    Plot(
        "layouts_sgi_writes",
        "Writes of ICC_SGI1R_EL1 that reach every other vCPU by target list, as Linux sends its broadcasts. What"
        " counts is how many values of Aff0 a cluster uses, not which level tells the clusters apart.",
        _sgi_writes,
    ),
    Plot(
        "layouts_walk",
        "Every vCPU walks the frames from the first one until it finds its own affinity, so the reads grow with the"
        " square of the vCPUs. The layout makes no difference.",
        _walk,
    ),
)
