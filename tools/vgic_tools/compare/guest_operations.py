"""Seeded random operations of guests whose vCPUs run: system registers and SGIs among accesses and input lines.

A vCPU does some operations before another has its turn. What it acknowledges it mostly finishes, in order.
"""

from collections.abc import Iterator
from random import Random
from typing import Final

import vgic
from vgic.layouts import icc
from vgic_tools.compare.accesses import PRIORITIES, Access, random_operations
from vgic_tools.judges.model import ISR_EL1
from vgic_tools.judges.protocol import Mrs, Msr, Operation

__all__ = ["GuestOperations", "random_guest_operations"]

TURN: Final = 12
"""Operations of a vCPU, on average, before another has its turn."""

SPURIOUS: Final = 1020
"""INTIDs from here to 1023 stand for none."""

_IAR: Final = (icc.ICC_IAR0_EL1, icc.ICC_IAR1_EL1)
_EOIR: Final = (icc.ICC_EOIR0_EL1, icc.ICC_EOIR1_EL1)
_BPR: Final = (icc.ICC_BPR0_EL1, icc.ICC_BPR1_EL1)
_IGRPEN: Final = (icc.ICC_IGRPEN0_EL1, icc.ICC_IGRPEN1_EL1)
_APR: Final = (icc.ICC_AP0R0_EL1, icc.ICC_AP1R0_EL1)
_SGIR: Final = (icc.ICC_SGI0R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_SGI1R_EL1, icc.ICC_ASGI1R_EL1)
_READ: Final = (
    *(icc.ICC_PMR_EL1, *_BPR, icc.ICC_CTLR_EL1, icc.ICC_SRE_EL1, *_IGRPEN, icc.ICC_RPR_EL1, ISR_EL1),
    *(icc.ICC_HPPIR0_EL1, icc.ICC_HPPIR1_EL1, *_APR, *_APR),
)
EOI_MODE: Final = 1 << 1
COMMON_BINARY_POINT: Final = 1 << 0


def random_guest_operations(seed: int, gic: vgic.Gic, areas: frozenset[str]) -> Iterator[Operation]:
    """Operations on a machine, without end.

    Each is drawn when it is asked for, and may depend on what `gic` shows then.
    """
    source = GuestOperations(Random(seed), gic, areas)
    yield from source.preparation()
    while True:
        yield from source.operations()


class GuestOperations:
    """Draws operations. Those of its methods that yield some can be drawn on their own, too."""

    def __init__(self, random: Random, gic: vgic.Gic, areas: frozenset[str]) -> None:
        self._random = random
        self._gic = gic
        self._cpus = len(gic.config.topology)
        self._cpu = 0
        self._taken: list[list[tuple[int, int]]] = [[] for _ in range(self._cpus)]
        """What each vCPU has acknowledged and not finished: group and INTID."""
        self._others = random_operations(random.getrandbits(32), gic, lines="lines" in areas)
        self._kinds = {self._interrupt: 30, self._control: 10, self._look: 12} if "cpu-interface" in areas else {}
        if "sgis" in areas:
            self._kinds[self._sgi] = 12
        if areas & {"mmio", "lines"}:
            self._kinds[self._other] = 40

    def preparation(self) -> Iterator[Operation]:
        """Spread the SPIs, enable everything, and let every vCPU take interrupts."""
        for _ in range(260 + 90 * self._cpus):
            yield from self._other()
        for cpu in range(self._cpus):
            yield from self._unmask(cpu)

    def operations(self) -> Iterator[Operation]:
        """The next few."""
        if self._random.random() * TURN < 1:
            self._cpu = self._random.randrange(self._cpus)
        return self._random.choices(list(self._kinds), list(self._kinds.values()))[0]()

    def _unmask(self, cpu: int) -> Iterator[Operation]:
        for register, value in ((icc.ICC_PMR_EL1, 0xFF), (_IGRPEN[0], 1), (_IGRPEN[1], 1)):
            yield Msr(cpu, register, value)

    def _other(self) -> Iterator[Operation]:
        """An access to memory, or a line."""
        operation = next(self._others)
        yield operation.on(self._gic, self._cpu) if isinstance(operation, Access) else operation

    def _interrupt(self) -> Iterator[Operation]:
        """Take an interrupt, or finish one."""
        random, cpu = self._random, self._cpu
        taken = self._taken[cpu]
        irq, fiq = self._gic.outputs(cpu)
        if taken and random.random() < (0.4 if irq or fiq else 0.8):
            at = len(taken) - 1 if random.random() < 0.9 else random.randrange(len(taken))
            group, intid = taken.pop(at)
            yield Msr(cpu, _EOIR[group], intid)
            if random.random() < 0.7:
                yield Msr(cpu, icc.ICC_DIR_EL1, intid)
            return
        group = int(not fiq) if irq or fiq else random.randrange(2)
        best = self._gic.highest_pending(cpu)
        if best is not None and (irq or fiq) and best.group == group and best.intid < SPURIOUS:
            taken.append((group, best.intid))
            del taken[:-8]
        yield Mrs(cpu, _IAR[group])

    def _control(self) -> Iterator[Operation]:
        """A write of a register of the CPU interface."""
        random, cpu = self._random, self._cpu
        group = random.randrange(2)
        kind = random.randrange(10)
        if kind < 3:
            yield Msr(cpu, icc.ICC_PMR_EL1, random.choice((*PRIORITIES, 0xFF, 0xFF, 0xF0, 0xF8)))
        elif kind == 3:
            yield Msr(cpu, _BPR[group], random.randrange(8))
        elif kind == 4:
            yield Msr(
                cpu,
                icc.ICC_CTLR_EL1,
                random.choice((0, 0, EOI_MODE, COMMON_BINARY_POINT, 3, random.getrandbits(64))),
            )
        elif kind == 5:
            yield Msr(cpu, _IGRPEN[group], random.choice((0, 1, 1, random.getrandbits(64))))
        elif kind == 6:
            yield Msr(cpu, random.choice((*_EOIR, icc.ICC_DIR_EL1)), self._any_intid())
        elif kind == 7:
            # Left alone, active priorities would soon mask everything.
            for register in _APR:
                yield Msr(cpu, register, random.choice((0, 0, 0, 1 << random.randrange(32))))
            self._taken[cpu].clear()
        else:
            yield from self._unmask(cpu)

    def _look(self) -> Iterator[Operation]:
        """A read without effect, perhaps of a register that is not there."""
        random = self._random
        register = random.choice(_READ)
        if register in _APR:
            register += random.randrange(4)
        if random.random() < 0.05:
            register = random.choice((*_EOIR, icc.ICC_DIR_EL1, *_SGIR))
        yield Mrs(self._cpu, register)

    def _sgi(self) -> Iterator[Operation]:
        random = self._random
        target = self._gic.config.topology.affinities[random.randrange(self._cpus)]
        value = target >> 24 << 48 | (target >> 16 & 0xFF) << 32 | (target >> 8 & 0xFF) << 16
        named = 1 << (target & 0xF) if random.random() < 0.6 else random.getrandbits(16)
        value |= named | random.randrange(16) << 24
        if random.random() < 0.2:
            value ^= random.choice((1 << 40, 1 << 40, 1 << 44, 1 << 32, 1 << 48, 1 << 16))
        yield Msr(self._cpu, random.choice(_SGIR), value)

    def _any_intid(self) -> int:
        random = self._random
        # None of an LPI: deactivating one has QEMU write beyond the state of its interrupts, which ends it at last.
        return random.choice((random.randrange(32), random.randrange(32, 288), 1020, 1023, random.randrange(8192)))
