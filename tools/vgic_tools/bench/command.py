"""The command `vgic bench`."""

import json
import sys
from pathlib import Path
from typing import Final

import click
from rich.progress import Progress

import vgic
from mmio.trace import TraceError
from vgic_tools.bench.plots import draw, require_matplotlib
from vgic_tools.bench.replays import DivergenceError
from vgic_tools.bench.report import as_json, headline, print_report
from vgic_tools.bench.suite import FULL, QUICK, YardstickError, run
from vgic_tools.bench.timing import NotMeasuredError
from vgic_tools.console import stdout
from vgic_tools.drawing import Canvas
from vgic_tools.errors import UsageError
from vgic_tools.replay import ReplayError
from vgic_tools.signals import ended_by_signals
from vgic_tools.terminal import DIFFERENT, complain, fail

__all__ = ["bench_command"]

INPUT_ERRORS: Final = (
    UsageError,
    TraceError,
    ReplayError,
    vgic.VgicError,
    NotMeasuredError,
)

FINDINGS: Final = (YardstickError, DivergenceError)
"""What is measured does not do what it should."""


@click.command("bench", short_help="Measure what operations cost, against yardsticks.")
@click.argument("trace", type=click.Path(path_type=Path), metavar="TRACE")
@click.option(
    "--qemu-cmdline",
    type=click.Path(path_type=Path),
    metavar="FILE",
    required=True,
    help="The command line that made the recording.",
)
@click.option(
    "--json", "output", type=click.Path(path_type=Path), metavar="FILE", help="Also write everything as JSON."
)
@click.option("--plot", type=click.Path(path_type=Path), metavar="FILE", help="Also draw what grows with what.")
@click.option("--quick", is_flag=True, help="Do little of everything, to see that it works: not to be quoted.")
def bench_command(trace: Path, qemu_cmdline: Path, output: Path | None, plot: Path | None, quick: bool) -> None:
    """Measure what operations cost, those of TRACE among them, against yardsticks measured in the same run.

    The yardsticks are the same source interpreted, a small GICv3 in C, two slow designs, and QEMU's own GICv3 under
    TCG. Those that are not there are said to be missing. Times are medians of rounds that take turns, in CPU time.
    Exits with 0 where every bound is met, or with --quick, whose times decide nothing; 1 where one is not, or the
    model does something else than the recording or a yardstick; 2 where the input cannot be used.
    """
    effort = QUICK if quick else FULL
    canvas = Canvas()
    file = output
    try:
        for path in (output, plot):
            if path is not None and not path.parent.is_dir():
                raise UsageError(f"{path}: cannot be written: there is no such folder")
        if plot is not None:
            require_matplotlib()
        shown = Progress(console=canvas, transient=True, disable=not canvas.is_terminal)
        with ended_by_signals(), shown as progress:
            task = progress.add_task("rounds", total=effort.rounds)
            outcome = run(trace, qemu_cmdline, effort, plot is not None, lambda: progress.advance(task))
        if output is not None:
            output.write_text(json.dumps(as_json(outcome), indent=2) + "\n")
        if plot is not None:
            file = plot
            draw(outcome.curves, headline(outcome), plot)
    except FINDINGS as error:
        complain(str(error))
        sys.exit(DIFFERENT)
    except INPUT_ERRORS as error:
        fail(error)
    except OSError as error:
        fail(UsageError(f"{file}: cannot be written: {error.strerror}"))
    print_report(stdout(), outcome)
    if not quick and any(figure.met is False for figure in outcome.figures):
        sys.exit(DIFFERENT)
