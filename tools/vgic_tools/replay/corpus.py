"""Many traces: which files of a folder are traces, and which file beside one says what machine it is of."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

from mmio.trace import Text, TraceError, TraceReader, open_trace
from vgic_tools.errors import UsageError
from vgic_tools.machines.files import describes_machine

__all__ = ["machine_beside", "traces_in"]

_SEARCHED: Final = 1000
"""Lines of a text in which there is an event where it is a trace."""

_MOST: Final = 1 << 22
"""Bytes of a file beside a trace that is looked at."""


def traces_in(names: Iterable[str]) -> list[Path]:
    """The files of these names, and the traces in the folders among them and all below, in order.

    Raises UsageError where there is none.
    """
    found: dict[Path, None] = {}
    for name in names:
        path = Path(name)
        inside = [path] if not path.is_dir() else [file for file in _files(path) if _is_trace(file)]
        if not inside:
            raise UsageError(f"{name}: there is no trace in this folder")
        found.update(dict.fromkeys(inside))
    return list(found)


def _files(folder: Path) -> Iterator[Path]:
    # A folder that cannot be read has nothing in it; links are not followed, so there is an end.
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            if file.is_file():
                yield file


def _is_trace(path: Path) -> bool:
    try:
        reader = open_trace(path)
    except TraceError:
        return False
    return reader.format != "qemu" or _has_event(reader)


def _has_event(reader: TraceReader) -> bool:
    try:
        return any(not isinstance(event, Text) for event in islice(reader, _SEARCHED))
    except TraceError as error:
        # A damaged event is one; a file without any is damaged as a whole.
        return error.line > 0 and "malformed" in error.message


def machine_beside(trace: Path) -> Path | None:
    """The file that says which machine a trace is of: one that is called as the trace is, or the folder's own.

    Of several, a QEMU command line says most, then a device tree, a MADT, and last a kernel log.
    """
    best: tuple[bool, int, str] | None = None
    for file in trace.parent.iterdir():
        if file == trace or not file.is_file() or file.stat().st_size > _MOST:
            continue
        rank = describes_machine(file)
        if rank is not None:
            offer = not file.name.startswith(_stem(trace)), rank, file.name
            best = offer if best is None else min(best, offer)
    return None if best is None else trace.parent / best[2]


def _stem(path: Path) -> str:
    """The name up to its first dot: "boot" of "boot.core.log.gz"."""
    return f"{path.name.partition('.')[0]}."
