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

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import vgic
from live_qemu import DISTRIBUTOR, Counts, Difference, LiveQemu, arguments, config, profile_of
from qtest import BINARY, Qtest, QtestError, read, version, write

FOUND = version()
MEASURED = profile_of(FOUND)
PROFILE = MEASURED or vgic.QEMU
pytestmark = pytest.mark.skipif(MEASURED is None, reason=f"needs {BINARY} 7.2 or 10.0, found {FOUND or 'none'}")


@contextmanager
def machine(cpus: int, directory: Path, profile: vgic.Profile = PROFILE) -> Iterator[LiveQemu]:
    """QEMU and the model with this profile, just reset. What QEMU writes is removed."""
    directory.mkdir()
    gic = vgic.Gic(replace(config(cpus, directory), profile=profile))
    with LiveQemu(gic, arguments(cpus), directory) as live:
        yield live
    for path in directory.iterdir():
        path.unlink()


def compare(cpus: int, seeds: range, operations: int, batch: int, directory: Path) -> Counts:
    """Random operations on a new machine for each seed."""
    total = Counts(0, 0, 0)
    for seed in seeds:
        with machine(cpus, directory / str(seed)) as live:
            live.compare_random(seed, operations, batch)
            total = Counts(*map(sum, zip(total, live.counts, strict=True)))
    return total


@pytest.mark.rule("ACC-17", "ACC-21", "CPU-3", "DIST-7", "DIST-8", "DIST-19", "PRIO-9")
@pytest.mark.rule("RED-7", "RED-16", "RED-20", "ROUTE-9", "STATE-8")
# 125 vCPUs take two regions of Redistributors.
@pytest.mark.parametrize(
    ("cpus", "seeds", "operations", "batch"),
    [(1, range(5), 2000, 50), (4, range(8), 2000, 50), (125, range(3), 2000, 200)],
)
def test_the_same_as_qemu(cpus: int, seeds: range, operations: int, batch: int, tmp_path: Path) -> None:
    total = compare(cpus, seeds, operations, batch, tmp_path)
    assert total.operations == len(seeds) * operations
    assert total.registers > 2000 * total.operations // batch
    assert total.changes > total.operations // 20


@pytest.mark.slow
@pytest.mark.parametrize(
    ("cpus", "seeds", "operations", "batch"),
    [(1, range(100, 130), 5000, 100), (4, range(100, 160), 5000, 100), (125, range(100, 112), 5000, 250)],
)
def test_the_same_as_qemu_for_longer(cpus: int, seeds: range, operations: int, batch: int, tmp_path: Path) -> None:
    assert compare(cpus, seeds, operations, batch, tmp_path).operations == len(seeds) * operations


@pytest.mark.parametrize("size", [1, 2, 4, 8])
def test_every_address_reads_the_same(size: int, tmp_path: Path) -> None:
    with machine(2, tmp_path / "qemu") as live:
        live.compare_random(seed=size, count=600, batch=600)
        live.compare_addresses(DISTRIBUTOR, size)
        live.compare_addresses(1, size)


@pytest.mark.parametrize(
    ("difference", "noticed"),
    [
        (
            replace(PROFILE, unreported_spi_words=2),
            r"after 0 operations, read GICD\+0x4, 4 bytes: 0x37a0006, QEMU",
        ),
        (replace(PROFILE, stored_priority_bits=5), r"read GICD\+0x4.., 4 bytes: .*, QEMU"),
        (replace(PROFILE, sleep_gates=True), "is offered None, by QEMU Pending"),
        (replace(PROFILE, edge_records_line=False), "seed 0, operation"),
        (replace(PROFILE, lowest_priority_is_idle=False), r"priority=255\), by QEMU None"),
        (replace(PROFILE, config_takes_effect_at_once=True), r"write GICD\+0xc.*is offered .* by QEMU Pending"),
        (
            replace(PROFILE, absent=PROFILE.absent - {"GICD_SETSPI_NSR"}),
            r"write GICD\+0x4., .*is offered .* by QEMU",
        ),
    ],
    ids=["registers", "priorities", "gates", "lines", "idle", "triggers", "messages"],
)
def test_another_model_is_noticed(difference: vgic.Profile, noticed: str, tmp_path: Path) -> None:
    with machine(4, tmp_path / "qemu", difference) as live, pytest.raises(Difference, match=noticed):
        live.compare_random(seed=0, count=2000, batch=50)


def test_a_command_that_qemu_refuses_is_an_error(tmp_path: Path) -> None:
    with Qtest(["-machine", "virt"], tmp_path) as qtest:
        assert qtest.ask([write(0x4000_0000, 8, 1 << 63), read(0x4000_0004, 4)]) == [0, 1 << 31]
        with pytest.raises(QtestError, match="set_irq_in nowhere"):
            qtest.ask(["set_irq_in nowhere unnamed-gpio-in 0 1"])


def test_a_qemu_that_ends_is_an_error(tmp_path: Path) -> None:
    with Qtest(["-machine", "no-such"], tmp_path) as qtest, pytest.raises(QtestError, match="unsupported machine"):
        qtest.ask([read(0, 4)])


def test_a_qemu_that_hangs_is_an_error(tmp_path: Path) -> None:
    with Qtest(["-machine", "virt"], tmp_path, timeout=0.2) as qtest:
        qtest.process.send_signal(signal.SIGSTOP)
        with pytest.raises(QtestError, match="timed out"):
            qtest.ask([read(0, 4)])
    assert qtest.process.returncode == -signal.SIGKILL
