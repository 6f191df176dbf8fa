"""Seeded random operations of machines with two Security states: of PEs at every Exception level, in both of them.

A PE mostly stays where it is for a few operations. What it acknowledges it mostly finishes, where it took it or
elsewhere.
"""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Final

import vgic
from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1
from vgic.cpu_interface.pe_state import PeState
from vgic.layouts import icc
from vgic_tools.compare.accesses import DISTRIBUTOR, GICD_CTLR, IGROUPR, SGI_BASE, Access, every_register
from vgic_tools.compare.engine import Life
from vgic_tools.compare.guest_operations import GuestOperations
from vgic_tools.compare.sources import saved_now_and_then
from vgic_tools.judges.pe_places import is_virtual, leaves_irqs, place_of, places_of
from vgic_tools.judges.protocol import Line, Load, Machine, Model, Mrs, Msr, Operation, Store

__all__ = ["DS", "EL1", "EL3", "EL3_NON_SECURE", "IGRPMODR", "TwoStateOperations", "two_state_lives"]

STAY: Final = 4
"""Operations, on average, before a PE goes somewhere else."""

IGRPMODR: Final = 0xD00
NSACR: Final = 0xE00

DS: Final = 1 << 6
_ENABLES: Final = 7

EL3: Final = place_of(PeState(3, secure=True))
EL3_NON_SECURE: Final = place_of(PeState(3))
EL1: Final = place_of(PeState(1))

_TAKES: Final = {GROUP0: icc.ICC_IAR0_EL1, GROUP1: icc.ICC_IAR1_EL1, SECURE_GROUP1: icc.ICC_IAR1_EL1}
_FINISHES: Final = {icc.ICC_IAR0_EL1: icc.ICC_EOIR0_EL1, icc.ICC_IAR1_EL1: icc.ICC_EOIR1_EL1}
_MONITOR: Final = (icc.ICC_CTLR_EL3, icc.ICC_IGRPEN1_EL3, icc.ICC_SRE_EL3, icc.ICC_SRE_EL2, icc.ICC_SRE_EL1)


def two_state_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    """Machines without end, half of them with EL2, and random operations on each of them."""
    for number in count():
        name = f"{seed}/{number}"
        random = Random(name)
        machine = Machine(cpus or random.choice((1, 2, 3, 4, 4)), secure=True, virtualization=random.random() < 0.5)
        yield Life(machine, _operations(name, machine, areas), _sweep)


def _operations(name: str, machine: Machine, areas: frozenset[str]) -> Callable[[Model], Iterator[Operation]]:
    def drawn(model: Model) -> Iterator[Operation]:
        random = Random(f"{name}/operations")
        source = TwoStateOperations(random, model.gic, areas, places_of(machine))
        yield from saved_now_and_then(random, source.without_end(), areas)

    return drawn


def _sweep(model: Model) -> list[Operation]:
    """A read of every register, in both Security states."""
    accesses = every_register(len(model.gic.config.topology))
    reads = [access.on(model.gic, max(0, access.frame)) for access in accesses]
    return [read._replace(place=place) for place in (EL3, EL1) for read in reads]


class TwoStateOperations(GuestOperations):
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic, areas: frozenset[str], places: tuple[int, ...]) -> None:
        super().__init__(random, gic, areas)
        self._places = places
        self._usual = [place for place in places if leaves_irqs(place) and not is_virtual(place)]
        self._place = EL3
        self._active: list[list[tuple[int, int, int]]] = [[] for _ in range(self._cpus)]
        """What each vCPU has acknowledged and not finished: the register, the INTID and the place."""
        # Most lives keep both Security states to their end.
        self._gives_up = random.random() < 0.25
        if "mmio" in areas:
            self._kinds[self._membership] = 6
        if "cpu-interface" in areas:
            self._kinds[self._monitor] = 6

    def without_end(self) -> Iterator[Operation]:
        """The preparation and whatever follows."""
        yield from self.preparation()
        while True:
            yield from self.operations()

    def operations(self) -> Iterator[Operation]:
        """The next few, each at a place."""
        if self._random.random() * STAY < 1:
            few = self._usual if self._random.random() < 0.6 else self._places
            self._place = self._random.choice(few)
        for operation in super().operations():
            if not self._is_maintenance(operation):
                yield self._placed(operation)

    def preparation(self) -> Iterator[Operation]:
        """Spread the interrupts over the groups, too, while there are both states."""
        gives_up, self._gives_up = self._gives_up, False
        for operation in super().preparation():
            if not self._is_maintenance(operation):
                yield self._placed(operation, EL3)
        for _ in range(40):
            for operation in self._membership():
                yield self._placed(operation, EL3)
        for cpu in range(self._cpus):
            yield Msr(cpu, icc.ICC_IGRPEN1_EL3, 3, EL3)
        self._gives_up = gives_up

    def _is_maintenance(self, operation: Operation) -> bool:
        """A level on a line that the virtual CPU interface drives, where there is one."""
        config = self._gic.config
        is_line = isinstance(operation, Line) and operation.intid == config.maintenance_intid
        return is_line and config.list_registers > 0

    def _placed(self, operation: Operation, place: int = 0) -> Operation:
        if not isinstance(operation, Load | Store | Mrs | Msr):
            return operation
        operation = operation._replace(place=operation.place or place or self._place)
        if isinstance(operation, Store) and operation.address == self._gic.config.gicd_base + GICD_CTLR:
            return self._gated(operation)
        return operation

    def _gated(self, operation: Store) -> Store:
        """GICD_CTLR.DS is set by no accident, and the groups are mostly enabled."""
        value = operation.value & ~DS
        if self._random.random() < 0.7:
            value |= _ENABLES
        if self._gives_up and self._random.random() < 0.3:
            value |= DS
        return operation._replace(value=value)

    def _membership(self) -> Iterator[Operation]:
        """Which group some interrupts are of, and what Non-secure software may do with the Secure ones."""
        random = self._random
        if random.random() < 0.1:
            yield Access(DISTRIBUTOR, GICD_CTLR, 4, _ENABLES).on(self._gic, self._cpu)
            return
        frame = DISTRIBUTOR if random.random() < 0.6 else random.randrange(self._cpus)
        base, words = (0, self._gic.config.spis // 32) if frame == DISTRIBUTOR else (SGI_BASE, 0)
        word = random.randrange(words + 1)
        array = random.choice((IGROUPR, IGRPMODR, IGRPMODR, NSACR))
        value = random.getrandbits(32)
        if array == IGROUPR:
            # A bit there overrides one of GICD_IGRPMODR<n>.
            value &= random.getrandbits(32)
        if array == NSACR:
            word = 2 * word + random.randrange(2) if frame == DISTRIBUTOR else 0
        place = EL3 if random.random() < 0.8 else 0
        yield Access(frame, base + array + 4 * word, 4, value).on(self._gic, self._cpu)._replace(place=place)

    def _interrupt(self) -> Iterator[Operation]:
        """Take an interrupt, mostly where that is possible, or finish one, mostly where it was taken."""
        random, cpu = self._random, self._cpu
        active = self._active[cpu]
        best = self._gic.highest_pending(cpu)
        if active and random.random() < (0.3 if any(self._gic.outputs(cpu)) else 0.8):
            at = len(active) - 1 if random.random() < 0.9 else random.randrange(len(active))
            register, intid, place = active.pop(at)
            if random.random() < 0.4:
                place = EL3 if random.random() < 0.7 else self._place
            yield Msr(cpu, _FINISHES[register], intid, place)
            if random.random() < 0.7:
                # Not everybody may deactivate what another one has finished.
                yield Msr(cpu, icc.ICC_DIR_EL1, intid, place if random.random() < 0.6 else self._place)
            return
        place = self._place
        register = random.choice(tuple(_FINISHES))
        if best is not None and random.random() < 0.8:
            register = _TAKES[best.group]
            place = random.choice(self._usual) if random.random() < 0.5 else place
            active.append((register, best.intid, place))
            del active[:-8]
        yield Mrs(cpu, register, place)

    def _monitor(self) -> Iterator[Operation]:
        """The registers of EL3, and active priorities of both states, which would soon mask everything."""
        random, cpu = self._random, self._cpu
        kind = random.randrange(8)
        if kind == 0:
            yield Mrs(cpu, random.choice(_MONITOR), EL3 if random.random() < 0.7 else 0)
        elif kind == 1:
            yield Mrs(cpu, icc.ICC_RPR_EL1)
        elif kind == 2:
            yield Msr(cpu, icc.ICC_CTLR_EL3, random.choice((0, random.randrange(64), random.getrandbits(64))), EL3)
        elif kind == 3:
            yield Msr(cpu, icc.ICC_IGRPEN1_EL3, random.choice((3, 3, random.randrange(4))), EL3)
        elif kind == 4:
            yield Msr(cpu, random.choice(_MONITOR), random.getrandbits(64))
        elif kind == 5:
            yield Msr(cpu, icc.ICC_PMR_EL1, 0xFF, EL3)
        else:
            # The last ones first, and whatever is left of the active priorities.
            for register, intid, _ in reversed(self._active[cpu]):
                yield Msr(cpu, _FINISHES[register], intid, EL3)
                yield Msr(cpu, icc.ICC_DIR_EL1, intid, EL3)
            self._active[cpu].clear()
            for register, place in (
                (icc.ICC_AP0R0_EL1, EL3),
                (icc.ICC_AP1R0_EL1, EL3),
                (icc.ICC_AP1R0_EL1, EL3_NON_SECURE),
            ):
                yield Msr(cpu, register, 0, place)
