"""The model does what a running QEMU does: random operations on both, and everything that can be seen compared.

QEMU runs the virt machine with -S and answers through its qtest protocol, so all operations are on the Distributor,
the Redistributors and the input lines. Not reachable this way: the ICC registers, hence SGIs, what is acknowledged,
and the IRQ and FIQ outputs, which stay low; Secure accesses; which vCPU accesses. What every vCPU is *offered* is
in QEMU's trace, and is compared after every single operation.

Accesses are naturally aligned, because QEMU's memory system breaks others up before the GIC sees them (rule ACC-1
says what the model does); aligned ones of 1, 2, 4 and 8 bytes arrive whole. GICR_CTLR.EnableLPIs stays 0:
LPIs and the ITS are compared by test_live_qemu_its.py.

The profiles are as measured on QEMU 7.2 and 10.0; with another version these tests are skipped.
"""

import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest

import vgic
from beside_qemu import NEEDS_QEMU, PROFILE, beside_qemu, compare, difference
from vgic_tools.compare.accesses import AVOIDED, DISTRIBUTOR, every_address
from vgic_tools.compare.engine import lives
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.errors import JudgeError
from vgic_tools.judges.qtest import Qtest, read, write

pytestmark = NEEDS_QEMU

AREAS = frozenset({"mmio", "lines"})


@pytest.mark.rule("ACC-17", "ACC-21", "CPU-3", "DIST-7", "DIST-8", "DIST-19", "PRIO-9")
@pytest.mark.rule("RED-7", "RED-16", "RED-20", "ROUTE-9", "STATE-8")
# 125 vCPUs take two regions of Redistributors.
@pytest.mark.parametrize(
    ("cpus", "seeds", "operations"), [(1, range(5), 2000), (4, range(8), 2000), (125, range(3), 2000)]
)
def test_the_same_as_qemu(cpus: int, seeds: range, operations: int) -> None:
    total = compare(AREAS, cpus, seeds, operations)
    assert total.changes > total.operations // 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpus", "seeds", "operations"),
    [
        (1, range(100, 130), 5000),
        (4, range(100, 160), 5000),
        (125, range(100, 106), 5000),
        (125, range(106, 112), 5000),
    ],
)
def test_the_same_as_qemu_for_longer(cpus: int, seeds: range, operations: int) -> None:
    compare(AREAS, cpus, seeds, operations)


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_every_address_reads_the_same(size: int) -> None:
    with beside_qemu() as comparison:
        life = next(lives(size, AREAS, cpus=2))
        performed, divergence = comparison.live(life, 600)
        assert divergence is None
        model = comparison.model
        accesses = [access for frame in (DISTRIBUTOR, 1) for access in every_address(frame, size)]
        looks = [access.on(model.gic) for access in accesses if access != AVOIDED]
        assert comparison.repeat(life.machine, [*performed, *looks]) is None


@pytest.mark.parametrize(
    ("profile", "noticed"),
    [
        (replace(PROFILE, unreported_spi_words=2), r"vCPU 0 reads GICD_TYPER .*: 0x37a0006, QEMU"),
        (
            replace(PROFILE, stored_priority_bits=5),
            r"reads GIC[DR]_IPRIORITYR.*, QEMU|priority 0x48, QEMU .* priority 0x4f",
        ),
        (replace(PROFILE, sleep_gates=True), "is offered nothing, QEMU then vCPU . is offered INTID"),
        (replace(PROFILE, edge_records_line=False), "QEMU"),
        (replace(PROFILE, lowest_priority_is_idle=False), r"priority 0xff, QEMU then vCPU . is offered nothing"),
        (
            replace(PROFILE, config_takes_effect_at_once=True),
            r"writes GICD_ICFGR.*is offered .*, QEMU then vCPU . is offered",
        ),
        (
            replace(PROFILE, absent=PROFILE.absent - {"GICD_SETSPI_NSR"}),
            r"(?s)is offered INTID .*, QEMU",
        ),
    ],
    ids=["registers", "priorities", "gates", "lines", "idle", "triggers", "messages"],
)
def test_another_model_is_noticed(profile: vgic.Profile, noticed: str) -> None:
    assert re.search(noticed, difference(profile, AREAS, cpus=4, seed=0, operations=5000))


def test_a_command_that_qemu_refuses_is_an_error(tmp_path: Path) -> None:
    with Qtest([QEMU, "-machine", "virt"], tmp_path) as qtest:
        assert qtest.ask([write(0x4000_0000, 8, 1 << 63), read(0x4000_0004, 4)]) == [0, 1 << 31]
        with pytest.raises(JudgeError, match="answers set_irq_in nowhere"):
            qtest.ask(["set_irq_in nowhere unnamed-gpio-in 0 1"])


def test_a_qemu_that_ends_is_an_error(tmp_path: Path) -> None:
    ended = r"QEMU has ended; its last words: .*unsupported machine"
    with Qtest([QEMU, "-machine", "no-such"], tmp_path) as qtest, pytest.raises(JudgeError, match=ended):
        qtest.ask([read(0, 4)])


def test_a_qemu_that_hangs_is_an_error(tmp_path: Path) -> None:
    with Qtest([QEMU, "-machine", "virt"], tmp_path, timeout=0.2) as qtest:
        qtest.process.send_signal(signal.SIGSTOP)
        with pytest.raises(JudgeError, match="QEMU does not answer"):
            qtest.ask([read(0, 4)])
    assert qtest.process.returncode == -signal.SIGKILL
