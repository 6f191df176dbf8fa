"""Debian's kernel boots to a shell and powers off; what its GIC was told and answered replays the same."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("unicorn")

PATIENCE = 600
CPUS = {
    "one": "0.0.0.0",
    "sparse": "0.0.0.0,1.1.2.3,128.0.7.15,255.255.255.15",
    "two Security states": "0.0.0.0,0.0.0.1",
}
OPTIONS = {"two Security states": ("--security", "two")}


def vgic(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "vgic_tools", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize("layout", CPUS)
def test_linux_boots_to_a_shell_and_powers_off(layout: str, tmp_path: Path) -> None:
    trace = str(tmp_path / "boot.jsonl.gz")
    script = [
        "--expect",
        "guest# ",
        "--send",
        "cat /proc/interrupts",
        "--expect",
        "guest# ",
        "--send",
        "poweroff -f",
    ]
    done = vgic(
        *("boot", "--debian", "--affinities", CPUS[layout], "--its", "--append", "cryptomgr.notests"),
        *OPTIONS.get(layout, ()),
        *(*script, "--expect", "reboot: Power down", "--record", trace),
    )
    if done.returncode == 2:
        pytest.skip(done.stderr)
    assert done.returncode == 0, done.stderr
    timers = next(line for line in done.stdout.splitlines() if "arch_timer" in line and "GICv3" in line).split()
    assert all(int(count) > 0 for count in timers[1 : 1 + len(CPUS[layout].split(","))])
    replayed = vgic("replay", trace)
    assert replayed.returncode == 0, replayed.stdout
