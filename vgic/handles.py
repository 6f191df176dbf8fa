"""Views: one interrupt as an object, for the embedder, for debugging and for reports.

A view holds no state. It reads and drives the bank that the interrupt lives in, so any number may exist. It belongs
to one Gic: there it stays good, after `Gic.restore` too, and shows what was restored. `State.build` makes another
Gic, of which it knows nothing.
"""

from mypy_extensions import i64

from vgic import affinity
from vgic.cpu_interface.group import GROUP1, GROUP_NAMES
from vgic.distributor.spis import SharedInterrupts
from vgic.errors import ConfigError, not_copied
from vgic.interrupts.banks import InterruptBank
from vgic.intids import FIRST_PPI
from vgic.lpis.bank import LpiBank
from vgic.lpis.tables import ENABLED
from vgic.topology import NO_VCPU

__all__ = ["Interrupt", "Lpi", "MaintenanceInterrupt", "Spi"]


class Interrupt:
    """An SGI or PPI of one PE, or the base of an SPI's view."""

    def __init__(self, intid: int, bank: InterruptBank) -> None:
        self.intid = intid
        self._bank = bank
        self._index: i64 = intid - bank.first
        self._word = bank.words[self._index >> 5]

    def _bit(self, word: i64) -> bool:
        return word >> (self._index & 31) & 1 != 0

    @property
    def pending(self) -> bool:
        """What ISPENDR shows: the latch, or the level of a level-sensitive interrupt."""
        return self._bit(self._word.pending())

    @property
    def latched(self) -> bool:
        """Made pending by an edge, a message, an SGI or a register write."""
        return self._bit(self._word.latch)

    @property
    def level(self) -> bool:
        """The level of the input line."""
        return self._bit(self._word.line)

    @property
    def active(self) -> bool:
        """Acknowledged and not yet deactivated."""
        return self._bit(self._word.active)

    @property
    def enabled(self) -> bool:
        """Set by ISENABLER."""
        return self._bit(self._word.enabled)

    @property
    def edge_triggered(self) -> bool:
        """As ICFGR says; False is level-sensitive."""
        return self._bit(self._word.edge)

    @property
    def group(self) -> int:
        """0, 1, or with two Security states 2, which is Secure Group 1; 1 is Non-secure then."""
        return self._bank.group(self._index)

    @property
    def priority(self) -> int:
        """8 bits, 0 is the highest; of one with superpriority the one that it would have without."""
        return self._bank.priorities[self._index]

    @property
    def nmi(self) -> bool:
        """It has superpriority."""
        return self._bit(self._word.superior())

    @property
    def target(self) -> int | None:
        """The vCPU that it goes to, None where its route names none, or no vCPU can be sent it."""
        cpu = self._bank.target(self._index)
        return None if cpu == NO_VCPU else int(cpu)

    def set_level(self, level: int) -> None:
        """Drive the input line: True or 1 is high. For an edge-triggered interrupt a rise is an edge.

        Raises ConfigError for an SGI, which has no line.
        """
        if self.intid < FIRST_PPI:
            raise ConfigError(f"INTID {self.intid} is an SGI and has no line")
        self._bank.set_line(self._index, level != 0)

    def pulse(self) -> None:
        """Raise the line and lower it again: an edge, or nothing that lasts for a level-sensitive interrupt."""
        self.set_level(1)
        self.set_level(0)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise not_copied(self)

    def __str__(self) -> str:
        state = [name for name in ("pending", "active", "enabled") if getattr(self, name)]
        trigger = "edge" if self.edge_triggered else f"level, line {'high' if self.level else 'low'}"
        latch = ", latched" if self.latched else ""
        priority = "superpriority" if self.nmi else f"priority {self.priority:#04x}"
        return (
            f"INTID {self.intid}: {' '.join(state) or 'idle, disabled'}; {GROUP_NAMES[self.group]},"
            f" {priority}, {trigger}{latch}{self._destination()}"
        )

    def _destination(self) -> str:
        return f", private to vCPU {self.target}"


class MaintenanceInterrupt(Interrupt):
    """The PPI that ICH_MISR_EL2 drives."""

    def set_level(self, level: int) -> None:
        """Raises ConfigError: the virtual CPU interface drives the line."""
        raise ConfigError(f"INTID {self.intid} is the maintenance interrupt: the virtual CPU interface drives it")


class Spi(Interrupt):
    """A Shared Peripheral Interrupt."""

    def __init__(self, intid: int, bank: SharedInterrupts) -> None:
        super().__init__(intid, bank)
        self._shared = bank

    @property
    def affinity(self) -> int:
        """The packed affinity that it is routed to."""
        return self._shared.route[self._index]

    def _destination(self) -> str:
        if self._shared.is_one_of_n(self._index):
            return ", routed to any vCPU" + ("" if self.target is None else f" (now vCPU {self.target})")
        where = "no vCPU has it" if self.target is None else f"vCPU {self.target}"
        return f", routed to {affinity.text(self.affinity)} ({where})"


class Lpi:
    """An LPI at the Redistributor of one PE. Its configuration is what a pending one is forwarded by."""

    def __init__(self, intid: int, bank: LpiBank) -> None:
        self.intid = intid
        self._bank = bank

    @property
    def pending(self) -> bool:
        """Pending at this PE."""
        return self._bank.is_pending(self.intid)

    @property
    def enabled(self) -> bool:
        """Bit 0 of its configuration; False where GICR_PROPBASER leaves the INTID out."""
        return self._bank.configuration_of(self.intid) & ENABLED != 0

    @property
    def group(self) -> int:
        """LPIs are in Group 1, the Non-secure one where there are two."""
        return GROUP1

    @property
    def priority(self) -> int:
        """8 bits, 0 is the highest."""
        return int(self._bank.priorities.of(self._bank.configuration_of(self.intid)))

    @property
    def target(self) -> int:
        """The vCPU whose Redistributor this is."""
        return self._bank.cpu

    def set_pending(self) -> bool:
        """The LPI arrives, as a write of GICR_SETLPIR has it; False where the PE cannot take it."""
        return self._bank.make_pending(self.intid)

    def clear_pending(self) -> bool:
        """It is taken back, as a write of GICR_CLRLPIR has it; False where the PE has no such LPI."""
        return self._bank.clear_pending(self.intid)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    def __reduce_ex__(self, protocol: object) -> str:
        raise not_copied(self)

    def __str__(self) -> str:
        state = [name for name in ("pending", "enabled") if getattr(self, name)]
        return (
            f"INTID {self.intid}: {' '.join(state) or 'idle, disabled'}; {GROUP_NAMES[self.group]},"
            f" priority {self.priority:#04x}, LPI of vCPU {self.target}"
        )
