"""Whatever a guest does with an ITS and its LPIs: nothing raises, no access takes long, and nothing grows.

A sequence writes anything into the guest's memory, points tables and the queue anywhere, has the ITS process what
is there, and sends messages: see `Hostile`. The machine goes on from one sequence to the next.
"""

from dataclasses import replace
from typing import Final

import pytest

import vgic
from deep_size import deep_size
from hostile_guest import COLLECTIONS_MAPPED, CPUS, ITSES, ITTS, Hostile, config
from vgic.its.choices import STALLING
from vgic.lpis.work import STEPS_OF_AN_ACCESS
from vgic_tools.compare import command_words as cw

# Rule ITS-60: accesses to memory for each step, and the steps of an access.
ACCESSES_OF_A_STEP: Final = 16
MOST_STEPS: Final = 7 * STEPS_OF_AN_ACCESS

# Rule ITS-61: bytes of an LPI that a vCPU could have, of a collection and an LPI that an ITS keeps, and the rest.
BYTES_OF_A_PENDING_LPI: Final = 2
BYTES_OF_A_COLLECTION: Final = 128
BYTES_OF_A_KEPT_LPI: Final = 192
BYTES_OF_THE_REST: Final = 0x1_0000


PROFILES: Final = {**vgic.PROFILES, "arch, stalling": replace(vgic.ARCH, its=STALLING)}


def attack(profile: vgic.Profile, seed: int, sequences: int, id_bits: int = 14) -> None:
    """Be hostile to a machine in which all that a guest can bring to be there has been before."""
    guest = Hostile(config(profile, id_bits), seed)
    empty = deep_size(guest.gic)
    guest.saturate()
    most = deep_size(guest.gic) + BYTES_OF_THE_REST
    pending, kept = CPUS * ((1 << id_bits) - 8192), len(ITSES) * COLLECTIONS_MAPPED
    bound = BYTES_OF_A_PENDING_LPI * pending + BYTES_OF_A_COLLECTION * kept + BYTES_OF_THE_REST
    if profile.its.keeps_lpis:
        bound += BYTES_OF_A_KEPT_LPI * ((1 << id_bits) - 8192)
    assert most - empty <= bound
    for number in range(sequences):
        guest.sequence()
        if number % 16 == 0:
            guest.gic.check()
    guest.gic.check()
    assert deep_size(guest.gic) <= most
    assert guest.most_accesses <= ACCESSES_OF_A_STEP * MOST_STEPS
    # It was not only holes that were hit, and LPIs did flow.
    assert guest.outcomes == set(vgic.MsiOutcome)
    assert guest.acknowledged > sequences // 100


@pytest.mark.rule("ITS-30", "ITS-60", "ITS-61", "LPI-22")
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_no_guest_can_harm(profile: vgic.Profile) -> None:
    attack(profile, seed=1, sequences=200)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("seed", range(10, 13))
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_no_guest_can_harm_in_100000_sequences(profile: vgic.Profile, seed: int) -> None:
    attack(profile, seed, sequences=100_000 // 9 + 1)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_no_guest_can_harm_with_65536_intids(profile: vgic.Profile) -> None:
    attack(profile, seed=1, sequences=2000, id_bits=16)


LONGEST: Final = {
    "MOVALL": [cw.movall(0, 1), cw.movall(1, 0)],
    "INVALL": [cw.invall(0)],
    "INV": [cw.on_event(cw.INV, 0, 0)],
    "INT and DISCARD": [cw.mapti(0, 0, 8192, 0), cw.on_event(cw.INT, 0, 0), cw.on_event(cw.DISCARD, 0, 0)],
    "MOVI": [cw.movi(0, 0, 1), cw.movi(0, 0, 0)],
    "MAPD": [cw.mapd(0, 16, ITTS)],
}


def longest(profile: vgic.Profile, commands: list[bytes], id_bits: int) -> None:
    """Queue 2,000 commands where every LPI is pending at every vCPU."""
    guest = Hostile(config(profile, id_bits), seed=1)
    its = guest.behave()
    guest.fill_pending_tables()
    guest.queue(its, commands * (2000 // len(commands)))
    for _ in range(3):
        guest.read(ITSES[its] + 0x90, 8)
    guest.gic.check()
    assert guest.most_accesses <= ACCESSES_OF_A_STEP * MOST_STEPS


@pytest.mark.rule("ITS-10", "ITS-60")
@pytest.mark.parametrize("name", LONGEST)
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_the_longest_that_an_access_can_take(profile: vgic.Profile, name: str) -> None:
    longest(profile, LONGEST[name], id_bits=14)


@pytest.mark.slow
@pytest.mark.heavy
@pytest.mark.parametrize("name", LONGEST)
@pytest.mark.parametrize("profile", vgic.PROFILES.values(), ids=vgic.PROFILES)
def test_the_longest_with_65536_intids(profile: vgic.Profile, name: str) -> None:
    longest(profile, LONGEST[name], id_bits=16)
