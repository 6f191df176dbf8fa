"""Programs for a bare machine that try its GIC from within, and say in plain lines what they did.

Each is an ELF program for QEMU's virt machine, or one with the same addresses; its last words are PASS or FAIL and
its name, and it switches the machine off. They are kept built, so that running them needs no cross compiler;
`python -m vgic_tools.guests.programs` builds them anew.
"""

import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Final

from vgic_tools.errors import UsageError

__all__ = ["NAMES", "build", "kept"]

NAMES: Final = ("sgis", "timers", "spis", "priorities", "deactivation", "cpus", "lpis")
"""What there is; the start of each source says what it tries."""

COMPILER: Final = "aarch64-linux-gnu-gcc"

_OPTIONS: Final = (
    *("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-nostdlib", "-static"),
    *("-fno-pic", "-no-pie", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    # With the MMU off, all memory is device memory: no access is unaligned.
    *("-mgeneral-regs-only", "-mstrict-align"),
    *("-Wl,-n,-s,--build-id=none,--no-warn-rwx-segments", "-Wl,-z,max-page-size=4096"),
    *("-T", "guest.ld", "start.S", "guest.c"),
)


def kept(name: str) -> bytes:
    """The ELF program of that name, as it was built and kept."""
    return files(__package__).joinpath("built", f"{name}.elf").read_bytes()


def build(name: str, output: Path) -> None:
    """Build a program from its source. Raises UsageError where the cross compiler is not there, or fails."""
    if shutil.which(COMPILER) is None:
        raise UsageError(f"building {name}.c needs {COMPILER}, of Debian's package gcc-aarch64-linux-gnu")
    command = [COMPILER, *_OPTIONS, f"{name}.c", "-o", str(output.absolute())]
    sources = Path(__file__).parent
    done = subprocess.run(command, cwd=sources, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise UsageError(f"{COMPILER} cannot build {name}.c: {done.stderr.strip()}")
