"""A guest with two Security states whose PEs change theirs: the registers that each finds, and what it is sent."""

from typing import Final

import vgic
from offsets import BANK, GICD, GICR
from two_states import TwoStates
from vgic import PeState
from vgic.cpu_interface.group import GROUP1, SECURE_GROUP1

__all__ = ["EL3", "EL3_NS", "NS_EL1", "NS_EL1_SHIFTED", "NS_EL2", "S_EL1", "Pes"]

EL3: Final = PeState(3, secure=True)
EL3_NS: Final = PeState(3)
S_EL1: Final = PeState(1, secure=True)
NS_EL2: Final = PeState(2)
NS_EL1: Final = PeState(1)
NS_EL1_SHIFTED: Final = PeState(1, scr_fiq=True)
"""With the Non-secure view of priorities."""

ALL_GROUPS: Final = 0b111
DEFAULT_PRIORITY: Final = 0xA0


class Pes(TwoStates):
    """Every group is enabled, and every PE awake and at EL3, Secure, with the lowest PMR."""

    def __init__(self, cpus: int = 2, profile: vgic.Profile = vgic.ARCH, **options: object) -> None:
        super().__init__(cpus, profile=profile, a3v=profile.features.a3v, **options)
        self.lines: list[tuple[int, bool, bool]] = []
        self.gic = vgic.Gic(self.config, lines=self)
        self.set_gicd(GICD.CTLR, ALL_GROUPS, True)
        for cpu in range(cpus):
            self.set_gicr(GICR.WAKER, 0, True, cpu)
            self.msr(vgic.ICC_PMR_EL1, 0xFF, cpu)
            self.msr(vgic.ICC_IGRPEN0_EL1, 1, cpu)
            self.msr(vgic.ICC_IGRPEN1_EL3, 0b11, cpu)
        self.lines.clear()

    def set_lines(self, cpu: int, irq: bool, fiq: bool) -> None:
        self.lines.append((cpu, irq, fiq))

    def at(self, state: PeState, cpu: int = 0) -> "Pes":
        """The PE changes its state."""
        self.gic.set_pe_state(cpu, state)
        self.gic.check()
        return self

    def mrs(self, register: int, cpu: int = 0, state: PeState | None = None) -> int:
        """A read, where the PE is or, if given, in another state."""
        before = self.gic.pe_state(cpu)
        if state is not None:
            self.at(state, cpu)
        value = self.gic.sysreg_read(cpu, register)
        self.at(before, cpu)
        return value

    def msr(self, register: int, value: int, cpu: int = 0, state: PeState | None = None) -> None:
        """A write, likewise."""
        before = self.gic.pe_state(cpu)
        if state is not None:
            self.at(state, cpu)
        self.gic.sysreg_write(cpu, register, value)
        self.at(before, cpu)

    def put(self, intid: int, group: int, priority: int = DEFAULT_PRIORITY, cpu: int = 0) -> None:
        """Put an interrupt in a group, give it a priority, and enable it."""
        self.set_group(intid, int(group == SECURE_GROUP1), int(group == GROUP1), cpu)
        self._set(BANK.IPRIORITYR + intid, priority, intid, cpu, 1)
        self._set(BANK.ISENABLER + intid // 32 * 4, 1 << intid % 32, intid, cpu)

    def pend(self, intid: int, group: int, priority: int = DEFAULT_PRIORITY, cpu: int = 0) -> None:
        """`put` it, and make it pending."""
        self.put(intid, group, priority, cpu)
        self._set(BANK.ISPENDR + intid // 32 * 4, 1 << intid % 32, intid, cpu)

    def activate(self, intid: int, group: int, cpu: int = 0) -> None:
        """`put` it, and make it active, as nothing that a PE has taken."""
        self.put(intid, group, cpu=cpu)
        self._set(BANK.ISACTIVER + intid // 32 * 4, 1 << intid % 32, intid, cpu)

    def _set(self, register: int, value: int, intid: int, cpu: int, size: int = 4) -> None:
        if intid < 32:
            self.set_gicr(GICR.SGI_BASE + register, value, True, cpu, size)
        else:
            self.set_gicd(register, value, True, size)

    def signal(self, cpu: int = 0) -> str:
        """The output that is raised."""
        return {(False, False): "", (True, False): "IRQ", (False, True): "FIQ"}[self.gic.outputs(cpu)]

    def is_active(self, intid: int, cpu: int = 0) -> bool:
        return self.gic.interrupt(cpu, intid).active
