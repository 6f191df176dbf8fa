"""A VM of Unicorn engines whose interrupts come from this GIC: to use, or to copy and change.

    ram = mmap.mmap(-1, 0x10_0000)
    vm = UnicornVm(vgic.Config(vgic.Topology.kvm(2)), 0x4000_0000, ram)
    vm.without_firmware()
    vm.cpus[0].reset(entry=0x4000_0000)
    vm.run(1_000_000)

Each vCPU is an engine of its own; they share the RAM and take turns. Guests run at EL1 and EL0. Unicorn delivers no
exception to a guest: what comes from the GIC is delivered here, others by `on_exception`. Needs Unicorn 2.1
(`pip install vgic[unicorn]`).
"""

import ctypes
from collections.abc import Callable, Iterable
from mmap import mmap
from typing import Final, Protocol

from unicorn import UC_ARCH_ARM64, UC_HOOK_INTR, UC_MODE_ARM, UC_PROT_ALL, Uc, UcError
from unicorn.arm64_const import (
    UC_ARM64_REG_CP_REG,
    UC_ARM64_REG_ELR_EL1,
    UC_ARM64_REG_ESR_EL1,
    UC_ARM64_REG_FAR_EL1,
    UC_ARM64_REG_PC,
    UC_ARM64_REG_PSTATE,
    UC_ARM64_REG_SP,
    UC_ARM64_REG_VBAR_EL1,
    UC_CPU_ARM64_A72,
)
from unicorn.unicorn_const import UC_ERR_FETCH_UNMAPPED, UC_ERR_READ_UNMAPPED, UC_ERR_WRITE_UNMAPPED, UC_PROT_EXEC
from unicorn.unicorn_py3.unicorn import uclib

import vgic
from mmio.address_map import Region
from vgic.adapters.unicorn_registers import (
    CNTHCTL_EL2,
    HCR_EL2,
    MIDR_EL1,
    SCR_EL3,
    SCTLR_EL1,
    SP_EL0,
    SP_EL1,
    SPSR_EL1,
    VMPIDR_EL2,
    VPIDR_EL2,
    Registers,
    SystemRegister,
    general_purpose,
)

__all__ = [
    "FIQ",
    "IRQ",
    "SYNCHRONOUS",
    "UNDEFINED",
    "UNKNOWN_REASON",
    "ExceptionHandler",
    "GicAccess",
    "UnicornCpu",
    "UnicornVm",
    "new_engine",
]

SYNCHRONOUS: Final = 0x000
IRQ: Final = 0x080
FIQ: Final = 0x100
"""Offsets from VBAR_EL1 of what is taken from EL1 with SP_EL0 (Arm ARM D1.4.1)."""

UNKNOWN_REASON: Final = 1 << 25
"""ESR_EL1 of an Undefined Instruction exception: EC 0, IL."""

UNDEFINED: Final = 1
"""The number under which UC_HOOK_INTR reports an instruction that is UNDEFINED, or trapped."""

_WFI: Final = 0xD503_207F
_NOWHERE: Final = 0xFFFF_FFFF_FFFF_FFFF
"""No instruction is there: where emulation would end."""

_HCR_RW: Final = 1 << 31
"""EL1 is AArch64."""
_HCR_TWI: Final = 1 << 13
"""WFI is trapped: at a slice's end nobody could tell it from a return to behind it."""

# PSTATE: D, A, I and F masked, EL1 with its own stack pointer.
_MASKED_EL1H: Final = 0x3C5
_PSTATE_F: Final = 1 << 6
_PSTATE_I: Final = 1 << 7

# An access to where nothing is: a synchronous external abort without address (FnV, FSC 0x10). EC from EL0, EL1.
_EXTERNAL: Final = {
    UC_ERR_FETCH_UNMAPPED: (0x20, 0x21),
    UC_ERR_READ_UNMAPPED: (0x24, 0x25),
    UC_ERR_WRITE_UNMAPPED: (0x24, 0x25),
}
_EXTERNAL_ISS: Final = 1 << 25 | 1 << 10 | 0x10

# Stores of one register without writeback, (mask, value) of the instruction: STR, STRB and STRH with each kind of
# offset, and STLR.
_PLAIN_STORES: Final = (
    (0x3FC0_0000, 0x3900_0000),
    (0x3FE0_0C00, 0x3800_0000),
    (0x3FE0_0C00, 0x3820_0800),
    (0x3FE0_8000, 0x0880_8000),
)

ExceptionHandler = Callable[["UnicornCpu", int], bool]
"""Is told of an exception that is not the GIC's, with its number in UC_HOOK_INTR; False: it is UNDEFINED."""


def new_engine() -> Uc:
    """An engine like the ones that `UnicornVm` makes where it is given none."""
    uc = Uc(UC_ARCH_ARM64, UC_MODE_ARM)
    uc.ctl_set_cpu_model(UC_CPU_ARM64_A72)
    return uc


class GicAccess(Protocol):
    """What an engine needs of `vgic.Gic`: itself, or something that passes on to it."""

    @property
    def map(self) -> Iterable[Region]:
        """The regions of the frames."""

    def mpidr(self, cpu: int) -> int:
        """MPIDR_EL1."""

    def read(self, address: int, size: int, cpu: int) -> int:
        """A load."""

    def write(self, address: int, size: int, value: int, cpu: int) -> None:
        """A store."""

    def mrs(self, cpu: int, register: int) -> int | None:
        """An MRS; None where it is UNDEFINED."""

    def msr(self, cpu: int, register: int, value: int) -> bool:
        """An MSR; False where it is UNDEFINED."""

    def reset_cpu(self, cpu: int) -> None:
        """PSCI CPU_ON."""

    def set_pe_state(self, cpu: int, state: vgic.PeState) -> None:
        """Where the PE is, which counts with two Security states."""


class UnicornCpu:
    """A PE: an engine, and the state of its waiting for interrupts. `UnicornVm` makes them."""

    def __init__(self, number: int, uc: Uc, gic: GicAccess, on_exception: ExceptionHandler | None) -> None:
        self.number = number
        self.uc = uc
        self.gic = gic
        self.on = False
        """False: off, as PSCI has it."""
        self.waiting = False
        """In WFI."""
        self.behind_wfi = False
        """The latest instruction was WFI."""
        self.stopped = False
        """The slice ended early."""
        self.hypervisor_traps = 0
        """More bits of HCR_EL2: what else is to trap, and come to `on_exception`."""
        self.irq = self.fiq = False
        """The outputs of the GIC."""
        self._on_exception = on_exception
        self._running = False
        self._loading = self._storing = False
        self._failure: BaseException | None = None
        self._stored = False
        """Emulation ends behind a store whose effects are all there, but at which Unicorn leaves PC."""
        self._word = ctypes.create_string_buffer(4)
        self._xs = [Registers(uc, [general_purpose(number)]) for number in range(31)]
        self._pc = Registers(uc, [UC_ARM64_REG_PC])
        self._pc_pstate = Registers(uc, [UC_ARM64_REG_PC, UC_ARM64_REG_PSTATE])
        self._before = Registers(
            uc, [UC_ARM64_REG_PC, UC_ARM64_REG_PSTATE, UC_ARM64_REG_SP, UC_ARM64_REG_VBAR_EL1, SP_EL1]
        )
        # Unicorn takes notice of another PSTATE when a system register is written by its encoding: after it.
        self._after = Registers(
            uc,
            [SPSR_EL1, UC_ARM64_REG_ELR_EL1, UC_ARM64_REG_PSTATE, UC_ARM64_REG_SP, SP_EL1, UC_ARM64_REG_PC],
        )
        # Where a guest's accesses differ by that: it is never anywhere else than at Non-secure EL1 and EL0.
        gic.set_pe_state(number, vgic.PeState())
        uc.hook_add(UC_HOOK_INTR, self._exception)
        for region in gic.map:
            self._map_frames(region.base, region.size)

    def _map_frames(self, base: int, size: int) -> None:
        gic, cpu = self.gic, self.number
        self.map_device(
            base,
            size,
            lambda offset, width: gic.read(base + offset, width, cpu),
            lambda offset, width, value: gic.write(base + offset, width, value, cpu),
        )

    def map_device(
        self, base: int, size: int, load: Callable[[int, int], int], store: Callable[[int, int, int], None]
    ) -> None:
        """A device at physical address `base`: told loads (offset, bytes) and stores (offset, bytes, value).

        What it does may change the GIC's outputs; what it raises, `run` raises.
        """

        def read(_: Uc, offset: int, width: int, __: object) -> int:
            self._loading = True
            try:
                return load(offset, width)
            except BaseException as failure:
                self._fail(failure)
                return 0
            finally:
                self._loading = False

        def write(_: Uc, offset: int, width: int, value: int, __: object) -> None:
            self._storing = True
            try:
                store(offset, width, value)
            except BaseException as failure:
                self._fail(failure)
            finally:
                self._storing = False

        self.uc.mmio_map(base, size, read, None, write, None)

    def _fail(self, failure: BaseException) -> None:
        """Raise it when emulation has ended: Unicorn loses what a device raises."""
        self._failure = failure
        self.uc.emu_stop()

    def write_system(self, register: SystemRegister, value: int) -> None:
        """Write a system register, (CRn, CRm, op0, op1, op2), as firmware at EL3 would."""
        self.uc.reg_write(UC_ARM64_REG_CP_REG, (*register, value))

    def read_system(self, register: SystemRegister) -> int:
        """Read a system register, as firmware at EL3 would."""
        value: int = self.uc.reg_read(UC_ARM64_REG_CP_REG, register)
        return value

    def reset(self, entry: int, x0: int = 0) -> None:
        """Switch the PE on, as PSCI CPU_ON does: at physical address `entry`, EL1, MMU off, interrupts masked."""
        self.gic.reset_cpu(self.number)
        self.write_system(SCR_EL3, 0x501)  # NS, or else translations fault; HCE, or else HVC is UNDEFINED; RW
        self.write_system(HCR_EL2, self.hypervisor_traps | _HCR_RW | _HCR_TWI)
        self.write_system(VMPIDR_EL2, self.gic.mpidr(self.number))
        self.write_system(VPIDR_EL2, self.read_system(MIDR_EL1))
        self.write_system(CNTHCTL_EL2, 3)
        self.write_system(SCTLR_EL1, 0x30D0_0800)  # RES1 bits, MMU and caches off
        for number in range(31):
            self.write_x(number, 0)
        self.write_x(0, x0)
        self.uc.reg_write(UC_ARM64_REG_PSTATE, _MASKED_EL1H)
        self.write_system(SPSR_EL1, 0)  # whatever is written: Unicorn takes notice of the new PSTATE
        self.pc = entry
        self.on, self.waiting = True, False

    def turn_off(self) -> None:
        """Stop the PE, as PSCI CPU_OFF does."""
        self.on = False
        self.stop()

    @property
    def ready(self) -> bool:
        """True where the PE has something to execute."""
        return self.on and not self.waiting

    def set_lines(self, irq: bool, fiq: bool) -> None:
        """The outputs of the GIC have changed: an interrupt ends WFI, masked or not (Arm ARM D1.7.2)."""
        self.irq, self.fiq = irq, fiq
        if irq or fiq:
            self.waiting = False
            # In a callback, end the slice: the interrupt is taken before the next one.
            self.stop()

    def run(self, instructions: int) -> bool:
        """Execute so many instructions; True where it ended before, for WFI, an interrupt or an abort."""
        if not self.ready:
            return True
        self.take_interrupt()
        self.stopped = self._stored = self.behind_wfi = False
        self._running = True
        try:
            self.uc.emu_start(self.pc, _NOWHERE, count=instructions)
        except UcError as error:
            self._external_abort(error)
            return True
        finally:
            self._running = False
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
        if self._stored:
            self.pc += 4
        return self.stopped

    def stop(self) -> None:
        """End the slice, after the present instruction; after all of it where that is a load from a device."""
        if not self._running:
            return
        # Unicorn stops at an access to a device with PC there, and would do the access again. A plain store needs
        # nothing but another PC. Registers that others change are not written yet: they let the slice go on.
        if self._storing:
            word = self.word(self.pc)
            if not any(word & mask == value for mask, value in _PLAIN_STORES):
                return
            self._stored = True
        elif self._loading:
            return
        self.stopped = True
        self.uc.emu_stop()

    def take_interrupt(self) -> bool:
        """Enter the guest's handler if the GIC signals an interrupt that PSTATE does not mask."""
        if not (self.irq or self.fiq):
            return False
        pstate = self.pstate
        if self.fiq and not pstate & _PSTATE_F:
            self.enter(FIQ)
        elif self.irq and not pstate & _PSTATE_I:
            self.enter(IRQ)
        else:
            return False
        return True

    def enter(self, offset: int, esr: int | None = None, far: int | None = None) -> None:
        """Take an exception to EL1 (Arm ARM D1.4): `offset` is `SYNCHRONOUS`, `IRQ` or `FIQ`. ERET is Unicorn's."""
        pc, pstate, stack, vectors, other_stack = (register.value for register in self._before.read())
        from_el0, own_stack = not pstate & 0b1100, pstate & 1
        self._after.values[0].value = pstate
        self._after.values[1].value = pc
        # SP is the register that PSTATE.SP selects: put it into its bank, and take SP_EL1 out of its own.
        handler_stack = stack if own_stack else other_stack
        if not own_stack:
            self.write_system(SP_EL0, stack)
        self._after.values[2].value = _MASKED_EL1H
        self._after.values[3].value = handler_stack
        self._after.values[4].value = handler_stack
        self._after.values[5].value = vectors + offset + (0x400 if from_el0 else 0x200 * own_stack)
        self._after.write()
        if esr is not None:
            self.uc.reg_write(UC_ARM64_REG_ESR_EL1, esr)
        if far is not None:
            self.uc.reg_write(UC_ARM64_REG_FAR_EL1, far)

    def _exception(self, uc: Uc, number: int, _: object) -> None:
        """UC_HOOK_INTR: an instruction that Unicorn does not execute."""
        if number == UNDEFINED and self._perform():
            return
        if not self.other_exception(number):
            self.enter(SYNCHRONOUS, UNKNOWN_REASON)

    def other_exception(self, number: int) -> bool:
        """An exception that is not the GIC's, with its number in UC_HOOK_INTR; False: the guest finds it UNDEFINED.

        PC is where the guest would return to. This one asks `on_exception`.
        """
        return self._on_exception is not None and self._on_exception(self, number)

    def _perform(self) -> bool:
        """Perform the instruction at PC, if it is WFI or an access that the CPU interface takes."""
        pc, pstate = (register.value for register in self._pc_pstate.read())
        word = self.word(pc)
        if word == _WFI:
            self.pc = pc + 4
            self.waiting = not (self.irq or self.fiq)
            self.behind_wfi = True
            self.stop()
            return True
        access = vgic.sysreg_of_instruction(word)
        if access is None or not pstate & 0b1100:
            return False
        if access.write:
            if not self.gic.msr(self.number, access.register, self.read_x(access.rt)):
                return False
        else:
            value = self.gic.mrs(self.number, access.register)
            if value is None:
                return False
            self.write_x(access.rt, value)
        self.pc = pc + 4
        return True

    def _external_abort(self, error: UcError) -> None:
        """An access to where neither RAM nor a device is."""
        classes = _EXTERNAL.get(error.errno)
        if classes is None:
            raise error
        from_el1 = self.pstate & 0b1100 != 0
        self.enter(SYNCHRONOUS, classes[from_el1] << 26 | _EXTERNAL_ISS, 0)

    def word(self, address: int) -> int:
        """The instruction at a virtual address, 0 where there is none."""
        failed = uclib.uc_vmem_read(
            self.uc._uch, ctypes.c_uint64(address), UC_PROT_EXEC, self._word, ctypes.c_size_t(4)
        )
        return 0 if failed else int.from_bytes(self._word.raw, "little")

    def read_x(self, number: int) -> int:
        """A general-purpose register; 31 is XZR."""
        return 0 if number == 31 else self._xs[number].read()[0].value

    def write_x(self, number: int, value: int) -> None:
        """Write a general-purpose register."""
        if number != 31:
            self._xs[number].values[0].value = value
            self._xs[number].write()

    @property
    def pc(self) -> int:
        """Where the PE is: a virtual address."""
        return self._pc.read()[0].value

    @pc.setter
    def pc(self, address: int) -> None:
        self._pc.values[0].value = address
        self._pc.write()

    @property
    def pstate(self) -> int:
        """PSTATE, as SPSR_EL1 would hold it."""
        return self._pc_pstate.read()[1].value


class UnicornVm:
    """A GIC, and an engine for every vCPU of its topology. `gic` is the `vgic.Gic`.

    `ram` is what all of them share, from physical address `base` on; both are multiples of 4 KiB. `engines` makes
    one more Unicorn engine for AArch64 each time it is called. `on_exception` is told of exceptions that are not
    the GIC's: system calls, aborts, HVC and SMC.
    """

    def __init__(
        self,
        config: vgic.Config,
        base: int,
        ram: mmap,
        on_exception: ExceptionHandler | None = None,
        engines: Callable[[], Uc] = new_engine,
        observer: vgic.Observer | None = None,
    ) -> None:
        self.cpus: list[UnicornCpu] = []
        self.gic = vgic.Gic(config, lines=self, observer=observer, memory=vgic.Ram(base, ram))
        # Keeps the address alive, and the mmap from being closed under the engines.
        self._held = ctypes.c_char.from_buffer(ram)
        for number in range(len(config.topology)):
            uc = engines()
            uc.mem_map_ptr(base, len(ram), UC_PROT_ALL, ctypes.addressof(self._held))
            self.cpus.append(UnicornCpu(number, uc, self.gic, on_exception))

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The GIC's outputs of vCPU `cpu` have changed: what `vgic.LineSink` asks for."""
        self.cpus[cpu].set_lines(irq, fiq)

    def without_firmware(self) -> None:
        """What firmware does before an OS runs: wake the Redistributors (GICR_WAKER).

        ICC_SRE_EL1.SRE needs nothing, it is 1 for good; what `UnicornCpu.reset` does is the rest.
        """
        self.gic.wake_all()

    def run(self, instructions: int, slice_length: int = 10_000) -> int:
        """Let the vCPUs take turns, until each has had `instructions` or none has anything to do; what is left."""
        left = instructions
        while left > 0 and any(cpu.ready for cpu in self.cpus):
            for cpu in self.cpus:
                cpu.run(slice_length)
            left -= slice_length
        return max(left, 0)
