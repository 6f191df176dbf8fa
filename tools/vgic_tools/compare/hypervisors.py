"""Seeded random operations of machines with EL2: a hypervisor's on list registers, and its guest's at EL1.

An INTID is never in two list registers, what is hardware's is never pending and active, and active priorities are
only cleared: the rest is UNPREDICTABLE. VPMR never lets the lowest priority through, whose active bit QEMU cannot
keep (rule VCPU-27).
"""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Final

import vgic
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc, ich
from vgic_tools.compare.accesses import PRIORITIES, SGI_BASE, Access, every_register
from vgic_tools.compare.engine import Life
from vgic_tools.compare.sources import saved_now_and_then
from vgic_tools.judges.model import ISR_EL1
from vgic_tools.judges.pe_places import place_of
from vgic_tools.judges.protocol import Line, Machine, Model, Mrs, Msr, Operation, Store
from vgic_tools.machines.qemu_cmdline import LIST_REGISTERS

__all__ = ["EL2", "GUEST", "HypervisorOperations", "hypervisor_lives", "operations_of", "sweep"]

STAY: Final = 8
"""Operations, on average, before another vCPU has its turn."""
MAINTENANCE: Final = 25
"""The PPI, which the virtual CPU interface drives."""
LPI: Final = 8192

EL2: Final = place_of(PeState(2))
GUEST: Final = place_of(PeState(1, hcr_imo=True, hcr_fmo=True))
HALVES: Final = (place_of(PeState(1, hcr_imo=True)), place_of(PeState(1, hcr_fmo=True)), place_of(PeState(1)))

PENDING: Final = 1
ACTIVE: Final = 2
GROUP_1: Final = 1 << 60
HARDWARE: Final = 1 << 61
TELLS_ITS_END: Final = 1 << 41

ENABLED: Final = 1 << 0
CONDITIONS: Final = 0xFE
"""Of maintenance interrupts, in ICH_HCR_EL2."""
TRAPS: Final = 0x5C00
"""TC, TALL0, TALL1 and TDIR."""
BOTH_GROUPS: Final = 0b11
"""Of ICH_VMCR_EL2: VENG0, VENG1."""

BELOW_THE_LOWEST: Final = 7 << 24
"""Of VPMR: priorities that are not implemented."""

_IAR: Final = (icc.ICC_IAR0_EL1, icc.ICC_IAR1_EL1)
_HPPIR: Final = (icc.ICC_HPPIR0_EL1, icc.ICC_HPPIR1_EL1)
_EOIR: Final = (icc.ICC_EOIR0_EL1, icc.ICC_EOIR1_EL1)
_SENDING: Final = (icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1)
_GUEST_READS: Final = (
    *(icc.ICC_PMR_EL1, icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1, icc.ICC_CTLR_EL1, icc.ICC_RPR_EL1, ISR_EL1),
    *(icc.ICC_HPPIR0_EL1, icc.ICC_HPPIR1_EL1, icc.ICC_IGRPEN0_EL1, icc.ICC_IGRPEN1_EL1, icc.ICC_SRE_EL1),
    *(icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1),
)
_HYPERVISOR_READS: Final = (
    *(ich.ICH_HCR_EL2, ich.ICH_VTR_EL2, ich.ICH_MISR_EL2, ich.ICH_EISR_EL2, ich.ICH_ELRSR_EL2, ich.ICH_VMCR_EL2),
    *(ich.ICH_MISR_EL2, ich.ICH_EISR_EL2, ich.ICH_ELRSR_EL2, ich.ICH_AP0R0_EL2, ich.ICH_AP1R0_EL2),
    *range(ich.ICH_LR0_EL2, ich.ICH_LR0_EL2 + LIST_REGISTERS),
)


def hypervisor_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    """Machines without end, and random operations on each of them."""
    for number in count():
        name = f"{seed}/{number}"
        random = Random(name)
        machine = Machine(cpus or random.choice((1, 2, 3)), virtualization=True)
        yield Life(machine, operations_of(HypervisorOperations, name, areas), sweep)


def operations_of(
    source: "type[HypervisorOperations]", name: str, areas: frozenset[str]
) -> Callable[[Model], Iterator[Operation]]:
    """What a source draws for a machine that goes by a name."""

    def drawn(model: Model) -> Iterator[Operation]:
        random = Random(f"{name}/operations")
        yield from saved_now_and_then(random, source(random, model.gic).without_end(), areas)

    return drawn


def sweep(model: Model) -> list[Operation]:
    """A read of every register, and of those of each vCPU's virtual interface."""
    cpus = len(model.gic.config.topology)
    reads = [access.on(model.gic, max(0, access.frame)) for access in every_register(cpus)]
    return [
        *(read._replace(place=EL2) for read in reads),
        *(Mrs(cpu, register, EL2) for cpu in range(cpus) for register in _HYPERVISOR_READS),
        *(Mrs(cpu, register, GUEST) for cpu in range(cpus) for register in _GUEST_READS),
    ]


class HypervisorOperations:
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic) -> None:
        self._random = random
        self._gic = gic
        self._cpus = len(gic.config.topology)
        self._cpu = 0
        self._guest = GUEST
        self._ends: list[list[int]] = [[] for _ in range(self._cpus)]
        """Physical interrupts that each vCPU has acknowledged at EL2, and that a guest may have to deactivate."""
        self._taken: list[list[tuple[int, int]]] = [[] for _ in range(self._cpus)]
        """Group and INTID of what each guest has acknowledged and not finished."""
        self._few = random.choice((2, 6, 40))
        """How many INTIDs a list register has."""
        self._kinds = {
            self._list: 16,
            self._control: 6,
            self._watch: 12,
            self._take: 16,
            self._finish: 16,
            self._guest_control: 10,
            self._guest_look: 10,
            self._physical: 10,
            self._line: 5,
            self._send: 1,
        }

    def preparation(self) -> Iterator[Operation]:
        """Have physical interrupts, which end in two steps, and a guest that is signalled virtual ones."""
        gic = self._gic
        yield Store(0, gic.config.gicd_base, 4, 3, EL2)
        for cpu in range(self._cpus):
            for array, value in ((0x080, 0xF0F0_F0F0), (0x100, 0xFFFF_0000)):
                yield Access(cpu, SGI_BASE + array, 4, value).on(gic, cpu)._replace(place=EL2)
            for intid in range(16, 32, 4):
                value = int.from_bytes(self._random.choices(PRIORITIES[:-1], k=4), "little")
                yield Access(cpu, SGI_BASE + 0x400 + intid, 4, value).on(gic, cpu)._replace(place=EL2)
            for register, value in (
                (icc.ICC_PMR_EL1, 0xFF),
                (icc.ICC_IGRPEN0_EL1, 1),
                (icc.ICC_IGRPEN1_EL1, 1),
                (icc.ICC_CTLR_EL1, 2),
                (ich.ICH_VMCR_EL2, 0xF8 << 24 | BOTH_GROUPS),
                (ich.ICH_HCR_EL2, ENABLED),
            ):
                yield Msr(cpu, register, value, EL2)

    def without_end(self) -> Iterator[Operation]:
        """The preparation and whatever follows."""
        yield from self.preparation()
        while True:
            yield from self.operations()

    def operations(self) -> Iterator[Operation]:
        """The next few."""
        random = self._random
        if random.random() * STAY < 1:
            self._cpu = random.randrange(self._cpus)
            self._guest = GUEST if random.random() < 0.85 else random.choice(HALVES)
        return random.choices(list(self._kinds), list(self._kinds.values()))[0]()

    # The hypervisor.

    def _list(self) -> Iterator[Operation]:
        """Fill a list register, or empty it."""
        random, cpu = self._random, self._cpu
        number = random.randrange(LIST_REGISTERS)
        value = random.choice((0, PENDING, PENDING, PENDING, ACTIVE, PENDING | ACTIVE)) << 62
        intid = LIST_REGISTERS * random.randrange(self._few) + number
        value |= intid + (LPI if random.random() < 0.1 else 0)
        value |= random.choice(PRIORITIES) << 48 | random.choice((0, GROUP_1))
        kind = random.randrange(4)
        if kind == 0:
            physical = self._ends[cpu].pop() if self._ends[cpu] else random.randrange(288)
            value |= HARDWARE | physical << 32
            if value >> 62 == PENDING | ACTIVE:
                value &= ~(ACTIVE << 62)
        elif kind == 1:
            value |= TELLS_ITS_END
        yield Msr(cpu, ich.ICH_LR0_EL2 + number, self._property(value), EL2)

    def _property(self, value: int) -> int:
        """What a list register is filled with, with what else its interrupt has."""
        return value

    def _control(self) -> Iterator[Operation]:
        """The other registers of the virtual interface."""
        random, cpu = self._random, self._cpu
        kind = random.randrange(8)
        if kind < 3:
            value = ENABLED | random.getrandbits(32) & random.choice(
                (CONDITIONS, CONDITIONS, CONDITIONS | 0xF << 27)
            )
            if random.random() < 0.1:
                value |= random.getrandbits(32) & TRAPS
            yield Msr(cpu, ich.ICH_HCR_EL2, value ^ (random.random() < 0.1), EL2)
        elif kind < 5:
            value = random.getrandbits(64)
            if random.random() < 0.7:
                value |= 0xFF << 24 | BOTH_GROUPS
            yield Msr(cpu, ich.ICH_VMCR_EL2, value & ~BELOW_THE_LOWEST, EL2)
        elif kind == 5:
            yield Msr(cpu, ich.ICH_HCR_EL2, ENABLED, EL2)
        elif kind == 6:
            # Left alone, active priorities would soon mask everything.
            for register in (ich.ICH_AP0R0_EL2, ich.ICH_AP1R0_EL2):
                yield Msr(cpu, register, 0, EL2)
        else:
            yield Msr(cpu, random.choice(_HYPERVISOR_READS[1:5]), random.getrandbits(64), EL2)

    def _watch(self) -> Iterator[Operation]:
        """Read a register of the virtual interface, perhaps one that is not there."""
        register = self._random.choice(_HYPERVISOR_READS)
        if self._random.random() < 0.05:
            register += self._random.randrange(8)
        yield Mrs(self._cpu, register, EL2 if self._random.random() < 0.97 else self._guest)

    # The guest.

    def _take(self) -> Iterator[Operation]:
        """Take an interrupt, mostly where one is signalled."""
        cpu, signals = self._cpu, self._gic.virtual_outputs(self._cpu)
        group = int(signals[0]) if any(signals) else self._random.randrange(2)
        if any(signals) and self._guest == GUEST:
            self._taken[cpu].append((group, self._gic.icv_read(cpu, _HPPIR[group])))
            del self._taken[cpu][:-8]
        yield Mrs(cpu, _IAR[group], self._guest)

    def _finish(self) -> Iterator[Operation]:
        """Finish what was taken last, mostly, or what is in a list register."""
        random, cpu = self._random, self._cpu
        if not self._taken[cpu] and random.random() < 0.7:
            yield from self._take()
            return
        if self._taken[cpu] and random.random() < 0.8:
            group, intid = self._taken[cpu].pop()
        else:
            value = self._gic.mrs(cpu, ich.ICH_LR0_EL2 + random.randrange(LIST_REGISTERS)) or 0
            group, intid = value >> 60 & 1, value & 0xFF_FFFF
        if random.random() < 0.1:
            intid = random.choice((random.randrange(64), 1023, LPI))
        yield Msr(cpu, _EOIR[group ^ (random.random() < 0.1)], intid, self._guest)
        if random.random() < 0.5:
            yield Msr(cpu, icc.ICC_DIR_EL1, intid, self._guest)

    def _guest_control(self) -> Iterator[Operation]:
        random, cpu = self._random, self._cpu
        register, value = random.choice(
            (
                (icc.ICC_PMR_EL1, random.choice((*PRIORITIES, 0xFF, 0xF0, 0xF8))),
                (icc.ICC_PMR_EL1, 0xFF),
                (random.choice((icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1)), random.randrange(8)),
                (icc.ICC_CTLR_EL1, random.choice((0, 1, 2, 3, random.getrandbits(64)))),
                (random.choice((icc.ICC_IGRPEN0_EL1, icc.ICC_IGRPEN1_EL1)), random.choice((0, 1, 1, 1))),
                (random.choice((icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1)), 0),
            )
        )
        yield Msr(cpu, register, value, self._guest)

    def _guest_look(self) -> Iterator[Operation]:
        register = self._random.choice(_GUEST_READS)
        if register in (icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1):
            register += self._random.randrange(4)
        yield Mrs(self._cpu, register, self._guest)

    def _send(self) -> Iterator[Operation]:
        value = self._random.randrange(1 << self._cpus) | self._random.randrange(16) << 24
        yield Msr(self._cpu, self._random.choice(_SENDING), value, self._random.choice((EL2, self._guest)))

    # Physical interrupts.

    def _physical(self) -> Iterator[Operation]:
        """Take one at EL2 and drop its priority; deactivate one; or look at those of a vCPU."""
        random, cpu = self._random, self._cpu
        irq, fiq = self._gic.outputs(cpu)
        best = self._gic.highest_pending(cpu)
        if best is not None and (irq or fiq):
            yield Mrs(cpu, _IAR[best.group], EL2)
            yield Msr(cpu, _EOIR[best.group], best.intid, EL2)
            self._ends[cpu].append(best.intid)
        elif self._ends[cpu] and random.random() < 0.3:
            yield Msr(cpu, icc.ICC_DIR_EL1, self._ends[cpu].pop(0), EL2)
        else:
            array = random.choice((0x200, 0x300))
            yield Access(cpu, SGI_BASE + array, 4).on(self._gic, cpu)._replace(place=EL2)
            if random.random() < 0.2:
                clear = Access(cpu, SGI_BASE + array + 0x80, 4, 0xFFFF_FFFF)
                yield clear.on(self._gic, cpu)._replace(place=EL2)

    def _line(self) -> Iterator[Operation]:
        """A level on the line of a PPI that is not the virtual interface's own."""
        intid = self._random.choice([intid for intid in range(16, 32) if intid != MAINTENANCE])
        yield Line(self._cpu, intid, self._random.random() < 0.25)
