"""The PL011: what a guest sends and reads, and when its line is high."""

import pytest

from vgic_tools.guests.uart import SIZE, Pl011

DR, FR, CR, IFLS, IMSC, RIS, MIS, ICR = 0x00, 0x18, 0x30, 0x34, 0x38, 0x3C, 0x40, 0x44
RX, TX, RX_TIMEOUT = 1 << 4, 1 << 5, 1 << 6
TXFE, RXFF, TXFF, RXFE = 1 << 7, 1 << 6, 1 << 5, 1 << 4


class Outside:
    """The other end of the UART."""

    def __init__(self) -> None:
        self.sent = bytearray()
        self.level = False
        self.uart = Pl011(self.set_level, self.sent.append)

    def set_level(self, level: bool) -> None:
        self.level = level


@pytest.fixture
def outside() -> Outside:
    return Outside()


def test_what_the_guest_writes_is_sent(outside: Outside) -> None:
    for character in b"hello":
        assert not outside.uart.read(FR, 4) & TXFF
        outside.uart.write(DR, 4, character)
    assert outside.sent == b"hello"


def test_what_arrives_is_read_in_order_and_raises_the_line_while_it_waits(outside: Outside) -> None:
    uart = outside.uart
    uart.write(IMSC, 4, RX | RX_TIMEOUT)
    assert not outside.level
    assert uart.read(FR, 4) & RXFE
    uart.receive(b"ab")
    assert outside.level
    assert not uart.read(FR, 4) & RXFE
    assert uart.read(DR, 4) == ord("a")
    assert outside.level
    assert uart.read(DR, 4) == ord("b")
    assert not outside.level
    assert uart.read(FR, 4) & RXFE
    assert uart.read(DR, 4) == 0


def test_the_status_says_when_the_fifo_is_full(outside: Outside) -> None:
    outside.uart.receive(b"x" * 15)
    assert not outside.uart.read(FR, 4) & RXFF
    outside.uart.receive(b"xy")
    assert outside.uart.read(FR, 4) & RXFF
    assert bytes(outside.uart.read(DR, 1) for _ in range(17)) == b"x" * 16 + b"y"


def test_the_transmitter_asks_for_more_until_it_is_masked_or_cleared(outside: Outside) -> None:
    uart = outside.uart
    uart.write(IMSC, 4, TX)
    assert (uart.read(RIS, 4), uart.read(MIS, 4), outside.level) == (TX, TX, True)
    uart.write(ICR, 4, TX)
    assert not outside.level
    uart.write(DR, 4, 0x41)
    assert outside.level
    uart.write(IMSC, 4, 0)
    assert (uart.read(RIS, 4), uart.read(MIS, 4), outside.level) == (TX, 0, False)


def test_linux_knows_it_by_its_identification(outside: Outside) -> None:
    numbers = [outside.uart.read(0xFE0 + 4 * index, 4) for index in range(8)]
    assert numbers == [0x11, 0x10, 0x14, 0x00, 0x0D, 0xF0, 0x05, 0xB1]


def test_what_is_not_there_reads_as_zero_and_ignores_writes(outside: Outside) -> None:
    before = outside.uart.save()
    for offset in {*range(SIZE + 0x10)} - {DR, IMSC, ICR, *range(0x20, 0x38, 4)}:
        outside.uart.write(offset, 4, 0xFFFF_FFFF)
    assert outside.uart.save() == before
    assert all(outside.uart.read(offset, 4) == 0 for offset in (0x048, 0x100, 0xFDC, 0xFE1, SIZE))


def test_it_goes_on_where_it_was_saved(outside: Outside) -> None:
    outside.uart.write(CR, 4, 0x301)
    outside.uart.write(IFLS, 4, 0xFF)
    outside.uart.write(IMSC, 4, RX)
    outside.uart.receive(b"left")
    other = Outside()
    other.uart.restore(outside.uart.save())
    assert other.level
    assert other.uart.read(CR, 4) == 0x301
    assert other.uart.read(IFLS, 4) == 0x3F
    assert bytes(other.uart.read(DR, 1) for _ in range(4)) == b"left"
    assert other.uart.save() != outside.uart.save()


@pytest.mark.parametrize("state", [{}, {"registers": {}, "mask": 0, "raw": 0, "waiting": []}, {"registers": {}}])
def test_another_state_is_refused(outside: Outside, state: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="a PL011"):
        outside.uart.restore(state)
