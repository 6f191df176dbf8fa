"""A client of QEMU's qtest protocol: memory accesses and input lines of a machine.

Unless its CPUs are to run, nothing happens in the machine but what is asked for here. Commands are pipelined: they
are sent together and their answers read together. A QEMU that does not answer, ends or refuses a command is a
JudgeError. Leaving the context ends the process, and so does the end of this one.
"""

import contextlib
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vgic_tools.judges import child
from vgic_tools.judges.errors import JudgeError

__all__ = ["TIMEOUT", "Qtest", "load", "read", "set_line", "store", "write"]

TIMEOUT: Final = 60.0
"""Seconds that an answer may take."""

# So that commands and answers fit the socket's buffers, and neither side waits for the other to read.
PIPELINED: Final = 500

_LETTERS: Final = {1: "b", 2: "w", 4: "l", 8: "q"}

_TAIL: Final = 4000
"""Characters of QEMU's last words."""


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
    """The QEMU that this command starts; a context manager. Its CPUs run where `running` says so.

    `sockets` are open ones that it inherits. `trace` names events to be written to a file in `directory`, see
    `new_trace`.
    """

    def __init__(
        self,
        command: Sequence[str],
        directory: Path,
        trace: Sequence[str] = (),
        timeout: float = TIMEOUT,
        *,
        running: bool = False,
        sockets: Sequence[int] = (),
    ) -> None:
        self._trace = directory / "trace.log"
        self._errors = directory / "stderr.txt"
        self._told = 0
        self._received = b""
        with contextlib.ExitStack() as undo:
            self._socket, theirs = socket.socketpair()
            undo.callback(self._socket.close)
            self._socket.settimeout(timeout)
            arguments = [*command, "-accel", "tcg,thread=single", "-nodefaults", "-display", "none"]
            arguments += [] if running else ["-S"]
            arguments += ["-chardev", f"socket,id=qtest,fd={theirs.fileno()}", "-qtest", "chardev:qtest"]
            arguments += ["-qtest-log", "none", "-D", str(self._trace)]
            for event in trace:
                arguments += ["-trace", event]
            with theirs:
                self.process = child.start(arguments, self._errors, [theirs.fileno(), *sockets])
            undo.callback(child.stop, self.process)
            self._undo = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the machine."""
        self._undo.close()

    def ask(self, commands: Sequence[str]) -> list[int]:
        """What the commands answer, in order: the value for a load, 0 for others. Raises JudgeError."""
        answers: list[int] = []
        for start in range(0, len(commands), PIPELINED):
            chunk = commands[start : start + PIPELINED]
            for command, answer in zip(chunk, self._exchange(chunk), strict=True):
                if not answer.startswith(b"OK"):
                    raise self.failed(f"answers {command} with {answer[:80]!r}")
                try:
                    answers.append(int(answer[3:] or b"0", 16))
                except ValueError:
                    raise self.failed(f"answers nonsense, {answer[:80]!r}") from None
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
                    raise self.failed("has ended")
                self._received += received
        except TimeoutError:
            raise self.failed("does not answer") from None
        except OSError:
            raise self.failed("has ended") from None
        *answers, self._received = self._received.split(b"\n")
        return answers

    def failed(self, how: str) -> JudgeError:
        """That QEMU does not what was asked, with what it said last."""
        said = b""
        with contextlib.suppress(OSError):
            said = self._errors.read_bytes()[-_TAIL:]
        return JudgeError(f"QEMU {how}; its last words: {said!r}")
