"""Random guests with LPIs do on the model what they do on the reference."""

import pytest

import vgic
from random_lpis import run

EVERY = pytest.mark.parametrize("profile", [vgic.ARCH, vgic.KVM, vgic.QEMU], ids=lambda profile: profile.name)


@pytest.mark.rule("LPI-26")
@EVERY
def test_lpis_do_what_the_reference_does(profile: vgic.Profile) -> None:
    run(profile, 25)


@pytest.mark.slow
@pytest.mark.rule("LPI-26")
@EVERY
def test_lpis_do_what_the_reference_does_for_long(profile: vgic.Profile) -> None:
    run(profile, 1500)
