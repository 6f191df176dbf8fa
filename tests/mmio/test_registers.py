"""Registers: what each kind does with a read, a write, and a write that reaches some bits only."""

from device import Device, Stored
from mmio import ClearBits, Fixed, ReadOnly, ReadWrite, Register, SetBits, Word, WriteOnly

ALL = 0xFFFF_FFFF
UPPER = 0xFFFF_0000


def shown(register: Register[Device], device: Device, index: int = 0) -> int:
    """What a frame reads."""
    return register.word.view(device, index, False) | register.ones


def test_a_reserved_register_is_raz_wi() -> None:
    register: Register[Device] = Register()
    device = Device()
    register.write(device, 0, ALL, ALL, False)
    assert shown(register, device, 0) == 0
    assert (register.readable, register.writable, device.writes) == (True, True, [])


def test_a_word_without_state_is_zero() -> None:
    register: ReadWrite[Device] = ReadWrite(Word(), ALL, ones=0b10)
    device = Device()
    register.write(device, 0, ALL, ALL, False)
    assert shown(register, device, 0) == 0b10


def test_a_constant_ignores_writes() -> None:
    register: Fixed[Device] = Fixed(0x3B)
    device = Device()
    register.write(device, 0, ALL, ALL, False)
    assert shown(register, device, 7) == 0x3B
    assert (register.readable, register.writable) == (True, False)


def test_a_read_only_register_shows_the_view_of_its_word() -> None:
    register = ReadOnly(Stored("R", extra=1))
    device = Device(R3=0x40)
    register.write(device, 3, ALL, ALL, False)
    assert shown(register, device, 3) == 0x41
    assert (device.writes, register.writable) == ([], False)


def test_a_write_only_register_passes_on_what_was_written() -> None:
    register = WriteOnly(Stored("R"))
    device = Device(R0=0x40)
    assert shown(register, device, 0) == 0
    register.write(device, 0, 0x1234_5678, UPPER, True)
    assert device.writes == [("R", 0, 0x1234_0000, UPPER, True)]
    assert not register.readable


def test_a_written_register_merges_by_mask() -> None:
    register = ReadWrite(Stored("R"), ALL)
    device = Device(R2=0x1111_2222)
    register.write(device, 2, 0xAAAA_0000, UPPER, True)
    assert shown(register, device, 2) == 0xAAAA_2222
    assert device.writes == [("R", 2, 0xAAAA_2222, UPPER, True)]


def test_only_writable_bits_change_and_ones_stay_one() -> None:
    register = ReadWrite(Stored("R"), writable=0x0F, ones=0x50)
    device = Device(R0=0xA0)
    register.write(device, 0, 0x5, ALL, False)
    assert device.words["R0"] == 0xA5
    assert shown(register, device, 0) == 0xF5


def test_bits_of_the_view_are_not_written_back() -> None:
    device = Device(R0=0)
    ReadWrite(Stored("R", extra=0b100), ALL).write(device, 0, 0b001, 0xFF, False)
    assert device.words["R0"] == 0b001
    SetBits(Stored("R", extra=0b100)).write(device, 0, 0b010, ALL, False)
    assert device.words["R0"] == 0b011
    ClearBits(Stored("R", extra=0b100)).write(device, 0, 0b001, ALL, False)
    assert device.words["R0"] == 0b010


def test_ones_set_and_ones_clear() -> None:
    word = Stored("R")
    device = Device(R0=0b0110)
    set_bits, clear_bits = SetBits(word), ClearBits(word)
    set_bits.write(device, 0, 0b1010, ALL, False)
    assert shown(set_bits, device, 0) == shown(clear_bits, device, 0) == 0b1110
    clear_bits.write(device, 0, 0b0010, ALL, False)
    assert shown(set_bits, device, 0) == shown(clear_bits, device, 0) == 0b1100
    set_bits.write(device, 0, 0, ALL, False)
    clear_bits.write(device, 0, 0, ALL, False)
    assert device.words["R0"] == 0b1100


def test_bits_outside_the_mask_neither_set_nor_clear() -> None:
    word = Stored("R")
    device = Device(R0=0b01)
    SetBits(word).write(device, 0, ALL, 0b100, False)
    assert device.words["R0"] == 0b101
    ClearBits(word).write(device, 0, ALL, 0b100, False)
    assert device.words["R0"] == 0b001
