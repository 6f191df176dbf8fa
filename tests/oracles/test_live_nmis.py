"""Guests of a running QEMU with NMIs do what they do in the model: `vgic compare qemu --nmi`, in small."""

import shutil

import pytest

from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.building import COMPILER
from vgic_tools.judges.qemus import cached_qemu

QEMU = cached_qemu()

pytestmark = [
    pytest.mark.skipif(QEMU is None, reason="needs a newer QEMU: `python -m vgic_tools.judges.fetch qemu`"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}"),
]


@pytest.mark.rule("NMI-4", "NMI-5", "NMI-6", "NMI-8")
@pytest.mark.parametrize(("operations", "seed"), [(6000, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)])
def test_guests_with_nmis_do_the_same(operations: int, seed: int) -> None:
    way = WAYS["nmi"]
    comparison = way.open(str(QEMU))
    with comparison.judge:
        result = compare([(way, comparison, way.areas)], seed=seed, most=operations)
    assert result.findings == {}
    assert result.operations == operations
    assert result.changes > operations // 20
    assert sum(result.excused.values()) < 10 + operations // 5000
