"""`vgic compare qemu --secure` finds faults of security in the model: each within 20,000 operations, and shrunk.

On an idle machine one takes three to thirty seconds.
"""

import shutil

import pytest

import vgic
from beside_qemu import NEEDS_QEMU
from security_faults import FAULTS
from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.building import COMPILER

pytestmark = [
    NEEDS_QEMU,
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}"),
    pytest.mark.skipif(
        vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
    ),
]

UNSEEN = {
    "messages-for-all": "QEMU has no GICD_SETSPI_NSR",
}
"""Faults that this comparison cannot show, and why."""

SHOWN = sorted(FAULTS.keys() - UNSEEN.keys())


@pytest.mark.parametrize("fault", SHOWN)
def test_a_fault_of_security_is_found_and_made_short(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, replacement = FAULTS[fault]
    monkeypatch.setattr(owner, name, replacement)
    way = WAYS["secure"]
    comparison = way.open()
    with comparison.judge:
        result = compare([(way, comparison, way.areas - {"state"})], seed=1, most=20_000)
        [finding] = result.findings.values()
        assert comparison.repeat(finding.case.machine, finding.case.operations) is not None
    assert len(finding.case.operations) <= 16


def test_there_are_sixteen() -> None:
    assert len(SHOWN) >= 16
    assert UNSEEN.keys() <= FAULTS.keys()
