"""How registers behave: one small class per kind of access.

The state lives elsewhere. A register asks a `Word` for it, and a `Word` asks the `owner`, the device that the
accessed frame belongs to; so one register object serves the same frame of any number of owners.

Every access carries `secure` (the access's Security state), by which a `Word` may show and take something else,
and every write a `mask` of the bits that the access reached: a byte, one half of a 64-bit register, or all of it.
Merging by that mask is the whole secret of partial writes. What is stored is the same whoever asks.
"""

from typing import Final, Generic, TypeVar

from mypy_extensions import mypyc_attr

__all__ = [
    "NOT_THERE",
    "ClearBits",
    "Fixed",
    "ReadOnly",
    "ReadWrite",
    "Register",
    "SetBits",
    "StoredWord",
    "Word",
    "WriteOnly",
]

# A word that needs only a base class of the device serves the device as well.
OwnerT = TypeVar("OwnerT", contravariant=True)


# Devices of an embedder are Python, also where this module is compiled.
@mypyc_attr(allow_interpreted_subclasses=True)
class Word(Generic[OwnerT]):
    """State behind a register: register `index` of an array, in the device `owner`."""

    def get(self, owner: OwnerT, index: int) -> int:
        """What is stored, whatever the Security state of an access: what a write is merged with."""
        return 0

    def view(self, owner: OwnerT, index: int, secure: bool) -> int:
        """What a read returns; differs from `get` where hardware adds bits of its own, or hides some."""
        return self.get(owner, index)

    def put(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Store `value`, already merged with what was stored; the access reached the bits in `mask`."""


@mypyc_attr(allow_interpreted_subclasses=True)
class StoredWord(Word[OwnerT]):
    """A word that is state of the device: saved with it, and stored again where it is restored.

    `get` and `keep` are all that is said of how it is stored, and each is the other's inverse; what else a write
    does is up to `put`.
    """

    alias = ""
    """What it is saved as, with its number, where the register before it shows something else as well."""

    def kept(self, owner: OwnerT, index: int, writable: int) -> int:
        """The bits that may differ from one state to another; a guest can write `writable`.

        NOT_THERE where this device has no such register.
        """
        return writable

    def keep(self, owner: OwnerT, index: int, value: int) -> None:
        """Store what `get` returned once, and do nothing else: what follows is told when all is stored."""
        raise NotImplementedError


NOT_THERE: Final = -1
"""What `StoredWord.kept` returns for a register that a device has not got."""


class _Constant(Word[OwnerT]):
    """A word that nothing changes."""

    def __init__(self, value: int) -> None:
        self.value = value

    def get(self, owner: OwnerT, index: int) -> int:
        """The constant."""
        return self.value


class Register(Generic[OwnerT]):
    """What a read shows is always a word, and some bits that are one; the kinds differ in what a write does.

    This one, the base of the others, ignores it. Without a word it reads as zero: a reserved register.
    """

    readable = True
    writable = True

    def __init__(self, word: Word[OwnerT] | None = None, ones: int = 0) -> None:
        self.word: Word[OwnerT] = Word() if word is None else word
        """What a read shows."""
        self.ones = ones
        """The bits that always read as one."""

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Write the bits of `value` that are in `mask`."""


class ReadOnly(Register[OwnerT]):
    """Cannot be written: a frame refuses it."""

    writable = False


class Fixed(ReadOnly[OwnerT]):
    """Reads as one constant."""

    def __init__(self, value: int) -> None:
        super().__init__(_Constant(value))


class WriteOnly(Register[OwnerT]):
    """Passes on what is written and reads as zero."""

    readable = False

    def __init__(self, word: Word[OwnerT]) -> None:
        super().__init__()
        self.sink = word

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Hand the written bits to the word."""
        self.sink.put(owner, index, value & mask, mask, secure)


class ReadWrite(Register[OwnerT]):
    """Reads as written in the bits of `writable`; the bits of `ones` always read as one."""

    def __init__(self, word: Word[OwnerT], writable: int, ones: int = 0) -> None:
        super().__init__(word, ones)
        self.changeable = writable

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Merge the written bits into the word."""
        word = self.word
        changed = mask & self.changeable
        merged = (word.get(owner, index) & ~changed) | (value & changed)
        word.put(owner, index, merged, mask, secure)


class SetBits(Register[OwnerT]):
    """Writing 1 sets a bit, writing 0 does nothing."""

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Set the bits that are 1 in `value`."""
        word, bits = self.word, value & mask
        word.put(owner, index, word.get(owner, index) | bits, bits, secure)


class ClearBits(Register[OwnerT]):
    """Writing 1 clears a bit, writing 0 does nothing."""

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Clear the bits that are 1 in `value`."""
        word, bits = self.word, value & mask
        word.put(owner, index, word.get(owner, index) & ~bits, bits, secure)
