"""PEs of a running QEMU do at every Exception level what they do in the model.

`vgic compare qemu --secure` and `vgic compare qemu --virtualization`, in small.
"""

import shutil

import pytest

from beside_qemu import NEEDS_QEMU
from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.building import COMPILER

pytestmark = [NEEDS_QEMU, pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}")]


@pytest.mark.rule("PE-20", "PE-21", "PE-22", "PE-23", "PE-25", "VCPU-16", "VCPU-23", "VCPU-24", "VCPU-25")
@pytest.mark.parametrize("name", ["secure", "hypervisor"])
@pytest.mark.parametrize(("operations", "seed"), [(6000, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)])
def test_pes_at_every_level_do_the_same(name: str, operations: int, seed: int) -> None:
    way = WAYS[name]
    comparison = way.open(QEMU)
    with comparison.judge:
        result = compare([(way, comparison, way.areas)], seed=seed, most=operations)
    assert result.findings == {}
    assert set(result.excused) <= {"STATE-15"}
    assert sum(result.excused.values()) < 10 + operations // 5000
    assert result.operations == operations
    assert result.changes > operations // 40
