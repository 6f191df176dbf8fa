"""Logs that the QEMUs at hand make now: of which version one is, and what it has beside a plain GICv3."""

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vgic_tools.cli import main
from vgic_tools.judges.kernels import cached_kernel
from vgic_tools.judges.qemus import cached_qemu

pytestmark = pytest.mark.slow

KERNEL = "6.12"
TIMEOUT = 240
OPTIONS = ["-smp", "2", "-m", "256", "-nic", "none", "-display", "none", "-monitor", "none", "-no-reboot"]
# Without a disk Linux ends soon after its last CPU is up.
COMMAND_LINE = "console=ttyAMA0 panic=-1 cryptomgr.notests kvm-arm.vgic_v4_enable=1"
TRACE = ["-msg", "timestamp=on", "-trace", "gicv3_*", "-trace", "guest_cpu_reset"]


def boot(folder: Path, newer: bool, machine: str, cpu: str) -> Path:
    """The log of a boot, with its command line and console beside it."""
    qemu = cached_qemu() if newer else shutil.which("qemu-system-aarch64")
    kernel = cached_kernel(KERNEL)
    if qemu is None or kernel is None:
        pytest.skip("needs QEMU, the newer one too, and a kernel: make kernels; vgic compare qemu --qemu newer")
    share = ["-L", str(Path(qemu).parents[1] / "share" / "qemu")] if newer else []
    words = ["-machine", machine, "-cpu", cpu, *OPTIONS]
    (folder / "cmd.txt").write_text(" ".join(["qemu-system-aarch64", *words]))
    log, console = folder / "trace.log", folder / "console.log"
    boots = ["-kernel", str(kernel), "-append", COMMAND_LINE, "-serial", f"file:{console}"]
    command = [str(qemu), *share, *words, *boots, *TRACE, "-D", str(log)]
    subprocess.run(command, capture_output=True, timeout=TIMEOUT, check=True)
    return log


def replay(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["replay", *map(str, arguments)])


@pytest.mark.parametrize(
    ("newer", "machine", "cpu", "profile"),
    [
        (False, "virt,gic-version=3", "cortex-a76", "qemu"),
        (True, "virt,gic-version=3", "cortex-a76", "qemu-10.0"),
        (True, "virt-7.2,gic-version=3,its=off", "max", "qemu-10.0"),
    ],
)
def test_a_boot(tmp_path: Path, newer: bool, machine: str, cpu: str, profile: str) -> None:
    log = boot(tmp_path, newer, machine, cpu)
    for source in ("cmd.txt", "console.log"):
        outcome = replay(log, "--machine", tmp_path / source)
        assert outcome.exit_code == 0, outcome.output
        assert f"profile {profile} (inferred from GICD_TYPER)" in outcome.stdout
        assert (" NMIs," in outcome.stdout) == (cpu == "max")


@pytest.mark.parametrize("newer", [False, True])
@pytest.mark.parametrize("its", ["its=on", "its=off"])
def test_a_boot_with_a_gicv4(tmp_path: Path, newer: bool, its: str) -> None:
    log = boot(tmp_path, newer, f"virt,gic-version=4,virtualization=on,{its}", "cortex-a76")
    console = (tmp_path / "console.log").read_text()
    assert ("ITS: Enabling GICv4 support" in console) == (its == "its=on")
    for source in ("cmd.txt", "console.log"):
        # A kernel's log does not tell that there are list registers.
        outcome = replay(log, "--machine", tmp_path / source, "--list-registers", 4)
        assert outcome.exit_code == 0, outcome.output
        assert " frames of a GICv4, profile " in outcome.stdout
        assert "left out of a GICv4: virtual LPIs" in " ".join(outcome.stdout.split())
