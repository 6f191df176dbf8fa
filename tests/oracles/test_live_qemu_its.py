"""LPIs and the ITS do what those of a running QEMU do: random operations on both, everything visible compared.

As in test_live_qemu.py, QEMU's CPUs never run: what is acknowledged cannot be compared, and messages can only be
sent as DeviceID 0; commands act on any. After every operation what it read and what every vCPU is offered are
compared; after every batch all registers, and all the memory that holds tables: device, interrupt translation and
collection tables in QEMU's formats, and the pending tables, which QEMU keeps up to date.
"""

import re
from dataclasses import replace

import pytest

from beside_qemu import NEEDS_QEMU, PROFILE, beside_qemu, compare, difference
from vgic.its.choices import ItsChoices
from vgic.layouts import its_tables
from vgic_tools.compare.accesses import ITS, every_address
from vgic_tools.compare.engine import lives

pytestmark = NEEDS_QEMU

NO_DOORBELL = its_tables.QEMU._replace(mapped={"INTTYPE": 1, "V": 1})
AREAS = frozenset({"its"})


@pytest.mark.rule("ITS-40", "ITS-41", "ITS-42", "ITS-43", "LPI-8", "LPI-24")
@pytest.mark.parametrize(("cpus", "seeds"), [(1, range(2)), (2, range(10, 14)), (4, range(20, 23))])
def test_the_same_as_qemu(cpus: int, seeds: range) -> None:
    total = compare(AREAS, cpus, seeds, 1000)
    assert total.changes > total.operations // 50


@pytest.mark.slow
@pytest.mark.parametrize(("cpus", "seeds"), [(1, range(100, 110)), (2, range(110, 130)), (4, range(130, 150))])
def test_the_same_as_qemu_for_longer(cpus: int, seeds: range) -> None:
    compare(AREAS, cpus, seeds, 5000)


@pytest.mark.parametrize("size", [4, 8])
def test_every_address_reads_the_same(size: int) -> None:
    with beside_qemu() as comparison:
        life = next(lives(size, AREAS, cpus=2))
        performed, divergence = comparison.live(life, 600)
        assert divergence is None
        looks = [access.on(comparison.model.gic) for access in every_address(ITS, size)]
        assert comparison.repeat(life.machine, [*performed, *looks]) is None


@pytest.mark.parametrize(
    ("choices", "noticed"),
    [
        (replace(PROFILE.its, entries=NO_DOORBELL), "RAM at 0x4027.*, QEMU"),
        (replace(PROFILE.its, translater_device=None), r"RAM at 0x4029.*, QEMU|is offered .*, QEMU"),
        (replace(PROFILE.its, stalls_on=frozenset()), r"reads GITS_CREADR.*, QEMU 0x.*[13579bdf]$"),
        (replace(PROFILE.its, any_write_retries=False), r"reads GITS_CREADR.*, QEMU"),
        (replace(PROFILE.its, queue_alignment=0x1_0000), "QEMU"),
        (replace(PROFILE.its, invall_needs_collection=True), "is offered .*, QEMU"),
    ],
    ids=["entries", "messages", "stalls", "retries", "queue", "invall"],
)
def test_another_its_is_noticed(choices: ItsChoices, noticed: str) -> None:
    said = difference(replace(PROFILE, its=choices), AREAS, cpus=4, seed=20, operations=5000)
    assert re.search(noticed, said)


def test_pending_tables_that_are_not_up_to_date_are_noticed() -> None:
    profile = replace(PROFILE, lpi=replace(PROFILE.lpi, rescans=False))
    said = difference(profile, AREAS, cpus=1, seed=3, operations=3000)
    assert re.search(r"RAM at 0x4029.*, QEMU", said)
