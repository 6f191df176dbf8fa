"""A recorder that is killed leaves a trace that may end amid an operation; that is no divergence."""

from random import Random

import pytest

import recorded_guests
from mmio.trace import Command, DeviceEntry, Message
from vgic_tools.replay import replay


@pytest.mark.parametrize("recording", ["linux_smp4_noits", "fuzz_ds1_smp4"])
def test_a_trace_may_end_after_any_line(recording: str) -> None:
    events = recorded_guests.events(recording, "full")
    random = Random(recording)
    for _ in range(40):
        end = random.randrange(10_000)
        result = replay(events[:end], recording, recorded_guests.machine(recording))
        assert result.first is None, f"cut after line {end}"


def test_a_trace_may_end_amid_what_an_its_does() -> None:
    events = recorded_guests.events("linux_smp1_its", "core")
    its = [number for number, event in enumerate(events) if isinstance(event, Command | DeviceEntry | Message)]
    random = Random("linux_smp1_its")
    for at in random.sample(its, 20):
        end = at + random.randrange(4)
        result = replay(events[:end], "linux_smp1_its", recorded_guests.machine("linux_smp1_its"))
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
