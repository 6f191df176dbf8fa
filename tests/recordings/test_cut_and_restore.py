"""A recorded guest that is saved and restored fifty times on its way does what it did."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import vgic
from mmio.trace import open_trace
from vgic_tools.machines.machine import Machine
from vgic_tools.machines.qemu_cmdline import config_from_qemu_cmdline
from vgic_tools.replay import replay

TRACES = Path(__file__).parent.parent / "traces"
CUTS = 50


def through_a_file(gic: vgic.Gic, path: Path, rng: random.Random) -> vgic.State:
    """The state, with its registers in another order, as read back from a file."""
    gic.check()
    state = gic.save()
    registers = list(state["registers"].items())
    rng.shuffle(registers)
    vgic.State({"vm": state["vm"], "registers": dict(registers)}).to_file(path)
    return vgic.State.from_file(path)


def migrations(
    cuts: set[int], path: Path, rng: random.Random, done: list[int]
) -> Callable[[vgic.Gic], vgic.State | None]:
    """For `replay`: a migration before each event whose number is in `cuts`; `done` collects their sizes."""
    event = -1

    def migrate(gic: vgic.Gic) -> vgic.State | None:
        nonlocal event
        event += 1
        if event not in cuts:
            return None
        state = through_a_file(gic, path, rng)
        done.append(path.stat().st_size)
        return state

    return migrate


@pytest.mark.rule("SAVE-1", "SAVE-3")
@pytest.mark.parametrize(
    "recording",
    ["linux_smp4_its", "linux_smp4_secure", "linux_smp4_noits", "linux_smp126_hi_noits", "fuzz_ds1_smp4"],
)
def test_a_guest_does_not_notice_fifty_migrations(recording: str, tmp_path: Path) -> None:
    log = TRACES / recording / "trace.core.log.gz"
    machine = Machine(config_from_qemu_cmdline(TRACES / recording / "cmd.txt"), recording)
    events = list(open_trace(str(log)))
    rng = random.Random(recording)
    sizes: list[int] = []
    cuts = set(rng.sample(range(len(events)), CUTS))
    result = replay(events, recording, machine, migrate=migrations(cuts, tmp_path / "vm.state", rng, sizes))
    assert result.first is None
    assert result.events == len(events)
    assert not result.divergences
    assert len(sizes) == CUTS
