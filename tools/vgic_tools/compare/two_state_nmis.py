"""Seeded random operations on machines with NMIs and two Security states.

What a QEMU cannot be asked fairly is left out: superpriority of Group 0, which the architecture has not and QEMU
half has (rule NMI-2). So each machine has interrupts that may have superpriority, and these are never in Group 0.
"""

from collections.abc import Callable, Iterator
from itertools import count
from random import Random
from typing import Final

import vgic
from vgic.cpu_interface.group import GROUP1, SECURE_GROUP1
from vgic.cpu_interface.nmi_registers import nmi_active
from vgic.cpu_interface.pending import is_superior
from vgic.interrupts.words import FullWord, full
from vgic.layouts import icc
from vgic_tools.compare.accesses import (
    DISTRIBUTOR,
    GICD_CTLR,
    ICACTIVER,
    IGROUPR,
    IPRIORITYR,
    ISENABLER,
    ISPENDR,
    SGI_BASE,
    Access,
    every_register,
)
from vgic_tools.compare.engine import Life
from vgic_tools.compare.nmis import INMIR
from vgic_tools.compare.sources import saved_now_and_then
from vgic_tools.compare.two_states import DS, EL1, EL3, EL3_NON_SECURE, IGRPMODR, TwoStateOperations
from vgic_tools.judges.nmi_model import SCTLR_NMI, SCTLR_RESET
from vgic_tools.judges.pe_places import is_virtual, places_of
from vgic_tools.judges.placed_nmi_model import SCTLRS
from vgic_tools.judges.protocol import Load, Machine, Model, Mrs, Msr, Operation, Store

__all__ = ["two_state_nmi_lives"]

_ARRAY: Final = 0x80
"""Bytes of an array of registers with a bit for each interrupt."""
_OFTEN: Final = 24
_COMMON_BINARY_POINTS: Final = 3
"""ICC_CTLR_EL3.CBPR of both banks."""
_PMR: Final = (0x00, 0x78, 0x80, 0x80, 0x88, 0xFF)
"""Around what masks Non-secure NMIs."""


def two_state_nmi_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    """Machines without end, half of them with EL2, and random operations on each of them."""
    for number in count():
        name = f"{seed}/{number}"
        random = Random(name)
        vcpus = cpus or random.choice((1, 2, 3, 4, 4))
        machine = Machine(vcpus, secure=True, virtualization=random.random() < 0.5, nmi=True)
        yield Life(machine, _operations(name, machine, areas), _sweep)


def _operations(name: str, machine: Machine, areas: frozenset[str]) -> Callable[[Model], Iterator[Operation]]:
    def drawn(model: Model) -> Iterator[Operation]:
        random = Random(f"{name}/operations")
        source = _Source(random, model.gic, areas, places_of(machine))
        yield from saved_now_and_then(random, source.without_end(), areas)

    return drawn


def _sweep(model: Model) -> list[Operation]:
    """A read of every register, in both Security states, with those that say which have superpriority."""
    gic = model.gic
    vcpus = len(gic.config.topology)
    accesses = every_register(vcpus)
    accesses += [Access(DISTRIBUTOR, INMIR + 4 * word, 4) for word in range(gic.config.spis // 32 + 2)]
    accesses += [Access(cpu, SGI_BASE + INMIR, 4) for cpu in range(vcpus)]
    reads = [access.on(gic, max(0, access.frame)) for access in accesses]
    return [read._replace(place=place) for place in (EL3, EL1) for read in reads]


class _Source(TwoStateOperations):
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic, areas: frozenset[str], places: tuple[int, ...]) -> None:
        super().__init__(random, gic, areas, places)
        self._kinds[self._nmi] = _OFTEN
        self._physical = [place for place in places if not is_virtual(place)]
        self._sctlrs = list(SCTLRS) if any(place & 3 == 2 for place in places) else [*SCTLRS][::2]
        words = [(cpu, 0) for cpu in range(self._cpus)]
        words += [(DISTRIBUTOR, word) for word in range(1, 1 + gic.config.spis // 32)]
        self._may = {place: random.getrandbits(32) & random.getrandbits(32) for place in words}
        """Which interrupts may have superpriority, by frame and word."""

    def preparation(self) -> Iterator[Operation]:
        """Tell the groups, and give some of Group 1 superpriority."""
        random = self._random
        for (frame, word), may in self._may.items():
            yield self._store(frame, IGROUPR, word, random.getrandbits(32), EL3)
            yield self._store(frame, IGRPMODR, word, random.getrandbits(32) | may, EL3)
        yield from super().preparation()
        for frame, word in self._may:
            yield self._superpriority(frame, word)

    def operations(self) -> Iterator[Operation]:
        """The next few, each at a place."""
        for operation in super().operations():
            if isinstance(operation, Store) and self._sets_ds(operation):
                # What is in Secure Group 1 will be in Group 0.
                for (frame, word), may in self._may.items():
                    group1 = int(self._word(frame, word).group1)
                    yield self._store(frame, IGROUPR, word, group1 | may, EL3)
            yield operation

    def _placed(self, operation: Operation, place: int = 0) -> Operation:
        operation = super()._placed(operation, place)
        return self._fair(operation) if isinstance(operation, Store) else operation

    def _sets_ds(self, operation: Store) -> bool:
        return operation.address == self._gic.config.gicd_base + GICD_CTLR and operation.value & DS != 0

    def _word(self, frame: int, word: int) -> FullWord:
        bank = self._gic.bank(max(0, frame), 32 * word)
        return full(bank.words[word - int(bank.first) // 32])

    def _store(self, frame: int, array: int, word: int, value: int, place: int) -> Operation:
        """A write of a register with a bit for each interrupt."""
        base = 0 if frame == DISTRIBUTOR else SGI_BASE
        access = Access(frame, base + array + 4 * word, 4, value)
        return self._placed(access.on(self._gic, self._cpu), place)

    def _fair(self, operation: Store) -> Operation:
        """The same without superpriority of Group 0; a look, where that cannot be told."""
        gic = self._gic
        frame, offset = DISTRIBUTOR, operation.address - gic.config.gicd_base
        if not 0 <= offset < 0x1_0000:
            bases = gic.redistributor_bases
            frame = next((cpu for cpu, base in enumerate(bases) if 0 <= operation.address - base < 0x2_0000), 0)
            offset = operation.address - bases[frame] - SGI_BASE
        array = next((start for start in (IGROUPR, IGRPMODR, INMIR) if 0 <= offset - start < _ARRAY), None)
        if array is None:
            return operation
        number = (offset - array) // 4
        may = self._may.get((frame, number), 0)
        if operation.size != 4 or (frame != DISTRIBUTOR and number):
            return Load(operation.cpu, operation.address, operation.size, operation.place)
        if (frame, number) not in self._may:
            return operation
        word, value = self._word(frame, number), operation.value
        if array == IGROUPR:
            return operation._replace(value=value | may & ~int(word.modifier))
        if array == IGRPMODR:
            return operation._replace(value=value | may & ~int(word.group1))
        return operation._replace(value=value & may & int(word.group1 | word.modifier))

    def _superpriority(self, frame: int, word: int) -> Operation:
        random = self._random
        few = random.getrandbits(32) & random.getrandbits(32) if random.random() < 0.9 else 0
        return self._store(frame, INMIR, word, few, EL3 if random.random() < 0.6 else random.choice(self._places))

    def _some_word(self) -> tuple[int, int]:
        """One with interrupts of the vCPU that acts, or of SPIs."""
        random = self._random
        return random.choice([(self._cpu, 0), random.choice(list(self._may)), (DISTRIBUTOR, 1)])

    def _nmi(self) -> Iterator[Operation]:
        """What only a machine with NMIs has."""
        random, gic, cpu = self._random, self._gic, self._cpu
        interface = gic.interface(cpu)
        place = self._place if not is_virtual(self._place) else random.choice(self._physical)
        kind = random.randrange(21)
        if kind < 4 and nmi_active(interface, GROUP1):
            yield from self._preempt()
        elif kind < 8 and is_superior(interface.best_key):
            yield from self._take_nmi(place)
        elif kind < 12 and (nmi_active(interface, GROUP1) or nmi_active(interface, SECURE_GROUP1)):
            yield from self._finish_nmi(place)
        elif kind < 9:
            frame, word = self._some_word()
            array = random.choice((ISPENDR, ISPENDR, ISENABLER, ICACTIVER))
            yield self._store(frame, array, word, int(self._word(frame, word).superior()), EL3)
        elif kind < 11:
            yield self._superpriority(*self._some_word())
        elif kind < 15:
            register = random.choice((icc.ICC_RPR_EL1, icc.ICC_RPR_EL1, icc.ICC_AP1R0_EL1, icc.ICC_HPPIR1_EL1))
            yield Mrs(cpu, register, random.choice(self._physical))
        elif kind == 15:
            value = SCTLR_RESET | random.choice((0, SCTLR_NMI))
            yield Msr(cpu, random.choice(self._sctlrs), value, EL3)
        elif kind == 16:
            bits = random.choice((0, 0, 1 << 63, 1 << 63, 1 << 63 | 1 << random.randrange(32)))
            yield Msr(cpu, icc.ICC_AP1R0_EL1, bits, random.choice((EL3, EL3, EL3_NON_SECURE, place)))
        elif kind < 19:
            yield Msr(cpu, icc.ICC_PMR_EL1, random.choice(_PMR), EL3)
        elif kind == 19:
            # Where nothing of a priority decides preemption.
            yield Msr(cpu, icc.ICC_CTLR_EL3, random.choice((0, 0, _COMMON_BINARY_POINTS)), EL3)
            yield Msr(cpu, icc.ICC_BPR0_EL1, random.choice((0, 7)), EL3)
        else:
            frame, word = self._some_word()
            base = 0 if frame == DISTRIBUTOR else SGI_BASE
            access = Access(frame, base + INMIR + 4 * word, 4)
            yield access.on(gic, cpu)._replace(place=random.choice(self._places))

    def _take_nmi(self, place: int) -> Iterator[Operation]:
        """Take the best, mostly as an NMI and where it can be taken."""
        random, cpu = self._random, self._cpu
        best = self._gic.highest_pending(cpu)
        assert best is not None
        if random.random() < 0.4:
            place = EL3
        self._active[cpu].append((icc.ICC_IAR1_EL1, best.intid, place))
        del self._active[cpu][:-8]
        yield Mrs(cpu, icc.ICC_IAR1_EL1 if random.random() < 0.3 else icc.ICC_NMIAR1_EL1, place)
        if best.group == GROUP1 and random.random() < 0.3:
            yield from self._preempt()

    def _preempt(self) -> Iterator[Operation]:
        """Have something Secure preempt a Non-secure NMI, and something else try that is worse."""
        random, cpu, word = self._random, self._cpu, self._word(self._cpu, 0)
        secure = [intid for intid in range(32) if not (word.group1 | word.nmi) >> intid & 1]
        for intid, priority in zip(random.sample(secure, min(2, len(secure))), (0x40, 0x50), strict=False):
            access = Access(cpu, SGI_BASE + IPRIORITYR + intid, 1, priority)
            yield access.on(self._gic, cpu)._replace(place=EL3)
            for array in (ISENABLER, ICACTIVER, ISPENDR):
                yield self._store(cpu, array, 0, 1 << intid, EL3)
            register = icc.ICC_IAR1_EL1 if word.group(intid) else icc.ICC_IAR0_EL1
            self._active[cpu].append((register, intid, EL3))
            yield Mrs(cpu, register, EL3)
        yield Mrs(cpu, icc.ICC_RPR_EL1, random.choice(self._physical))

    def _finish_nmi(self, place: int) -> Iterator[Operation]:
        """End what little else may interrupt, or there would be nothing to see for long."""
        cpu = self._cpu
        intid = self._active[cpu].pop()[1] if self._active[cpu] else self._any_intid() % 288
        if self._random.random() < 0.6:
            place = EL3
        yield Msr(cpu, icc.ICC_EOIR1_EL1, intid, place)
        yield Msr(cpu, icc.ICC_DIR_EL1, intid, place)

    def _any_intid(self) -> int:
        # To deactivate an LPI has QEMU write beyond the state of its interrupts, which sooner or later ends it.
        return super()._any_intid() & 0x1FFF
