"""What it takes until `vgic` has done something small: whole processes, against one of Python that does nothing.

A user waits from the start of a process to its end, and what it imports is most of that. It is CPU time of the
process. Python is not told to leave out what it finds around it (-I or -S): a user's does not either.
"""

import gzip
import os
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Final

from vgic_tools.bench.timing import NotMeasuredError, Timed

__all__ = ["BARE", "STARTS", "starts"]

BARE: Final = "process: python -c pass"
_VERSION: Final = "vgic --version, a process"
_IMPORT: Final = "import vgic, a process"
_REPLAY: Final = "vgic replay of a small trace, a process"

STARTS: Final = {_VERSION: 5.0, _IMPORT: 7.0, _REPLAY: 14.0}
"""What is started, and its bound in starts of a bare Python."""

_SMALL: Final = 500
"""Lines of a small trace."""
_MAIN: Final = "from vgic_tools.cli import main; main()"


def starts(trace: Path, cmdline: Path, folder: Path) -> dict[str, Timed]:
    """Processes to time, `BARE` among them. `folder` is for the small trace, which is the beginning of `trace`.

    Raises NotMeasuredError where the CPU time of a process cannot be asked for.
    """
    if not hasattr(os, "wait4"):
        raise NotMeasuredError("the CPU time of a process that has ended cannot be asked for here")
    small = folder / "small.log"
    opened = gzip.open if trace.suffix == ".gz" else open
    with opened(trace, "rb") as source:
        small.write_bytes(b"".join(islice(source, _SMALL)))
    replay = ["replay", str(small), "--qemu-cmdline", str(cmdline.resolve())]
    return {
        BARE: _process("pass"),
        _IMPORT: _process("import vgic"),
        _VERSION: _process(_MAIN, "--version"),
        _REPLAY: _process(_MAIN, *replay),
    }


def _process(code: str, *arguments: str) -> Timed:
    # The packages that we run from, and not those of a source tree that we may stand in.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}
    command = [sys.executable, "-P", "-c", code, *arguments]

    def once() -> float:
        with subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            assert process.stderr is not None
            said = process.stderr.read().decode(errors="replace")
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise NotMeasuredError(f"{command[3:]} ended with {process.returncode}: {said.strip()}")
        return (used.ru_utime + used.ru_stime) * 1e9

    return once
