"""Seeded random operations on machines with NMIs: which interrupts have superpriority, and who takes them how.

What a QEMU cannot be asked fairly is left out: superpriority of Group 0, which the architecture has not and QEMU
half has (rule NMI-2), so that no interrupt leaves Group 1 once the groups are told.
"""

from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import vgic
from vgic.cpu_interface.nmi import NmiInterface
from vgic.layouts import icc
from vgic_tools.compare.accesses import DISTRIBUTOR, ICACTIVER, IGROUPR, ISENABLER, ISPENDR, SGI_BASE, Access
from vgic_tools.compare.engine import Life
from vgic_tools.compare.guest_operations import GuestOperations
from vgic_tools.compare.sources import sweep_of
from vgic_tools.judges.nmi_model import ALL_MASKED, ALLINT, SCTLR_EL1, SCTLR_NMI, SCTLR_RESET
from vgic_tools.judges.protocol import Load, Machine, Model, Mrs, Msr, Operation, Store

__all__ = ["NmiOperations", "nmi_lives"]

INMIR: Final = 0xF80
_OFTEN: Final = 24
"""Among 94 operations."""


def nmi_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    """Machines without end, and random operations on each of them."""
    number = 0
    while True:
        random = Random(f"{seed}/{number}")
        machine = Machine(cpus or random.choice((1, 2, 3, 4, 4)), nmi=True)
        yield Life(machine, _operations(random.getrandbits(32), areas), lambda model: _sweep(model.gic, areas))
        number += 1


def _operations(seed: int, areas: frozenset[str]) -> Callable[[Model], Iterator[Operation]]:
    def operations(model: Model) -> Iterator[Operation]:
        source = NmiOperations(Random(seed), model.gic, areas)
        yield from source.preparation()
        while True:
            yield from source.operations()

    return operations


def _sweep(gic: vgic.Gic, areas: frozenset[str]) -> list[Operation]:
    """A read of every register, with those that say which interrupts have superpriority."""
    looks = sweep_of(gic, areas)
    looks += [Load(0, gic.config.gicd_base + INMIR + 4 * word, 4) for word in range(gic.config.spis // 32 + 2)]
    return looks + [Load(cpu, base + SGI_BASE + INMIR, 4) for cpu, base in enumerate(gic.redistributor_bases)]


class NmiOperations(GuestOperations):
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic, areas: frozenset[str]) -> None:
        super().__init__(random, gic, areas)
        self._kinds[self._nmi] = _OFTEN
        self._settled = False
        """The groups are told."""

    def preparation(self) -> Iterator[Operation]:
        """Mask what would be taken, tell the groups, and give some of Group 1 superpriority."""
        for cpu in range(self._cpus):
            yield Msr(cpu, ALLINT, ALL_MASKED)
        yield from super().preparation()
        self._settled = True
        for word in range(1 + self._gic.config.spis // 32):
            yield self._superpriority(word)

    def _other(self) -> Iterator[Operation]:
        operation = next(self._others)
        while isinstance(operation, Access) and self._is_unfair(operation):
            operation = next(self._others)
        yield operation.on(self._gic, self._cpu) if isinstance(operation, Access) else operation

    def _is_unfair(self, access: Access) -> bool:
        """A write that could have something in Group 0 with superpriority."""
        offset = access.offset if access.frame == DISTRIBUTOR else access.offset - SGI_BASE
        tells_group = IGROUPR <= offset < IGROUPR + 0x80 and self._settled
        return access.value is not None and (tells_group or INMIR <= offset < INMIR + 0x80)

    def _superpriority(self, word: int) -> Store:
        """A write of INMIR, of the interrupts of Group 1 among 32."""
        random, gic = self._random, self._gic
        cpu = random.randrange(self._cpus)
        bank = gic.bank(cpu, 32 * word)
        group1 = bank.words[word - int(bank.first) // 32].group1
        few = random.getrandbits(32) & random.getrandbits(32) & random.getrandbits(32)
        base = gic.config.gicd_base if word else gic.redistributor_bases[cpu] + SGI_BASE
        return Store(self._cpu, base + INMIR + 4 * word, 4, few & int(group1))

    def _nmi(self) -> Iterator[Operation]:
        """What only a machine with NMIs has."""
        random, gic, cpu = self._random, self._gic, self._cpu
        kind = random.randrange(16)
        if gic.nmi(cpu) or kind < 2:
            best = gic.highest_pending(cpu)
            if best is not None and gic.nmi(cpu):
                self._taken[cpu].append((best.group, best.intid))
                del self._taken[cpu][:-8]
            yield Mrs(cpu, vgic.ICC_NMIAR1_EL1)
        elif self._runs_nmi(cpu) and kind < 10:
            yield from self._finish_nmi(cpu)
        elif kind < 7:
            yield self._pend(random.choice((0, random.randrange(1 + gic.config.spis // 32))))
        elif kind < 9:
            yield self._superpriority(random.choice((0, 0, 1, 2, random.randrange(1 + gic.config.spis // 32))))
        elif kind < 12:
            yield Mrs(cpu, random.choice((icc.ICC_RPR_EL1, icc.ICC_AP1R0_EL1, SCTLR_EL1, icc.ICC_HPPIR1_EL1)))
        elif kind < 14:
            yield Msr(cpu, SCTLR_EL1, SCTLR_RESET | random.choice((0, SCTLR_NMI)))
        elif kind == 14:
            yield Msr(cpu, icc.ICC_AP1R0_EL1, random.choice((0, 0, 1 << 63, 1 << 63 | 1 << random.randrange(32))))
        else:
            base = random.choice((gic.config.gicd_base, gic.redistributor_bases[cpu] + SGI_BASE))
            yield Load(cpu, base + INMIR + 4 * random.randrange(12), 4)

    def _runs_nmi(self, cpu: int) -> bool:
        interface = self._gic.interface(cpu)
        return isinstance(interface, NmiInterface) and interface.nmi_active()

    def _finish_nmi(self, cpu: int) -> Iterator[Operation]:
        """End what nothing else may interrupt, or there would be nothing to see for long."""
        intid = self._taken[cpu].pop()[1] if self._taken[cpu] else self._any_intid() % 288
        yield Msr(cpu, icc.ICC_EOIR1_EL1, intid)
        yield Msr(cpu, icc.ICC_DIR_EL1, intid)

    def _pend(self, word: int) -> Store:
        """Make those with superpriority pending among 32 interrupts."""
        gic, cpu = self._gic, self._cpu
        bank = gic.bank(cpu, 32 * word)
        superior = int(bank.words[word - int(bank.first) // 32].superior())
        base = gic.config.gicd_base if word else gic.redistributor_bases[cpu] + SGI_BASE
        array = self._random.choice((ISPENDR, ISPENDR, ISENABLER, ICACTIVER))
        return Store(cpu, base + array + 4 * word, 4, superior)
