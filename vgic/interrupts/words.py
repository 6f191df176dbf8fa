"""Interrupt state: what there is of 32 interrupts, a bit for each.

Rules STATE-1 to STATE-6 in specs/distributor.md.
"""

from typing import Final

from mypy_extensions import i64

from vgic.cpu_interface.group import GROUP0, GROUP1, SECURE_GROUP1

__all__ = ["ALL_BITS", "FullWord", "InterruptWord", "full"]

ALL_BITS: Final = 0xFFFF_FFFF


class InterruptWord:
    """The state of 32 interrupts of a VM with one Security state and no NMIs."""

    __slots__ = (
        "active",
        "any_pe",
        "edge",
        "enabled",
        "group1",
        "implemented",
        "latch",
        "line",
        "message",
        "overlooked",
        "queued",
        "start",
    )

    def __init__(self, start: i64, implemented: i64) -> None:
        self.start = start
        """The index of the first."""
        self.implemented = implemented
        """The bits that stand for interrupts of the bank."""
        self.enabled: i64 = 0
        self.latch: i64 = 0
        """Set by an edge, ISPENDR or an SGI, cleared by acknowledgement or ICPENDR."""
        self.line: i64 = 0
        """The levels of the input lines."""
        self.message: i64 = 0
        """Levels raised by GICD_SETSPI and lowered by GICD_CLRSPI."""
        self.active: i64 = 0
        self.group1: i64 = 0
        """With two Security states, Non-secure Group 1."""
        self.edge: i64 = 0
        """1: edge-triggered, 0: level-sensitive."""
        self.any_pe: i64 = 0
        """1: routed to any one of the participating PEs; always 0 for private interrupts."""
        self.overlooked: i64 = 0
        """1: not forwarded until something happens to the interrupt, where the profile has it so (STATE-17)."""
        self.queued: i64 = 0
        """1: forwarded, with the group, priority and target that the interrupt has."""

    def group(self, place: i64) -> i64:
        """The group of one of them, by its number in a CPU interface."""
        return self.group1 >> place & 1 or self.other_group(place)

    def members(self, group: i64) -> i64:
        """The interrupts of a group."""
        return self.group1 if group == GROUP1 else self.other_members(group)

    # `FullWord` has other answers to these; what is in Group 1 is found without asking.

    def other_group(self, place: i64) -> i64:
        """The group of one that is not in Group 1."""
        return GROUP0

    def other_members(self, group: i64) -> i64:
        """The interrupts of a group that is not Group 1."""
        return ~self.group1

    def superior(self) -> i64:
        """Those that have superpriority."""
        return 0

    def pending(self) -> i64:
        """The latches, and the levels of level-sensitive interrupts (STATE-1)."""
        return self.latch | (self.line | self.message) & ~self.edge

    def due(self) -> i64:
        """The interrupts that should be forwarded: pending, enabled and not active (STATE-2), nor overlooked."""
        return self.pending() & self.enabled & ~(self.active | self.overlooked)


class FullWord(InterruptWord):
    """The state of 32 interrupts of a VM with two Security states, or with NMIs."""

    __slots__ = ("access_high", "access_low", "modifier", "nmi")

    def __init__(self, start: i64, implemented: i64) -> None:
        super().__init__(start, implemented)
        self.modifier: i64 = 0
        """GICD_IGRPMODR: 1 in Secure Group 1, where `group1` is 0; always 0 with one Security state (SEC-2)."""
        self.access_low: i64 = 0
        self.access_high: i64 = 0
        """GICD_NSACR: bit 0 and bit 1 of how much of a Secure interrupt Non-secure accesses reach."""
        self.nmi: i64 = 0
        """1: has superpriority, unless it is in Group 0 (NMI-2)."""

    def other_group(self, place: i64) -> i64:
        """See `InterruptWord.other_group`."""
        return (self.modifier >> place & 1) * SECURE_GROUP1

    def other_members(self, group: i64) -> i64:
        """See `InterruptWord.other_members`."""
        return ~self.group1 & (self.modifier if group else ~self.modifier)

    def superior(self) -> i64:
        """See `InterruptWord.superior`."""
        return self.nmi & (self.group1 | self.modifier)

    def reached(self, level: i64) -> i64:
        """What Non-secure accesses that need `level` reach: their own, and Secure ones of that GICD_NSACR or up."""
        if level == 1:
            return self.group1 | self.access_low | self.access_high
        if level == 2:
            return self.group1 | self.access_high
        if level == 3:
            return self.group1 | self.access_low & self.access_high
        return self.group1


def full(word: InterruptWord) -> FullWord:
    """A word of a VM that has full ones."""
    assert isinstance(word, FullWord), "only registers of such a VM ask"
    return word
