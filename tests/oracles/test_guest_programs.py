"""The programs that try a GIC from within pass on QEMU's virt: what they ask for is what a GICv3 does."""

import shutil
import subprocess
from pathlib import Path

import pytest

from vgic_tools.guests.programs import COMPILER, NAMES, build, kept

QEMU = "qemu-system-aarch64"
MACHINE = ("-M", "virt,gic-version=3,its=on", "-cpu", "cortex-a72", "-m", "256", "-nic", "none", "-nographic")

pytestmark = pytest.mark.skipif(shutil.which(QEMU) is None, reason=f"{QEMU} is not installed")


def run(program: Path, cpus: int) -> list[str]:
    """What a program says on a QEMU with so many CPUs."""
    command = [QEMU, *MACHINE, "-smp", str(cpus), "-kernel", str(program)]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("cpus", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_what_is_kept_passes_on_qemu(name: str, cpus: int, tmp_path: Path) -> None:
    program = tmp_path / f"{name}.elf"
    program.write_bytes(kept(name))
    said = run(program, cpus)
    assert said[0] == f"{name}: {cpus} CPUs"
    assert said[-1] == f"PASS {name}"


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"{COMPILER} is not installed")
@pytest.mark.parametrize("name", NAMES)
def test_what_is_built_from_the_source_says_the_same(name: str, tmp_path: Path) -> None:
    before, now = tmp_path / "before.elf", tmp_path / "now.elf"
    before.write_bytes(kept(name))
    build(name, now)
    assert run(now, 2) == run(before, 2)
