"""The adapter of Unicorn engines: accesses to devices, interrupts, WFI, and what is raised in callbacks."""

import mmap
import struct
from typing import NamedTuple

import pytest

pytest.importorskip("unicorn")

from unicorn import UC_PROT_ALL
from unicorn.arm64_const import (
    UC_ARM64_REG_ELR_EL1,
    UC_ARM64_REG_ESR_EL1,
    UC_ARM64_REG_X1,
    UC_ARM64_REG_X2,
    UC_ARM64_REG_X3,
)

import vgic
from vgic.adapters.unicorn import UNKNOWN_REASON, UnicornCpu, UnicornVm, new_engine
from vgic.adapters.unicorn_registers import SPSR_EL1

DEVICE = 0x0800_0000
RAM = 0x4000_0000
VECTORS = RAM + 0x800
VBAR_EL1 = (12, 0, 3, 0, 0)

ADD_X2_1 = 0x9100_0442
HERE = 0x1400_0000
WFI = 0xD503_207F
UNMASK = 0xD503_42FF


class Region(NamedTuple):
    base: int
    size: int


class Gic:
    """Raises its output at each access, or an exception."""

    map = (Region(DEVICE, 0x1_0000),)

    def __init__(self) -> None:
        self.stores: list[tuple[int, int, int]] = []
        self.cpu: UnicornCpu | None = None
        self.failure: BaseException | None = None

    def mpidr(self, cpu: int) -> int:
        return 1 << 31

    def read(self, address: int, size: int, cpu: int) -> int:
        assert self.cpu is not None
        if self.failure is not None:
            raise self.failure
        self.cpu.set_lines(irq=True, fiq=False)
        return 7

    def write(self, address: int, size: int, value: int, cpu: int) -> None:
        assert self.cpu is not None
        self.stores.append((address - DEVICE, size, value))
        if self.failure is not None:
            raise self.failure
        self.cpu.set_lines(irq=True, fiq=False)

    def mrs(self, cpu: int, register: int) -> int | None:
        return None

    def msr(self, cpu: int, register: int, value: int) -> bool:
        return False

    def reset_cpu(self, cpu: int) -> None:
        pass

    def set_pe_state(self, cpu: int, state: vgic.PeState) -> None:
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


@pytest.mark.rule("API-17")
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


@pytest.mark.rule("API-17")
def test_a_store_of_64_bits_is_two_of_32_as_unicorn_has_it() -> None:
    cpu, gic = started(0xF900_0023)
    cpu.run(1000)
    cpu.run(10)
    assert gic.stores == [(0, 4, 0x11), (4, 4, 0)]
    assert cpu.pc == VECTORS + 0x280


@pytest.mark.rule("API-17")
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


@pytest.mark.rule("API-17")
def test_a_load_is_finished_first() -> None:
    cpu, _ = started(0xB940_0023)
    cpu.run(100)
    assert (cpu.uc.reg_read(UC_ARM64_REG_X3), cpu.uc.reg_read(UC_ARM64_REG_X2)) == (7, 1)
    cpu.run(10)
    assert cpu.pc == VECTORS + 0x280


@pytest.mark.rule("API-18")
@pytest.mark.parametrize("instruction", [0xB900_0023, 0xB940_0023], ids=["store", "load"])
@pytest.mark.parametrize("failure", [ValueError("a device"), KeyboardInterrupt(), SystemExit(143)], ids=repr)
def test_what_a_device_raises_is_raised_where_the_cpu_runs(instruction: int, failure: BaseException) -> None:
    cpu, gic = started(instruction)
    gic.failure = failure
    with pytest.raises(type(failure)) as raised:
        cpu.run(1000)
    assert raised.value is failure
    assert cpu.uc.reg_read(UC_ARM64_REG_X2) == 0
    # Once.
    gic.failure = None
    cpu.run(10)


def vm(code: bytes, cpus: int = 1) -> UnicornVm:
    """CPUs that execute the code, with their vectors at VECTORS."""
    ram = mmap.mmap(-1, 0x1000)
    ram[: len(code)] = code
    vm = UnicornVm(vgic.Config(vgic.Topology.kvm(cpus)), RAM, ram)
    vm.without_firmware()
    for cpu in vm.cpus:
        cpu.reset(RAM)
        cpu.write_system(VBAR_EL1, VECTORS)
    return vm


@pytest.mark.rule("API-19")
def test_wfi_waits_until_an_interrupt_is_signalled_masked_or_not() -> None:
    machine = vm(struct.pack("<3I", WFI, ADD_X2_1, HERE))
    [cpu] = machine.cpus
    assert cpu.run(100)
    assert (cpu.waiting, cpu.behind_wfi, cpu.pc) == (True, True, RAM + 4)
    assert cpu.run(100)
    assert cpu.uc.reg_read(UC_ARM64_REG_X2) == 0
    machine.set_lines(0, irq=True, fiq=False)
    assert not cpu.run(100)
    # Masked: it goes on behind the WFI.
    assert (cpu.waiting, cpu.behind_wfi, cpu.pc) == (False, False, RAM + 8)
    assert cpu.uc.reg_read(UC_ARM64_REG_X2) == 1


@pytest.mark.rule("API-19")
@pytest.mark.parametrize(("fiq", "offset"), [(False, 0x280), (True, 0x300)], ids=["IRQ", "FIQ"])
def test_an_interrupt_enters_the_handler_with_its_state_in_the_registers_for_that(fiq: bool, offset: int) -> None:
    unmask_both = 0xD503_43FF
    machine = vm(struct.pack("<3I", unmask_both, ADD_X2_1, HERE))
    [cpu] = machine.cpus
    cpu.run(100)
    before = cpu.pstate
    machine.set_lines(0, irq=not fiq, fiq=fiq)
    assert cpu.take_interrupt()
    assert cpu.pc == VECTORS + offset
    assert cpu.pstate == 0x3C5
    assert cpu.uc.reg_read(UC_ARM64_REG_ELR_EL1) == RAM + 8
    assert cpu.read_system(SPSR_EL1) == before


@pytest.mark.rule("API-19")
def test_an_access_to_where_nothing_is_is_an_external_abort() -> None:
    machine = vm(struct.pack("<2I", 0xB940_0020, HERE))  # ldr w0, [x1]
    [cpu] = machine.cpus
    cpu.write_x(1, 0x7000_0000)
    assert cpu.run(1)
    assert cpu.pc == VECTORS + 0x200
    assert cpu.uc.reg_read(UC_ARM64_REG_ESR_EL1) == 0x25 << 26 | 1 << 25 | 1 << 10 | 0x10


@pytest.mark.rule("API-19")
def test_the_cpu_interface_is_reached_by_instructions_and_what_it_has_not_is_undefined() -> None:
    # mrs x0, icc_pmr_el1 after msr icc_pmr_el1, x3, and of icc_ap1r3_el1, which five bits of priority have not.
    machine = vm(struct.pack("<4I", 0xD518_4603, 0xD538_4600, 0xD538_C960, HERE))
    [cpu] = machine.cpus
    cpu.write_x(3, 0xF0)
    cpu.run(2)
    assert cpu.read_x(0) == machine.gic.mrs(0, vgic.ICC_PMR_EL1) == 0xF0
    cpu.run(1)
    assert cpu.uc.reg_read(UC_ARM64_REG_ESR_EL1) == UNKNOWN_REASON
    assert cpu.uc.reg_read(UC_ARM64_REG_ELR_EL1) == RAM + 8


@pytest.mark.rule("API-19")
def test_cpus_take_turns_until_none_has_anything_to_do() -> None:
    machine = vm(struct.pack("<2I", WFI, HERE), cpus=3)
    assert machine.run(1_000_000) > 0
    assert [cpu.waiting for cpu in machine.cpus] == [True] * 3
    machine.cpus[1].turn_off()
    machine.set_lines(1, irq=True, fiq=False)
    assert not machine.cpus[1].ready


@pytest.mark.rule("API-19", "PE-1")
def test_a_guest_of_a_gic_with_two_security_states_is_at_non_secure_el1() -> None:
    ram = mmap.mmap(-1, 0x1000)
    ram[:8] = struct.pack("<2I", 0xD538_CCE0, HERE)  # mrs x0, icc_igrpen1_el1
    machine = UnicornVm(vgic.Config(vgic.Topology.kvm(1), security="two", reset_group=1), RAM, ram)
    gic, [cpu] = machine.gic, machine.cpus
    assert gic.pe_state(0) == vgic.PeState()
    cpu.reset(RAM)
    gic.sysreg_write(0, vgic.ICC_IGRPEN1_EL1, 1)
    cpu.run(1)
    assert cpu.read_x(0) == 1
    gic.set_pe_state(0, vgic.PeState(secure=True))
    assert gic.sysreg_read(0, vgic.ICC_IGRPEN1_EL1) == 0
