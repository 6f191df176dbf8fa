"""What a CPU interface holds for each group."""

from typing import Final

from mypy_extensions import i64

from vgic.bits import bit, lowest, shifted
from vgic.cpu_interface.pending import IDLE_PRIORITY, NO_KEY, PRIORITY_LSB, PendingQueue

__all__ = [
    "GROUP0",
    "GROUP1",
    "GROUP_NAMES",
    "SECURE_GROUP1",
    "ActivePriorities",
    "GroupState",
    "groups_of_one_state",
    "groups_of_two_states",
]

GROUP0: Final = 0
GROUP1: Final = 1
"""With two Security states, Non-secure Group 1."""
SECURE_GROUP1: Final = 2
"""Only with two Security states."""

GROUP_NAMES: Final = ("group 0", "group 1", "Secure Group 1")
"""As people call them."""

_WORD: Final = 32
_WORD_MASK: Final = (1 << _WORD) - 1


class ActivePriorities:
    """The group priorities of active interrupts that are not yet dropped: a bit for each level, 16 to 128 of them.

    Level n is the n-th highest group priority. Nearly every interface has 32 or fewer, which are apart.
    """

    __slots__ = ("_first", "_others", "_shift", "levels", "running")

    def __init__(self, preemption_bits: i64) -> None:
        self.levels: int = bit(preemption_bits)
        """How many group priorities there are."""
        self._shift: i64 = 8 - preemption_bits
        self._first: i64 = 0
        """Levels 0 to 31."""
        self._others = 0
        """The others, from bit 0."""
        self.running: i64 = IDLE_PRIORITY
        """The highest of them, IDLE_PRIORITY where none is active."""

    def word(self, number: int) -> int:
        """Levels 32 * `number` and up, the highest priority in bit 0, as ICC_AP0R<n> and ICC_AP1R<n> show them.

        Rule CPU-8.
        """
        return self.all() >> _WORD * number & _WORD_MASK

    def set_word(self, number: int, bits: int) -> None:
        """Replace them; bits beyond the last level are ignored (CPU-8)."""
        lsb = _WORD * number
        active = self.all() & ~(_WORD_MASK << lsb) | bits << lsb
        active &= (1 << self.levels) - 1
        self._first = active & _WORD_MASK
        self._others = active >> _WORD
        self._find_running()

    def all(self) -> int:
        """Bit n: level n is active."""
        return self._others << _WORD | int(self._first)

    def clear(self) -> None:
        """None is active."""
        self._first = 0
        self._others = 0
        self.running = IDLE_PRIORITY

    def activate(self, priority: i64) -> None:
        """An interrupt of this group priority becomes active."""
        level = priority >> self._shift
        if level < _WORD:
            self._first |= bit(level)
        else:
            self._others |= 1 << int(level - _WORD)
        # Mostly it is, but not where something else than the highest decided what preempts (NMI-16).
        if priority < self.running:
            self.running = priority

    def drop(self) -> None:
        """The highest is active no longer."""
        if self._first:
            self._first &= self._first - 1
        else:
            self._others &= self._others - 1
        self._find_running()

    def _find_running(self) -> None:
        if self._first:
            self.running = shifted(lowest(self._first), self._shift)
        elif self._others:
            level = _WORD - 1 + (self._others & -self._others).bit_length()
            self.running = shifted(level, self._shift)
        else:
            self.running = IDLE_PRIORITY


class GroupState(ActivePriorities):
    """The registers and the candidates of one group.

    All that choosing an interrupt needs is in this one object: a broadcast goes through those of every PE. A bank
    tells what it forwards by `forward` and `withdraw` or, where it is the PE's own and looks through its few
    interrupts itself, by `own_head`.
    """

    __slots__ = (
        "_hides",
        "binary_point",
        "cbpr",
        "declines",
        "enabled",
        "forwarded",
        "irq",
        "mask",
        "min_binary_point",
        "number",
        "own_head",
        "queue",
        "queue_head",
        "split_offset",
    )

    def __init__(self, number: i64, preemption_bits: i64, hides: bool, irq: bool, split_offset: i64) -> None:
        super().__init__(preemption_bits)
        self.number = number
        """Its place among the groups of an interface."""
        self._hides = hides
        self.irq = irq
        """It is signalled as IRQ, else as FIQ (rule CPU-1)."""
        self.split_offset = split_offset
        """How far above its binary point the group splits priorities (PRIO-3, PRIO-4)."""
        self.min_binary_point: i64 = 8 - preemption_bits - split_offset
        self.binary_point = self.min_binary_point
        """ICC_BPR0 or ICC_BPR1, as stored."""
        self.cbpr = False
        """It preempts by the binary point of Group 0 (PRIO-6)."""
        self.mask: i64 = 0
        """The bits of a priority that decide preemption; `CpuInterface.find_masks` finds them."""
        self.queue = PendingQueue()
        """What is forwarded to the PE, but for what `own_head` stands for."""
        self.queue_head: i64 = NO_KEY
        """Its head."""
        self.own_head: i64 = NO_KEY
        """The best key of the PE's own bank, NO_KEY where there is none."""
        self.forwarded = False
        """The Distributor forwards the group."""
        self.declines = False
        """1-of-N interrupts are kept away."""
        self.enabled = False

    def reset(self) -> None:
        """Reset the registers."""
        self.enabled = False
        self.binary_point = self.min_binary_point
        self.cbpr = False
        self.clear()

    def split(self) -> i64:
        """The lowest bit of a priority that decides preemption, by the group's own binary point."""
        return self.binary_point + self.split_offset

    def split_at(self, lowest_bit: i64) -> None:
        """Have preemption decided by this bit of a priority, and those above it."""
        self.mask = shifted(0xFF, lowest_bit) & 0xFF

    def take(self, key: i64) -> None:
        """The interrupt of this key becomes active."""
        self.activate(key >> PRIORITY_LSB & self.mask)

    def forward(self, key: i64) -> None:
        """An interrupt is forwarded to the PE."""
        self.queue.add(key)
        self.queue_head = self.queue.head

    def withdraw(self, key: i64) -> None:
        """It is forwarded no longer."""
        self.queue.remove(key)
        self.queue_head = self.queue.head

    def forget(self) -> None:
        """Nothing is forwarded."""
        self.queue = PendingQueue()
        self.queue_head = NO_KEY
        self.own_head = NO_KEY

    def head(self) -> i64:
        """The best key of all that is forwarded, NO_KEY where nothing is."""
        return self.own_head if self.own_head < self.queue_head else self.queue_head

    def considered(self) -> bool:
        """True where what is forwarded may be the PE's highest priority pending interrupt (rules CPU-2 and CPU-3).

        The Distributor has to forward the group and, unless the profile lets a disabled group hide the other, the
        CPU interface to enable it.
        """
        return self.forwarded and (self.enabled or self._hides)

    def offer(self) -> i64:
        """The best key of what may be the highest priority pending interrupt, NO_KEY where there is none."""
        if self.considered():
            return self.head()
        return NO_KEY


def groups_of_one_state(preemption_bits: i64, hides: bool) -> list[GroupState]:
    """The groups of a PE with one Security state, by number: Group 0 is FIQ, Group 1 IRQ (rule CPU-1).

    The binary point of Group 1 lies one bit further right: its split, at the same value, one bit lower (PRIO-4).
    """
    return [
        GroupState(GROUP0, preemption_bits, hides, False, 1),
        GroupState(GROUP1, preemption_bits, hides, True, 0),
    ]


def groups_of_two_states(preemption_bits: i64, hides: bool) -> list[GroupState]:
    """The groups of a PE with two Security states, by number; which of them is IRQ depends on its state (PE-2).

    Secure Group 1 splits priorities as Group 0 does (PE-7).
    """
    return [
        *groups_of_one_state(preemption_bits, hides),
        GroupState(SECURE_GROUP1, preemption_bits, hides, False, 1),
    ]
