"""The experiment `boots`: what a real guest asks of the GIC, by the affinities of its CPUs."""

from dataclasses import asdict
from pathlib import Path

import pytest
from click.testing import CliRunner

pytest.importorskip("unicorn")

import vgic
from vgic_tools.affinity import boot_study
from vgic_tools.affinity.boot_study import TOPOLOGIES, BootPoint, BootRow, _Counts, measure_boot
from vgic_tools.cli import main
from vgic_tools.judges.errors import MissingJudgeError
from vgic_tools.judges.kernels import fetch_kernel


@pytest.mark.parametrize("cpus", [1, 8, 16, 256])
@pytest.mark.parametrize("name", TOPOLOGIES)
def test_every_cpu_has_an_affinity_of_its_own(name: str, cpus: int) -> None:
    topology = vgic.Topology(TOPOLOGIES[name][1](cpu, cpus) for cpu in range(cpus))
    clusters = {each >> 8 for each in topology.affinities}
    sockets = {each >> 24 for each in topology.affinities}
    if cpus == 8:
        assert (len(clusters), len(sockets)) == {
            "flat": (1, 1), "clusters": (2, 1), "sockets": (2, 2), "sparse": (8, 8),
        }[name]  # fmt: skip


def test_what_is_counted() -> None:
    config = vgic.Config(vgic.Topology([0, 1, 0x100]), rss=True)
    counts = _Counts(config)
    tape = counts.tape()
    tape.follow(vgic.Gic(config))
    tape.sysreg(0, vgic.ICC_SGI1R_EL1, 0b11, True)
    tape.sysreg(0, vgic.ICC_SGI1R_EL1, 1 << 16 | 1, True)
    tape.sysreg(0, vgic.ICC_PMR_EL1, 0xF0, True)
    assert (counts.sgi_writes, counts.sgi_targets) == (2, 3)
    redistributor = config.redistributor_regions[0].base
    tape.access(config.gicd_base + 0x6108, 4, 0, True)
    tape.access(config.gicd_base + 0x610C, 4, 0, True)
    tape.access(config.gicd_base + 0x6108, 8, 0, False)
    tape.access(config.gicd_base + 0x8, 4, 0, False)
    for address in (redistributor + 0x8, redistributor + 0xC, redistributor + 0x2_0008, redistributor + 0x1_0008):
        tape.access(address, 4, 0, False)
    assert (counts.router_writes, counts.typer_reads) == (1, 2)


def test_the_command_writes_a_table_a_figure_and_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(point: BootPoint) -> BootRow:
        return BootRow(**asdict(point), shell_s=7.5, end_s=8.25, sgi_writes=1000, sgi_targets=1100, router_writes=9,
                       typer_reads=16, interrupts=5000, accesses=12_000)  # fmt: skip

    monkeypatch.setattr(boot_study, "measure_boot", measured)
    outcome = CliRunner().invoke(main, ["affinity", "boots", "--jobs", "1", "--output", str(tmp_path)])
    assert outcome.exit_code == 0, outcome.output
    assert "flat: Aff0 alone" in outcome.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["boots.csv", "boots.html", "boots.png", "boots.svg"]
    assert len((tmp_path / "boots.csv").read_text().splitlines()) == 1 + len(TOPOLOGIES)


@pytest.mark.slow
def test_a_guest_is_measured() -> None:
    try:
        fetch_kernel("6.1")
    except MissingJudgeError as error:
        pytest.skip(str(error))
    row = measure_boot(BootPoint("sockets", 2, "6.1"))
    # Two CPUs with another Aff3: every SGI needs a write of its own.
    assert row.sgi_writes == row.sgi_targets > 0
    assert row.router_writes >= 2
    assert 0 < row.shell_s < row.end_s
