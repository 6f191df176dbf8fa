"""`vgic boot` on a terminal: keys go to the guest, and the terminal is as before however that ends."""

import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("unicorn")

from vgic_tools.guests.terminal_line import Keyboard

PATIENCE = 120

# Sends back what it reads, control characters as capital letters, and switches the machine off after a q.
ECHO = struct.pack(
    "<11I",
    0xD2A1_2001,  # mov x1, #0x9000000: the UART
    0xB940_1822,  # 1: ldr w2, [x1, #0x18]: FR
    0x3727_FFE2,  # tbnz w2, #4, 1b: RXFE
    0xB940_0020,  # ldr w0, [x1]
    0x321A_0000,  # orr w0, w0, #0x40
    0xB900_0020,  # str w0, [x1]
    0x7101_C41F,  # cmp w0, #'q'
    0x54FF_FF41,  # b.ne 1b
    0x5280_0100,  # mov w0, #8
    0x72B0_8000,  # movk w0, #0x8400, lsl #16: SYSTEM_OFF
    0xD400_0002,  # hvc #0
)
RAW = termios.ICANON | termios.ECHO | termios.ISIG


class Terminal:
    """A pseudo-terminal with the guest on it."""

    def __init__(self, kernel: Path) -> None:
        self.ours, self.theirs = pty.openpty()
        self.before = termios.tcgetattr(self.theirs)
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "vgic_tools", "boot", "--kernel", str(kernel), "--ram", "8M"],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    @property
    def raw(self) -> bool:
        return not termios.tcgetattr(self.theirs)[3] & RAW

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def hear(self, text: bytes) -> bytes:
        """Wait until the guest has said it."""
        heard = b""
        deadline = time.monotonic() + PATIENCE
        while text not in heard:
            assert select.select([self.ours], [], [], max(0, deadline - time.monotonic()))[0], heard
            heard += os.read(self.ours, 1024)
        return heard

    def end(self) -> tuple[int, str]:
        """Exit status, and what is on standard error."""
        _, error = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, error.decode()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    (tmp_path / "echo.bin").write_bytes(ECHO)
    terminal = Terminal(tmp_path / "echo.bin")
    try:
        deadline = time.monotonic() + PATIENCE
        while not terminal.raw:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        terminal.type(b"-")
        terminal.hear(b"m")
        yield terminal
    finally:
        terminal.process.kill()
        terminal.process.communicate()
        os.close(terminal.theirs)


def test_every_key_goes_to_the_guest_until_the_user_leaves(terminal: Terminal) -> None:
    assert terminal.raw
    terminal.type(b"a\x03\x04\x1a\x1c\x01\x01")
    assert terminal.hear(b"A").endswith(b"aCDZ\\A")
    terminal.type(b"\x01x")
    status, error = terminal.end()
    assert status == 0, error
    assert "end: left" in error
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_the_terminal_is_as_before_when_the_guest_ends(terminal: Terminal) -> None:
    terminal.type(b"q")
    status, error = terminal.end()
    assert status == 0, error
    assert "end: the guest has switched itself off" in error
    assert termios.tcgetattr(terminal.theirs) == terminal.before


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)], ids=str
)
def test_the_terminal_is_as_before_when_a_signal_ends_the_command(
    terminal: Terminal, number: signal.Signals, status: int
) -> None:
    assert terminal.raw
    terminal.process.send_signal(number)
    assert terminal.end()[0] == status
    assert termios.tcgetattr(terminal.theirs) == terminal.before


def test_a_terminal_that_is_closed_ends_the_command(terminal: Terminal) -> None:
    os.close(terminal.ours)
    status, error = terminal.end()
    assert status in (0, 2)
    assert "Traceback" not in error


def test_keys_behind_the_escape(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[bytes] = []
    ours, theirs = os.pipe()
    with os.fdopen(ours) as keys:
        monkeypatch.setattr(sys, "stdin", keys)
        keyboard = Keyboard(received.append)
        for typed in (b"a\x01", b"b\x01\x01c", b"\x01X"):
            assert not keyboard.left
            os.write(theirs, typed)
            keyboard.look()
        assert (received, keyboard.left) == ([b"a", b"\x01b\x01c"], True)
        os.close(theirs)
