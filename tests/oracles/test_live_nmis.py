"""Guests of a running QEMU with NMIs do what they do in the model.

`vgic compare qemu --nmi` and `vgic compare qemu --virtualization --nmi`, in small.
"""

import shutil

import pytest

from mmio.trace import read_qemu
from vgic_tools.compare.run import compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.building import COMPILER
from vgic_tools.judges.nmi_model import NmiModel
from vgic_tools.judges.qemu_guest import RenewedQemu
from vgic_tools.judges.qemus import cached_qemu
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import replay

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


@pytest.mark.rule("VCPU-29", "VCPU-30", "VCPU-31", "VCPU-32", "VCPU-33")
@pytest.mark.parametrize(("operations", "seed"), [(6000, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)])
def test_guests_of_hypervisors_with_nmis_do_the_same(operations: int, seed: int) -> None:
    way = WAYS["listed-nmi"]
    comparison = way.open(str(QEMU))
    with comparison.judge:
        result = compare([(way, comparison, way.areas)], seed=seed, most=operations)
    assert result.findings == {}
    assert result.excused == {}
    assert result.operations == operations
    assert result.changes > operations // 20


@pytest.mark.rule("NMI-9")
def test_what_qemu_records_of_them_replays() -> None:
    """Its trace tells neither SCTLR_EL1 nor the output that stands for superpriority."""
    way, areas = WAYS["nmi"], frozenset({"cpu-interface", "sgis"})
    comparison = way.open(str(QEMU))
    assert isinstance(comparison.judge, RenewedQemu)
    comparison.judge.traced = ("gicv3_*", "guest_cpu_reset")
    with comparison.judge:
        _, divergence = comparison.live(next(way.lives(11, areas, 2, comparison.judge.version)), 3000)
        assert divergence is None
        lines = comparison.judge.trace().decode("ascii").splitlines()
    assert isinstance(comparison.model, NmiModel)
    described = Machine(comparison.model.gic.config, "a test")
    result = replay(read_qemu(enumerate(lines, 1), "trace.log"), "trace.log", described, keep_going=True)
    assert not result.divergences
    assert result.compared["ICC_NMIAR1"] > 50
    assert result.compared["IRQ and FIQ outputs"] > 500
    assert list(result.accepted) == ["SCTLR_ELx.NMI, which only acknowledgements of NMIs tell"]
