"""Processes that end with the one that started them, however that ends."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["start", "stop"]

TIMEOUT: Final = 60.0
"""Seconds that a killed process may take to end."""

# Runs a command that is killed (9) when the process that started it ends (PR_SET_PDEATHSIG is 1), even by a signal.
# Not as preexec_fn, against which Python warns where there are threads.
_DIE_WITH_PARENT: Final = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def start(command: Sequence[str], errors: Path, sockets: Sequence[int] = ()) -> subprocess.Popen[bytes]:
    """Start a process that inherits these open sockets and writes its errors to a file.

    It is in a session of its own, so that a Ctrl-C does not reach it before its user has cleaned up.
    """
    with errors.open("wb") as file:
        return subprocess.Popen(
            [sys.executable, "-IS", "-c", _DIE_WITH_PARENT, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=file,
            pass_fds=sockets,
            start_new_session=True,
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """Kill a process, if it still runs, and wait for its end."""
    process.kill()
    process.wait(TIMEOUT)
