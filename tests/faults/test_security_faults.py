"""The comparison of two Security states with their reference can fail: with each of these faults it does."""

from typing import Final

import pytest

import vgic
from random_guest import run
from random_two_states import RandomTwoStatesGuest
from security_faults import FAULTS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        vgic.COMPILED, reason="a fault replaces methods of the model, which compiled classes do not allow"
    ),
]

GUESTS: Final = 1_000
"""At most; most faults show within ten."""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_reference_notices(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, replacement = FAULTS[fault]
    monkeypatch.setattr(vgic.Gic, "check", lambda self: None)
    monkeypatch.setattr(owner, name, replacement)
    with pytest.raises(AssertionError, match="reference"):
        run(RandomTwoStatesGuest, GUESTS, shrink=False)
