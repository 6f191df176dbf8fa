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
    ("linux_smp1_icount", "core"): "5d1b60854439b2620d15108f5954b1dd848a306aedd614500bf9c60022f5bb03",
    ("linux_smp4_noits", "full"): "82090b20d821a236da3ceab636e3a574e8c83f4b6ec102a6ab651d9157e05fcf",
    ("linux_smp126_hi_noits", "core"): "6778166d6f5510d37e85fcb947a58a44e0da71afa22fe74cf73668614de886a0",
    ("fuzz_ds1_smp4", "core"): "365115f660104322df5e8834b51d31ef8e01f4c1d3174bd6e4a6ef6692fea2cf",
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
