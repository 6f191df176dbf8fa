"""The state behind the registers that hold a field for each of many INTIDs.

The Distributor has them for SPIs, a Redistributor for its private interrupts; the words are the same and find
their bank in `owner.interrupts`. Registers beyond the bank's last INTID are RAZ/WI (rule ACC-6).
"""

from mmio import Word
from vgic.interrupts import ALL_BITS, InterruptBank

__all__ = ["BankOwner", "bank_words", "gather", "spread"]


class BankOwner:
    """A device with a bank of interrupts."""

    __slots__ = ("interrupts",)

    def __init__(self, interrupts: InterruptBank) -> None:
        self.interrupts = interrupts


class _BitWord(Word[BankOwner]):
    """A word of one of the bank's bit arrays."""

    def bits(self, bank: InterruptBank) -> list[int]:
        """The array."""
        raise NotImplementedError

    def get(self, owner: BankOwner, index: int, secure: bool) -> int:
        words = self.bits(owner.interrupts)
        return words[index] if index < len(words) else 0

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        words = self.bits(bank)
        if index < len(words):
            words[index] = value & bank.implemented(index)
            bank.update(index, ALL_BITS)


class _Enabled(_BitWord):
    def bits(self, bank: InterruptBank) -> list[int]:
        return bank.enabled


class _Active(_BitWord):
    def bits(self, bank: InterruptBank) -> list[int]:
        return bank.active


class _Pending(_BitWord):
    """Writes change the latches; a read also shows the levels of level-sensitive interrupts."""

    def bits(self, bank: InterruptBank) -> list[int]:
        return bank.latch

    def view(self, owner: BankOwner, index: int, secure: bool) -> int:
        bank = owner.interrupts
        return bank.pending(index) if index < len(bank.latch) else 0


class _Group(_BitWord):
    def bits(self, bank: InterruptBank) -> list[int]:
        return bank.group1

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        if index < len(bank.group1):
            bank.set_group(index, value & bank.implemented(index))


class _Priority(Word[BankOwner]):
    """Four interrupts a register, a byte each."""

    def get(self, owner: BankOwner, index: int, secure: bool) -> int:
        return int.from_bytes(owner.interrupts.priority[4 * index : 4 * index + 4], "little")

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        for lane in range(4):
            interrupt = 4 * index + lane
            if mask >> 8 * lane & 0xFF and interrupt < bank.count:
                bank.set_priority(interrupt, value >> 8 * lane & 0xFF)


class _Config(Word[BankOwner]):
    """Sixteen interrupts a register, two bits each; the upper one says edge-triggered, the lower is zero."""

    def __init__(self, half: int, deferred: bool) -> None:
        self.half = half
        self.deferred = deferred

    def get(self, owner: BankOwner, index: int, secure: bool) -> int:
        bank = owner.interrupts
        word, shift = divmod(index + self.half, 2)
        if word >= len(bank.edge):
            return 0
        return spread(bank.edge[word] >> 16 * shift & 0xFFFF) << 1

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        bank = owner.interrupts
        word, shift = divmod(index + self.half, 2)
        if word >= len(bank.edge):
            return
        others = bank.edge[word] & ~(0xFFFF << 16 * shift)
        bank.edge[word] = (others | gather(value >> 1) << 16 * shift) & bank.implemented(word)
        if self.deferred:
            bank.forwarder.defer(bank, word)
        else:
            bank.update(word, ALL_BITS)


def spread(bits: int) -> int:
    """Bit n of 16 to bit 2n."""
    return sum((bits >> n & 1) << 2 * n for n in range(16))


def gather(bits: int) -> int:
    """Bit 2n to bit n of 16."""
    return sum((bits >> 2 * n & 1) << n for n in range(16))


def bank_words(prefix: str, config: str, first_half: int = 0, deferred: bool = False) -> dict[str, Word[BankOwner]]:
    """The words behind the bank registers of the frame whose register names start with `prefix`.

    `config` names the trigger configuration registers, the first of which covers half `first_half` of the bank's
    first 32 interrupts. With `deferred`, a change of trigger takes effect when the interrupt is next evaluated.
    """
    enabled: Word[BankOwner] = _Enabled()
    pending: Word[BankOwner] = _Pending()
    active: Word[BankOwner] = _Active()
    return {
        f"{prefix}_IGROUPR": _Group(),
        f"{prefix}_ISENABLER": enabled,
        f"{prefix}_ICENABLER": enabled,
        f"{prefix}_ISPENDR": pending,
        f"{prefix}_ICPENDR": pending,
        f"{prefix}_ISACTIVER": active,
        f"{prefix}_ICACTIVER": active,
        f"{prefix}_IPRIORITYR": _Priority(),
        config: _Config(first_half, deferred),
    }
