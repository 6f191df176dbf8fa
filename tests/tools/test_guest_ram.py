"""Guest RAM that stands in for a guest's own."""

from hypothesis import given
from hypothesis import strategies as st

from vgic_tools.replay.guest_ram import MOST_PAGES, SparseRam

PAGE = 4096


def test_it_is_zero_until_it_is_written() -> None:
    ram = SparseRam()
    assert ram.read(0x4000_0FFE, 4) == bytes(4)
    ram.write(0x4000_0FFE, b"abcd")
    assert ram.read(0x4000_0FFC, 8) == b"\0\0abcd\0\0"
    ram.write(0x4000_0FFF, b"\0\0")
    assert ram.read(0x4000_0FFC, 8) == b"\0\0a\0\0d\0\0"


def test_it_is_everywhere_in_52_bits() -> None:
    ram = SparseRam()
    assert ram.is_ram(0, 1)
    assert ram.is_ram((1 << 52) - 8, 8)
    assert not ram.is_ram((1 << 52) - 7, 8)
    assert not ram.is_ram(-1, 8)
    assert not ram.is_ram(1 << 80, 8)


def test_it_ends_where_it_would_grow_too_large() -> None:
    ram = SparseRam()
    for page in range(MOST_PAGES - 1):
        ram.write(page * PAGE, b"x")
    ram.write(1 << 40, bytes(8))
    assert ram.is_ram(1 << 40, 8), "zeros take no room"
    ram.write(1 << 40, b"x")
    assert ram.is_ram(0, PAGE * (MOST_PAGES - 1))
    assert not ram.is_ram(0, PAGE * (MOST_PAGES - 1) + 1)
    assert not ram.is_ram(1 << 41, 1)
    assert ram.is_ram(1 << 40, PAGE)


@given(st.lists(st.tuples(st.integers(0, 4 * PAGE), st.binary(max_size=2 * PAGE)), max_size=8))
def test_it_is_like_one_buffer(writes: list[tuple[int, bytes]]) -> None:
    ram, buffer = SparseRam(), bytearray(8 * PAGE)
    for address, data in writes:
        ram.write(address, data)
        buffer[address : address + len(data)] = data
    assert ram.read(0, len(buffer)) == buffer
