"""A machine with its devices and its firmware, at the addresses of QEMU's virt, and what it begins with."""

from collections.abc import Callable
from typing import Final, NamedTuple

import vgic
from vgic import affinity
from vgic_tools.errors import UsageError
from vgic_tools.guests import cfi_flash
from vgic_tools.guests.cfi_flash import CfiFlash
from vgic_tools.guests.counters import TimerSites
from vgic_tools.guests.devicetree import Devices, Pcie, Rtc, device_tree
from vgic_tools.guests.ecam import BUSES, Ecam
from vgic_tools.guests.ecam import SIZE as ECAM_SIZE
from vgic_tools.guests.flash import FLASH_BASE, Flash
from vgic_tools.guests.loader import Program, place_initrd, program_in
from vgic_tools.guests.machine import RTC_BASE, RTC_SPI, UART_BASE, UART_SPI, GuestMachine
from vgic_tools.guests.msi import Messages
from vgic_tools.guests.psci import Psci
from vgic_tools.guests.root_port import RootPort
from vgic_tools.guests.rtc import SIZE as RTC_SIZE
from vgic_tools.guests.rtc import Pl031
from vgic_tools.guests.tape import Tape
from vgic_tools.guests.uart import SIZE as UART_SIZE
from vgic_tools.guests.uart import Pl011
from vgic_tools.machines.qemu_cmdline import RAM_BASE

__all__ = ["Board", "Load"]

_TREE_ROOM: Final = 0x20_0000
"""Bytes at the end of RAM where the device tree is."""

_PCIE: Final = Pcie(0x3F00_0000, BUSES, range(0x1000_0000, 0x3EFF_0000))
_RTC: Final = Rtc(RTC_BASE, RTC_SPI)
_ROOT_PORT: Final = 1 << 3
"""Its Requester ID: bus 0, device 1."""


class Load(NamedTuple):
    """What a guest begins with; names are for messages."""

    kernel: bytes
    kernel_name: str
    initrd: bytes | None = None
    initrd_name: str = ""
    arguments: str = ""
    """The kernel's command line."""
    firmware: bool = False
    """`kernel` is firmware: it goes into flash memory, where the first CPU begins, and loads what it likes."""


class Board:
    """A machine, its UART, PSCI, and with an ITS a PCI Express host.

    `sent` is told each byte that the guest sends to its console.
    """

    def __init__(
        self,
        config: vgic.Config,
        ram: int,
        sent: Callable[[int], None],
        sites: TimerSites | None = None,
        tape: Tape | None = None,
        state: vgic.State | None = None,
    ) -> None:
        self.machine = machine = GuestMachine(config, ram, sites, tape, state)
        self.uart = Pl011(machine.gic.spi_line(UART_SPI), sent)
        machine.add_device("uart", UART_BASE, UART_SIZE, self.uart)
        machine.add_device("rtc", RTC_BASE, RTC_SIZE, Pl031(lambda: machine.clock.seconds))
        gic = machine.gic.gic
        self._pcie = None
        if config.its:
            # What sends MSIs: without an ITS, nobody would hear of them.
            self._pcie = _PCIE
            messages = Messages(machine.gic)
            port = RootPort(lambda address, data: messages.store(_ROOT_PORT, address, data))
            machine.add_device("pcie", _PCIE.ecam, ECAM_SIZE, Ecam({_ROOT_PORT: port}))
        machine.psci = Psci(machine, lambda mpidr: gic.find(affinity.from_mpidr(mpidr))).handle

    def start(self, load: Load, program: Program) -> None:
        """Put everything into RAM and start the first CPU. Raises UsageError where it does not fit."""
        machine = self.machine
        ram = range(RAM_BASE, RAM_BASE + len(machine.ram))
        tree_at = ram.stop - _TREE_ROOM
        for segment in program.segments:
            machine.memory.write(segment.address, segment.content)
        initrd = None
        if load.initrd is not None:
            # Beside the device tree, which is at the end.
            segment = place_initrd(load.initrd, load.initrd_name, range(ram.start, tree_at), program.end)
            machine.memory.write(segment.address, segment.content)
            initrd = range(segment.address, segment.address + len(segment.content))
        devices = Devices(ram, UART_BASE, UART_SPI, initrd, load.arguments, self._pcie, _RTC)
        tree = device_tree(machine.config, devices)
        if len(tree) > _TREE_ROOM:
            raise UsageError(f"the device tree has {len(tree):,} bytes; there is room for {_TREE_ROOM:,}")
        machine.memory.write(tree_at, tree)
        machine.play_firmware(program.entry, tree_at)

    def start_firmware(self, load: Load) -> None:
        """Put firmware into flash memory and start the first CPU. Raises UsageError where it does not fit."""
        machine = self.machine
        # Maps the engines' memory: they have to be gone before it is.
        self._flash = Flash(load.kernel, load.kernel_name)
        for cpu in machine.cpus:
            self._flash.map_into(cpu.uc)
        machine.add_device("flash", cfi_flash.BASE, cfi_flash.SIZE, CfiFlash())
        ram = range(RAM_BASE, RAM_BASE + len(machine.ram))
        flash = range(cfi_flash.BASE, cfi_flash.BASE + cfi_flash.SIZE)
        devices = Devices(ram, UART_BASE, UART_SPI, None, load.arguments, self._pcie, _RTC, flash)
        # As QEMU does: firmware finds it at the start of RAM, and in X0.
        machine.memory.write(RAM_BASE, device_tree(machine.config, devices))
        machine.play_firmware(FLASH_BASE, RAM_BASE)

    @classmethod
    def loaded(
        cls, config: vgic.Config, ram: int, load: Load, sent: Callable[[int], None], tape: Tape | None = None
    ) -> "Board":
        """A machine that is about to execute the first instruction. Raises UsageError."""
        if load.firmware:
            board = cls(config, ram, sent, None, tape)
            board.start_firmware(load)
            return board
        program = program_in(load.kernel, load.kernel_name, range(RAM_BASE, RAM_BASE + ram - _TREE_ROOM))
        sites = None
        if program.wants_device_tree:
            image = program.segments[0]
            sites = TimerSites.of(image.address, program.end - image.address, image.content)
        board = cls(config, ram, sent, sites, tape)
        board.start(load, program)
        return board
