"""The agent that asks KVM (agent.c): building it, and starting it as the init of an arm64 kernel under QEMU.

Commands and answers lie in memory that both sides see; the console only says that they are there.
"""

import contextlib
import gzip
import selectors
import shutil
import socket
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from mmap import mmap
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from vgic_tools.initramfs import archive, console, directory, program
from vgic_tools.judges import child
from vgic_tools.judges.answers import Answer
from vgic_tools.judges.building import COMPILER, COMPILER_PACKAGES, built
from vgic_tools.judges.errors import JudgeError, MissingJudgeError

__all__ = ["QEMU", "Agent", "missing_tool"]

QEMU: Final = "qemu-system-aarch64"

_PACKAGES: Final = {QEMU: "qemu-system-arm", COMPILER: COMPILER_PACKAGES}
"""Debian's, that have these programs and what they need."""

BOOT_TIMEOUT: Final = 120.0
"""Seconds until the agent is ready: three on an idle machine."""
TIMEOUT: Final = 60.0
"""Seconds between two answers."""

_WINDOW: Final = 16 << 20
"""Bytes of the memory that both sides see: half of it for commands, half for answers."""
_AT_ONCE: Final = 500
"""Commands in it at a time. Neither they nor their answers are longer than 16 KiB each."""

_TAIL: Final = 4000
"""Characters of a judge's last words."""


def missing_tool() -> str | None:
    """Which program an agent under QEMU lacks, as a sentence; None where all are there."""
    for tool, package in _PACKAGES.items():
        if shutil.which(tool) is None:
            return f"asking KVM needs {tool}, of the Debian packages {package}"
    return None


def _built() -> Path:
    """The initial RAM file system that holds the agent."""
    return built("agent.c", ("-O2", "-static"), lambda program: gzip.compress(_archive(program), mtime=0))


def _archive(init: bytes) -> bytes:
    """The init, the folders that it mounts on, and the console that it is given."""
    return archive([*map(directory, ("dev", "proc", "sys")), console(), program("init", init)])


class Agent:
    """An agent in an arm64 kernel, on a machine with a CPU of this model; a context manager.

    Raises MissingJudgeError where QEMU or the compiler is not there, JudgeError where the kernel does not start or
    the agent does not answer. Leaving the context ends everything, and so does the end of this process.
    `qemu` is another than the system's, with its files beside it (see `qemus`); `trace` are arguments of QEMU for
    recordings of the host's own GIC.
    """

    def __init__(
        self, kernel: Path, cpu: str = "cortex-a76", *, qemu: Path | None = None, trace: Sequence[str] = ()
    ) -> None:
        missing = missing_tool()
        if missing is not None:
            raise MissingJudgeError(missing)
        image = _built()
        self._sequence = 0
        self._received = b""
        self._said = b""
        with contextlib.ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="vgic-judge-")))
            self._errors = folder / "stderr.txt"
            self._window = undo.enter_context(_window(folder / "window"))
            self._console, theirs = socket.socketpair()
            undo.callback(self._console.close)
            self._console.setblocking(False)
            command = [QEMU] if qemu is None else [str(qemu), "-L", str(qemu.parent.parent / "share/qemu")]
            command += [*_MACHINE, "-cpu", cpu]
            command += [
                "-object",
                f"memory-backend-file,id=window,share=on,mem-path={folder}/window,size={_WINDOW}",
            ]
            command += ["-chardev", f"socket,id=console,fd={theirs.fileno()}"]
            command += ["-kernel", str(kernel), "-initrd", str(image), "-append", _KERNEL_ARGUMENTS, *trace]
            with theirs:
                self.process = child.start(command, self._errors, [theirs.fileno()])
            undo.callback(child.stop, self.process)
            self._line("ready", time.monotonic() + BOOT_TIMEOUT)
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

    def pin(self, cpus: Iterable[int]) -> None:
        """All CPUs of its machine are alike: nothing is to be done."""

    def ask(self, command: str) -> Answer:
        """What one command (see agent.c) comes to. Raises JudgeError."""
        return self.ask_all([command])[0]

    def ask_all(self, commands: Iterable[str]) -> list[Answer]:
        """What each of the commands comes to, in their order. Raises JudgeError."""
        answers: list[Answer] = []
        waiting = iter(commands)
        while some := list(islice(waiting, _AT_ONCE)):
            answers += self._perform(some)
        return answers

    def _perform(self, commands: list[str]) -> list[Answer]:
        first, self._sequence = self._sequence, self._sequence + len(commands)
        text = "".join(f"{number:x} {command}\n" for number, command in enumerate(commands, first)).encode()
        self._window[: len(text)] = text
        self._send(f"window {len(text):x}\n".encode())
        size = self._line("window", time.monotonic() + TIMEOUT)
        half = _WINDOW // 2
        lines = self._window[half : half + size].splitlines() if 0 <= size <= half else []
        if len(lines) != len(commands):
            raise self._failed("answers nonsense")
        return [self._answer(line, number) for number, line in enumerate(lines, first)]

    def _answer(self, line: bytes, sequence: int) -> Answer:
        try:
            number, value, errno, data, more = line.split()
            if int(number, 16) == sequence:
                return Answer(int(value), int(errno), _bytes(data), _bytes(more))
        except ValueError:
            pass
        raise self._failed(f"answers nonsense, {line[:80]!r}")

    # The console.

    def _send(self, line: bytes) -> None:
        try:
            self._console.sendall(line)
        except OSError:
            raise self._failed("has ended or does not listen") from None

    def _line(self, word: str, limit: float) -> int:
        """The number in the next line that begins with a word; what the kernel says meanwhile is kept."""
        head = f"{word} ".encode()
        while True:
            line, end, rest = self._received.partition(b"\n")
            if end:
                self._received = rest
                if line.startswith(head):
                    with contextlib.suppress(ValueError):
                        return int(line[len(head) :], 16)
                self._said = (self._said + line + end)[-_TAIL:]
            else:
                self._received += self._more(limit)

    def _more(self, limit: float) -> bytes:
        with selectors.DefaultSelector() as selector:
            selector.register(self._console, selectors.EVENT_READ)
            if not selector.select(max(0.0, limit - time.monotonic())):
                raise self._failed("does not answer")
        piece = b""
        with contextlib.suppress(OSError):
            piece = self._console.recv(1 << 16)
        if not piece:
            raise self._failed("has ended")
        return piece

    def _failed(self, how: str) -> JudgeError:
        said = self._said + self._received
        with contextlib.suppress(OSError):
            said += self._errors.read_bytes()
        return JudgeError(f"the KVM host {how}; its last words: {said[-_TAIL:]!r}")


def _window(path: Path) -> mmap:
    with path.open("w+b") as file:
        file.truncate(_WINDOW)
        return mmap(file.fileno(), _WINDOW)


def _bytes(word: bytes) -> bytes:
    return b"" if word == b"-" else bytes.fromhex(word.decode())


_MACHINE: Final = (
    *("-machine", "virt,virtualization=on,gic-version=3", "-accel", "tcg", "-smp", "2", "-m", "512"),
    *("-nodefaults", "-nic", "none", "-display", "none", "-no-reboot"),
    *("-serial", "chardev:console", "-device", "ivshmem-plain,memdev=window"),
)

# A kernel that panics ends the machine, which -no-reboot makes the end of QEMU.
_KERNEL_ARGUMENTS: Final = "console=ttyAMA0 quiet loglevel=0 cryptomgr.notests rdinit=/init panic=-1"
