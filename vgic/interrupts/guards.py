"""The two views of a register while there are two Security states: what an access of each reaches.

With GICD_CTLR.DS = 0 a Non-secure access finds what is Secure RAZ/WI, register by register (rules SEC-3 to SEC-8 in
specs/security.md). A guard stands before the word behind a register and narrows an access to the bits that it
reaches: merging by that mask is all that a write needs, and the word does the rest as if a part of the register had
been written. Frames have guards where a VM has two states, and only there.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple, TypeVar

from mmio import StoredWord
from vgic.interrupts.banks import InterruptBank
from vgic.interrupts.registers import BankOwner, spread
from vgic.interrupts.words import full

__all__ = ["EVERYTHING", "NOTHING", "Guard", "OfTwoStates", "SecureOnly", "guarded"]

GuardedT = TypeVar("GuardedT", bound=BankOwner, contravariant=True)

EVERYTHING: Final = -1
NOTHING: Final = 0

NEVER: Final = 4
"""More than GICD_NSACR<n> can say: Non-secure accesses do not reach a Secure interrupt."""


class Guard(StoredWord[GuardedT]):
    """A word of which an access reaches what `seen` and `changed` say; what is stored is nobody's view."""

    def __init__(self, word: StoredWord[GuardedT]) -> None:
        self.word = word
        self.alias = word.alias

    def seen(self, owner: GuardedT, index: int, secure: bool) -> int:
        """The bits that a read shows; the others read as zero."""
        raise NotImplementedError

    def changed(self, owner: GuardedT, index: int, secure: bool) -> int:
        """The bits that a write changes; it leaves the others as they are."""
        return self.seen(owner, index, secure)

    def get(self, owner: GuardedT, index: int) -> int:
        """What is stored, whoever asks."""
        return self.word.get(owner, index)

    def kept(self, owner: GuardedT, index: int, writable: int) -> int:
        """As the word."""
        return self.word.kept(owner, index, writable)

    def keep(self, owner: GuardedT, index: int, value: int) -> None:
        """As the word."""
        self.word.keep(owner, index, value)

    def view(self, owner: GuardedT, index: int, secure: bool) -> int:
        """What the word shows, of the bits that are seen."""
        return self.word.view(owner, index, secure) & self.seen(owner, index, secure)

    def put(self, owner: GuardedT, index: int, value: int, mask: int, secure: bool) -> None:
        """Write what of the access reaches the word."""
        reached = self.changed(owner, index, secure)
        merged = self.word.get(owner, index) & ~reached | value & reached
        self.word.put(owner, index, merged, mask & reached, secure)


class _Whole(Guard[GuardedT]):
    """A register that an access reaches as a whole, or not at all."""

    def put(self, owner: GuardedT, index: int, value: int, mask: int, secure: bool) -> None:
        """Write it, or do nothing."""
        if self.seen(owner, index, secure):
            self.word.put(owner, index, value, mask, secure)


class SecureOnly(_Whole[GuardedT]):
    """A register that Non-secure accesses do not reach (SEC-3)."""

    def seen(self, owner: GuardedT, index: int, secure: bool) -> int:
        """All or nothing."""
        return EVERYTHING if secure or not owner.security.two else NOTHING


class OfTwoStates(_Whole[GuardedT]):
    """The same, and with GICD_CTLR.DS = 1 nobody does (SEC-3)."""

    def seen(self, owner: GuardedT, index: int, secure: bool) -> int:
        """All or nothing."""
        return EVERYTHING if secure and owner.security.two else NOTHING


class _Reach(NamedTuple):
    """The least GICD_NSACR<n> by which a Non-secure access reaches the field of a Secure interrupt."""

    read: int = NEVER
    write: int = NEVER


class _OfInterrupts(Guard[BankOwner]):
    """Registers with a field for each of many interrupts, the reached ones of which a subclass knows as bits."""

    def __init__(self, word: StoredWord[BankOwner], reach: _Reach) -> None:
        super().__init__(word)
        self.reach = reach

    def seen(self, owner: BankOwner, index: int, secure: bool) -> int:
        return EVERYTHING if secure or not owner.security.two else self.fields(owner, index, self.reach.read)

    def changed(self, owner: BankOwner, index: int, secure: bool) -> int:
        return EVERYTHING if secure or not owner.security.two else self.fields(owner, index, self.reach.write)

    def fields(self, owner: BankOwner, index: int, level: int) -> int:
        """The bits of register `index` whose interrupts are reached by `level` (see `FullWord.reached`)."""
        raise NotImplementedError


class _Bits(_OfInterrupts):
    """A bit for each of 32 interrupts."""

    def fields(self, owner: BankOwner, index: int, level: int) -> int:
        return _reached(owner.interrupts, index, level)


class _Pairs(_OfInterrupts):
    """Two bits for each of 16, the first of which are half `half` of the bank's first 32."""

    def __init__(self, word: StoredWord[BankOwner], reach: _Reach, half: int) -> None:
        super().__init__(word, reach)
        self.half = half

    def fields(self, owner: BankOwner, index: int, level: int) -> int:
        number, half = divmod(index + self.half, 2)
        return 0b11 * spread(_reached(owner.interrupts, number, level) >> 16 * half & 0xFFFF)


class _Priorities(_OfInterrupts):
    """A byte for each of four; Non-secure accesses see and set the lower half of the priorities (SEC-6)."""

    def fields(self, owner: BankOwner, index: int, level: int) -> int:
        reached = _reached(owner.interrupts, index // 8, level) >> 4 * (index % 8)
        return sum(0xFF << 8 * lane for lane in range(4) if reached >> lane & 1)

    def view(self, owner: BankOwner, index: int, secure: bool) -> int:
        shown = super().view(owner, index, secure)
        return shown if secure or not owner.security.two else shown << 1 & 0xFEFE_FEFE

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        if not secure and owner.security.two:
            value = value & ~mask | (value >> 1 & 0x7F7F_7F7F | 0x8080_8080) & mask
        reached = self.changed(owner, index, secure)
        # A field that is not reached is written as it is: that evaluates its interrupt, as QEMU does (STATE-8).
        self.word.put(owner, index, self.get(owner, index) & ~reached | value & reached, mask, secure)


def _reached(bank: InterruptBank, number: int, level: int) -> int:
    """The interrupts of word `number` that a Non-secure access reaches, as bits; none beyond the bank."""
    return int(full(bank.words[number]).reached(level)) if number < len(bank.words) else 0


_REACH: Final[Mapping[str, _Reach]] = {
    "ISENABLER": _Reach(),
    "ICENABLER": _Reach(),
    "INMIR": _Reach(),
    "ISPENDR": _Reach(read=1, write=1),
    "ICPENDR": _Reach(read=2, write=2),
    "ISACTIVER": _Reach(read=2),
    "ICACTIVER": _Reach(read=2),
}
"""Registers with a bit for each interrupt (SEC-4, SEC-5)."""


def guarded(words: Mapping[str, StoredWord[BankOwner]], first_half: int = 0) -> dict[str, StoredWord[BankOwner]]:
    """These words, each behind its guard; `first_half` as in `bank_words`."""
    found: dict[str, StoredWord[BankOwner]] = {}
    for name, word in words.items():
        register = name.partition("_")[2]
        if register in _REACH:
            found[name] = _Bits(word, _REACH[register])
        elif register == "IGROUPR":
            found[name] = SecureOnly(word)
        elif register in ("IGRPMODR", "NSACR"):
            found[name] = OfTwoStates(word)
        elif register == "IPRIORITYR":
            found[name] = _Priorities(word, _Reach())
        else:
            found[name] = _Pairs(word, _Reach(), first_half)
    return found
