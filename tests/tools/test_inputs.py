"""Inputs of every command: standard input, pipes, compressed files, and what is too large or no file."""

import bz2
import gzip
import json
import lzma
import os
import re
import resource
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import recorded_guests
import vgic
from mmio.trace import PackedWriter, open_trace
from sessions import PATIENCE
from vgic_tools.cli import main

RECORDING = recorded_guests.TRACES / "linux_smp1_icount"
CORE = RECORDING / "trace.core.log.gz"
CMDLINE = RECORDING / "cmd.txt"
DTB = RECORDING / "virt.dtb"
PACKERS = {"plain": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "xz": lzma.compress}
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def run(*arguments: object, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=stdin)


def refusal(*arguments: object, stdin: bytes | None = None) -> str:
    outcome = run(*arguments, stdin=stdin)
    assert (outcome.exit_code, outcome.stdout) == (2, ""), outcome.output
    return outcome.stderr.removeprefix("vgic: ").removesuffix("\n")


@pytest.fixture(scope="module")
def log() -> bytes:
    return b"".join(gzip.decompress(CORE.read_bytes()).splitlines(keepends=True)[:2000])


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "vm.state"
    vgic.State.of(vgic.Gic(vgic.Config(vgic.Topology.kvm(2), its=(0x0808_0000,)))).to_file(path)
    return path


@pytest.mark.parametrize("packed", PACKERS)
def test_a_trace_from_anywhere(tmp_path: Path, log: bytes, packed: str) -> None:
    # No name tells what is in it.
    path = tmp_path / "trace.zip"
    path.write_bytes(PACKERS[packed](log))
    expected = json.loads(run("replay", path, "--qemu-cmdline", CMDLINE, "--json").stdout)
    assert expected["values_compared"] > 100
    for name in ("replay", "its", "convert"):
        more = {"replay": ["--qemu-cmdline", CMDLINE, "--json"], "convert": [tmp_path / "out"]}.get(name, [])
        outcome = run(name, "-", *more, stdin=path.read_bytes())
        assert outcome.exit_code == 0, outcome.output
        if name == "replay":
            assert json.loads(outcome.stdout) == expected | {"trace": "standard input"}
    assert len(list(open_trace(tmp_path / "out"))) == 2000


def test_a_packed_trace_from_standard_input(tmp_path: Path) -> None:
    path = tmp_path / "trace.vgpk"
    with PackedWriter(path, {}) as writer:
        for event in open_trace(CORE):
            writer.write(event)
    outcome = run("replay", "-", "--qemu-cmdline", CMDLINE, stdin=path.read_bytes())
    assert outcome.exit_code == 0
    assert outcome.stdout.startswith("standard input: ")


def test_a_divergence_is_told_of_what_came_through_a_pipe(log: bytes) -> None:
    outcome = run("replay", "-", "--cpus", "1", "--profile", "arch", stdin=lzma.compress(log))
    assert outcome.exit_code == 1
    assert "\nstandard input:" in outcome.stdout
    assert "the events before it:\n" in outcome.stdout


@pytest.mark.parametrize("packed", PACKERS)
def test_states_machines_and_logs(tmp_path: Path, state: Path, packed: str) -> None:
    pack = PACKERS[packed]
    log = tmp_path / "log"
    log.write_text("create_vcpu\n")
    for path, commands in {
        state: (["state", "show"], ["state", "check", "--host-a3v"], ["its"]),
        CMDLINE: (["map", "--qemu-cmdline"],),
        DTB: (["map", "--dtb"],),
        log: (["state", "check", "--order"],),
    }.items():
        for command in commands:
            compressed = tmp_path / "compressed"
            compressed.write_bytes(pack(path.read_bytes()))
            expected, file, piped = (
                run(*command, path),
                run(*command, compressed),
                run(*command, "-", stdin=compressed.read_bytes()),
            )
            assert expected.exit_code == file.exit_code == piped.exit_code
            assert expected.exit_code in (0, 1)
            shown = str(path)
            assert file.output.replace(str(compressed), shown) == expected.output
            assert expected.output.replace(shown, "standard input") == piped.output


def test_a_state_and_its_twin_from_standard_input(state: Path) -> None:
    assert run("state", "diff", state, "-", stdin=state.read_bytes()).exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["state", "diff", "-", "-"],
        ["replay", "-", "--qemu-cmdline", "-"],
        ["replay", "-", "--dtb", "-"],
        ["convert", "-", "out", "--dtb", "-"],
    ],
)
def test_standard_input_is_read_once(arguments: list[str]) -> None:
    assert refusal(*arguments, stdin=b"x") == "standard input can be one input, and - is given for several"


def test_standard_input_that_cannot_be_used() -> None:
    assert refusal("replay", "-", "--cpus", "1", stdin=b"") == "standard input: is empty"
    assert refusal("replay", "-", "--cpus", "1", stdin=b"text\n") == "standard input: holds no trace event"
    assert refusal("state", "show", "-", stdin=b"x") == (
        "standard input: no state file: the first line is not that of one"
    )
    assert refusal("state", "show", "-", stdin=gzip.compress(b"x" * 9999)[:-3]) == (
        "standard input: the gzip data ends early: the file is truncated"
    )
    assert refusal("state", "check", "--order", "-", stdin=b"\xff") == "standard input: not text"
    closed = 'exec "$@" <&-'
    for command in (["replay", "-", "--cpus", "1"], ["state", "show", "-"], ["map", "--dtb", "-"]):
        done = subprocess.run(
            ["sh", "-c", closed, "sh", sys.executable, "-P", "-m", "vgic_tools", *command],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("vgic: standard input: ")
        assert done.stderr.endswith("Bad file descriptor\n")
        assert done.stderr.count("\n") == 1


def test_a_named_pipe(tmp_path: Path, log: bytes, state: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for data, command in ((log, ["replay", pipe, "--qemu-cmdline", CMDLINE]), (state.read_bytes(), ["its", pipe])):
        writer = threading.Thread(target=pipe.write_bytes, args=(data,), daemon=True)
        writer.start()
        outcome = run(*command)
        writer.join(PATIENCE)
        assert not writer.is_alive()
        assert outcome.exit_code == 0, outcome.output
        assert str(pipe) in outcome.stdout


# Sizes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["map", "--cpus", "1000000000"], "a VM has 1 to 65536 vCPUs, not 1000000000"),
        (["map", "--cpus", "9" * 100], f"a VM has 1 to 65536 vCPUs, not {'9' * 100}"),
        (["map", "--spis", "1000000000"], "spis is a multiple of 32 up to 960, or 988; 1000000000 is not"),
        (["map", "--gicd-base", hex(1 << 64)], f"GICD at {1 << 64:#x} reaches beyond the addresses of 64 bits"),
        (
            ["map", "--its", hex((1 << 64) - 0x10000)],
            "GITS at 0xffffffffffff0000 reaches beyond the addresses of 64",
        ),
        (["decode", "GICD_CTLR", "9" * 5000], "'99999"),
        (["map", "--gicd-base", "9" * 5000], "--gicd-base 99999"),
        (["map", "--qemu-cmdline", "/dev/zero"], "/dev/zero: is not a regular file"),
        (["map", "--dtb", "/dev/zero"], "/dev/zero: is not a regular file"),
        (["replay", "/dev/zero", "--cpus", "1"], "/dev/zero: is not a regular file"),
        (["its", "/dev/zero"], "/dev/zero: is not a regular file"),
        (["state", "show", "/dev/zero"], "/dev/zero: is not a regular file"),
        (["state", "check", "--order", "/dev/zero"], "/dev/zero: is not a regular file"),
        (["affinity", "layouts", "--layout-file", "/dev/zero"], "/dev/zero: is not a regular file"),
    ],
)
def test_sizes_are_looked_at_before_anything_is_built(arguments: list[str], message: str) -> None:
    bounded = "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{bounded}\nfrom vgic_tools.cli import main\nmain()", *arguments],
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1"},
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"vgic: {message}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("smp", "shown"),
    [("1000000000", "1000000000"), ("sockets=99999999,cores=99999999", "sockets=99999999,"), ("9" * 5000, "999")],
)
def test_sizes_in_a_qemu_command_line(tmp_path: Path, smp: str, shown: str) -> None:
    path = tmp_path / "cmd.txt"
    path.write_text(f"qemu-system-aarch64 -M virt,gic-version=3 -smp {smp}")
    message = refusal("map", "--qemu-cmdline", path)
    assert message.startswith(f"{path}: -smp {shown}")
    assert len(message) < 2500 + len(str(path))


def test_room_for_more_redistributors_than_there_can_be() -> None:
    outcome = run("map", "--redistributors", "0x1000000:1000000000000000")
    assert outcome.exit_code == 0
    assert re.search(r"^GICR region 0 +0x1000000 +0x107ffff +0x80000$", outcome.stdout, re.MULTILINE)


@pytest.mark.parametrize("option", ["--jobs", "--vcpus"])
def test_sizes_of_experiments(option: str) -> None:
    for value in ("1000000000", "9" * 5000, "0"):
        outcome = run("affinity", "layouts", option, value)
        assert (outcome.exit_code, outcome.stdout) == (2, "")
        assert f"Error: Invalid value for '{option}': " in outcome.stderr


def test_a_file_that_grows_when_it_is_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "cmd.txt"
    path.write_bytes(bz2.compress(bytes(1 << 28)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    message = refusal("map", "--qemu-cmdline", path)
    assert message == f"{path}: has more than 1,048,576 bytes, the most that are read of such a file"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB
