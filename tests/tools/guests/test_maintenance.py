"""What a CPU invalidates is forgotten by every CPU that shares its memory, whether the instruction traps or not."""

import struct

import pytest

pytest.importorskip("unicorn")

from unicorn.arm64_const import UC_ARM64_REG_X0, UC_ARM64_REG_X1, UC_ARM64_REG_X2

import vgic
from vgic_tools.guests.cpu import GuestCpu
from vgic_tools.guests.machine import GuestMachine
from vgic_tools.guests.maintenance import is_maintenance
from vgic_tools.machines.qemu_cmdline import RAM_BASE

RAM = 0x20_0000
LOW_TABLE, HIGH_TABLE, PAGE_TABLES = 0x1_0000, 0x1_1000, 0x1_2000
ONE, OTHER = 0x2_0000, 0x2_1000
"""Pages, of which one after the other is at virtual address `VIRTUAL`."""
KERNEL = 0xFFFF_FF80_0000_0000
VIRTUAL = KERNEL + 0x3000
CODE = 0x4000

# Attributes of a page or block: valid, accessed, inner shareable, Normal memory by MAIR_EL1 = 0xff.
BLOCK, PAGE, TABLE = 0x701, 0x703, 0x3
TCR_EL1 = 25 | 25 << 16 | 2 << 30
SYSTEM = {
    (2, 0, 3, 0, 0): RAM_BASE + LOW_TABLE,
    (2, 0, 3, 0, 1): RAM_BASE + HIGH_TABLE,
    (2, 0, 3, 0, 2): TCR_EL1,
    (10, 2, 3, 0, 0): 0xFF,
    (1, 0, 3, 0, 0): 0x30D0_0801,
    (12, 0, 3, 0, 0): RAM_BASE + 0x8000,
}

LDR_X2_X1 = 0xF940_0022
TLBI_VAE1IS_X0 = 0xD508_8320
TLBI_VAE1_X0 = 0xD508_8720
IC_IVAU_X0 = 0xD50B_7520
IC_IALLUIS = 0xD508_711F
MOV_X2_5 = 0xD280_00A2
MOV_X2_6 = 0xD280_00C2
DSB = 0xD503_3B9F
SUBS_X3_1 = 0xF100_0463
BNE_BACK = 0x54FF_FFA1  # three instructions
HERE = 0x1400_0000


@pytest.fixture
def machine() -> GuestMachine:
    """Two CPUs with the MMU on: the first 4 KiB of code and a page at VIRTUAL, in the upper half."""
    machine = GuestMachine(vgic.Config(vgic.Topology.kvm(2)), RAM)
    tables = {
        LOW_TABLE + 8: RAM_BASE | BLOCK,
        HIGH_TABLE: (RAM_BASE + PAGE_TABLES) | TABLE,
        PAGE_TABLES: (RAM_BASE + PAGE_TABLES + 0x1000) | TABLE,
        PAGE_TABLES + 0x1000 + 8 * 4: (RAM_BASE + CODE) | PAGE,
    }
    for place, entry in tables.items():
        machine.memory.write(RAM_BASE + place, struct.pack("<Q", entry))
    machine.memory.write(RAM_BASE + ONE, struct.pack("<Q", 1))
    machine.memory.write(RAM_BASE + OTHER, struct.pack("<Q", 2))
    show(machine, ONE)
    for cpu in machine.cpus:
        cpu.reset(RAM_BASE)
        for register, value in SYSTEM.items():
            cpu.write_system(register, value)
    return machine


def show(machine: GuestMachine, page: int) -> None:
    machine.memory.write(RAM_BASE + PAGE_TABLES + 0x1000 + 8 * 3, struct.pack("<Q", (RAM_BASE + page) | PAGE))


def execute(machine: GuestMachine, cpu: GuestCpu, *instructions: int, x3: int = 0) -> None:
    """Execute instructions of the page of code, with X0 and X1 for TLBI and LDR of VIRTUAL."""
    code = struct.pack(f"<{len(instructions) + 1}I", *instructions, HERE)
    machine.memory.write(RAM_BASE + CODE, code)
    cpu.flush_code()
    cpu.uc.reg_write(UC_ARM64_REG_X0, VIRTUAL >> 12 & (1 << 44) - 1)
    cpu.uc.reg_write(UC_ARM64_REG_X1, VIRTUAL)
    cpu.write_x(3, x3)
    cpu.pc = KERNEL + 0x4000
    cpu.run(1000)
    assert cpu.pc == KERNEL + 0x4000 + 4 * len(instructions)


def seen(machine: GuestMachine, cpu: GuestCpu) -> int:
    """What the CPU reads at VIRTUAL."""
    execute(machine, cpu, LDR_X2_X1)
    value: int = cpu.uc.reg_read(UC_ARM64_REG_X2)
    return value


def both(machine: GuestMachine) -> tuple[int, ...]:
    return tuple(seen(machine, cpu) for cpu in machine.cpus)


@pytest.mark.parametrize("times", [1, 100])
def test_a_translation_is_forgotten_by_all_cpus(machine: GuestMachine, times: int) -> None:
    one = machine.cpus[0]
    assert both(machine) == (1, 1)
    show(machine, OTHER)
    # Nobody has said anything.
    assert both(machine) == (1, 1)
    for _ in range(2):
        execute(machine, one, TLBI_VAE1IS_X0, DSB, SUBS_X3_1, BNE_BACK, x3=times)
    assert bool(one.maintenance.hooked) == (times > 1)
    assert both(machine) == (2, 2)
    # Hooked or not, it is still performed.
    show(machine, ONE)
    execute(machine, one, TLBI_VAE1IS_X0, DSB, SUBS_X3_1, BNE_BACK, x3=1)
    assert both(machine) == (1, 1)


def test_a_local_one_is_the_cpus_own_affair(machine: GuestMachine) -> None:
    one = machine.cpus[0]
    assert both(machine) == (1, 1)
    show(machine, OTHER)
    execute(machine, one, TLBI_VAE1_X0, DSB)
    assert both(machine) == (2, 1)


@pytest.mark.parametrize("also_everything", [False, True])
def test_code_that_another_cpu_has_changed_is_read_anew(machine: GuestMachine, also_everything: bool) -> None:
    one, other = machine.cpus
    execute(machine, other, MOV_X2_5)
    machine.memory.write(RAM_BASE + CODE, struct.pack("<I", MOV_X2_6))

    def moved() -> int:
        other.pc = KERNEL + 0x4000
        other.run(10)
        value: int = other.uc.reg_read(UC_ARM64_REG_X2)
        return value

    # Unicorn does not see what others write.
    assert moved() == 5
    one.maintenance.perform(IC_IVAU_X0, KERNEL + 0x4000)
    if also_everything:
        one.maintenance.perform(IC_IALLUIS, 0)
    assert moved() == 6
    assert seen(machine, other) == 1


@pytest.mark.parametrize(
    ("word", "is_one"),
    [
        pytest.param(TLBI_VAE1IS_X0, True, id="tlbi vae1is"),
        pytest.param(0xD508_871F, True, id="tlbi vmalle1"),
        pytest.param(0xD508_83FF, True, id="tlbi vaale1is, xzr"),
        pytest.param(IC_IVAU_X0, True, id="ic ivau"),
        pytest.param(IC_IALLUIS, True, id="ic ialluis"),
        pytest.param(0xD50B_7B20, True, id="dc cvau"),
        pytest.param(0xD50B_7420, False, id="dc zva"),
        pytest.param(0xD50C_871F, False, id="tlbi alle2"),
        pytest.param(0xD508_8620, False, id="tlbi rvae1"),
        pytest.param(0xD508_839F, False, id="no tlbi"),
        pytest.param(0xD51B_E320, False, id="msr"),
    ],
)
def test_what_is_maintenance(word: int, is_one: bool) -> None:
    assert is_maintenance(word) is is_one
