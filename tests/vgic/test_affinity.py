"""Affinity: one packed form, and where each register puts its bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vgic import AffinityError, affinity

PACKED = st.integers(0, 0xFFFF_FFFF)


@pytest.mark.rule("AFF-1")
def test_packed_form_has_aff3_in_the_top_byte() -> None:
    assert affinity.pack(1, 2, 3, 4) == 0x0102_0304
    assert affinity.levels(0xFE02_03FF) == (0xFE, 2, 3, 0xFF)


@pytest.mark.rule("AFF-1")
@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((256, 0, 0, 0), "Aff3 is 8 bits, 256 does not fit"),
        ((0, -1, 0, 0), "Aff2 is 8 bits, -1 does not fit"),
        ((0, 0, 1000, 0), "Aff1 is 8 bits, 1000 does not fit"),
        ((0, 0, 0, 256), "Aff0 is 8 bits, 256 does not fit"),
    ],
)
def test_a_level_of_more_than_8_bits_is_refused_by_name(levels: tuple[int, int, int, int], message: str) -> None:
    with pytest.raises(AffinityError) as caught:
        affinity.pack(*levels)
    assert str(caught.value) == message


@pytest.mark.rule("AFF-2")
def test_mpidr_has_aff3_above_a_gap() -> None:
    assert affinity.to_mpidr(0x0102_0304) == 0x01_8002_0304
    assert affinity.from_mpidr(0x01_8002_0304) == 0x0102_0304


@pytest.mark.rule("AFF-2")
@pytest.mark.parametrize("bit", [24, 30, 31, 40, 63], ids=["MT", "U", "RES1", "RES0-40", "RES0-63"])
def test_mpidr_bits_that_are_not_affinity_do_not_count(bit: int) -> None:
    assert affinity.from_mpidr(1 << bit) == 0
    assert affinity.from_mpidr(0x01_0002_0304 | 1 << bit) == 0x0102_0304


@pytest.mark.rule("AFF-3")
def test_irouter_has_aff3_above_a_gap() -> None:
    assert affinity.to_irouter(0x0102_0304) == 0x01_0002_0304
    assert affinity.from_irouter(0x01_0002_0304) == 0x0102_0304
    assert affinity.from_irouter(~0x01_0002_0304 & (1 << 64) - 1) == 0xFEFD_FCFB
    assert affinity.to_irouter(0xFFFF_FFFF) == affinity.IROUTER_AFFINITY


@pytest.mark.rule("AFF-4")
def test_an_sgi_register_has_three_levels_apart() -> None:
    assert affinity.sgi_cluster(0x0003_0002_0001_0000) == 0x03_0201
    everything_else = ~0x00FF_00FF_00FF_0000 & (1 << 56) - 1
    assert affinity.sgi_cluster(everything_else) == 0


@pytest.mark.rule("AFF-5")
def test_typer_has_the_packed_form_in_its_upper_half() -> None:
    assert affinity.to_typer(0x0102_0304) == 0x0102_0304_0000_0000


@pytest.mark.rule("AFF-6")
def test_text_is_dotted_with_aff3_first() -> None:
    assert affinity.text(0x0102_03FF) == "1.2.3.255"
    assert affinity.from_text(" 1.2.3.255\n") == 0x0102_03FF


@pytest.mark.rule("AFF-6")
@pytest.mark.parametrize("text", ["", "1.2.3", "1.2.3.256", "1.2.3.4.5", "1.2.-3.4", "a.b.c.d", "0x1.0.0.0"])
def test_other_text_is_refused_by_name(text: str) -> None:
    with pytest.raises(AffinityError) as caught:
        affinity.from_text(text)
    assert str(caught.value) == f"{text!r} is no affinity; it is written Aff3.Aff2.Aff1.Aff0, 0 to 255 each"


@pytest.mark.rule("AFF-1", "AFF-2", "AFF-3", "AFF-4", "AFF-6")
@given(PACKED)
def test_no_view_loses_a_bit(packed: int) -> None:
    aff3, aff2, aff1, aff0 = affinity.levels(packed)
    assert affinity.pack(aff3, aff2, aff1, aff0) == packed
    assert affinity.from_mpidr(affinity.to_mpidr(packed)) == packed
    assert affinity.from_irouter(affinity.to_irouter(packed)) == packed
    assert affinity.from_text(affinity.text(packed)) == packed
    assert affinity.sgi_cluster(aff3 << 48 | aff2 << 32 | aff1 << 16) == packed >> 8
    assert affinity.to_sgi_cluster(packed >> 8) == aff3 << 48 | aff2 << 32 | aff1 << 16
