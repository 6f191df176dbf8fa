"""The programs that try a GIC from within pass on the machine, whatever the affinities of its CPUs."""

import pytest

pytest.importorskip("unicorn")

import vgic
from vgic_tools.guests.board import Board, Load
from vgic_tools.guests.programs import NAMES, kept
from vgic_tools.guests.session import End, Session
from vgic_tools.machines.qemu_cmdline import GITS_BASE

RAM = 0x100_0000
LIMIT = 30.0
"""Seconds of the guest: what waits in vain gives up after five."""

TOPOLOGIES = {
    "one": vgic.Topology.kvm(1),
    "sparse": vgic.Topology.from_text(["0.0.0.0", "1.1.2.3", "128.0.7.15", "255.255.255.15"]),
    "ranges": vgic.Topology.from_text(["2.0.1.17", "2.0.1.33", "2.0.1.240", "2.0.1.255"]),
}

SKIPPED = "skip  "


def run(name: str, topology: vgic.Topology) -> tuple[End, list[str]]:
    """How a program ends, and what it says."""
    said = bytearray()
    config = vgic.Config(topology, its=(GITS_BASE,))
    board = Board.loaded(config, RAM, Load(kept(name), f"{name}.elf"), said.append)
    end = Session(board.machine, limit=LIMIT).run()
    return end, said.decode().splitlines()


@pytest.mark.parametrize("layout", TOPOLOGIES)
@pytest.mark.parametrize("name", NAMES)
def test_a_program_passes(name: str, layout: str) -> None:
    end, said = run(name, TOPOLOGIES[layout])
    assert said[0] == f"{name}: {len(TOPOLOGIES[layout])} CPUs"
    assert said[-1] == f"PASS {name}", "\n".join(said)
    assert end is End.OFF
    skipped = [line for line in said if line.startswith(SKIPPED)]
    assert all(line == f"{SKIPPED}there is one CPU only" for line in skipped)
    assert layout == "one" or not skipped


def test_two_runs_are_the_same_and_name_affinities_as_people_do() -> None:
    end, said = run("sgis", TOPOLOGIES["sparse"])
    assert (end, said) == run("sgis", TOPOLOGIES["sparse"])
    assert "ok    an SGI for 255.255.255.15 goes to CPU 3" in said
