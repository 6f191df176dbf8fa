"""The model beside the QEMU on PATH, for tests: what is compared for how long, and with which profile."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

import vgic
from vgic_tools.compare.describe import describe, outcome_text
from vgic_tools.compare.engine import Comparison, Divergence, lives
from vgic_tools.judges.agent import QEMU
from vgic_tools.judges.protocol import Machine
from vgic_tools.judges.qemu import MEASURED, StoppedQemu, stopped_model, version

FOUND = version()
PROFILE = MEASURED.get((FOUND or "").rpartition(".")[0], vgic.QEMU)
NEEDS_QEMU = pytest.mark.skipif(
    (FOUND or "").rpartition(".")[0] not in MEASURED,
    reason=f"needs {QEMU} {' or '.join(MEASURED)}, found {FOUND or 'none'}",
)


@contextmanager
def beside_qemu(profile: vgic.Profile = PROFILE) -> Iterator[Comparison]:
    """The model with this profile beside QEMU."""
    with StoppedQemu() as judge:
        model = stopped_model(judge.version)
        configure = model.configure
        model.configure = lambda machine: replace(configure(machine), profile=profile)
        yield Comparison(judge, model)


def told(comparison: Comparison, divergence: Divergence) -> str:
    """A divergence in words."""
    at, operation, theirs, ours = divergence
    what = describe(operation, comparison.model.gic)
    return f"operation {at}, {what}: {outcome_text(ours, theirs)}, QEMU {outcome_text(theirs, ours)}"


def compare(areas: frozenset[str], cpus: int, seeds: range, operations: int) -> Comparison:
    """Random operations on a new machine for each seed; fails where they do not agree."""
    with beside_qemu() as comparison:
        for seed in seeds:
            _, divergence = comparison.live(next(lives(seed, areas, cpus)), operations)
            assert divergence is None, f"seed {seed}, {told(comparison, divergence)}"
            comparison.model.gic.check()
        assert comparison.operations == len(seeds) * operations
    return comparison


def difference(profile: vgic.Profile, areas: frozenset[str], cpus: int, seed: int, operations: int) -> str:
    """How a model with another profile is first noticed."""
    with beside_qemu(profile) as comparison:
        _, divergence = comparison.live(next(lives(seed, areas, cpus)), operations)
        assert divergence is not None
        return told(comparison, divergence)


def started(comparison: Comparison, cpus: int, its: bool = False) -> Comparison:
    """On a machine that was just reset."""
    comparison.start(Machine(cpus, its))
    return comparison
