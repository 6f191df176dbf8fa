"""A whole machine in small: CPUs that run a guest, a timer, and a GIC between them.

A CPU here is a generator that stands for a CPU engine: it yields what its guest does next, and is sent the result.
A real engine adds instructions; where the GIC is called from stays the same.
"""

from collections.abc import Generator
from typing import NamedTuple

import vgic

TIMER = 27  # the virtual timer's PPI
CALL = 1  # an SGI with which one CPU calls another one

GICD_CTLR = 0x0000
GICR_WAKER = 0x0014
GICR_IGROUPR0, GICR_ISENABLER0 = 0x1_0080, 0x1_0100


class Step(NamedTuple):
    """What a guest does next: store 4 bytes, msr, mrs, wfi, or say something."""

    what: str
    where: int = 0
    value: int = 0


Guest = Generator[Step, int, None]


class Cpu:
    """A CPU engine, as far as interrupts are concerned."""

    def __init__(self, guest: Guest) -> None:
        self.guest = guest
        self.next = next(guest)
        self.irq = False
        self.waiting = False
        self.halted = False


class Machine:
    """Runs its CPUs in turn. Every access to the GIC's frames and every ICC register passes through `perform`."""

    def __init__(self, affinities: list[str]) -> None:
        topology = vgic.Topology.from_text(affinities)
        self.gic = vgic.Gic(vgic.Config(topology), lines=self)
        self.cpus = [Cpu(guest(self.gic, number)) for number in range(len(topology))]

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        """From the GIC: keep the level for the engine, and wake a CPU up that waits for an interrupt."""
        self.cpus[cpu].irq = irq
        if irq:
            self.cpus[cpu].waiting = False

    def perform(self, cpu: int, step: Step) -> int:
        """One operation of a guest; what it reads."""
        if step.what == "store":
            self.gic.write(step.where, 4, step.value, cpu=cpu)
        elif step.what == "msr":
            self.gic.sysreg_write(cpu, step.where, step.value)
        elif step.what == "mrs":
            return self.gic.sysreg_read(cpu, step.where)
        elif step.what == "wfi":
            self.cpus[cpu].waiting = not self.cpus[cpu].irq
        elif step.what == "say":
            text = "timer" if step.value == TIMER else f"call, INTID {step.value}"
            print(f"vCPU {cpu} takes the {text}")
        return 0

    def run(self) -> None:
        """Until every guest has ended. Where all wait, time passes and vCPU 0's timer fires."""
        while not all(cpu.halted for cpu in self.cpus):
            for number, cpu in enumerate(self.cpus):
                if cpu.waiting or cpu.halted:
                    continue
                try:
                    cpu.next = cpu.guest.send(self.perform(number, cpu.next))
                except StopIteration:
                    cpu.halted = True
            if all(cpu.waiting or cpu.halted for cpu in self.cpus):
                self.gic.ppi(0, TIMER).set_level(True)


def guest(gic: vgic.Gic, number: int) -> Guest:
    """What runs on each CPU: vCPU 0 waits for its timer and then calls the others, which wait for that."""
    frame = gic.redistributor_bases[number]
    yield Step("store", frame + GICR_WAKER, 0)  # awake
    yield Step("store", frame + GICR_IGROUPR0, 0xFFFF_FFFF)
    yield Step("store", frame + GICR_ISENABLER0, 1 << TIMER | 1 << CALL)
    yield Step("store", gic.config.gicd_base + GICD_CTLR, 0b11)
    yield Step("msr", vgic.ICC_PMR_EL1, 0xF8)
    yield Step("msr", vgic.ICC_IGRPEN1_EL1, 1)
    yield Step("wfi")
    intid = yield Step("mrs", vgic.ICC_IAR1_EL1)
    yield Step("say", value=intid)
    if intid == TIMER:
        gic.ppi(number, TIMER).set_level(False)  # the handler moves the timer's deadline
        for target in range(1, len(gic.config.topology)):
            yield Step("msr", vgic.ICC_SGI1R_EL1, sgi(CALL, gic.affinity(target)))
    yield Step("msr", vgic.ICC_EOIR1_EL1, intid)


def sgi(intid: int, affinity: int) -> int:
    """ICC_SGI1R_EL1 for one CPU (64 bits), whose Aff0 is below 16."""
    aff3, aff2, aff1, aff0 = affinity.to_bytes(4, "big")
    return aff3 << 48 | aff2 << 32 | intid << 24 | aff1 << 16 | 1 << aff0


Machine(["0.0.0.0", "0.0.1.3", "7.0.0.15"]).run()
