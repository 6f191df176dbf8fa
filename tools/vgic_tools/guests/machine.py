"""The machine: CPUs, GIC, timers, RAM and devices, at the addresses of QEMU's virt."""

import ctypes
from collections.abc import Callable, Sequence
from mmap import mmap
from time import thread_time_ns
from typing import Final

from unicorn import UC_PROT_ALL

import vgic
from vgic.adapters.unicorn import new_engine
from vgic.layouts import gicr
from vgic.layouts.its_commands import COMMAND_SIZE
from vgic_tools.guests.clock import Clock
from vgic_tools.guests.counters import TimerSites
from vgic_tools.guests.cpu import GuestCpu
from vgic_tools.guests.gic_port import GicPort
from vgic_tools.guests.scheduler import Scheduler
from vgic_tools.guests.seams import Device, PsciResult
from vgic_tools.guests.tape import Tape
from vgic_tools.guests.timer import PHYSICAL_PPI, VIRTUAL_PPI, Timers
from vgic_tools.machines.qemu_cmdline import RAM_BASE

__all__ = ["RTC_BASE", "RTC_SPI", "UART_BASE", "UART_SPI", "GuestMachine"]

UART_BASE: Final = 0x0900_0000
RTC_BASE: Final = 0x0901_0000
UART_SPI: Final = 33
RTC_SPI: Final = 34
DEVICE_SIZE: Final = 0x1000


class WatchedRam:
    """RAM of which the tape is told when the ITS fetches a command."""

    def __init__(self, base: int, ram: mmap, tape: Tape) -> None:
        self._ram = vgic.Ram(base, ram)
        self._tape = tape

    def is_ram(self, address: int, size: int) -> bool:
        """True within the RAM."""
        return self._ram.is_ram(address, size)

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes from `address` on; nothing but a command has 32 of them."""
        data = self._ram.read(address, size)
        if size == COMMAND_SIZE:
            self._tape.fetched(address, data)
        return data

    def write(self, address: int, data: bytes) -> None:
        """Store `data` from `address` on."""
        self._ram.write(address, data)


class GuestMachine:
    """CPUs that share RAM, and what is around them. It is the `Power` that PSCI asks, and the GIC's line sink.

    `config` is the GIC's, and `state` the one that it begins in; `ram` bytes of RAM begin at `RAM_BASE`. `sites`
    tell where a kernel accesses its timers.
    """

    def __init__(
        self,
        config: vgic.Config,
        ram: int,
        sites: TimerSites | None = None,
        tape: Tape | None = None,
        state: vgic.State | None = None,
    ) -> None:
        self.config = config
        self.sites = sites
        self.tape = tape or Tape()
        self.clock = Clock()
        self.ram = mmap(-1, ram)
        self.memory = WatchedRam(RAM_BASE, self.ram, self.tape)
        self.cpus: list[GuestCpu] = []
        gic = vgic.Gic(config, self, self.tape, self.memory)
        if state is not None:
            gic.restore(state.data)
        self.gic = GicPort(gic, self.tape)
        self.tape.follow(gic)
        self.devices: dict[str, Device] = {}
        self.ended: str | None = None
        """Why the guest has ended the machine."""
        self.psci: Callable[[int, int, Sequence[int]], PsciResult] = _no_psci
        """Firmware's answer to HVC and SMC."""
        self._held = ctypes.c_char.from_buffer(self.ram)
        for number in range(len(config.topology)):
            uc = new_engine()
            uc.mem_map_ptr(RAM_BASE, ram, UC_PROT_ALL, ctypes.addressof(self._held))
            lines = (self.gic.ppi_line(number, PHYSICAL_PPI), self.gic.ppi_line(number, VIRTUAL_PPI))
            cpu = GuestCpu(number, uc, self.gic, Timers(self.clock, *lines), self._call_psci, sites)
            self.cpus.append(cpu)
        for cpu in self.cpus:
            cpu.share_memory([other for other in self.cpus if other is not cpu])
        self.scheduler = Scheduler(self.clock, self.cpus)

    def play_firmware(self, entry: int, context: int = 0) -> None:
        """Do what firmware does before an OS runs: wake the Redistributors, and start the first CPU."""
        for number, base in enumerate(self.gic.gic.redistributor_bases):
            self.gic.write(base + gicr.WAKER.offset, 4, 0, number, secure=self.gic.gic.config.two_states)
        self.turn_on(0, entry, context)

    def add_device(self, name: str, base: int, size: int, device: Device) -> None:
        """A device at physical address `base`, seen by every CPU; its state is kept under `name`."""
        self.devices[name] = device
        for cpu in self.cpus:
            cpu.map_device(base, size, device.read, device.write)

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """The GIC's outputs have changed."""
        # While a state is restored, there is nobody yet.
        if self.cpus:
            began = thread_time_ns()
            self.cpus[cpu].set_lines(irq, fiq)
            # Meanwhile the GIC only waits.
            self.gic.nanoseconds -= thread_time_ns() - began

    def replace_gic(
        self, carry: "Callable[[vgic.Gic, vgic.LineSink, vgic.Observer, vgic.GuestMemory], vgic.Gic]"
    ) -> None:
        """Go on with another GIC in the state of the present one, which `carry` makes; lines keep their levels."""
        self.gic.gic = carry(self.gic.gic, self, self.tape, self.memory)
        self.tape.follow(self.gic.gic)
        for cpu in self.cpus:
            cpu.timers.tell_lines(self.clock.now)
            cpu.irq, cpu.fiq = self.gic.gic.outputs(cpu.number)

    def run(self, stop: Callable[[], bool]) -> bool:
        """Run until the guest ends the machine or `stop` says so; False where nothing can happen any more."""
        return self.scheduler.run(lambda: self.ended is not None or stop())

    def _call_psci(self, cpu: int, function: int, arguments: Sequence[int]) -> PsciResult:
        return self.psci(cpu, function, arguments)

    # Power: what PSCI asks.

    def turn_on(self, cpu: int, entry: int, context: int) -> None:
        """PSCI CPU_ON."""
        target = self.cpus[cpu]
        target.timers.reset()
        target.reset(entry, context)

    def turn_off(self, cpu: int) -> None:
        """PSCI CPU_OFF."""
        self.cpus[cpu].turn_off()

    def is_on(self, cpu: int) -> bool:
        """True of a CPU that runs or waits for an interrupt."""
        return self.cpus[cpu].on

    def system_off(self) -> None:
        """PSCI SYSTEM_OFF."""
        self._end("the guest has switched itself off")

    def system_reset(self) -> None:
        """PSCI SYSTEM_RESET: this machine begins nothing anew."""
        self._end("the guest has asked for a reset")

    def _end(self, why: str) -> None:
        self.ended = why
        for cpu in self.cpus:
            cpu.turn_off()


def _no_psci(cpu: int, function: int, arguments: Sequence[int]) -> PsciResult:
    """NOT_SUPPORTED."""
    return PsciResult((1 << 64) - 1)
