"""Figures in one style, written as SVG and PNG; and what several of them share.

matplotlib is an optional dependency: it is imported only when a figure is drawn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from vgic_tools.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "COLOURS",
    "GREY",
    "MARKERS",
    "STYLE",
    "Drawn",
    "Plot",
    "kvm_limit",
    "save",
    "short",
    "thousands",
    "vcpu_axis",
]

RowT = TypeVar("RowT")

COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31")
"""Told apart by colour-blind readers too (Okabe and Ito)."""
MARKERS: Final = "os^vDP*"
GREY: Final = "#767676"

STYLE: Final = Path(__file__).with_name("figures.mplstyle")
"""Of every figure, for `matplotlib.rc_context`."""


@dataclass(frozen=True)
class Plot(Generic[RowT]):
    """A figure: `draw` fills an empty matplotlib figure of `size` inches."""

    name: str
    """The stem of its files."""
    caption: str
    draw: Callable[["Figure", Sequence[RowT]], None]
    size: tuple[float, float] = (7.0, 4.2)


class Drawn(NamedTuple):
    """A figure for a page."""

    caption: str
    svg: str


def save(plot: Plot[RowT], rows: Sequence[RowT], output: Path) -> Drawn:
    """Write the figure to NAME.svg and NAME.png in `output`. Raises UsageError without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError("figures need matplotlib: pip install 'vgic[experiments]'") from None
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure, rows)
        svg = output / f"{plot.name}.svg"
        figure.savefig(svg, metadata={"Date": None})
        figure.savefig(svg.with_suffix(".png"))
    return Drawn(plot.caption, svg.read_text(encoding="utf-8"))


def thousands(value: float, _: object = None) -> str:
    """A number as people write it, for an axis: 65,536."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def short(value: float, _: object = None) -> str:
    """A large number in little space, for an axis: 10 M."""
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= limit:
            return f"{value / limit:,.0f}{unit}"
    return f"{value:g}"


def vcpu_axis(axes: "Axes", most: int) -> None:
    """Numbers of vCPUs from 1 to `most` along x, by powers of two."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    step = 4 if most > 1024 else 2
    ticks = [float(1 << n) for n in range(0, most.bit_length(), step)]
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(thousands))
    axes.set_xlabel("vCPUs")


def kvm_limit(axes: "Axes", y: float = 0.98) -> None:
    """Mark the most vCPUs that KVM runs; `y` is where the text ends, 0 to 1."""
    axes.axvline(512, color=GREY, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.text(
        480, y, "KVM: 512", transform=axes.get_xaxis_transform(), rotation=90, ha="right", va="top", color=GREY
    )
