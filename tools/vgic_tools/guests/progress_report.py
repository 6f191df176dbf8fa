"""Where the CPUs of a machine are, what waits for them, and what they have taken: for people, and as plain data."""

from collections import Counter
from typing import Final

from vgic import affinity
from vgic.intids import FIRST_LPI
from vgic_tools.guests.clock import FREQUENCY
from vgic_tools.guests.cpu import GuestCpu
from vgic_tools.guests.machine import GuestMachine

__all__ = ["KINDS", "kind_of", "taken_by_kind", "where"]

KINDS: Final = ("SGI", "PPI", "SPI", "LPI")

_LEVELS: Final = 0b1100
_MASKED: Final = 1 << 7


def kind_of(intid: int) -> str:
    """The type of an interrupt."""
    if intid >= FIRST_LPI:
        return "LPI"
    return "SGI" if intid < 16 else "PPI" if intid < 32 else "SPI"


def taken_by_kind(machine: GuestMachine) -> list[Counter[str]]:
    """How many interrupts of each type each CPU has taken."""
    taken: list[Counter[str]] = [Counter() for _ in machine.cpus]
    for (cpu, intid), count in machine.gic.taken.items():
        taken[cpu][kind_of(intid)] += count
    return taken


def where(machine: GuestMachine) -> list[str]:
    """A line for each CPU: what it does, and what waits for it."""
    return [_where(machine, cpu) for cpu in machine.cpus]


def _where(machine: GuestMachine, cpu: GuestCpu) -> str:
    pe = f"CPU {cpu.number} ({affinity.text(machine.gic.gic.affinity(cpu.number))})"
    if not cpu.on:
        return f"{pe}: off"
    pstate = cpu.pstate
    doing = "waits for an interrupt" if cpu.waiting else "runs"
    masked = ", interrupts masked" if pstate & _MASKED else ""
    parts = [f"{pe}: {doing} at {cpu.pc:#x}, EL{(pstate & _LEVELS) >> 2}{masked}"]
    waiting = machine.gic.gic.highest_pending(cpu.number)
    if waiting is None:
        parts.append("nothing pending")
    else:
        signalled = "signalled" if cpu.irq or cpu.fiq else "not signalled"
        parts.append(
            f"{kind_of(waiting.intid)} {waiting.intid} pending with priority {waiting.priority:#04x}, {signalled}"
        )
    deadline = cpu.timers.deadline
    if deadline is None:
        parts.append("no timer armed")
    else:
        parts.append(f"timer due in {max(0, deadline - machine.clock.now) / FREQUENCY:.6f} s")
    return "; ".join(parts)
