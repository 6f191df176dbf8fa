"""A client of QEMU's qtest protocol: memory accesses and input lines of a machine whose CPUs never run.

The machine is started with -S, so nothing happens in it but what is asked for here. Commands are pipelined: they
are sent together and their answers read together. A QEMU that does not answer raises an error when the timeout is
over. Leaving the context ends the process, and on Linux the end of the client does.
"""

import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

BINARY: Final = "qemu-system-aarch64"
TIMEOUT: Final = 60.0
"""Seconds that an answer may take, and a QEMU to exist or to end."""

# So that commands and answers fit the socket's buffers, and neither side waits for the other to read.
PIPELINED: Final = 500

_LETTERS: Final = {1: "b", 2: "w", 4: "l", 8: "q"}

# Runs a command that is killed (9) when the process that started it ends (PR_SET_PDEATHSIG is 1), even by a signal.
# Not as preexec_fn, against which Python warns where there are threads.
_DIE_WITH_PARENT: Final = """
import ctypes, os, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, 9)
os.execvp(sys.argv[1], sys.argv[1:])
"""


class QtestError(Exception):
    """QEMU does not start, does not answer in time, ends, or refuses a command."""


def version() -> str | None:
    """The version of the QEMU on PATH, "7.2.22"; None where there is none that says."""
    if shutil.which(BINARY) is None:
        return None
    told = subprocess.run([BINARY, "--version"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    words = told.stdout.partition("version ")[2].split()
    return words[0] if words else None


def read(address: int, size: int) -> str:
    """The command that loads `size` bytes (1, 2, 4 or 8). An unaligned load would become several."""
    return f"read{_LETTERS[size]} {address:#x}"


def write(address: int, size: int, value: int) -> str:
    """The command that stores `size` bytes (1, 2, 4 or 8). An unaligned store would become several."""
    return f"write{_LETTERS[size]} {address:#x} {value:#x}"


def load(address: int, size: int) -> str:
    """The command that loads any number of bytes; what it answers is the big-endian number that they make."""
    return f"read {address:#x} {size:#x}"


def store(address: int, data: bytes) -> str:
    """The command that stores bytes."""
    if not any(data):
        return f"memset {address:#x} {len(data):#x} 0"
    return f"write {address:#x} {len(data):#x} 0x{data.hex()}"


def set_line(device: str, number: int, level: bool) -> str:
    """The command that drives the unnamed input line `number` of the device at a QOM path."""
    return f"set_irq_in {device} unnamed-gpio-in {number} {int(level)}"


class Qtest:
    """A QEMU with these arguments; a context manager.

    `trace` names events to be written to a file in `directory`, see `new_trace`.
    """

    def __init__(
        self, arguments: Sequence[str], directory: Path, trace: Sequence[str] = (), timeout: float = TIMEOUT
    ) -> None:
        self._trace = directory / "trace.log"
        self._errors = directory / "stderr.txt"
        self._told = 0
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(timeout)
        self._received = b""
        command = [sys.executable, "-IS", "-c", _DIE_WITH_PARENT]
        command += [BINARY, *arguments, "-accel", "tcg", "-S", "-nodefaults", "-display", "none"]
        command += ["-chardev", f"socket,id=qtest,fd={theirs.fileno()}", "-qtest", "chardev:qtest"]
        command += ["-qtest-log", "none", "-D", str(self._trace)]
        for event in trace:
            command += ["-trace", event]
        try:
            with theirs, self._errors.open("wb") as errors:
                self.process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[theirs.fileno()],
                )
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        self.process.kill()
        self.process.wait(TIMEOUT)

    def ask(self, commands: Sequence[str]) -> list[int]:
        """What the commands answer, in order: the value for a load, 0 for others. Raises QtestError."""
        answers: list[int] = []
        for start in range(0, len(commands), PIPELINED):
            chunk = commands[start : start + PIPELINED]
            for command, answer in zip(chunk, self._exchange(chunk), strict=True):
                if not answer.startswith(b"OK"):
                    raise QtestError(f"{command}: {answer.decode(errors='replace')}")
                answers.append(int(answer[3:] or b"0", 16))
        return answers

    def new_trace(self) -> bytes:
        """The whole lines that were traced since the last call; all of those that the answered commands caused."""
        with self._trace.open("rb") as trace:
            trace.seek(self._told)
            lines = trace.read()
            self._told = trace.tell()
        return lines

    def _exchange(self, commands: Sequence[str]) -> list[bytes]:
        try:
            self._socket.sendall("".join(f"{command}\n" for command in commands).encode())
            while self._received.count(b"\n") < len(commands):
                received = self._socket.recv(1 << 16)
                if not received:
                    raise QtestError(f"QEMU has ended: {self._said()}")
                self._received += received
        except OSError as error:
            raise QtestError(f"QEMU: {error or type(error).__name__}: {self._said()}") from error
        *answers, self._received = self._received.split(b"\n")
        return answers

    def _said(self) -> str:
        return self._errors.read_text(errors="replace").strip() or "it printed nothing"
