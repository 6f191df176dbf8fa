"""QEMU's own GICv3 as a yardstick: a bare-metal guest (yardstick/guest.S) under TCG that repeats single operations.

What a repetition costs is the CPU time of the QEMU process, net of what an empty loop of as many takes. Linux only:
elsewhere a process cannot ask for the CPU time of another.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from select import select
from time import clock_gettime_ns, monotonic, sleep
from types import TracebackType
from typing import Final, Self

from vgic_tools.bench.loops import QEMU, QEMU_MACHINE
from vgic_tools.bench.timing import NotMeasuredError, Timed

__all__ = ["ASSEMBLERS", "QemuGuest"]

ASSEMBLERS: Final = ("aarch64-linux-gnu-gcc", "aarch64-none-elf-gcc", "aarch64-elf-gcc")
_SOURCE: Final = Path(__file__).with_name("yardstick") / "guest.S"
_RAM: Final = 0x4008_0000
_REST: Final = (
    "-m 64 -accel tcg,thread=single -nodefaults -display none -serial none -monitor none -chardev stdio,id=talk"
    " -semihosting-config enable=on,target=native,chardev=talk"
)
_DIGITS: Final = 16
_PATIENCE: Final = 60.0
"""Seconds that the guest may take for an answer."""


class QemuGuest:
    """A running QEMU with the guest; a context manager. `calls` is how often its loops repeat.

    Raises NotMeasuredError where QEMU or an assembler for its guest is missing, or does not work.
    """

    def __init__(self, calls: int) -> None:
        self._calls = calls
        if not sys.platform.startswith("linux"):
            raise NotMeasuredError(f"QEMU's CPU time can be read on Linux only, and this is {sys.platform}")
        if shutil.which(QEMU) is None:
            raise NotMeasuredError(f"{QEMU} is not installed")
        compiler = next((name for name in ASSEMBLERS if shutil.which(name)), None)
        if compiler is None:
            raise NotMeasuredError(f"no assembler for QEMU's guest: none of {', '.join(ASSEMBLERS)} is installed")
        self._folder = tempfile.TemporaryDirectory()
        image = Path(self._folder.name, "guest.elf")
        build = [compiler, "-nostdlib", "-static", f"-Wl,-Ttext={_RAM:#x}", f"-DCALLS={calls}", str(_SOURCE)]
        done = subprocess.run([*build, "-o", str(image)], capture_output=True, text=True, check=False)
        if done.returncode:
            self._folder.cleanup()
            raise NotMeasuredError(f"{shlex.join(build)} failed: {done.stderr.strip()}")
        self._process = subprocess.Popen(
            [QEMU, *QEMU_MACHINE.split(), *_REST.split(), "-kernel", str(image)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
        )
        # The CPU clock of another process, as clock_getcpuclockid(3) makes it.
        self._clock = ~self._process.pid << 3 | 2

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def loop(self, letter: str) -> tuple[float, int]:
        """Run a loop: nanoseconds that a repetition takes, and what it read. Raises NotMeasuredError."""
        before = self._at_rest()
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        answer = b""
        try:
            self._process.stdin.write(letter.encode())
            while len(answer) < _DIGITS:
                if not select([self._process.stdout], [], [], _PATIENCE)[0]:
                    raise NotMeasuredError(f"the guest in {QEMU} has not answered for {_PATIENCE:.0f} seconds")
                told = self._process.stdout.read(_DIGITS - len(answer))
                if not told:
                    raise NotMeasuredError(f"{QEMU} has ended: {self._said()}")
                answer += told
        except OSError as error:
            raise NotMeasuredError(f"{QEMU} has ended: {self._said()}") from error
        return (self._at_rest() - before) / self._calls, int(answer, 16)

    def timed(self, letter: str) -> Timed:
        """A loop to be timed, empty loop included."""
        return lambda: self.loop(letter)[0]

    def _at_rest(self) -> int:
        """QEMU's CPU time when it stands still: while it runs, the kernel's account of it may be a tick behind."""
        end = monotonic() + _PATIENCE
        before = -1
        while monotonic() < end:
            now = clock_gettime_ns(self._clock)
            if now == before:
                return now
            before = now
            sleep(0.001)
        raise NotMeasuredError(f"{QEMU} does not come to rest")

    def _said(self) -> str:
        self._process.kill()
        return self._process.communicate()[1].decode(errors="replace").strip() or "it printed nothing"
