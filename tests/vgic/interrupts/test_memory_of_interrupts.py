"""What an interrupt takes in memory: the words of 32 interrupts, and what a bank has for each besides."""

import sys
from typing import Any

import pytest

import vgic
from vgic.distributor.spis import SharedInterrupts
from vgic.interrupts.banks import InterruptBank

NUMBERS = 12
"""Numbers in a word of a VM that has none of the features."""
MORE = 4
"""In one of a VM that has them: group modifiers, two of GICD_NSACR, NMIs."""

OF_FEATURES = [{"security": "two"}, {"nmi": True}]


class Bare:
    """What every object has; one of a compiled class also has the address of its methods."""

    __slots__ = ("one",)


def vm(**choices: Any) -> vgic.Gic:
    return vgic.Gic(vgic.Config(vgic.Topology.kvm(2), spis=64, extended_spis=64, extended_ppis=32, **choices))


def banks(gic: vgic.Gic) -> list[InterruptBank]:
    return list(gic._machine.banks())


def word_sizes(gic: vgic.Gic) -> set[int]:
    return {sys.getsizeof(word) for bank in banks(gic) for word in bank.words}


@pytest.mark.rule("STATE-18")
def test_a_word_is_its_numbers_and_those_of_features_only_where_there_are_some() -> None:
    [usual] = word_sizes(vm())
    assert usual == sys.getsizeof(Bare()) + 8 * (NUMBERS - 1 + vgic.COMPILED)
    for choices in OF_FEATURES:
        assert word_sizes(vm(**choices)) == {usual + 8 * MORE}


@pytest.mark.rule("STATE-18")
@pytest.mark.parametrize("choices", [{}, *OF_FEATURES])
def test_beside_its_words_a_bank_has_five_bytes_for_each_spi(choices: dict[str, Any]) -> None:
    few, many = (vgic.Gic(vgic.Config(vgic.Topology.kvm(1), spis=spis, **choices)) for spis in (32, 960))
    sizes = []
    for gic in (few, many):
        bank = gic._shared
        assert isinstance(bank, SharedInterrupts)
        assert [len(bank.unrouted), len(bank.elsewhere), len(bank.route_extra)] == [0, 0, 0]
        sizes.append(sys.getsizeof(bank.priorities) + sys.getsizeof(bank.route))
    assert sizes[1] - sizes[0] == 5 * (960 - 32)
