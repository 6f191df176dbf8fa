"""Guests of a running QEMU with NMIs do what they do in the model.

`vgic compare qemu --nmi`, and with `--secure` or `--virtualization`, in small.
"""

import shutil

import pytest

from mmio.trace import read_qemu
from vgic_tools.compare.run import Result, compare
from vgic_tools.compare.ways import WAYS
from vgic_tools.judges.building import COMPILER
from vgic_tools.judges.qemu_guest import RenewedQemu
from vgic_tools.judges.qemus import cached_qemu
from vgic_tools.machines.machine import Machine
from vgic_tools.replay import replay

QEMU = cached_qemu()

pytestmark = [
    pytest.mark.skipif(QEMU is None, reason="needs a newer QEMU: `python -m vgic_tools.judges.fetch qemu`"),
    pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"needs {COMPILER}"),
]


def assert_nothing_differs(name: str, operations: int, seed: int) -> Result:
    """Ask QEMU in a way; something must have been signalled, and hardly anything excused."""
    way = WAYS[name]
    comparison = way.open(str(QEMU))
    with comparison.judge:
        result = compare([(way, comparison, way.areas)], seed=seed, most=operations)
    assert result.findings == {}
    assert result.operations == operations
    assert result.changes > operations // 20
    assert sum(result.excused.values()) < 10 + operations // 5000
    return result


@pytest.mark.rule("NMI-4", "NMI-5", "NMI-6", "NMI-8")
@pytest.mark.parametrize(("operations", "seed"), [(6000, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)])
def test_guests_with_nmis_do_the_same(operations: int, seed: int) -> None:
    assert_nothing_differs("nmi", operations, seed)


@pytest.mark.rule("NMI-10", "NMI-11", "NMI-12", "NMI-13", "NMI-14", "NMI-15", "NMI-16", "NMI-17", "NMI-18")
@pytest.mark.parametrize(("operations", "seed"), [(5000, 1), pytest.param(12_000, 2, marks=pytest.mark.slow)])
def test_pes_of_two_security_states_with_nmis_do_the_same(operations: int, seed: int) -> None:
    assert_nothing_differs("secure-nmi", operations, seed)


@pytest.mark.rule("VCPU-29", "VCPU-30", "VCPU-31", "VCPU-32", "VCPU-33")
@pytest.mark.parametrize(("operations", "seed"), [(6000, 1), pytest.param(50_000, 2, marks=pytest.mark.slow)])
def test_guests_of_hypervisors_with_nmis_do_the_same(operations: int, seed: int) -> None:
    assert assert_nothing_differs("listed-nmi", operations, seed).excused == {}


@pytest.mark.rule("NMI-9")
@pytest.mark.parametrize(
    ("name", "areas", "register", "outputs"),
    [
        ("nmi", {"cpu-interface", "sgis"}, "ICC_NMIAR1", "IRQ and FIQ outputs"),
        ("listed-nmi", {"cpu-interface"}, "ICV_NMIAR1", "virtual IRQ and FIQ outputs"),
    ],
)
def test_what_qemu_records_of_them_replays(name: str, areas: set[str], register: str, outputs: str) -> None:
    """Its trace tells neither SCTLR_EL1 nor the output that stands for superpriority."""
    way = WAYS[name]
    comparison = way.open(str(QEMU))
    assert isinstance(comparison.judge, RenewedQemu)
    comparison.judge.traced = ("gicv3_*", "guest_cpu_reset")
    with comparison.judge:
        life = next(way.lives(11, frozenset(areas), 2, comparison.judge.version))
        _, divergence = comparison.live(life, 3000)
        assert divergence is None
        lines = comparison.judge.trace().decode("ascii").splitlines()
    described = Machine(comparison.model.gic.config, "a test")
    result = replay(read_qemu(enumerate(lines, 1), "trace.log"), "trace.log", described, keep_going=True)
    assert not result.divergences
    assert result.compared[register] > 50
    assert result.compared[outputs] > 500
    assert list(result.accepted) == ["SCTLR_ELx.NMI, which only acknowledgements of NMIs tell"]
