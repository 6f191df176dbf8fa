"""The files that `vgic replay` writes beside its result."""

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

import click

from mmio.replacing import replacing_file
from vgic_tools.errors import UsageError

if TYPE_CHECKING:
    from vgic import Config
    from vgic_tools.replay.result import Result
    from vgic_tools.report.recorder import Recorder

__all__ = ["Outputs", "origin", "output_options", "write_page"]

CommandT = TypeVar("CommandT", bound=Callable[..., object])


def output_options(command: CommandT) -> CommandT:
    """Give a click command the options `perfetto`, `vcd` and `html`, paths or None."""
    options = [
        ("--perfetto", "Write what happened as a trace for https://ui.perfetto.dev."),
        ("--vcd", "Write it as waveforms, a value change dump (needs the extra vgic[report])."),
        ("--html", "Write the result and a time line as a web page (needs the extra vgic[report])."),
    ]
    for name, text in reversed(options):
        command = click.option(name, type=click.Path(path_type=Path), metavar="FILE", help=text)(command)
    return command


@dataclass(frozen=True)
class Outputs:
    """Which files to write, None for those that nobody asked for."""

    perfetto: Path | None = None
    vcd: Path | None = None
    html: Path | None = None

    def check(self, *inputs: object) -> None:
        """Raise UsageError where a file would replace another one, or an input of the command."""
        names = [("--perfetto", self.perfetto), ("--vcd", self.vcd), ("--html", self.html)]
        taken = {Path(str(name)).resolve(): "an input" for name in inputs if name is not None}
        for option, path in names:
            if path is not None:
                where = path.resolve()
                if where in taken:
                    raise UsageError(f"{option} {path}: is {taken[where]} of this command, too")
                taken[where] = "another output"

    def recorder(self, config: "Config") -> "Recorder | None":
        """What records for them; None where there are none.

        Raises UsageError where a library is missing that they need.
        """
        if not any((self.perfetto, self.vcd, self.html)):
            return None
        from vgic_tools.report.pages import check_pages
        from vgic_tools.report.recorder import Recorder
        from vgic_tools.report.waveform import check_waveforms

        if self.html is not None:
            check_pages()
        if self.vcd is not None:
            check_waveforms()
        return Recorder(config)

    def write(self, result: "Result", recorder: "Recorder", provenance: Mapping[str, str]) -> None:
        """Write them, each complete or not at all. Raises UsageError where one cannot be written."""
        timeline, title = recorder.timeline, f"Replay of {result.trace}"
        if self.perfetto is not None:
            from vgic_tools.report.perfetto import write_perfetto

            first = result.first
            divergence = None if first is None else (timeline.time_of(first.event), first.what)
            with _written(self.perfetto) as file:
                write_perfetto(file, timeline, title, divergence)
        if self.vcd is not None:
            from vgic_tools.report.waveform import write_vcd

            with _written(self.vcd) as file, TextIOWrapper(file, "ascii", newline="\n") as text:
                write_vcd(text, timeline, title)
        if self.html is not None:
            from vgic_tools.report.replay_page import replay_page

            write_page(self.html, replay_page(result, timeline, title, provenance))


def write_page(path: Path, page: str) -> None:
    """Write a page, complete or not at all. Raises UsageError where it cannot be written."""
    with _written(path) as file:
        file.write(page.encode("utf-8", "replace"))


@contextmanager
def _written(path: Path) -> Iterator[BinaryIO]:
    try:
        with replacing_file(path) as file:
            yield file
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from error


def origin(context: click.Context, trace: str) -> dict[str, str]:
    """Where a page comes from: of which input, by which command of which version, and when.

    Raises UsageError where the input cannot be read.
    """
    from vgic_tools.provenance import provenance

    told = provenance(context)
    # "The machine" is the guest's, on these pages.
    told["computer"] = told.pop("machine")
    return {"input": trace, "its SHA-256": _digest(trace), **told}


def _digest(path: str) -> str:
    import hashlib

    if path == "-":
        return "not known: it came from a pipe"
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return "not known: it came from a pipe"
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
