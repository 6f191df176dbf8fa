"""Figures: that nothing in them covers something else, and that small experiments give small figures."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from vgic_tools.affinity.fairness_plots import FAIRNESS_PLOTS
from vgic_tools.affinity.fairness_study import fairness_study, measure_fairness
from vgic_tools.affinity.layout_plots import LAYOUT_PLOTS
from vgic_tools.affinity.layout_study import LayoutRow
from vgic_tools.affinity.plots import STYLE, Plot
from vgic_tools.affinity.routing_plots import ROUTING_PLOTS
from vgic_tools.affinity.routing_study import OPERATIONS, RoutingRow
from vgic_tools.affinity.trap_plots import TRAP_PLOTS
from vgic_tools.affinity.trap_study import TrapRow

matplotlib = pytest.importorskip("matplotlib")

COUNTS = [1 << n for n in range(17)]


def layouts() -> list[LayoutRow]:
    names = ("kvm", "qemu", "qemu-gicv2", "aff0-256", "two-sockets", "sparse-aff3", "threads")
    return [
        LayoutRow(
            name, count, "0.0.0.0", False, name == "aff0-256", count <= 512, count, 0, 1 + count * number // 16, 1,
            2 * count, count << 17, 1, 1, "virt", "model" if count <= 1024 else "closed form", count * (count + 1),
            count, 0, 2000.0,
        )
        for number, name in enumerate(names)
        for count in COUNTS
    ]  # fmt: skip


def routing() -> list[RoutingRow]:
    return [
        RoutingRow(name, count, 25, 2000, 30.0, *(170.0, 160.0, 190.0), *(175.0, 160.0, 200.0), *(1.0, 0.9, 1.1))
        for count in COUNTS[::2]
        for name in OPERATIONS
    ]


def fairness() -> list[Any]:
    return [measure_fairness(point) for point in fairness_study([2, 16], [0.5, 0.9], 60, 2).points]


def traps(*names: str) -> list[TrapRow]:
    added = "ICC_CTLR:read:21 ICC_CTLR:write:7 ICC_PMR:read:14 ICC_PMR:write:21"
    return [
        TrapRow(f"{name}/trace.gz", True, False, 1.0, "TC", 9915, 1143, 63, 21, added, 4342, 0.01, 10.2, 0.0006)
        for name in names
    ]


CASES = {
    **{plot.name: (plot, layouts) for plot in LAYOUT_PLOTS},
    **{plot.name: (plot, routing) for plot in ROUTING_PLOTS},
    **{plot.name: (plot, fairness) for plot in FAIRNESS_PLOTS},
    "traps of one": (TRAP_PLOTS[0], lambda: traps("one")),
    "traps of five": (TRAP_PLOTS[0], lambda: traps(*"abcde")),
}


def drawn(plot: Plot[Any], rows: Sequence[Any]) -> Any:
    from matplotlib.figure import Figure

    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=plot.size, layout="constrained")
        plot.draw(figure, rows)
        figure.draw_without_rendering()
    return figure


def boxes(artists: Sequence[Any]) -> list[Any]:
    return [artist.get_window_extent() for artist in artists if artist.get_visible() and artist.get_text()]


@pytest.mark.parametrize("name", CASES)
def test_nothing_covers_something_else(name):
    plot, rows = CASES[name]
    figure = drawn(plot, rows())
    panels = [axes.get_window_extent() for axes in figure.axes if axes.axison]
    for legend in figure.legends:
        assert not any(legend.get_window_extent().overlaps(panel) for panel in panels)
    for axes in figure.axes:
        # A legend among lines is crossed by one, sooner or later.
        assert axes.get_legend() is None
        for axis in (axes.xaxis, axes.yaxis):
            shown = boxes(axis.get_ticklabels())
            assert not any(one.overlaps(other) for one, other in pairwise(shown)), [axes.get_title(), shown]
        assert not any(
            one.overlaps(other) for n, one in enumerate(boxes(axes.texts)) for other in boxes(axes.texts)[:n]
        )


def test_a_figure_is_as_high_as_what_it_shows():
    heights = [drawn(TRAP_PLOTS[0], traps(*names)).get_size_inches()[1] for names in ("ab", "abcdefgh")]
    assert heights[0] < 3 < 5 < heights[1]


def test_one_trace_is_shown_down_to_its_registers(tmp_path: Path):
    (axes,) = drawn(TRAP_PLOTS[0], traps("boot")).axes
    labels = {
        label.get_text(): int(bar.get_width())
        for label, bar in zip(axes.get_yticklabels(), axes.patches, strict=True)
    }
    assert labels["all accesses to the CPU interface"] == 9915
    assert labels["added: reads of ICC_CTLR"] == 21
    assert len(labels) == 8
