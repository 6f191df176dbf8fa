"""A store to a device whose effect interrupts the CPU that does it is done once, whatever instruction it is."""

import struct
from typing import NamedTuple

import pytest

pytest.importorskip("unicorn")

from unicorn import UC_PROT_ALL
from unicorn.arm64_const import UC_ARM64_REG_X1, UC_ARM64_REG_X2, UC_ARM64_REG_X3

from vgic.adapters.unicorn import UnicornCpu, new_engine

DEVICE = 0x0800_0000
RAM = 0x4000_0000
VECTORS = RAM + 0x800
VBAR_EL1 = (12, 0, 3, 0, 0)

ADD_X2_1 = 0x9100_0442
HERE = 0x1400_0000
UNMASK = 0xD503_42FF


class Region(NamedTuple):
    base: int
    size: int


class Gic:
    """Raises its output at each store."""

    map = (Region(DEVICE, 0x1_0000),)

    def __init__(self) -> None:
        self.stores: list[tuple[int, int, int]] = []
        self.cpu: UnicornCpu | None = None

    def mpidr(self, cpu: int) -> int:
        return 1 << 31

    def read(self, address: int, size: int, cpu: int) -> int:
        assert self.cpu is not None
        self.cpu.set_lines(irq=True, fiq=False)
        return 7

    def write(self, address: int, size: int, value: int, cpu: int) -> None:
        assert self.cpu is not None
        self.stores.append((address - DEVICE, size, value))
        self.cpu.set_lines(irq=True, fiq=False)

    def mrs(self, cpu: int, register: int) -> int | None:
        return None

    def msr(self, cpu: int, register: int, value: int) -> bool:
        return False

    def reset_cpu(self, cpu: int) -> None:
        pass


def started(instruction: int) -> tuple[UnicornCpu, Gic]:
    """A CPU that unmasks interrupts, executes it with X1 at the device, adds 1 to X2, and stays there."""
    gic, uc = Gic(), new_engine()
    uc.mem_map(RAM, 0x1000, UC_PROT_ALL)
    uc.mem_write(RAM, struct.pack("<4I", UNMASK, instruction, ADD_X2_1, HERE))
    uc.mem_write(VECTORS + 0x280, struct.pack("<I", HERE))
    gic.cpu = cpu = UnicornCpu(0, uc, gic, None)  # type: ignore[arg-type]  # of a Region it takes base and size
    cpu.reset(RAM)
    cpu.write_system(VBAR_EL1, VECTORS)
    uc.reg_write(UC_ARM64_REG_X1, DEVICE)
    uc.reg_write(UC_ARM64_REG_X3, 0x11)
    return cpu, gic


@pytest.mark.parametrize(
    ("instruction", "size"),
    [
        pytest.param(0xB900_0023, 4, id="str"),
        pytest.param(0x3900_0023, 1, id="strb"),
        pytest.param(0x7900_0023, 2, id="strh"),
        pytest.param(0xB800_0023, 4, id="stur"),
        pytest.param(0xB83F_6823, 4, id="str with a register as its offset"),
        pytest.param(0x889F_FC23, 4, id="stlr"),
    ],
)
def test_a_plain_store_is_followed_by_the_interrupt_at_once(instruction: int, size: int) -> None:
    cpu, gic = started(instruction)
    assert cpu.run(1000)
    assert gic.stores == [(0, size, 0x11)]
    assert cpu.pc == RAM + 8
    cpu.run(10)
    assert cpu.pc == VECTORS + 0x280
    assert gic.stores == [(0, size, 0x11)]


def test_a_store_of_64_bits_is_two_of_32_as_unicorn_has_it() -> None:
    cpu, gic = started(0xF900_0023)
    cpu.run(1000)
    cpu.run(10)
    assert gic.stores == [(0, 4, 0x11), (4, 4, 0)]
    assert cpu.pc == VECTORS + 0x280


@pytest.mark.parametrize(
    ("instruction", "stores", "x1"),
    [
        pytest.param(0xB800_4423, [(0, 4, 0x11)], DEVICE + 4, id="str with writeback"),
        pytest.param(0x2900_0C23, [(0, 4, 0x11), (4, 4, 0x11)], DEVICE, id="stp"),
    ],
)
def test_other_stores_are_finished_first(instruction: int, stores: list[tuple[int, int, int]], x1: int) -> None:
    cpu, gic = started(instruction)
    cpu.run(100)
    assert gic.stores == stores
    assert (cpu.uc.reg_read(UC_ARM64_REG_X1), cpu.uc.reg_read(UC_ARM64_REG_X2)) == (x1, 1)
    cpu.run(10)
    assert cpu.pc == VECTORS + 0x280
    assert gic.stores == stores


def test_a_load_is_finished_first() -> None:
    cpu, _ = started(0xB940_0023)
    cpu.run(100)
    assert (cpu.uc.reg_read(UC_ARM64_REG_X3), cpu.uc.reg_read(UC_ARM64_REG_X2)) == (7, 1)
    cpu.run(10)
    assert cpu.pc == VECTORS + 0x280
