"""Flash memory as UEFI's driver uses it: erase, program, read."""

import pytest

from vgic_tools.guests.cfi_flash import BLOCK, CfiFlash

READY = 0x0080_0080


def command(flash: CfiFlash, offset: int, *words: int) -> None:
    """Stores of words, the same byte for both chips, as the driver does."""
    for word in words:
        flash.write(offset, 4, word << 16 | word)


def test_a_word_is_programmed_and_bits_become_0_only() -> None:
    flash = CfiFlash()
    assert flash.read(0x100, 4) == 0xFFFF_FFFF
    for value in (0x1234_FFFF, 0xFF00_5678):
        command(flash, 0x100, 0x40)
        flash.write(0x100, 4, value)
        assert flash.read(0, 4) == READY
    command(flash, 0, 0xFF)
    assert [flash.read(0xFC, 8), flash.read(0x103, 1)] == [0x1200_5678_FFFF_FFFF, 0x12]


def test_a_buffer_is_programmed_when_it_is_confirmed() -> None:
    flash = CfiFlash()
    for confirm, shown in ((0xFF, 0xFFFF_FFFF), (0xD0, 0xA)):
        command(flash, BLOCK, 0xE8, 1)
        flash.write(BLOCK + 8, 4, 0xA)
        flash.write(BLOCK + 12, 4, 0xB)
        command(flash, BLOCK, confirm, 0xFF)
        assert flash.read(BLOCK + 8, 4) == shown
    assert flash.read(BLOCK + 12, 4) == 0xB


def test_a_block_is_erased() -> None:
    flash = CfiFlash()
    for offset in (0, BLOCK - 4, BLOCK):
        command(flash, offset, 0x40, 0)
    command(flash, 0x40, 0x20, 0xFF, 0xFF)
    assert flash.read(0, 4) == 0
    command(flash, 0x40, 0x20, 0xD0, 0xFF)
    assert [flash.read(offset, 4) for offset in (0, BLOCK - 4, BLOCK)] == [0xFFFF_FFFF, 0xFFFF_FFFF, 0]


def test_nothing_is_locked() -> None:
    flash = CfiFlash()
    command(flash, 0, 0x60, 0xD0)
    command(flash, 0, 0x90)
    assert flash.read(8, 4) == 0
    command(flash, 0, 0x70)
    assert flash.read(2, 2) == 0x80
    assert flash.read(0, 8) == READY << 32 | READY


def test_its_state_is_saved_in_the_midst_of_a_command() -> None:
    flash, other = CfiFlash(), CfiFlash()
    command(flash, 0, 0x40, 5)
    command(flash, 0, 0xE8, 1)
    flash.write(4, 4, 7)
    other.restore(flash.save())
    flash = other
    flash.write(8, 4, 8)
    command(flash, 0, 0xD0, 0xFF)
    assert [flash.read(offset, 4) for offset in (0, 4, 8)] == [0x5_0005, 7, 8]


@pytest.mark.parametrize(
    "damage",
    [
        {"blocks": 1},
        {"blocks": {"0": "00"}},
        {"blocks": {"256": "00" * BLOCK}},
        {"blocks": {"x": ""}},
        {"shows": "X"},
        {"waits": None},
        {"left": "1"},
        {"buffer": [[1, 2]]},
    ],
)
def test_a_damaged_state_is_refused(damage: dict[str, object]) -> None:
    flash = CfiFlash()
    with pytest.raises(ValueError, match=r"flash|int\(\)|unpack"):
        flash.restore({**flash.save(), **damage})
