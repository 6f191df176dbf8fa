"""The plot: what operations cost as vCPUs, pending interrupts and traces grow."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vgic_tools.affinity.plots import COLOURS, GREY, MARKERS, STYLE, short, thousands
from vgic_tools.bench.curves import EVENTS, PENDING, VCPUS, Curve
from vgic_tools.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw", "require_matplotlib"]

_TITLES: Final = {
    VCPUS: "More vCPUs",
    PENDING: "More pending interrupts",
    EVENTS: "Longer traces",
}
_NOTES: Final = {
    VCPUS: "performed by a loop inside the core",
    PENDING: "one leaves, one comes; called from Python",
    EVENTS: "a boot replayed and compared, net of starting",
}


def require_matplotlib() -> None:
    """Raise UsageError where there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError:
        raise UsageError("the plot needs matplotlib: pip install 'vgic[experiments]'") from None


def draw(curves: Sequence[Curve], title: str, output: Path) -> None:
    """Draw the curves to a file of the kind that its suffix names."""
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(11.5, 4.2), layout="constrained")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10, color=GREY)
        panels = figure.subplots(1, len(_TITLES))
        for axes, panel in zip(panels, _TITLES, strict=True):
            _panel(axes, panel, [curve for curve in curves if curve.panel == panel])
        panels[0].set_ylabel("nanoseconds of CPU time, each")
        figure.savefig(output)


def _panel(axes: "Axes", panel: str, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

    for curve, colour, marker in zip(curves, COLOURS, MARKERS, strict=False):
        axes.plot(curve.sizes, curve.nanoseconds, color=colour, marker=marker, label=curve.name)
        axes.annotate(
            thousands(round(curve.nanoseconds[-1])),
            (curve.sizes[-1], curve.nanoseconds[-1]),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=colour,
        )
    sizes = curves[0].sizes
    axes.set_title(f"{_TITLES[panel]}\n", fontsize=10)
    axes.text(0, 1.02, _NOTES[panel], transform=axes.transAxes, fontsize=8, color=GREY)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlim(sizes[0] / 1.4, sizes[-1] * 2.4)
    # A quick run has times of nothing and less, once what starting takes is gone.
    times = [time for curve in curves for time in curve.nanoseconds if time > 0] or [1.0]
    axes.set_ylim(min(times) / 2, max(times) * 4)
    axes.xaxis.set_major_locator(FixedLocator([float(size) for size in sizes[:: 1 + len(sizes) // 6]]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(short))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 3.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(thousands))
    axes.set_xlabel(panel)
    axes.legend(loc="upper left", fontsize=8)
