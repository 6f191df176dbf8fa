"""The state of the model on its way through a recording is, bit for bit, what it was: interpreted and compiled.

A digest changes with the format of a saved state too; where that is meant, and nothing else changed, store the new
one.
"""

import hashlib
import json

import pytest

import recorded_guests
import vgic
from vgic_tools.replay import replay

STATES = 20

DIGESTS = {
    ("linux_smp1_icount", "core"): "462ee10dab5ef958ac3e9ad218669e70aa53d22c3fbb2f06aa7337ff2103d47d",
    ("linux_smp4_noits", "full"): "a70677574bda3aa006491d6fcc144e6e7147db3b5f8b91f72b51a4d8e0ceeca6",
    ("linux_smp126_hi_noits", "core"): "30c9a9e2cad61fd458a1a2d074ac22fa70e763b0893870f00141ff946004774c",
    ("fuzz_ds1_smp4", "core"): "50133cc62cf68518414e051b18063130d5722fd90bd8575dcc159bbfccce082f",
}


@pytest.mark.parametrize(("recording", "kind"), DIGESTS)
def test_every_state_on_the_way_is_the_one_it_was(recording: str, kind: str) -> None:
    events = recorded_guests.events(recording, kind)
    looks = {len(events) * look // STATES for look in range(STATES)}
    digest = hashlib.sha256()
    before = 0
    last: list[vgic.Gic] = []

    def add(gic: vgic.Gic) -> None:
        digest.update(json.dumps(gic.save(), sort_keys=True).encode())

    def look(gic: vgic.Gic) -> None:
        nonlocal before
        if before in looks:
            add(gic)
        before += 1
        last[:] = [gic]

    result = replay(events, recording, recorded_guests.machine(recording), migrate=look)
    add(last[0])
    assert not result.diverged
    assert before == len(events)
    assert digest.hexdigest() == DIGESTS[recording, kind]
