"""The state behind the registers that hold a field for each of many INTIDs.

The Distributor has them for SPIs, a Redistributor for its private interrupts; the words are the same and find
their bank in `owner.interrupts`. Registers beyond the bank's last INTID are RAZ/WI (rule ACC-6).
"""

from mypy_extensions import i64

from mmio import NOT_THERE, StoredWord
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.words import ALL_BITS, InterruptWord, full

__all__ = ["BankOwner", "Security", "bank_words", "gather", "nmi_words", "spread", "two_state_words"]


class Security:
    """What all devices of a VM know of its Security states."""

    def __init__(self, two: bool) -> None:
        self.two = two
        """Secure and Non-secure accesses differ: there are two states, and GICD_CTLR.DS is 0 (SEC-1)."""


class BankOwner:
    """A device with a bank of interrupts, and perhaps one of the extended range."""

    __slots__ = ("extended", "interrupts", "security")

    def __init__(self, interrupts: InterruptBank, extended: InterruptBank | None, security: Security) -> None:
        self.interrupts = interrupts
        self.security = security
        self.extended = None if extended is None else BankOwner(extended, None, security)
        """Stands for the device in the registers of the extended range; None where it has none."""


class _BitWord(StoredWord[BankOwner]):
    """A bit for each of 32 interrupts."""

    def stored(self, word: InterruptWord) -> i64:
        """The bits."""
        raise NotImplementedError

    def store(self, word: InterruptWord, bits: i64) -> None:
        """Replace them."""
        raise NotImplementedError

    def get(self, owner: BankOwner, index: int) -> int:
        words = owner.interrupts.words
        return self.stored(words[index]) if index < len(words) else 0

    def kept(self, owner: BankOwner, index: int, writable: int) -> int:
        words = owner.interrupts.words
        return words[index].implemented & writable if index < len(words) else NOT_THERE

    def keep(self, owner: BankOwner, index: int, value: int) -> None:
        self.store(owner.interrupts.words[index], value)

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        if index < len(bank.words):
            word = bank.words[index]
            self.store(word, value & word.implemented)
            # Bits that are set by a write of 1 reach the interrupt also where they are set already.
            bank.notice(index, value & mask)
            bank.update(index, ALL_BITS)


class _Enabled(_BitWord):
    def stored(self, word: InterruptWord) -> i64:
        return word.enabled

    def store(self, word: InterruptWord, bits: i64) -> None:
        word.enabled = bits


class _Active(_BitWord):
    def stored(self, word: InterruptWord) -> i64:
        return word.active

    def store(self, word: InterruptWord, bits: i64) -> None:
        word.active = bits

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        super().put(owner, index, value, mask, secure)
        owner.interrupts.forget_inactive()


class _Pending(_BitWord):
    """Writes change the latches; a read also shows the levels of level-sensitive interrupts."""

    alias = "pending_latch"

    def stored(self, word: InterruptWord) -> i64:
        return word.latch

    def store(self, word: InterruptWord, bits: i64) -> None:
        word.latch = bits

    def view(self, owner: BankOwner, index: int, secure: bool) -> int:
        words = owner.interrupts.words
        return words[index].pending() if index < len(words) else 0


class _Group(_BitWord):
    def stored(self, word: InterruptWord) -> i64:
        return word.group1

    def store(self, word: InterruptWord, bits: i64) -> None:
        word.group1 = bits

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        if index < len(bank.words):
            bank.notice(index, ALL_BITS)
            word = bank.words[index]
            bank.set_groups(index, value & word.implemented)


class _GroupModifier(_BitWord):
    def stored(self, word: InterruptWord) -> i64:
        return full(word).modifier

    def store(self, word: InterruptWord, bits: i64) -> None:
        full(word).modifier = bits

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        if index < len(bank.words):
            word = bank.words[index]
            bank.set_modifiers(index, value & word.implemented)


class _Priority(StoredWord[BankOwner]):
    """Four interrupts a register, a byte each."""

    def get(self, owner: BankOwner, index: int) -> int:
        return int.from_bytes(owner.interrupts.priorities[4 * index : 4 * index + 4], "little")

    def kept(self, owner: BankOwner, index: int, writable: int) -> int:
        bank = owner.interrupts
        return int(bank.priority_mask) * 0x0101_0101 & writable if 4 * index < bank.count else NOT_THERE

    def keep(self, owner: BankOwner, index: int, value: int) -> None:
        owner.interrupts.store_priorities(4 * index, value.to_bytes(4, "little"))

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        for lane in range(4):
            interrupt = 4 * index + lane
            if mask >> 8 * lane & 0xFF and interrupt < bank.count:
                bank.set_priority(interrupt, value >> 8 * lane & 0xFF)


class _PriorityUnlessNmi(_Priority):
    """The field of an interrupt with superpriority is RES0 (NMI-3)."""

    def view(self, owner: BankOwner, index: int, secure: bool) -> int:
        return self.get(owner, index) & ~self.superior(owner, index)

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        super().put(owner, index, value, mask & ~self.superior(owner, index), secure)

    def superior(self, owner: BankOwner, index: int) -> int:
        """The fields of interrupts with superpriority."""
        words = owner.interrupts.words
        number, part = divmod(index, 8)
        superior = words[number].superior() >> 4 * part if number < len(words) else 0
        return sum(0xFF << 8 * lane for lane in range(4) if superior >> lane & 1)


class _Nmi(_BitWord):
    """The bit of an interrupt in Group 0 is RES0 (NMI-2)."""

    def stored(self, word: InterruptWord) -> i64:
        return full(word).nmi

    def store(self, word: InterruptWord, bits: i64) -> None:
        full(word).nmi = bits

    def view(self, owner: BankOwner, index: int, secure: bool) -> int:
        words = owner.interrupts.words
        return words[index].superior() if index < len(words) else 0

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        if index < len(bank.words):
            word = full(bank.words[index])
            reached = word.implemented & (word.group1 | word.modifier)
            bank.set_nmis(index, word.nmi & ~reached | value & reached)


class _Config(StoredWord[BankOwner]):
    """Sixteen interrupts a register, two bits each; the upper one says edge-triggered, the lower is zero."""

    def __init__(self, half: int, deferred: bool, overlooked: bool) -> None:
        self.half = half
        self.deferred = deferred
        self.overlooked = overlooked

    def get(self, owner: BankOwner, index: int) -> int:
        words = owner.interrupts.words
        number, half = divmod(index + self.half, 2)
        if number >= len(words):
            return 0
        return spread(words[number].edge >> 16 * half & 0xFFFF) << 1

    def kept(self, owner: BankOwner, index: int, writable: int) -> int:
        words = owner.interrupts.words
        number, half = divmod(index + self.half, 2)
        if number >= len(words):
            return NOT_THERE
        return spread(words[number].implemented >> 16 * half & 0xFFFF) << 1 & writable

    def keep(self, owner: BankOwner, index: int, value: int) -> None:
        number, half = divmod(index + self.half, 2)
        word = owner.interrupts.words[number]
        others = word.edge & ~(0xFFFF << 16 * half)
        word.edge = (others | gather(value >> 1) << 16 * half) & word.implemented

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        number = (index + self.half) // 2
        if number >= len(bank.words):
            return
        word = bank.words[number]
        due = word.due()
        self.keep(owner, index, value)
        if self.overlooked:
            # A line that has been high for long comes to count, which is no event (STATE-17).
            word.overlooked |= word.due() & ~due
        if self.deferred:
            bank.forwarder.defer(bank, number)
        else:
            bank.update(number, ALL_BITS)


class _NonsecureAccess(StoredWord[BankOwner]):
    """Sixteen interrupts a register, two bits each: how much of a Secure one Non-secure accesses reach (SEC-5)."""

    def get(self, owner: BankOwner, index: int) -> int:
        words = owner.interrupts.words
        number, half = divmod(index, 2)
        if number >= len(words):
            return 0
        word, lsb = full(words[number]), 16 * half
        return spread(word.access_low >> lsb & 0xFFFF) | spread(word.access_high >> lsb & 0xFFFF) << 1

    def kept(self, owner: BankOwner, index: int, writable: int) -> int:
        words = owner.interrupts.words
        number, half = divmod(index, 2)
        if number >= len(words):
            return NOT_THERE
        return 0b11 * spread(words[number].implemented >> 16 * half & 0xFFFF) & writable

    def keep(self, owner: BankOwner, index: int, value: int) -> None:
        number, half = divmod(index, 2)
        word, lsb = full(owner.interrupts.words[number]), 16 * half
        there = word.implemented & 0xFFFF << lsb
        word.access_low = word.access_low & ~there | gather(value) << lsb & there
        word.access_high = word.access_high & ~there | gather(value >> 1) << lsb & there

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        if index // 2 < len(owner.interrupts.words):
            self.keep(owner, index, value)


def spread(bits: int) -> int:
    """Bit n of 16 to bit 2n."""
    return sum((bits >> n & 1) << 2 * n for n in range(16))


def gather(bits: int) -> int:
    """Bit 2n to bit n of 16."""
    return sum((bits >> 2 * n & 1) << n for n in range(16))


def bank_words(
    prefix: str,
    config: str,
    first_half: int = 0,
    deferred: bool = False,
    overlooked: bool = False,
) -> dict[str, StoredWord[BankOwner]]:
    """The words behind the bank registers of the frame whose register names start with `prefix`.

    `config` names the trigger configuration registers, the first of which covers half `first_half` of the bank's
    first 32 interrupts. With `deferred`, a change of trigger takes effect when the interrupt is next evaluated;
    with `overlooked`, when something happens to the interrupt.
    """
    enabled: StoredWord[BankOwner] = _Enabled()
    pending: StoredWord[BankOwner] = _Pending()
    active: StoredWord[BankOwner] = _Active()
    return {
        f"{prefix}_IGROUPR": _Group(),
        f"{prefix}_ISENABLER": enabled,
        f"{prefix}_ICENABLER": enabled,
        f"{prefix}_ISPENDR": pending,
        f"{prefix}_ICPENDR": pending,
        f"{prefix}_ISACTIVER": active,
        f"{prefix}_ICACTIVER": active,
        f"{prefix}_IPRIORITYR": _Priority(),
        config: _Config(first_half, deferred, overlooked),
    }


def two_state_words(prefix: str) -> dict[str, StoredWord[BankOwner]]:
    """The words of a VM with two Security states, beside those of `bank_words`."""
    return {f"{prefix}_IGRPMODR": _GroupModifier(), f"{prefix}_NSACR": _NonsecureAccess()}


def nmi_words(prefix: str, keeps_priority: bool) -> dict[str, StoredWord[BankOwner]]:
    """The words of a VM with NMIs, beside those of `bank_words` or instead of them.

    With `keeps_priority` IPRIORITYR has the priority of an interrupt with superpriority.
    """
    words: dict[str, StoredWord[BankOwner]] = {f"{prefix}_INMIR": _Nmi()}
    if not keeps_priority:
        words[f"{prefix}_IPRIORITYR"] = _PriorityUnlessNmi()
    return words
