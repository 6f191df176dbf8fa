"""Seeded random operations of machines with EL2 and NMIs: a hypervisor's, and its guest's, which takes NMIs.

As in hypervisors.py; and no interrupt of Group 0 has superpriority, which QEMU half has (rules NMI-2, VCPU-29).
"""

from collections.abc import Iterator
from itertools import count
from random import Random
from typing import Final

import vgic
from vgic.layouts import icc, ich, nmi
from vgic_tools.compare.accesses import SGI_BASE
from vgic_tools.compare.engine import Life
from vgic_tools.compare.hypervisors import EL2, GROUP_1, HypervisorOperations, operations_of, sweep
from vgic_tools.compare.nmis import INMIR
from vgic_tools.judges.nmi_model import SCTLR_EL1, SCTLR_NMI
from vgic_tools.judges.placed_nmi_model import SCTLR_BEGINS
from vgic_tools.judges.protocol import Load, Machine, Model, Mrs, Msr, Operation, Store

__all__ = ["ListedNmiOperations", "listed_nmi_lives"]

_OFTEN: Final = 24
"""Among 126 operations."""
_NMI: Final = nmi.LR.mask("NMI")
_PRIORITY: Final = nmi.LR.mask("Priority")
_ACTIVE: Final = nmi.AP1R0.mask("NMI")
_PPIS_OF_GROUP_1: Final = 0xF0F0_0000
"""Those that `HypervisorOperations.preparation` has in Group 1."""


def listed_nmi_lives(seed: int, areas: frozenset[str], cpus: int | None, version: str) -> Iterator[Life]:
    """Machines without end, and random operations on each of them."""
    for number in count():
        name = f"{seed}/{number}"
        machine = Machine(cpus or Random(name).choice((1, 2, 3)), virtualization=True, nmi=True)
        yield Life(machine, operations_of(ListedNmiOperations, name, areas), _sweep)


def _sweep(model: Model) -> list[Operation]:
    """A read of every register, with those that say which physical interrupts have superpriority."""
    bases = model.gic.redistributor_bases
    return sweep(model) + [Load(cpu, base + SGI_BASE + INMIR, 4, EL2) for cpu, base in enumerate(bases)]


class ListedNmiOperations(HypervisorOperations):
    """Draws operations."""

    def __init__(self, random: Random, gic: vgic.Gic) -> None:
        super().__init__(random, gic)
        self._kinds[self._nmi] = _OFTEN

    def preparation(self) -> Iterator[Operation]:
        """The same, and some physical interrupts with superpriority."""
        yield from super().preparation()
        for cpu in range(self._cpus):
            yield self._superpriority(cpu)

    def _superpriority(self, cpu: int) -> Store:
        address = self._gic.redistributor_bases[cpu] + SGI_BASE + INMIR
        return Store(cpu, address, 4, self._random.getrandbits(32) & _PPIS_OF_GROUP_1, EL2)

    def _property(self, value: int) -> int:
        random = self._random
        if value & GROUP_1 and random.random() < 0.4:
            value |= _NMI
            # Mostly without a priority, as it is to be written.
            if random.random() < 0.7:
                value &= ~_PRIORITY
        return value

    def _nmi(self) -> Iterator[Operation]:
        """What only a machine with NMIs has."""
        random, cpu = self._random, self._cpu
        kind = random.randrange(16)
        if self._gic.virtual_nmi(cpu) or kind < 2:
            yield from self._take_nmi()
        elif kind < 6:
            yield from self._finish()
        elif kind < 9:
            yield Msr(
                cpu, SCTLR_EL1, SCTLR_BEGINS | random.choice((0, SCTLR_NMI)), random.choice((EL2, self._guest))
            )
        elif kind < 13:
            register = random.choice((icc.ICC_RPR_EL1, icc.ICC_AP1R0_EL1, icc.ICC_HPPIR1_EL1, SCTLR_EL1))
            yield Mrs(cpu, register, self._guest)
        elif kind == 13:
            yield self._superpriority(cpu)
        elif kind == 14:
            yield Mrs(cpu, icc.ICC_NMIAR1_EL1, EL2)
        else:
            register, place = random.choice(((icc.ICC_AP1R0_EL1, self._guest), (ich.ICH_AP1R0_EL2, EL2)))
            yield Msr(cpu, register, random.choice((0, _ACTIVE)), place)

    def _take_nmi(self) -> Iterator[Operation]:
        """Take one, where there is one."""
        cpu = self._cpu
        if self._gic.virtual_nmi(cpu):
            self._taken[cpu].append((1, self._gic.icv_read(cpu, icc.ICC_HPPIR1_EL1)))
            del self._taken[cpu][:-8]
        yield Mrs(cpu, icc.ICC_NMIAR1_EL1, self._guest)
