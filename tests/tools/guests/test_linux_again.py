"""The same run is the same again, byte for byte; and a machine that is saved goes on as if it had not been."""

import gzip
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("unicorn")

from debian_guest import SPARSE, fetched
from vgic_tools.guests.debian import fetch_kernel, fetched_busybox, initramfs
from vgic_tools.inputs import read_bytes

PATIENCE = 900
ARGUMENTS = "quiet cryptomgr.notests"
END = "reboot: Power down"

# They begin when the guest is 12 seconds old, however long the kernel took to start. The machine is older by the
# 1.4 seconds before Linux has a clock.
JOBS = """\
sleep $((11 - $(cut -d. -f1 /proc/uptime)))
until [ $(cut -d. -f1 /proc/uptime) -ge 12 ]; do sleep 0.1; done
echo begin
for job in 1 2 3 4; do (seq $((job * 1000)) | md5sum > /tmp/$job) & done
wait
cat /tmp/1 /tmp/2 /tmp/3 /tmp/4
"""

AMID_JOBS = 13.8

ABOUT = "cat /proc/uptime /proc/interrupts\n"


def boot(*arguments: object, seed: int = 0) -> subprocess.CompletedProcess[bytes]:
    """`vgic boot` in a process of its own, which hashes in its own way."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "vgic_tools", "boot", "--expect", END, *map(str, arguments)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "PYTHONHASHSEED": str(seed),
        },
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode() + done.stdout.decode(errors="replace")
    return done


def linux(folder: Path, script: str) -> list[object]:
    """The options for a kernel that runs a script and powers off."""
    kernel, initrd = folder / "vmlinuz", folder / "initrd.gz"
    kernel.write_bytes(read_bytes(fetched(lambda: fetch_kernel("6.1"))))
    initrd.write_bytes(initramfs(fetched(fetched_busybox), script))
    return ["--kernel", kernel, "--initrd", initrd, "--append", ARGUMENTS, "--its"]


def counted(done: subprocess.CompletedProcess[bytes]) -> list[bytes]:
    """The summary but for the last line, which tells the host's time."""
    return done.stderr.splitlines()[:-1]


def events(trace: Path) -> list[bytes]:
    """The lines of a trace, without the one about it all."""
    return trace.read_bytes().splitlines()[1:]


@pytest.mark.slow
def test_two_runs_are_the_same_byte_for_byte(tmp_path: Path) -> None:
    options = linux(tmp_path, ABOUT)
    first, second = tmp_path / "first.jsonl.gz", tmp_path / "second.jsonl.gz"
    once = boot(*options, "--record", first, seed=1)
    again = boot(*options, "--record", second, seed=2)
    assert again.stdout == once.stdout
    assert counted(again) == counted(once)
    assert gzip.decompress(second.read_bytes()) == gzip.decompress(first.read_bytes())


@pytest.mark.slow
def test_four_cpus_saved_amid_parallel_jobs_go_on_through_kvm_as_if_nothing_had_been(tmp_path: Path) -> None:
    saved, whole, rest = tmp_path / "saved.zip", tmp_path / "whole.jsonl", tmp_path / "rest.jsonl"
    options = linux(tmp_path, f"{JOBS}{ABOUT}")
    once = boot(*options, "--affinities", SPARSE, "--save-at", AMID_JOBS, saved, "--record", whole)
    resumed = boot("--resume", saved, "--through-kvm", "--record", rest, seed=3)
    # All results came after it was saved, and are right.
    said = resumed.stdout.decode()
    assert b"begin" in once.stdout
    assert "begin" not in said
    for job in range(1, 5):
        numbers = "".join(f"{number}\n" for number in range(1, job * 1000 + 1))
        assert hashlib.md5(numbers.encode()).hexdigest() in said
    assert END in said
    assert once.stdout.endswith(resumed.stdout)
    assert counted(resumed) == [line for line in counted(once) if not line.startswith(b"saved")]
    left = events(rest)
    assert len(left) > 1000
    assert events(whole)[-len(left) :] == left
