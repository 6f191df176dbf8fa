"""`vgic compare qemu` finds faults in the model: each within 20,000 operations, and shrunk to ten or fewer.

On an idle machine one takes three to twenty seconds.
"""

import shutil

import pytest
from fault_plugin import FAULTS, inject

import vgic
from beside_qemu import NEEDS_QEMU
from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.building import COMPILER

pytestmark = [
    NEEDS_QEMU,
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}"),
    pytest.mark.skipif(
        vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
    ),
]

AREAS = frozenset({"mmio", "lines", "sgis", "cpu-interface"})

UNSEEN = {
    "no-reset-at-cpu-on": "no CPU is turned off and on",
    "last-on-last-cpu": "four vCPUs have one region of Redistributors",
}
"""Faults that this comparison cannot show, and why."""

SHORTEST = {
    "pmr-keeps-all-bits": 2,
    "broadcast-to-sender": 2,
}
"""Those that take a few seconds, and how few operations show them."""

OTHERS = sorted(FAULTS.keys() - UNSEEN.keys() - SHORTEST.keys())


def shown_by(fault: str, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many operations show a fault."""
    inject(fault, monkeypatch)
    way = WAYS["running"]
    comparison = way.open()
    with comparison.judge:
        result = compare([(way, comparison, AREAS)], seed=1, most=20_000)
        [finding] = result.findings.values()
        assert comparison.repeat(finding.case.machine, finding.case.operations) is not None
    return len(finding.case.operations)


@pytest.mark.parametrize("fault", SHORTEST)
def test_a_fault_is_found_and_made_short(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_by(fault, monkeypatch) <= SHORTEST[fault]


@pytest.mark.slow
@pytest.mark.parametrize("fault", OTHERS)
def test_every_fault_is_found_and_made_short(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown_by(fault, monkeypatch) <= 10


def test_there_are_twelve() -> None:
    assert len(OTHERS) + len(SHORTEST) >= 12
    assert UNSEEN.keys() <= FAULTS.keys()
