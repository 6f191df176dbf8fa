"""An interrupt is taken where a guest unmasks it, however short that is, and in few turns."""

import struct

import pytest

pytest.importorskip("unicorn")

import vgic
from vgic_tools.guests.board import Board
from vgic_tools.guests.machine import RAM_BASE
from vgic_tools.guests.timer import VIRTUAL_PPI
from vgic_tools.guests.unmasking import Unmasking

TURNS = 1000
RAM = 0x10_0000
VECTORS = RAM_BASE + 0x1_0000
VBAR_EL1 = (12, 0, 3, 0, 0)
SGI_FRAME = 0x1_0000
IGROUPR0, ISENABLER0 = 0x80, 0x100
CNTV_CTL, CNTV_CVAL = vgic.sysreg(3, 3, 14, 3, 1), vgic.sysreg(3, 3, 14, 3, 2)

WFI = 0xD503_207F
NOP = 0xD503_201F
UNMASK, MASK = 0xD503_42FF, 0xD503_42DF
SYSTEM_OFF = struct.pack("<3I", 0x5280_0100, 0x72B0_8000, 0xD400_0002)  # mov w0, #8; movk w0, #0x8400, lsl 16; hvc


def loop(*instructions: int) -> bytes:
    back = 0x1400_0000 | -len(instructions) & 0x3FF_FFFF
    return struct.pack(f"<{len(instructions) + 1}I", *instructions, back)


def turns_until_taken(code: bytes) -> int:
    """How many, of a guest whose timer is due while it masks interrupts, and whose handler switches it off."""
    board = Board(vgic.Config(vgic.Topology.kvm(1)), RAM, lambda byte: None)
    machine = board.machine
    machine.memory.write(RAM_BASE, code)
    machine.memory.write(VECTORS + 0x280, SYSTEM_OFF)
    machine.play_firmware(RAM_BASE)
    [cpu] = machine.cpus
    cpu.write_system(VBAR_EL1, VECTORS)
    gic = machine.gic
    frame = gic.gic.redistributor_bases[0] + SGI_FRAME
    for address, value in (
        (gic.gic.config.gicd_base, 0x12),
        (frame + IGROUPR0, 0xFFFF_FFFF),
        (frame + ISENABLER0, 1 << VIRTUAL_PPI),
    ):
        gic.write(address, 4, value, 0)
    gic.msr(0, vgic.ICC_PMR_EL1, 0xFF)
    gic.msr(0, vgic.ICC_IGRPEN1_EL1, 1)
    cpu.timers.write(CNTV_CVAL, 1000)
    cpu.timers.write(CNTV_CTL, 1)
    machine.run(lambda: machine.scheduler.turns >= TURNS)
    assert machine.ended is not None, f"not taken in {TURNS} turns"
    return machine.scheduler.turns


@pytest.mark.parametrize("behind", [0, 100])
@pytest.mark.parametrize("before", [*range(0, 130, 7), 300, 700])
def test_a_loop_around_wfi_that_unmasks_for_an_instruction_takes_it(before: int, behind: int) -> None:
    turns_until_taken(loop(WFI, *[NOP] * before, UNMASK, NOP, MASK, *[NOP] * behind))


@pytest.mark.parametrize("masked", [10, 67, 105, 500])
def test_a_loop_that_polls_takes_it(masked: int) -> None:
    turns_until_taken(loop(UNMASK, NOP, MASK, *[NOP] * masked))


def test_the_next_time_it_is_taken_at_the_first_pass() -> None:
    unmasking = Unmasking()
    lengths = [unmasking.length(behind_wfi=True) for _ in range(9)]
    assert lengths == [32, 33, 31, 34, 30, 35, 29, 36, 28]
    unmasking.over()
    assert unmasking.length(behind_wfi=True) == 28


def test_where_much_is_masked_the_guest_gets_on() -> None:
    unmasking = Unmasking()
    lengths = [unmasking.length(behind_wfi=False) for _ in range(20_000)]
    assert max(lengths[:64]) <= 67
    assert sum(lengths) / len(lengths) > 1000
    assert min(lengths[-10:]) <= 67


def test_it_goes_on_as_it_was_saved() -> None:
    before, after = Unmasking(), Unmasking()
    for behind_wfi in (True, False, False, True, True):
        before.length(behind_wfi)
    before.over()
    before.length(behind_wfi=True)
    after.restore(before.save())
    assert [before.length(n % 3 == 0) for n in range(200)] == [after.length(n % 3 == 0) for n in range(200)]
