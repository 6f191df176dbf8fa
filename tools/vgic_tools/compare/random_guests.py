"""Random guests of KVM: operations of vCPUs, and input lines, drawn with the model that they are for.

They are what KVM can be asked fairly: few interrupts are pending at once, and after what is settled only when vCPUs
have left their guests (KVM-71, KVM-72) they leave them.
"""

from collections.abc import Iterable, Iterator
from random import Random
from typing import Final

import vgic
from vgic_tools.compare.guest_its import LPIS, GuestIts
from vgic_tools.judges.concerns import Concerns
from vgic_tools.judges.freedoms import moves
from vgic_tools.judges.guest import mrs, msr, read, write
from vgic_tools.judges.kvm_guest import GICD_BASE, GICR_BASE, GuestStep, Step
from vgic_tools.judges.protocol import Line

__all__ = ["RandomGuest", "settled"]

ALL: Final = frozenset({"mmio", "cpu-interface", "lines", "sgis", "its"})
"""What a guest's operations can be about."""
PRIORITIES: Final = (0x00, 0x08, 0x20, 0x40, 0x48, 0x60, 0x80, 0x88, 0xA0, 0xA8, 0xC0, 0xE0, 0xF0, 0xF8)
PPIS: Final = (16, 17, 20, 21, 29, 31)
"""Those that are no timer's, whose lines userspace may drive."""
SPIS: Final = (32, 33, 40, 41, 63, 64, 77, 95)

IGROUPR, ISENABLER, ICENABLER = 0x80, 0x100, 0x180
ISPENDR, ICPENDR, ISACTIVER, ICACTIVER = 0x200, 0x280, 0x300, 0x380
IPRIORITYR, ICFGR, IROUTER = 0x400, 0xC00, 0x6000
SGI_BASE: Final = 0x1_0000
READABLE: Final = sorted(
    getattr(vgic, name)
    for name in vgic.__all__
    if name.startswith("ICC_") and not any(word in name for word in ("IAR", "EOIR", "DIR", "SGI"))
)


def settled(steps: Iterable[Step], gic: vgic.Gic, lpis_active: bool) -> Iterator[tuple[Step, bool]]:
    """The steps and, after some, what settles them; with whether each is one of the steps.

    Each is performed on `gic` before the next is asked for.
    """
    concerns = Concerns(gic, lpis_active)
    for step in steps:
        concerns.before(step)
        lingered = concerns.lingers(step)
        concerns.note(step, offered(gic, step))
        misplaced = concerns.misplaced()
        yield step, True
        if isinstance(step, GuestStep) and (moves(gic, step.operation) or concerns.freed(misplaced, step.cpu)):
            for look in _round(len(gic.config.topology)):
                yield look, False
        elif lingered and isinstance(step, GuestStep):
            yield GuestStep(step.cpu, read(GICD_BASE, 4)), False


def offered(gic: vgic.Gic, step: Step) -> int:
    """The INTID that a step's vCPU would acknowledge, whatever the step is."""
    if not isinstance(step, GuestStep) or not any(gic.outputs(step.cpu)):
        return vgic.SPURIOUS
    best = gic.highest_pending(step.cpu)
    return vgic.SPURIOUS if best is None else best.intid


def _round(vcpus: int) -> Iterator[Step]:
    """Every vCPU leaves its guest once: what has moved from one to the other is there then."""
    for cpu in range(vcpus):
        yield GuestStep(cpu, read(GICD_BASE, 4))


class RandomGuest:
    """Draws steps. `gic` is where they were performed that have been drawn so far."""

    def __init__(
        self,
        random: Random,
        gic: vgic.Gic,
        *,
        ties: bool = True,
        disables: bool = True,
        areas: frozenset[str] = ALL,
    ) -> None:
        self.ties = ties
        self.disables = disables
        """The guest disables groups in its CPU interfaces."""
        self.random = random
        self.shift = self.random.randrange(31)
        self.gic = gic
        self.vcpus = len(gic.config.topology)
        self.taken: list[list[int]] = [[] for _ in range(self.vcpus)]
        """INTIDs that each vCPU has acknowledged, as the model has it."""
        self.lines = "lines" in areas
        self.its: GuestIts | None = None
        if gic.config.its and "its" in areas:
            self.its = GuestIts(random, self.vcpus, self._a_priority)
        kinds = {
            self._acknowledge: ("cpu-interface", 20.0),
            self._end: ("cpu-interface", 24.0),
            self._bits: ("mmio", 14.0),
            self._sgi: ("sgis", 6.0),
            self._priority: ("mmio", 4.0),
            self._route: ("mmio", 2.0),
            self._look: ("mmio", 6.0),
            self._look_at_interface: ("cpu-interface", 6.0),
            self._control: ("cpu-interface", 3.0),
            self._distributor: ("mmio", 0.3),
        }
        self.kinds = {kind: weight for kind, (area, weight) in kinds.items() if area in areas}
        """What it draws, and how often."""

    def steps(self) -> Iterator[Step]:
        """Steps without end, in turns, not yet `settled`. Each has been performed when the next is drawn."""
        random = self.random
        while True:
            cpu = random.randrange(self.vcpus)
            for _ in range(random.choice((1, 2, 4, 8, 16))):
                step = self._guest(cpu)
                yield step
                if isinstance(step, GuestStep) and moves(self.gic, step.operation):
                    break
            if self.its is not None and random.random() < 0.1:
                yield from self.its.command(cpu)
            while self.its is not None and random.random() < 0.3:
                yield self.its.message()
            if self.lines and random.random() < 0.5:
                yield Line(random.randrange(self.vcpus), self._device(), random.random() < 0.6)

    def preparation(self) -> Iterator[Step]:
        """What a kernel does first."""
        random = self.random
        yield self._write(0, GICD_BASE, 4, 2)
        for intid in SPIS:
            yield self._write(0, GICD_BASE + IPRIORITYR + intid, 1, self._a_priority(intid))
            yield self._write(0, GICD_BASE + IROUTER + 8 * intid, 8, random.randrange(self.vcpus))
        yield self._write(0, GICD_BASE + ICFGR + 8, 4, random.getrandbits(32))
        yield self._write(0, GICD_BASE + ICFGR + 16, 4, random.getrandbits(32))
        for word in (1, 2):
            yield self._write(0, GICD_BASE + ISENABLER + 4 * word, 4, 0xFFFF_FFFF)
        for cpu in range(self.vcpus):
            for intid in (0, 1, 2, 15, *PPIS):
                yield self._write(cpu, self._sgi_base(cpu) + IPRIORITYR + intid, 1, self._a_priority(intid))
            yield self._write(cpu, self._sgi_base(cpu) + ISENABLER, 4, 0xFFFF_FFFF)
            yield GuestStep(cpu, msr(vgic.ICC_PMR_EL1, 0xF8))
            yield GuestStep(cpu, msr(vgic.ICC_IGRPEN1_EL1, 1))
            yield GuestStep(cpu, msr(vgic.ICC_IGRPEN0_EL1, random.randrange(2) if self.disables else 1))
            yield GuestStep(cpu, msr(vgic.ICC_CTLR_EL1, random.choice((0, 0, 0, 2))))
        if self.its is not None:
            yield from self.its.preparation()
        yield from _round(self.vcpus)

    def _a_priority(self, intid: int) -> int:
        if self.ties:
            return self.random.choice(PRIORITIES)
        return 8 * ((self.shift + 7 * (0, 1, 2, 15, *PPIS, *SPIS, *LPIS).index(intid)) % 31)

    def _sgi_base(self, cpu: int) -> int:
        return GICR_BASE + 0x2_0000 * cpu + SGI_BASE

    def _write(self, cpu: int, address: int, size: int, value: int) -> Step:
        return GuestStep(cpu, write(address, size, value & (1 << 8 * size) - 1))

    def _device(self) -> int:
        return self.random.choice((*PPIS, *SPIS))

    def _intid(self) -> int:
        return self.random.choice((0, 1, 2, 15, *PPIS, *SPIS))

    def _guest(self, cpu: int) -> Step:
        return self.random.choices(list(self.kinds), list(self.kinds.values()))[0](cpu)

    def _acknowledge(self, cpu: int) -> Step:
        best = self.gic.highest_pending(cpu)
        group = 1 if best is None else best.group
        if self.random.random() < 0.1:
            group = 1 - group
        if best is not None and self.gic.outputs(cpu)[0 if best.group else 1]:
            self.taken[cpu].append(best.intid)
        return GuestStep(cpu, mrs(vgic.ICC_IAR1_EL1 if group else vgic.ICC_IAR0_EL1))

    def _end(self, cpu: int) -> Step:
        random, taken = self.random, self.taken[cpu]
        interface = self.gic.interface(cpu)
        register = vgic.ICC_EOIR0_EL1 if interface.running_group == 0 else vgic.ICC_EOIR1_EL1
        if not taken or random.random() < 0.02:
            return GuestStep(cpu, msr(random.choice((register, vgic.ICC_DIR_EL1)), self._intid()))
        intid = taken[-1]
        if interface.eoi_mode and intid not in LPIS and random.random() < 0.5:
            return GuestStep(cpu, msr(vgic.ICC_DIR_EL1, taken.pop(random.randrange(len(taken)))))
        if not interface.eoi_mode or intid in LPIS:
            taken.pop()
        return GuestStep(cpu, msr(register, intid))

    def _bits(self, cpu: int) -> Step:
        random = self.random
        intid = self._intid()
        array = random.choice(
            (
                IGROUPR,
                ISENABLER,
                ISENABLER,
                ICENABLER,
                *(ISPENDR,) * 6,
                *(ICPENDR,) * 2,
                ISACTIVER,
                *(ICACTIVER,) * 2,
            )
        )
        base = GICD_BASE if intid >= 32 else self._sgi_base(random.randrange(self.vcpus))
        value = 1 << intid % 32
        if array == IGROUPR:
            value = random.choice((0xFFFF_FFFF, 0xFFFF_FFFF, random.getrandbits(32)))
        if array in (ICPENDR, ICACTIVER) and random.random() < 0.2:
            value = 0xFFFF_FFFF
        return self._write(cpu, base + array + intid // 32 * 4, 4, value)

    def _sgi(self, cpu: int) -> Step:
        random = self.random
        value = random.choice((0, 1, 2, 15)) << 24 | random.randrange(1, 1 << self.vcpus)
        if random.random() < 0.1:
            value |= 1 << 40
        register = random.choice((*(vgic.ICC_SGI1R_EL1,) * 6, vgic.ICC_SGI0R_EL1, vgic.ICC_ASGI1R_EL1))
        return GuestStep(cpu, msr(register, value))

    def _priority(self, cpu: int) -> Step:
        intid = self._intid()
        base = GICD_BASE if intid >= 32 else self._sgi_base(self.random.randrange(self.vcpus))
        return self._write(cpu, base + IPRIORITYR + intid, 1, self._a_priority(intid))

    def _route(self, cpu: int) -> Step:
        intid = self.random.choice(SPIS)
        target = self.random.randrange(self.vcpus) if self.random.random() < 0.9 else self.vcpus
        return self._write(cpu, GICD_BASE + IROUTER + 8 * intid, 8, target)

    def _look(self, cpu: int) -> Step:
        random = self.random
        frame = random.randrange(-1, self.vcpus)
        array = random.choice((IGROUPR, ISENABLER, ISPENDR, ICPENDR, ISACTIVER, ICACTIVER, IPRIORITYR, ICFGR))
        base = GICD_BASE + 4 * random.choice((1, 2)) if frame < 0 else self._sgi_base(frame)
        return GuestStep(cpu, read(base + array, 4))

    def _look_at_interface(self, cpu: int) -> Step:
        return GuestStep(cpu, mrs(self.random.choice(READABLE)))

    def _control(self, cpu: int) -> Step:
        random = self.random
        register, values = random.choice(
            (
                (vgic.ICC_PMR_EL1, (0xF8, 0xF8, 0xF0, 0xFF, 0x80, 0x40)),
                (vgic.ICC_BPR0_EL1, (0, 2, 3, 4, 7)),
                (vgic.ICC_BPR1_EL1, (0, 2, 3, 4, 7)),
                (vgic.ICC_CTLR_EL1, (0, 0, 1, 2, 3)),
                (vgic.ICC_IGRPEN0_EL1, (0, 1, 1)),
                (vgic.ICC_IGRPEN1_EL1, (0, 1, 1, 1)),
            )[: 6 if self.disables else 4]
        )
        return GuestStep(cpu, msr(register, random.choice(values)))

    def _distributor(self, cpu: int) -> Step:
        return self._write(cpu, GICD_BASE, 4, self.random.choice((0, 2, 2)))
