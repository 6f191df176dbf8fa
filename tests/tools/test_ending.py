"""How a command ends where its output cannot be written, nobody reads it, or the user stops it."""

import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import recorded_guests
import vgic

RECORDING = recorded_guests.TRACES / "linux_smp1_icount"
CORE = str(RECORDING / "trace.core.log.gz")
CMDLINE = str(RECORDING / "cmd.txt")
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
# Not the source in the working directory: a compiled core that is installed does not mix with it.
VGIC = [sys.executable, "-P", "-m", "vgic_tools"]

COMMANDS = [
    ["--help"],
    ["--version"],
    ["state", "--help"],
    ["map"],
    ["map", "--cpus", "2000"],
    ["decode", "GICD_CTLR", "0"],
    ["replay", CORE, "--qemu-cmdline", CMDLINE],
    ["replay", CORE, "--qemu-cmdline", CMDLINE, "--json"],
    ["replay", CORE, "--cpus", "1", "--profile", "arch", "--keep-going"],
    ["its", str(recorded_guests.TRACES / "linux_smp1_its" / "trace.core.log.gz")],
    ["exits", str(Path(__file__).parent / "exits" / "ftrace_6.12.txt.gz")],
    ["state", "show", "{state}"],
    ["state", "diff", "{state}", "{state}"],
    ["state", "check", "{state}", "--host-a3v"],
    ["affinity", "layouts", "--vcpus", "1", "--jobs", "1", "--output", "{folder}"],
]


@pytest.fixture
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    state = tmp_path / "vm.state"
    vgic.State.of(vgic.Gic(vgic.Config(vgic.Topology.kvm(4)))).to_file(state)
    return [*VGIC, *(word.format(state=state, folder=tmp_path / "out") for word in request.param)]


every_command = pytest.mark.parametrize("command", COMMANDS, indirect=True, ids=lambda words: " ".join(words[:2]))


def run(command: list[str], **streams: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, **streams, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, timeout=60, check=False
    )


@every_command
def test_a_full_disk(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        done = run(command, stdout=full)
    assert done.stderr == "vgic: standard output cannot be written: No space left on device\n"
    assert done.returncode == 2


@every_command
def test_nobody_reads_on(command: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    done = run(command, stdout=theirs)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


@every_command
def test_a_closed_output(command: list[str]) -> None:
    done = run(["sh", "-c", 'exec "$@" >&-', "sh", *command])
    assert done.stderr == "vgic: standard output cannot be written: Bad file descriptor\n"
    assert done.returncode == 2


def test_errors_that_nobody_can_read() -> None:
    for redirection in ("2>&-", "2>/dev/full", ">&- 2>&-"):
        done = run(["sh", "-c", f'exec "$@" {redirection}', "sh", *VGIC, "replay", "/nonexistent"])
        assert (done.returncode, done.stderr) == (2, "")


def test_commands_of_one_name() -> None:
    shown = {
        run([sys.executable, "-P", "-m", name, "--version"], stdout=subprocess.PIPE).stdout
        for name in ("vgic", "vgic_tools", "vgic_tools.cli")
    }
    assert len(shown) == 1
    assert shown.pop().startswith(f"vgic {vgic.__version__}, ")
    for name in ("vgic", "vgic_tools"):
        done = run([sys.executable, "-P", "-m", name, "nonsense"])
        assert done.returncode == 2
        assert done.stderr.startswith("Usage: vgic [OPTIONS] COMMAND [ARGS]...\n")


# Stopping

# Interrupts itself when a module is looked for: whatever is being loaded then.
LOADING = """
import os, signal, sys
stop_at = sys.argv.pop(1)
class Stop:
    def find_spec(self, name, path=None, target=None):
        if name == stop_at:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Stop())
import vgic_tools.__main__
vgic_tools.__main__.run()
"""


@pytest.mark.parametrize(
    "module",
    [
        "click",
        "vgic_tools.cli",
        "vgic_tools.replay.command",
        "vgic",
        "vgic.gic",
        "mmio.trace.qemu",
        "vgic_tools.console",
    ],
)
def test_an_interrupt_while_something_is_loaded(module: str) -> None:
    words = ["replay", CORE, "--qemu-cmdline", CMDLINE]
    done = run([sys.executable, "-P", "-c", LOADING, module, *words], stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (130, "")


@pytest.fixture(scope="module")
def long_trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trace that takes long to read."""
    path = tmp_path_factory.mktemp("long") / "trace.log"
    with gzip.open(CORE) as core:
        text = core.read()
    path.write_bytes(text * 40)
    return path


@pytest.mark.parametrize(
    "words",
    [
        ["replay", "{trace}", "--cpus", "1", "--keep-going"],
        ["convert", "{trace}", "{out}/trace.vgpk"],
        ["convert", "{trace}", "{out}/trace.jsonl.gz"],
        ["its", "{trace}"],
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("piped", [False, True], ids=["file", "pipe"])
def test_an_interrupt_while_a_command_works(
    long_trace: Path, tmp_path: Path, words: list[str], piped: bool
) -> None:
    named = [word.format(trace="-" if piped else long_trace, out=tmp_path) for word in words]
    with (
        open(long_trace, "rb") as trace,
        subprocess.Popen(
            [*VGIC, *named],
            stdin=trace if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**ENVIRONMENT, "TMPDIR": str(tmp_path)},
        ) as process,
    ):
        # It works once it has the file open: before, it ends in the same way.
        deadline = time.monotonic() + 30
        while not any(_has_open(process.pid, path) for path in (long_trace, tmp_path)):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        try:
            output, errors = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, output, errors) == (130, b"", b"")
    assert list(tmp_path.iterdir()) == []


def _has_open(pid: int, path: Path) -> bool:
    """Whether a process has a file open that is this one, or in this folder, other than its standard input."""
    folder = f"/proc/{pid}/fd"
    try:
        links = [os.readlink(f"{folder}/{number}") for number in os.listdir(folder) if number not in "012"]
    except OSError:
        return False
    return any(link.startswith(str(path)) for link in links)


def test_a_command_in_the_background_is_not_interrupted() -> None:
    # A shell has such a command ignore interrupts.
    stopping = LOADING.replace(
        "import vgic_tools.__main__", "signal.signal(2, signal.SIG_IGN)\nimport vgic_tools.__main__"
    )
    done = run([sys.executable, "-P", "-c", stopping, "click", "map"], stdout=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "")
