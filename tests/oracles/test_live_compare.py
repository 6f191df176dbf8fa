"""Guests with a program on every vCPU of a running QEMU do the same in the model: `vgic compare qemu`, in small.

On an idle machine 100,000 operations take a minute, and what is not marked `slow` ten seconds.
"""

import os
import shutil
import signal
from pathlib import Path

import pytest

import vgic
from beside_qemu import FOUND, NEEDS_QEMU
from vgic_tools.compare.run import Result, compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.building import COMPILER
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.protocol import Line, Load, Machine, Mrs, Msr, SaveRestore, Store
from vgic_tools.judges.qemu import configured
from vgic_tools.judges.qemu_guest import RunningQemu
from vgic_tools.judges.qemus import cached_qemu

pytestmark = [NEEDS_QEMU, pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")]

AREAS = frozenset({"mmio", "lines", "sgis", "cpu-interface", "state"})
FREEDOMS = {"STATE-15"}

GICD = 0x0800_0000


def compared(qemu: str, operations: int, seed: int) -> Result:
    """A comparison in which nothing diverges but by the freedoms that there are, and not often by them."""
    way = WAYS["running"]
    comparison = way.open(qemu)
    with comparison.judge:
        result = compare([(way, comparison, AREAS)], seed=seed, most=operations)
    assert result.findings == {}
    assert result.operations == operations
    assert result.changes > operations // 20
    assert set(result.excused) <= FREEDOMS
    assert sum(result.excused.values()) < 10 + operations // 5000
    return result


def test_guests_do_the_same() -> None:
    compared(QEMU, 6000, seed=1)


@pytest.mark.slow
def test_guests_do_the_same_for_longer() -> None:
    compared(QEMU, 100_000, seed=2)


@pytest.mark.slow
def test_guests_of_a_newer_qemu_do_the_same() -> None:
    newer = cached_qemu()
    if newer is None:
        pytest.skip("there is no newer QEMU; `python -m vgic_tools.judges.fetch qemu` fetches it")
    compared(str(newer), 20_000, seed=3)


def test_what_each_vcpu_does_comes_in_its_turn() -> None:
    with RunningQemu() as judge:
        for _ in range(2):
            judge.start(Machine(3))
            told = judge.perform(
                [
                    Load(2, GICD, 4),
                    Msr(1, vgic.ICC_PMR_EL1, 0xF0),
                    Msr(1, vgic.ICC_IGRPEN0_EL1, 1),
                    Store(0, GICD, 4, 3),
                    Store(2, 0x080C_0000 + 0x1_0100, 4, 1 << 27),
                    Line(1, 27, True),
                    Mrs(1, vgic.ICC_IAR0_EL1),
                    SaveRestore(),
                    Mrs(0, vgic.ICC_EOIR0_EL1),
                    Load(0, GICD, 4),
                ]
            )
            # Just reset, each time.
            assert told[0].value == 0x50
            assert (told[6].value, told[6].signals) == (27, 0)
            assert told[8].undefined
            assert told[9].value == 0x53
            judge.perform([Mrs(1, vgic.ICC_RPR_EL1)])


def test_a_qemu_that_dies_or_hangs_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    with RunningQemu() as judge:
        judge.start(Machine(2))
        judge._qtest.process.kill()
        judge._qtest.process.wait(60)
        with pytest.raises(JudgeError, match="QEMU has ended; its last words"):
            judge.perform([Mrs(1, vgic.ICC_PMR_EL1)])
        judge.start(Machine(2))
        assert judge.perform([Mrs(1, vgic.ICC_PMR_EL1)])[0].value == 0
        process = judge._qtest.process
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        monkeypatch.setattr("vgic_tools.judges.qemu_guest.TIMEOUT", 0.3)
        with pytest.raises(JudgeError, match="QEMU does not answer"):
            judge.perform([Mrs(1, vgic.ICC_PMR_EL1)])
    assert process.returncode == -signal.SIGKILL


def test_a_version_has_the_profile_of_the_last_that_was_measured() -> None:
    profiles = {
        release: configured(release)(Machine(1)).profile.name
        for release in ("6.2.0", "7.2.22", "8.1", "10.0.2", "11.1.50", FOUND or "7.2")
    }
    assert list(profiles.values())[:5] == ["qemu", "qemu", "qemu", "qemu-10.0", "qemu-10.0"]


def test_a_qemu_beside_its_files_is_given_them(tmp_path: Path) -> None:
    program = tmp_path / "bin" / "qemu"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho QEMU emulator version 10.0.2\n")
    program.chmod(0o755)
    (tmp_path / "share" / "qemu").mkdir(parents=True)
    assert RunningQemu(str(program))._qemu == [str(program), "-L", str(tmp_path / "share" / "qemu")]
