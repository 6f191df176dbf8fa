"""The same source, interpreted: a second Python beside a compiled one, to take turns with it.

An install of the compiled core has its source beside it. Here that process looks for nothing but source in the
packages of vgic, and so runs it as an install without a compiler would.

Run as `python -m vgic_tools.bench.interpreted TRACE CMDLINE MOST CALLS` it reads names of measurements, one a line,
and answers each with its nanoseconds. Until the path hook is in place, nothing here may import vgic.
"""

import os
import subprocess
import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vgic_tools.bench.timing import NotMeasuredError, Timed, quiet_heap

__all__ = ["Interpreted"]

_PACKAGES: Final = ("mmio", "vgic", "vgic_tools")


class Interpreted:
    """A Python process with the interpreted core, ready to measure what `subject` names; a context manager."""

    def __init__(self, trace: Path, cmdline: Path, most: int | None, calls: int) -> None:
        arguments = [str(trace.resolve()), str(cmdline.resolve()), str(most or 0), str(calls)]
        # The packages that we run from, and not those of a source tree that we may stand in.
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vgic_tools.bench.interpreted", *arguments],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def timed(self, name: str) -> Timed:
        """A measurement of the other process."""

        def once() -> float:
            assert self._process.stdin is not None
            assert self._process.stdout is not None
            try:
                self._process.stdin.write(f"{name}\n")
                return float(self._process.stdout.readline())
            except (OSError, ValueError) as error:
                raise NotMeasuredError(f"the process with the interpreted core has ended: {error}") from error

        return once


def _source_only(folder: str) -> FileFinder:
    """A path hook for the packages of vgic: their extension modules are not there."""
    if not any(Path(folder).is_relative_to(root) for root in _ROOTS):
        raise ImportError(f"{folder} is not ours")
    return FileFinder(folder, (SourceFileLoader, SOURCE_SUFFIXES))


_ROOTS: Final = [Path(entry, package) for entry in sys.path for package in _PACKAGES]


def _serve(trace: str, cmdline: str, most: str, calls: str) -> None:
    sys.path_hooks.insert(0, _source_only)
    sys.path_importer_cache.clear()

    import vgic
    from vgic_tools.bench.loops import loop_machine
    from vgic_tools.bench.operations import workload_of
    from vgic_tools.bench.subject import subject

    assert not vgic.COMPILED, "an extension module was found all the same"
    workload = workload_of(Path(trace), Path(cmdline), int(most) or None)
    measurements = subject(workload, loop_machine(), int(calls))
    with quiet_heap():
        for line in sys.stdin:
            print(measurements[line.strip()](), flush=True)


if __name__ == "__main__":
    _serve(*sys.argv[1:])
