"""The tests can fail: with each fault of fault_plugin.py in the model, they do.

Three kinds of test are shown to notice, each on its own: the tests of the rules, the recording of random
operations, and the random guests that are compared with the reference.
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pytest
from fault_plugin import FAULTS, NO_FAULT, inject

import vgic
from operations import first_mismatch, recorded_machine
from random_guest import RandomGuest, run

pytestmark = pytest.mark.skipif(
    vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
)

HERE: Final = Path(__file__).parent
ROOT: Final = HERE.parent.parent
SUITE: Final = (
    "tests/vgic",
    "--ignore=tests/vgic/state/test_invariants.py",
    "--ignore=tests/vgic/cpu_interface/test_nmi.py",
    *(f"--ignore-glob=tests/vgic/{about}/*.py" for about in ("its", "lpis", "identity", "host")),
    "--ignore-glob=tests/vgic/kvm/test_kvm_its*.py",
)
"""The tests of the rules; without those of the model's check of itself, which is silenced, and of LPIs and the ITS,
whose faults are in files of their own, of NMIs, which save and restore what a fault lets no VM have, and of what a
guest sees of its CPU, which asks no GIC."""

UNSEEN_BY_RECORDING: Final = {
    "no-reset-at-cpu-on": "no CPU is turned off and on",
    "last-on-last-cpu": "all redistributors are in one region",
}
"""Faults that the recording of random operations cannot show, and why."""

RANDOM_GUESTS: Final = 400
"""At most; most faults show within twenty."""

Runs = Mapping[str, "Future[subprocess.CompletedProcess[str]]"]


def run_suite(fault: str) -> subprocess.CompletedProcess[str]:
    """The rule tests in an interpreter of their own, with a fault in the model."""
    plugins = ("-p", "no:cacheprovider", "-p", "fault_plugin", "--fault", fault)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-x", "-q", *plugins, *SUITE],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def runs() -> Iterator[Runs]:
    """A run of the rule tests for each fault, two at a time."""
    with ThreadPoolExecutor(2) as pool:
        yield {fault: pool.submit(run_suite, fault) for fault in (NO_FAULT, *FAULTS)}
        pool.shutdown(cancel_futures=True)


def test_rule_tests_pass_without_a_fault(runs: Runs) -> None:
    result = runs[NO_FAULT].result()
    assert result.returncode == pytest.ExitCode.OK, result.stdout + result.stderr


@pytest.mark.parametrize("fault", FAULTS)
def test_rule_tests_notice(fault: str, runs: Runs) -> None:
    result = runs[fault].result()
    report = result.stdout + result.stderr
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, report
    # By an assertion of a test, not because the fault makes something crash.
    noticed = re.search(r"^call: (\w+) in .+$", report, re.MULTILINE)
    assert noticed is not None, report
    assert noticed[1] == "AssertionError", report


@pytest.mark.parametrize("fault", FAULTS)
def test_recording_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(fault, monkeypatch)
    mismatch = first_mismatch(recorded_machine())
    assert (mismatch is None) == (fault in UNSEEN_BY_RECORDING), str(mismatch)


@pytest.mark.parametrize("fault", FAULTS)
def test_random_guests_notice(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    inject(fault, monkeypatch)
    with pytest.raises(AssertionError, match="reference"):
        run(RandomGuest, RANDOM_GUESTS, shrink=False)
