"""PEs of a running QEMU at every Exception level do in both Security states what they do in the model.

`vgic compare qemu --secure`, in small.
"""

import shutil

import pytest

from beside_qemu import NEEDS_QEMU
from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.building import COMPILER

pytestmark = [NEEDS_QEMU, pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")]


@pytest.mark.parametrize(("operations", "seed"), [(6000, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)])
def test_pes_of_both_states_do_the_same(operations: int, seed: int) -> None:
    way = WAYS["secure"]
    comparison = way.open(QEMU)
    with comparison.judge:
        result = compare([(way, comparison, way.areas)], seed=seed, most=operations)
    assert result.findings == {}
    assert set(result.excused) <= {"STATE-15"}
    assert sum(result.excused.values()) < 10 + operations // 5000
    assert result.operations == operations
    assert result.changes > operations // 40
