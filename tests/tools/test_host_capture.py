"""`vgic host capture` where there is no KVM, and who performs its commands where there is."""

import errno
import fcntl
import os
import platform
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vgic_tools.cli import main
from vgic_tools.hosts import capture
from vgic_tools.judges import native
from vgic_tools.judges.native import NativeAgent, missing_kvm


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["host", "capture", *words])


@pytest.mark.rule("IDENT-75")
def test_what_is_no_kvm_host_says_so_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    done = run()
    assert done.exit_code == 2
    assert done.stdout == ""
    told = "vgic: this machine is x86_64 and no arm64; --qemu CPU-MODEL reads a host under QEMU\n"
    assert done.stderr == told
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    absent = tmp_path / "kvm"
    assert missing_kvm(str(absent)) == f"there is no {absent}: this Linux has no KVM, or was not started at EL2"
    absent.write_text("")
    assert missing_kvm(str(absent)) == f"{absent} is no device"
    assert missing_kvm("/dev/null") is None
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    refused = "this user may not open /dev/null: root may, and members of its group (kvm)"
    assert missing_kvm("/dev/null") == refused


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--kernel", "6.1"], "--kernel and --emulator are for a host under QEMU: name a CPU model with --qemu"),
        (["--qemu", "max", "--emulator", "nowhere/qemu"], "nowhere/qemu: is no file"),
        (["--qemu", "max", "--kernel", "nowhere"], "there is no kernel 'nowhere'; there are 6.1, 6.12, newest"),
    ],
)
def test_options_that_do_not_fit_are_refused(words: list[str], message: str) -> None:
    done = run(*words)
    assert (done.exit_code, done.stderr) == (2, f"vgic: {message}\n")


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[NativeAgent]:
    """Files and terminals take ioctls too."""
    monkeypatch.setattr(native, "missing_kvm", lambda: None)
    made = NativeAgent()
    yield made
    made.close()


@pytest.mark.rule("IDENT-75")
def test_commands_are_performed_here(agent: NativeAgent, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"abc\n")
    assert agent.ask(f"file {file}").data == b"abc\n"
    opened = agent.ask(f"open {file}").value
    os.fstat(opened)
    assert [answer.errno for answer in agent.ask_all([f"file {file}x", f"call {opened:x} 5413 0", "dance"])] == [
        errno.ENOENT,
        errno.ENOTTY,
        errno.ENOSYS,
    ]
    assert agent.ask(f"ram {opened:x} 0 40000000 1000").errno == errno.ENOTTY
    assert agent.ask(f"peek {opened:x} 40000000 8").errno == errno.EFAULT
    assert agent.ask(f"link {opened:x} 5413 {bytes(16).hex()} 8 {bytes(8).hex()}").errno == errno.ENOTTY
    agent.ask("reset")
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened)


@pytest.mark.rule("IDENT-75")
def test_a_structure_goes_in_and_comes_back(agent: NativeAgent) -> None:
    leader, follower = pty.openpty()
    try:
        fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("<4H", 24, 80, 1, 2))
        answer = agent.ask(f"give {follower:x} {termios.TIOCGWINSZ:x} {bytes(8).hex()}")
        assert (answer.errno, struct.unpack("<4H", answer.data)) == (0, (24, 80, 1, 2))
    finally:
        os.close(leader)
        os.close(follower)


@pytest.mark.rule("IDENT-75")
def test_the_cpus_that_linux_lists() -> None:
    assert capture._numbers("0-3,8,10-11") == [0, 1, 2, 3, 8, 10, 11]
    with pytest.raises(Exception, match="online: '' lists no CPUs"):
        capture._numbers("")
