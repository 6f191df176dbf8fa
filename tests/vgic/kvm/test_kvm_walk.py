"""What there is at every offset, as KVM has it."""

import pytest

import kvm_walk
from kvm_subjects import Facade


@pytest.mark.rule("KVM-19")
@pytest.mark.parametrize("shape", kvm_walk.SHAPES)
def test_every_offset_is_as_recorded(shape: str) -> None:
    assert kvm_walk.walk(Facade(), shape) == kvm_walk.recorded(shape)
