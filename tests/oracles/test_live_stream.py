"""A Linux guest of the QEMU at hand is stopped and migrated: the stream has the state that its log replays to."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from vgic import State
from vgic_tools.cli import main
from vgic_tools.judges.kernels import cached_kernel
from vgic_tools.judges.qemus import cached_qemu
from vgic_tools.snapshots.files import read_snapshot

pytestmark = pytest.mark.slow

QEMU = "qemu-system-aarch64"
KERNEL = "6.12"
TIMEOUT = 240
STATES = {
    "one": "virt,gic-version=3",
    "two": "virt,gic-version=3,secure=on",
    "hypervisor": "virt,gic-version=3,virtualization=on",
}
"""Machines by how many Security states they have, and one whose guest is a hypervisor."""
REST = ["-cpu", "cortex-a76", "-smp", "3", "-m", "256"]
OPTIONS = ["-nic", "none", "-display", "none", "-monitor", "stdio"]
TRACE = ["-msg", "timestamp=on", "-trace", "gicv3_*", "-trace", "guest_cpu_reset"]
# Without a disk Linux ends in a panic, and waits.
ENDS = b"end Kernel panic"


@pytest.fixture(scope="module", params=STATES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the log, the command line and the stream of a guest that was stopped when it had booted."""
    kernel = cached_kernel(KERNEL)
    if shutil.which(QEMU) is None or kernel is None:
        pytest.skip(f"needs {QEMU} and a kernel: make kernels")
    folder = tmp_path_factory.mktemp("stream")
    machine = ["-machine", STATES[request.param], *REST]
    (folder / "cmd.txt").write_text(" ".join([QEMU, *machine, "-kernel", "Image"]))
    console, stream = folder / "console.log", folder / "vm.mig"
    boots = ["-kernel", str(kernel), "-append", "console=ttyAMA0 cryptomgr.notests", "-serial", f"file:{console}"]
    command = [QEMU, *machine, *OPTIONS, *boots, *TRACE, "-D", str(folder / "trace.log")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            limit = time.monotonic() + TIMEOUT
            while not (console.exists() and ENDS in console.read_bytes()):
                assert process.poll() is None, "QEMU has ended"
                assert time.monotonic() < limit, "Linux does not boot"
                time.sleep(0.2)
            process.communicate(f'stop\nmigrate "exec:cat > {stream}"\nquit\n'.encode(), timeout=TIMEOUT)
        finally:
            process.kill()
    return folder


def test_the_stream_of_a_linux_guest_is_what_its_log_replays_to(run: Path) -> None:
    words = [
        "replay",
        run / "trace.log",
        "--qemu-cmdline",
        run / "cmd.txt",
        "--final-state",
        run / "vm.mig",
        "--json",
    ]
    done = CliRunner().invoke(main, [str(word) for word in words])
    result = json.loads(done.stdout)
    assert result["final_state"] == []
    assert result["compared"]["final state"] > 80
    assert done.exit_code == 0


def test_its_its_is_found_in_the_streams_memory(run: Path) -> None:
    snapshot = read_snapshot(run / "vm.mig")
    assert snapshot.notes == ()
    gic = snapshot.state.build(memory=snapshot.memory)
    assert gic.config.its == (0x0808_0000,)
    assert gic.its().enabled
    assert [gic.affinity(cpu) for cpu in range(3)] == [0, 1, 2]
    done = CliRunner().invoke(main, ["its", str(run / "vm.mig")])
    assert "collections: " in done.stdout
    assert "no table" not in done.stdout
    assert done.exit_code == 0


def saved(qemu: Path, folder: Path, cpus: int, *commands: str) -> State:
    """The state of a machine that was never started, as this QEMU saves it after these commands of its monitor."""
    stream = folder / f"{len(list(folder.iterdir()))}.mig"
    machine = [
        "-machine",
        "virt,gic-version=3",
        "-cpu",
        "cortex-a57",
        "-smp",
        str(cpus),
        "-m",
        "32",
        "-S",
        *OPTIONS,
    ]
    share = qemu.parents[1] / "share" / "qemu"
    save = f"migrate file:{stream}" if commands else f'migrate "exec:cat > {stream}"'
    subprocess.run(
        [qemu, "-L", share, *machine],
        input="\n".join([*commands, save, "quit", ""]).encode(),
        stdout=subprocess.DEVNULL,
        timeout=TIMEOUT,
        check=True,
    )
    return read_snapshot(stream).state


@pytest.mark.parametrize("newer", [False, True], ids=["installed", "newer"])
def test_any_number_of_cpus(newer: bool, tmp_path: Path) -> None:
    installed = shutil.which(QEMU)
    qemu = cached_qemu() if newer else None if installed is None else Path(installed)
    if qemu is None:
        pytest.skip("needs QEMU" if not newer else "needs a newer QEMU: make kernels")
    for cpus in (1, 2, 3):
        state = saved(qemu, tmp_path, cpus)
        assert len(state.config().topology) == cpus
        assert state.data["registers"][f"GICR[{cpus - 1}].GICR_CTLR"] == 2


def test_mapped_ram_with_and_without_multifd(tmp_path: Path) -> None:
    qemu = cached_qemu()
    if qemu is None:
        pytest.skip("needs a newer QEMU: make kernels")
    plain = saved(qemu, tmp_path, 2)
    mapped, multifd = (f"migrate_set_capability {name} on" for name in ("mapped-ram", "multifd"))
    assert saved(qemu, tmp_path, 2, mapped) == plain
    assert saved(qemu, tmp_path, 2, mapped, multifd) == plain
