"""`vgic` commands in sessions of their own, as a shell starts them: what they start can be found, and stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Final

__all__ = ["HAVE_SESSIONS", "PATIENCE", "STARTED", "Session", "until"]

HAVE_SESSIONS: Final = Path("/proc/self/stat").exists()
"""Processes are looked up in /proc."""

PATIENCE: Final = 240.0
"""Seconds for what should happen at once, on a machine that has much else to do."""
STARTED: Final = 1.0
"""Seconds of CPU time after which a process has imported what it needs, and works."""


class Session:
    """A running `vgic` with these arguments."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", "from vgic_tools.cli import main; main()", *arguments],
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self.process.pid

    def members(self) -> dict[int, float]:
        """The processes of the session, whoever started them, and their CPU time in seconds."""
        return {pid: seconds for pid, (_, seconds) in self._look().items()}

    def names(self) -> list[str]:
        """What the processes of the session are called."""
        return [name for name, _ in self._look().values()]

    def _look(self) -> dict[int, tuple[str, float]]:
        found = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                head, _, rest = stat.read_text().rpartition(")")
            except OSError:
                continue  # It has ended meanwhile.
            fields = rest.split()
            state, session, user, system = fields[0], int(fields[3]), int(fields[11]), int(fields[12])
            if session == self.pid and state != "Z":
                seconds = (user + system) / os.sysconf("SC_CLK_TCK")
                found[int(stat.parent.name)] = head.partition("(")[2], seconds
        return found

    def end(self) -> tuple[str, str]:
        """Wait for the command to end: its output and its errors."""
        return self.process.communicate(timeout=PATIENCE)

    def kill(self) -> None:
        """Kill whoever is left."""
        for pid in self.members():
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


def until(happened: Callable[[], bool]) -> None:
    """Wait for something to happen."""
    end = monotonic() + PATIENCE
    while not happened():
        assert monotonic() < end, f"not within {PATIENCE:.0f} seconds"
        sleep(0.02)
