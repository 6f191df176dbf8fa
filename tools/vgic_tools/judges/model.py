"""The model as a judge: what others are compared with, or another profile or build of it."""

from collections.abc import Callable
from typing import Final

import vgic
from vgic.layouts import gits
from vgic.layouts.icc import sysreg
from vgic_tools import __version__
from vgic_tools.judges.protocol import (
    Line,
    Load,
    Machine,
    Message,
    Model,
    Mrs,
    Msr,
    Operation,
    Outcome,
    Peek,
    Poke,
    SaveRestore,
    Store,
    may_change,
)

__all__ = ["FIQ", "IRQ", "IS", "ISR_EL1", "ModelJudge"]

ISR_EL1: Final = sysreg(3, 0, 12, 1, 0)
IRQ: Final = 0x80
FIQ: Final = 0x40
IS: Final = 1 << 10
"""The IRQ has superpriority."""


class ModelJudge(Model):
    """A `vgic.Gic`, configured as a function says for each machine. It has no devices, and no vCPUs that run.

    Its RAM, as long as `ram_size`, begins at `ram_base`. `after` follows every operation but reads, where
    another judge needs one to see what came of it. What every vCPU is offered is told where `tells_offers`.
    """

    name = "vgic"
    version = __version__

    def __init__(
        self,
        configure: Callable[[Machine], vgic.Config],
        *,
        ram_base: int = 0,
        ram_size: int = 0,
        after: Store | None = None,
        tells_offers: bool = True,
    ) -> None:
        self.configure = configure
        self._ram_base = ram_base
        self._ram_size = ram_size
        self._after = after
        self._tells_offers = tells_offers

    def start(self, machine: Machine) -> None:
        """Build this machine, just reset."""
        config = self.configure(machine)
        self.ram = bytearray(self._ram_size)
        self._memory = vgic.Ram(self._ram_base, self.ram) if self._ram_size else None
        self.gic = vgic.Gic(config, memory=self._memory)
        self._cpus = range(len(config.topology))

    def perform_one(self, operation: Operation) -> Outcome:
        """What one operation comes to."""
        value, undefined = self._act(operation)
        gic = self.gic
        if gic.config.its:
            # Others take a whole queue at once, the model some hundred commands an access.
            while gic.its().queue.unfinished:
                gic.read(gic.config.its[0] + gits.CREADR.offset, 8)
        tells_offers = self._tells_offers
        if self._after is not None:
            if may_change(operation):
                self._act(self._after)
            else:
                tells_offers = False
        offers = tuple([gic.highest_pending(cpu) for cpu in self._cpus]) if tells_offers else None
        signals = self._signals(operation.cpu) if isinstance(operation, Load | Store | Mrs | Msr) else None
        return Outcome(value, 0, undefined, signals, offers)

    def _act(self, operation: Operation) -> tuple[int, bool]:
        gic = self.gic
        match operation:
            case Load(cpu, address, size):
                return gic.read(address, size, cpu), False
            case Store(cpu, address, size, value):
                gic.write(address, size, value, cpu)
            case Mrs(cpu, register):
                if register == ISR_EL1:
                    return self._signals(cpu), False
                read = gic.mrs(cpu, register)
                return (0, True) if read is None else (read, False)
            case Msr(cpu, register, value):
                return 0, not gic.msr(cpu, register, value)
            case Line(cpu, intid, level):
                (gic.ppi(cpu, intid) if intid < 32 else gic.spi(intid)).set_level(level)
            case Message(device_id, event_id):
                gic.msi(device_id, event_id)
            case Poke(address, data):
                start = self._in_ram(address, len(data))
                self.ram[start : start + len(data)] = data
            case Peek(address, size):
                start = self._in_ram(address, size)
                return int.from_bytes(self.ram[start : start + size], "big"), False
            case SaveRestore():
                gic.restore(vgic.State.of(gic).build(memory=self._memory).save())
            case _:
                raise ValueError(f"the model of a guest's GIC has no attributes: {operation}")
        return 0, False

    def _in_ram(self, address: int, size: int) -> int:
        if not self._ram_base <= address <= self._ram_base + self._ram_size - size:
            raise ValueError(f"{size} bytes at {address:#x} are not in the machine's RAM")
        return address - self._ram_base

    def _signals(self, cpu: int) -> int:
        irq, fiq = self.gic.outputs(cpu)
        return irq * IRQ | fiq * FIQ | self.gic.nmi(cpu) * IS
