"""The benchmark: that it measures, not what."""

from pathlib import Path

import pytest

import recorded_guests
from vgic_tools.bench import Case, cases, measure, measure_operations, measure_replay, measure_scale


def test_every_case_runs() -> None:
    timed = cases()
    rounds = []
    figures = measure(timed, rounds=2, calls=100, progress=lambda: rounds.append(1))
    assert [figure.name for figure in figures] == [case.name for case in timed]
    assert len(rounds) == 2
    assert figures[0].ratio == 1
    for figure in figures:
        assert figure.nanoseconds > 0
        assert figure.ratio == figure.nanoseconds / figures[0].nanoseconds


def test_the_first_case_is_the_yardstick() -> None:
    little, much = (Case(str(count), lambda _, count=count: sum(range(count))) for count in (10_000, 1_000_000))
    figures = measure([little, much], rounds=3, calls=1)
    assert figures[0].ratio == 1
    assert figures[1].ratio > 10


@pytest.mark.parametrize("recording", ["linux_smp1_icount"])
def test_replay(recording: str, tmp_path: Path) -> None:
    log = tmp_path / "boot.log"
    log.write_text("\n".join(recorded_guests.lines(recording, "core")[:500]) + "\n")
    figure, events = measure_replay(log, recorded_guests.cmdline(recording), yardstick=50.0, rounds=1)
    assert events == 500
    assert figure.nanoseconds > 0
    assert figure.ratio == figure.nanoseconds / 50
    alone = measure_operations(log, recorded_guests.cmdline(recording), yardstick=50.0, rounds=1)
    assert 0 < alone.nanoseconds < figure.nanoseconds


@pytest.mark.slow
def test_among_65536_vcpus_an_sgi_costs_what_it_costs_among_16() -> None:
    # How long the build takes is for `vgic bench` to say: here it would time the garbage of all tests before. A
    # machine that was disturbed is asked again.
    assert any(measure_scale().sgi_ratio < 1.2 for _ in range(3))
