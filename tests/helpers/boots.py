"""The table of boots: Debian's kernels on many topologies, each to a shell and off, recorded, replayed, and timed.

`make boots` prints it, and fails where a guest does not do as it should or a replay diverges. With --qemu, QEMU
boots the same kernel and initial RAM file system on as many CPUs, too: the ratio is of the CPU time of both.
Names of kernels or layouts as arguments choose rows.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from vgic_tools.guests.debian import fetch_kernel, fetched_busybox, initramfs
from vgic_tools.inputs import read_bytes
from vgic_tools.judges.errors import MissingJudgeError

__all__ = ["KERNELS", "LAYOUTS", "Boot", "Layout", "boot", "boot_qemu", "replay"]

KERNELS = ("6.1", "6.12", "newest")


class Layout(NamedTuple):
    """CPUs, as options of `vgic boot`."""

    cpus: int
    options: tuple[str, ...]


LAYOUTS = {
    "one": Layout(1, ("--cpus", "1")),
    "aff3": Layout(4, ("--cpus", "4", "--aff3", "1")),
    "sparse": Layout(4, ("--affinities", "0.0.0.0,1.1.2.3,128.0.7.15,255.255.255.15", "--its")),
    "ranges": Layout(4, ("--affinities", "0.0.0.17,0.0.0.33,0.0.0.240,0.0.0.255")),
    "sockets": Layout(8, ("--cpus", "8", "--topology", "sockets:4")),
    "sixteen": Layout(16, ("--cpus", "16")),
}

APPEND = "cryptomgr.notests"
PROMPT, OFF = "guest# ", "poweroff -f"
DOWN = "reboot: Power down"
BOUNDS = {1: 5.0, 4: 10.0}
"""How many times QEMU's CPU time a boot may take, by the number of CPUs."""
LONGEST = 1200.0
"""Seconds that a process may take."""


class Boot(NamedTuple):
    """A boot, or a replay."""

    good: bool
    seconds: float
    """CPU time, of user and system."""
    passed: float
    """Time of the clock on the wall."""
    said: str

    @property
    def summary(self) -> dict[str, object]:
        """What `vgic boot --json` says."""
        found: dict[str, object] = json.loads(self.said)
        return found


class _Stopwatch:
    """CPU time of the processes that have ended meanwhile."""

    def __init__(self) -> None:
        self._busy, self._began = self._children(), time.monotonic()

    @staticmethod
    def _children() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def read(self) -> tuple[float, float]:
        return self._children() - self._busy, time.monotonic() - self._began


def _vgic(*words: str) -> Boot:
    watch = _Stopwatch()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vgic_tools", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=LONGEST,
        check=False,
    )
    return Boot(done.returncode == 0, *watch.read(), done.stdout if done.returncode < 2 else done.stderr)


def boot(kernel: Path, initrd: Path, layout: Layout, record: Path | None = None) -> Boot:
    """Boot on this GIC, to the shell and off; `summary` says how it was."""
    words = ["boot", "--kernel", str(kernel), "--initrd", str(initrd), *layout.options, "--append", APPEND]
    words += ["--json", "--expect", PROMPT, "--send", OFF, "--expect", DOWN]
    if record is not None:
        words += ["--record", str(record)]
    return _vgic(*words)


def replay(trace: Path) -> Boot:
    """Replay what was recorded; good without a divergence."""
    return _vgic("replay", str(trace))


def boot_qemu(kernel: Path, initrd: Path, cpus: int) -> Boot:
    """The same under QEMU's TCG."""
    watch = _Stopwatch()
    words = ["-M", "virt,gic-version=3", "-cpu", "cortex-a72", "-smp", str(cpus), "-m", "256M", "-nographic"]
    words += ["-accel", "tcg", "-nodefaults", "-serial", "stdio", "-no-reboot"]
    words += ["-kernel", str(kernel), "-initrd", str(initrd)]
    words += ["-append", f"console=ttyAMA0 earlycon=pl011,0x9000000 panic=-1 {APPEND}"]
    said = bytearray()
    with subprocess.Popen(
        ["qemu-system-aarch64", *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        told = False
        while byte := qemu.stdout.read(1):
            said += byte
            if not told and said.endswith(PROMPT.encode()):
                qemu.stdin.write(f"{OFF}\n".encode())
                qemu.stdin.flush()
                told = True
    text = said.decode(errors="replace")
    return Boot(DOWN in text, *watch.read(), text)


def _row(name: str, layout: str, kernel: Path, initrd: Path, folder: Path, beside: bool) -> bool:
    wanted = LAYOUTS[layout]
    trace = folder / "boot.jsonl.gz"
    recorded = boot(kernel, initrd, wanted, trace)
    replayed = replay(trace)
    cells = [f"{name:7} {layout:8} {wanted.cpus:4}", _cell(recorded, "off", "FAILED")]
    share = recorded.summary["share_of_gic"] if recorded.said.startswith("{") else float("nan")
    cells += [f"{share:6.2%}", _cell(replayed, "same", "DIVERGES")]
    steps, cheap = [recorded, replayed], True
    if beside:
        plain, other = boot(kernel, initrd, wanted), boot_qemu(kernel, initrd, wanted.cpus)
        ratio = plain.seconds / other.seconds
        cells.append(f"{plain.seconds:6.1f} s {other.seconds:6.1f} s {ratio:6.2f}")
        steps += [plain, other]
        if ratio > BOUNDS.get(wanted.cpus, ratio):
            cells.append("TOO SLOW")
            cheap = False
    print("  ".join(cells), flush=True)
    for each in steps:
        if not each.good:
            print(each.said)
    return cheap and all(each.good for each in steps)


def _cell(one: Boot, good: str, bad: str) -> str:
    return f"{good if one.good else bad:>8} {one.seconds:6.1f} s {one.passed:6.1f} s"


def main(words: list[str]) -> None:
    """Print the table."""
    beside = "--qemu" in words
    kernels = [name for name in KERNELS if name in words] or list(KERNELS)
    layouts = [name for name in LAYOUTS if name in words] or list(LAYOUTS)
    good = True
    with tempfile.TemporaryDirectory(prefix="boots-") as place:
        folder = Path(place)
        initrd = folder / "initrd.gz"
        heads = "kernel  layout   CPUs  recorded     CPU     wall     GIC  replayed     CPU     wall"
        print(heads + ("   unrecorded     QEMU  ratio" if beside else ""), flush=True)
        for name in kernels:
            try:
                initrd.write_bytes(initramfs(fetched_busybox()))
                kernel = folder / f"vmlinuz-{name}"
                kernel.write_bytes(read_bytes(fetch_kernel(name)))
            except MissingJudgeError as error:
                print(f"{name:7} skipped: {error}")
                good = False
                continue
            for layout in layouts:
                good = _row(name, layout, kernel, initrd, folder, beside) and good
    sys.exit(not good)


if __name__ == "__main__":
    main(sys.argv[1:])
