"""LPIs and the ITS do what those of a running QEMU do: random operations on both, everything visible compared.

As in test_live_qemu.py, QEMU's CPUs never run: what is acknowledged cannot be compared, and messages can only be
sent as DeviceID 0; commands act on any. After every operation what it read and what every vCPU is offered are
compared; after every batch all registers, and all the memory that holds tables: device, interrupt translation and
collection tables in QEMU's formats, and the pending tables, which QEMU keeps up to date.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import vgic
from live_its import LiveIts
from live_qemu import Counts, Difference, config, profile_of
from qtest import BINARY, version
from random_accesses import ITS
from vgic.its.choices import ItsChoices
from vgic.layouts import its_tables

NO_DOORBELL = its_tables.QEMU._replace(mapped={"INTTYPE": 1, "V": 1})

FOUND = version()
MEASURED = profile_of(FOUND)
PROFILE = MEASURED or vgic.QEMU
pytestmark = pytest.mark.skipif(MEASURED is None, reason=f"needs {BINARY} 7.2 or 10.0, found {FOUND or 'none'}")


@contextmanager
def machine(cpus: int, directory: Path, profile: vgic.Profile = PROFILE) -> Iterator[LiveIts]:
    """QEMU and the model with this profile, just reset. What QEMU writes is removed."""
    directory.mkdir()
    with LiveIts(replace(config(cpus, directory, its=True), profile=profile), directory) as live:
        yield live
    for path in directory.iterdir():
        path.unlink()


def compare(cpus: int, seeds: range, operations: int, batch: int, directory: Path) -> Counts:
    """Random operations on a new machine for each seed."""
    total = Counts(0, 0, 0)
    for seed in seeds:
        with machine(cpus, directory / str(seed)) as live:
            live.compare_random_its(seed, operations, batch)
            total = Counts(*map(sum, zip(total, live.counts, strict=True)))
    return total


@pytest.mark.rule("ITS-40", "ITS-41", "ITS-42", "ITS-43", "LPI-8", "LPI-24")
@pytest.mark.parametrize(("cpus", "seeds"), [(1, range(2)), (2, range(10, 14)), (4, range(20, 23))])
def test_the_same_as_qemu(cpus: int, seeds: range, tmp_path: Path) -> None:
    total = compare(cpus, seeds, 1000, 100, tmp_path)
    assert total.operations == len(seeds) * 1000
    assert total.changes > total.operations // 50


@pytest.mark.slow
@pytest.mark.parametrize(("cpus", "seeds"), [(1, range(100, 110)), (2, range(110, 130)), (4, range(130, 150))])
def test_the_same_as_qemu_for_longer(cpus: int, seeds: range, tmp_path: Path) -> None:
    assert compare(cpus, seeds, 5000, 200, tmp_path).operations == len(seeds) * 5000


@pytest.mark.parametrize("size", [4, 8])
def test_every_address_reads_the_same(size: int, tmp_path: Path) -> None:
    with machine(2, tmp_path / "qemu") as live:
        live.compare_random_its(seed=size, count=600, batch=600)
        live.compare_addresses(ITS, size)


@pytest.mark.parametrize(
    ("difference", "noticed"),
    [
        (replace(PROFILE.its, entries=NO_DOORBELL), "memory at 0x4027.*, QEMU"),
        (replace(PROFILE.its, translater_device=None), r"memory at 0x4029.*, QEMU|10040, .*is offered None, by"),
        (replace(PROFILE.its, stalls_on=frozenset()), r"read GITS\+0x90, .*, QEMU 0x.*[13579bdf]$"),
        (replace(PROFILE.its, any_write_retries=False), r"read GITS\+0x90, .*, QEMU"),
        (replace(PROFILE.its, queue_alignment=0x1_0000), "QEMU"),
        (replace(PROFILE.its, invall_needs_collection=True), "is offered .*, by QEMU"),
    ],
    ids=["entries", "messages", "stalls", "retries", "queue", "invall"],
)
def test_another_its_is_noticed(difference: ItsChoices, noticed: str, tmp_path: Path) -> None:
    with (
        machine(4, tmp_path / "qemu", replace(PROFILE, its=difference)) as live,
        pytest.raises(Difference, match=noticed),
    ):
        live.compare_random_its(seed=20, count=3000, batch=100)


def test_pending_tables_that_are_not_up_to_date_are_noticed(tmp_path: Path) -> None:
    profile = replace(PROFILE, lpi=replace(PROFILE.lpi, rescans=False))
    with (
        machine(1, tmp_path / "qemu", profile) as live,
        pytest.raises(Difference, match=r"memory at 0x4029.*, QEMU"),
    ):
        live.compare_random_its(seed=3, count=3000, batch=100)
