"""What starting takes: commands load what they need when they need it."""

import json
import os
import resource
import subprocess
import sys
from statistics import median

import pytest

import recorded_guests
from sessions import PATIENCE

RECORDING = recorded_guests.TRACES / "linux_smp1_icount"
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # Installing leaves bytecode, as the first start does.
REPLAY = ["replay", str(RECORDING / "trace.core.log.gz"), "--qemu-cmdline", str(RECORDING / "cmd.txt")]

LOADED = """
import json, sys
before = set(sys.modules)
try:
    exec(sys.argv.pop(1))
except SystemExit:
    pass
print("\\0" + json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(code: str, *arguments: str) -> set[str]:
    """The packages and modules that some code loads."""
    command = [sys.executable, "-P", "-c", LOADED, code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=PATIENCE, check=True)
    modules = json.loads(done.stdout.partition("\0")[2])
    return {".".join(name.split(".")[: depth + 1]) for name in modules for depth in range(name.count(".") + 1)}


COMMAND = "from vgic_tools.cli import main; main()"
HEAVY = {"matplotlib", "numpy", "construct", "vgic.identity", "vgic.kvm", "vgic_tools.bench", "vgic_tools.affinity"}


def test_the_version_loads_no_model() -> None:
    modules = loaded(COMMAND, "--version")
    assert not modules & (HEAVY - {"vgic_tools.bench"} | {"vgic", "mmio", "rich"})


def test_the_library_loads_neither_the_tools_nor_construct() -> None:
    modules = loaded("import vgic")
    assert not modules & (HEAVY | {"vgic_tools", "click", "rich", "hashlib", "pathlib", "mmio.trace"})


@pytest.mark.parametrize(
    ("words", "unused"),
    [
        (
            REPLAY,
            {
                "rich",
                "gzip",
                "vgic_tools.machines.device_tree",
                "mmio.trace.qemu_its",
                "lzma",
                "tempfile",
                "vgic_tools.report.timeline",
            },
        ),
        (["map"], {"vgic_tools.replay", "rich"}),
        (["compare", "--help"], {"vgic_tools.judges.kvm_host", "vgic_tools.judges.qtest", "rich.progress"}),
        (["rules", "--help"], {"vgic_tools.judges.kvm_host", "vgic_tools.rules.checks", "rich.progress"}),
        (["decode", "GICD_CTLR", "0"], {"vgic_tools.replay", "rich"}),
        (["nonsense"], {"vgic", "mmio", "rich"}),
    ],
    ids=lambda words: words[0] if isinstance(words, list) else "",
)
def test_a_command_loads_what_it_needs(words: list[str], unused: set[str]) -> None:
    assert not loaded(COMMAND, *words) & (HEAVY | unused)


def test_construct_is_loaded_for_who_asks() -> None:
    assert "construct" in loaded("from vgic.layouts.gicd import CTLR; CTLR.bits.parse(bytes(4))")


def cost(*command: str) -> float:
    """CPU time of a process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command_line = [sys.executable, *command]
    subprocess.run(command_line, stdout=subprocess.DEVNULL, env=ENVIRONMENT, timeout=PATIENCE, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.slow
@pytest.mark.timing
@pytest.mark.parametrize(
    ("command", "bound"),
    [
        (("-P", "-m", "vgic_tools", "--version"), 2.5),
        (("-P", "-c", "import vgic"), 4.5),
        (("-P", "-m", "vgic_tools", *REPLAY), 11),
    ],
    ids=["version", "vgic", "replay"],
)
def test_start_up_in_times_of_an_empty_program(command: tuple[str, ...], bound: float) -> None:
    cost(*command)
    times = [(cost(*command), cost("-c", "pass")) for _ in range(15)]
    assert median(taken for taken, _ in times) < bound * median(empty for _, empty in times)
