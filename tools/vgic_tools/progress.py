"""Progress bars, on terminals only."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vgic_tools.terminal import visible

__all__ = ["progress"]


@contextmanager
def progress(name: str, total: int, done: Callable[[], int]) -> Iterator[Callable[[], None]]:
    """A function to call now and then; shows how much of `total` is done on a terminal, nothing elsewhere."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    # Where there is no bar, nobody waits for Rich.
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from vgic_tools.drawing import Canvas

    label = TextColumn("{task.description}", markup=False)
    with Progress(
        label, BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=Canvas(), transient=True
    ) as bar:
        task = bar.add_task(visible(name), total=total)
        yield lambda: bar.update(task, completed=done())
