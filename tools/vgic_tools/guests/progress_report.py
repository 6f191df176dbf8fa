"""Where the CPUs of a machine are, what waits for them, and what they have taken: for people, and as plain data."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from vgic import Spi, affinity
from vgic.intids import kind_of
from vgic_tools.guests.clock import FREQUENCY
from vgic_tools.guests.cpu import GuestCpu
from vgic_tools.guests.machine import GuestMachine
from vgic_tools.guests.timer import NEVER

__all__ = ["KINDS", "routed_nowhere", "taken_by_kind", "where"]

KINDS: Final = ("SGI", "PPI", "SPI", "LPI")

_LEVELS: Final = 0b1100
_MASKED: Final = 1 << 7


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
    parts += _interrupts(machine, cpu)
    deadline = cpu.timers.deadline
    if deadline == NEVER:
        parts.append("no timer armed")
    else:
        parts.append(f"timer due in {max(0, deadline - machine.clock.now) / FREQUENCY:.6f} s")
    return "; ".join(parts)


def _interrupts(machine: GuestMachine, cpu: GuestCpu) -> Iterator[str]:
    """What is pending for a CPU, the one that would be taken first, and what is active."""
    gic = machine.gic.gic
    own = [gic.interrupt(cpu.number, intid) for intid in gic.intids(private=True)]
    own += [spi for spi in _spis(machine) if spi.target == cpu.number]
    pending = [interrupt.intid for interrupt in own if interrupt.pending]
    best = gic.highest_pending(cpu.number)
    if best is not None:
        signalled = "signalled" if cpu.irq or cpu.fiq else "not signalled"
        yield f"{_name(best.intid)} pending with priority {best.priority:#04x}, {signalled}"
        also = [_name(intid) for intid in pending if intid != best.intid]
        if also:
            yield f"also pending {', '.join(also)}"
    elif pending:
        yield f"pending but not enabled {', '.join(map(_name, pending))}"
    else:
        yield "nothing pending"
    active = [_name(interrupt.intid) for interrupt in own if interrupt.active]
    if active:
        yield f"active {', '.join(active)}"


def routed_nowhere(machine: GuestMachine) -> list[str]:
    """A line for each pending SPI that no CPU is there for."""
    return [
        f"{_name(spi.intid)}: pending, goes to no CPU"
        for spi in _spis(machine)
        if spi.pending and spi.target is None
    ]


def _spis(machine: GuestMachine) -> Iterator[Spi]:
    """The SPIs that are pending or active."""
    gic = machine.gic.gic
    spis = map(gic.spi, gic.intids(private=False))
    return (spi for spi in spis if spi.pending or spi.active)


def _name(intid: int) -> str:
    return f"{kind_of(intid)} {intid}"
