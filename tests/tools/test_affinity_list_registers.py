"""The experiment with list registers: few of them cost exits, and change nothing for the guest."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from vgic_tools.affinity.list_register_study import ListRegisterPoint, list_register_study, measure_list_registers
from vgic_tools.affinity.small_hypervisor import SmallHypervisor
from vgic_tools.cli import main


@pytest.mark.parametrize("load", [0.5, 0.9])
def test_fewer_list_registers_cost_more_exits_and_change_nothing_for_the_guest(load: float) -> None:
    rows = [measure_list_registers(ListRegisterPoint(count, load, 400, 1)) for count in (1, 2, 4, 16)]
    assert len({row.order for row in rows}) == 1
    assert [row.maintenance for row in rows] == sorted((row.maintenance for row in rows), reverse=True)
    assert rows[0].maintenance > 0.5
    assert rows[-1].maintenance == rows[-1].left_out == 0
    # An exit for each arrival, and for each maintenance interrupt.
    assert len({round(row.exits - row.maintenance, 6) for row in rows}) == 1


def test_the_hypervisor_counts_what_it_does() -> None:
    hypervisor = SmallHypervisor(1, {32: 0x40, 33: 0x80})
    assert hypervisor.arrive(33)
    assert hypervisor.arrive(32)
    assert not hypervisor.arrive(32)
    counts = hypervisor.counts
    assert (counts.exits, counts.maintenance, counts.reads, counts.writes, counts.left_out) == (3, 0, 2, 3, 1)
    assert hypervisor.read(0xC660) == 32
    assert (counts.exits, counts.maintenance, counts.reads, counts.writes) == (4, 1, 3, 4)
    assert hypervisor.outputs == (False, False)
    hypervisor.write(0xC661, 32)
    assert hypervisor.outputs == (True, False)
    assert hypervisor.read(0xC660) == 33


def test_the_summary_has_a_line_for_each_number_and_load() -> None:
    study = list_register_study((1, 16), (0.5,), 50, 2)
    summary = study.summary([measure_list_registers(point) for point in study.points])
    assert [line[:2] for line in summary.lines] == [("1", "0.5"), ("16", "0.5")]


def test_the_command_writes_a_page_and_a_figure(tmp_path: Path) -> None:
    arguments = ["--arrivals", "50", "--seeds", "2", "--loads", "0.5", "--jobs", "1", "--output", str(tmp_path)]
    outcome = CliRunner().invoke(main, ["affinity", "list-registers", *arguments])
    assert outcome.exit_code == 0, outcome.output
    assert "What list registers cost" in outcome.output
    names = {path.name for path in tmp_path.iterdir()}
    assert {"list-registers.csv", "list-registers.html", "list_registers.svg"} <= names
