"""A recorder that is killed leaves a trace that may end amid an operation; that is no divergence."""

from random import Random

import pytest

import recorded_guests
from vgic_tools.replay import replay


@pytest.mark.parametrize("recording", ["linux_smp4_noits", "fuzz_ds1_smp4"])
def test_a_trace_may_end_after_any_line(recording: str) -> None:
    events = recorded_guests.events(recording, "full")
    random = Random(recording)
    for _ in range(40):
        end = random.randrange(10_000)
        result = replay(events[:end], recording, recorded_guests.machine(recording))
        assert result.first is None, f"cut after line {end}"


def test_what_the_cut_leaves_unjudged_is_counted() -> None:
    # Lines 8737 and 8738 show vCPU 2 without a pending interrupt because of the acknowledgement in line 8739.
    events = recorded_guests.events("linux_smp4_noits", "full")
    machine = recorded_guests.machine("linux_smp4_noits")
    whole, cut = (replay(events[:end], "", machine) for end in (8_739, 8_738))
    unjudged = {
        f"{what} after the last operation": 1 for what in ("highest pending interrupts", "IRQ and FIQ outputs")
    }
    assert cut.accepted - whole.accepted == unjudged
    assert not whole.accepted - cut.accepted
