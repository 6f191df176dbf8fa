"""Carries out `vgic boot`: builds the machine, runs it, and says how it ended."""

import sys
import time
from contextlib import ExitStack
from typing import Final

from mmio.trace import NativeWriter
from vgic import affinity
from vgic_tools.errors import UsageError
from vgic_tools.guests.board import Board, Load
from vgic_tools.guests.clock import FREQUENCY
from vgic_tools.guests.console_script import Script
from vgic_tools.guests.machine import GuestMachine
from vgic_tools.guests.progress_report import KINDS, routed_nowhere, taken_by_kind, where
from vgic_tools.guests.recording import Recording
from vgic_tools.guests.saving import SavedMachine, save_machine, through_kvm
from vgic_tools.guests.session import End, Session
from vgic_tools.guests.tape import Tape
from vgic_tools.guests.terminal_line import Keyboard, raw_terminal
from vgic_tools.guests.wanted import Wanted
from vgic_tools.inputs import read_bytes, shown_name
from vgic_tools.machines.machine import Machine, machine_document
from vgic_tools.signals import PostponedSignals, ended_by_signals
from vgic_tools.terminal import complain, note, pass_on, print_json

__all__ = ["run"]

_ARGUMENTS: Final = "console=ttyAMA0 earlycon=pl011,0x9000000 panic=-1"
_NANOSECONDS: Final = 1_000_000_000 // FREQUENCY
_ROUNDS: Final = 64
"""Between two looks at the keyboard."""


def run(wanted: Wanted) -> bool:
    """Run the guest; True where it did what was expected of it. Raises UsageError and vgic's errors."""
    saved = None if wanted.resume is None else SavedMachine(wanted.resume)
    load = None if saved is not None else _load(wanted)
    with ExitStack() as stack:
        tape = Tape()
        if wanted.record is not None:
            config = wanted.config if saved is None else saved.gic.config()
            about = {"machine": machine_document(Machine(config, "vgic boot"))}
            tape = Recording(stack.enter_context(NativeWriter(wanted.record, about)))
        return _Run(wanted, saved, load, tape).run()


def _load(wanted: Wanted) -> Load:
    if wanted.firmware is not None:
        return Load(read_bytes(wanted.firmware), shown_name(wanted.firmware), firmware=True)
    if wanted.debian is not None:
        from vgic_tools.guests.debian import fetch_kernel, fetched_busybox, initramfs
        from vgic_tools.judges.errors import MissingJudgeError

        try:
            kernel = fetch_kernel(wanted.debian)
            initrd: bytes | None = initramfs(fetched_busybox())
        except MissingJudgeError as error:
            raise UsageError(f"{error}; or give --kernel and --initrd") from error
        name = "the initial RAM file system"
    else:
        assert wanted.kernel is not None
        kernel = wanted.kernel
        initrd = None if wanted.initrd is None else read_bytes(wanted.initrd)
        name = "" if wanted.initrd is None else shown_name(wanted.initrd)
    return Load(read_bytes(kernel), shown_name(kernel), initrd, name, f"{_ARGUMENTS} {wanted.append}".strip())


class _Run:
    def __init__(self, wanted: Wanted, saved: SavedMachine | None, load: Load | None, tape: Tape) -> None:
        self._wanted = wanted
        self._output = bytearray()
        self._interactive = (
            not wanted.expect and not wanted.as_data and sys.stdin is not None and sys.stdin.isatty()
        )
        self._rounds = 0
        self._session: Session | None = None
        # An exception within a callback of Unicorn would be lost.
        self._signals = PostponedSignals()
        if saved is None:
            assert load is not None
            self._board = Board.loaded(wanted.config, wanted.ram, load, self._sent, tape)
        else:
            self._board = Board(saved.gic.config(), saved.ram, self._sent, saved.sites, tape, saved.gic)
            saved.restore(self._board.machine)
        self._machine = self._board.machine
        if wanted.through_kvm:
            self._machine.replace_gic(through_kvm)
        if isinstance(tape, Recording):
            tape.now = lambda: self._machine.clock.now * _NANOSECONDS
        script = Script(wanted.expect, wanted.send, self._board.uart.receive) if wanted.expect else None
        self._keyboard = Keyboard(self._board.uart.receive)
        saving = None if wanted.save_at is None else (wanted.save_at[0], self._save)
        self._session = Session(self._machine, script, wanted.patience, wanted.limit, saving, self._after_round)

    def _sent(self, byte: int) -> None:
        self._output.append(byte)
        if self._session is not None:
            self._session.hear(byte)

    def _after_round(self) -> None:
        if self._output:
            self._show()
        self._signals.look()
        self._rounds += 1
        if self._interactive and self._rounds % _ROUNDS == 0:
            self._look()

    def _save(self) -> None:
        assert self._wanted.save_at is not None
        self._show()
        save_machine(self._machine, self._wanted.save_at[1])
        note(f"saved: {self._machine.clock.seconds:.6f} s")

    def _show(self) -> None:
        if not self._wanted.as_data:
            pass_on(bytes(self._output), raw=self._interactive)
        self._output.clear()

    def _pause(self, seconds: float | None) -> None:
        """All CPUs wait: so does whoever runs them, for the same time."""
        self._show()
        self._look(seconds)

    def _look(self, seconds: float | None = 0) -> None:
        with self._signals.waiting():
            self._keyboard.look(seconds)
        if self._keyboard.left:
            raise _LeftError

    def run(self) -> bool:
        """Run it, and say how it ended."""
        assert self._session is not None
        began, busy = time.monotonic(), time.process_time()
        try:
            with ended_by_signals(), ExitStack() as stack:
                if self._interactive:
                    self._machine.scheduler.pause = self._pause
                    stack.enter_context(raw_terminal())
                stack.enter_context(self._signals)
                end = self._session.run()
        except _LeftError:
            end = None
        taken = time.process_time() - busy
        self._show()
        wanted = self._wanted
        good = self._good(end)
        script = self._session.script
        missed = None if script is None else script.waits_for
        if wanted.as_data:
            print_json(_summary(self._machine, end, good, missed, taken))
        else:
            _say(self._machine, end, good, missed, taken, time.monotonic() - began)
        return good

    def _good(self, end: End | None) -> bool:
        if end is None or end is End.HEARD:
            return True
        if end is End.OFF:
            # What was expected was not heard.
            return not self._wanted.expect
        return end is End.LATE and not self._wanted.expect


class _LeftError(Exception):
    """The user leaves the guest."""


def _say(
    machine: GuestMachine, end: End | None, good: bool, missed: str | None, taken: float, passed: float
) -> None:
    from vgic_tools.console import stderr, table

    note("")
    why = "left" if end is None else machine.ended or end.value
    if missed is not None and not good:
        why += f", and has not said {missed!r}"
    complain(why) if not good else note(f"end: {why}")
    if end in (End.STUCK, End.SILENT, End.LATE):
        for line in (*where(machine), *routed_nowhere(machine)):
            note(line)
    headings = ("CPU", "affinity", "instructions, about", *KINDS)
    rows = table(*headings, right=(headings[0], *headings[2:]))
    for cpu, counts in enumerate(taken_by_kind(machine)):
        numbers = (f"{counts[kind]:,}" if counts[kind] else "" for kind in KINDS)
        name = affinity.text(machine.gic.gic.affinity(cpu))
        rows.add_row(str(cpu), name, f"{machine.scheduler.instructions[cpu]:,}", *numbers)
    console = stderr()
    console.print(rows)
    share = machine.gic.nanoseconds / 1e9 / taken if taken else 0
    note(
        f"{machine.clock.seconds:.3f} s of the guest in {passed:.1f} s;"
        f" {machine.gic.accesses:,} accesses to the GIC, which took {share:.1%} of the time"
    )


def _summary(
    machine: GuestMachine, end: End | None, good: bool, missed: str | None, taken: float
) -> dict[str, object]:
    return {
        "good": good,
        "end": None if end is None else end.name.lower(),
        "why": machine.ended,
        "missed": missed,
        "seconds": machine.clock.seconds,
        "accesses": machine.gic.accesses,
        "share_of_gic": machine.gic.nanoseconds / 1e9 / taken if taken else 0,
        "cpus": [
            {
                "affinity": affinity.text(machine.gic.gic.affinity(cpu)),
                "instructions_about": machine.scheduler.instructions[cpu],
                "taken": {kind: counts[kind] for kind in KINDS if counts[kind]},
                "where": where(machine)[cpu],
            }
            for cpu, counts in enumerate(taken_by_kind(machine))
        ],
    }
