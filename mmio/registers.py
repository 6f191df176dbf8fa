"""How registers behave: one small class per kind of access.

The state lives elsewhere. A register asks a `Word` for it, and a `Word` asks the `owner`, the device that the
accessed frame belongs to; so one register object serves the same frame of any number of owners.

Every access carries `secure` (the access's Security state), which a banked `Word` looks at, and every write a
`mask` of the bits that the access reached: a byte, one half of a 64-bit register, or all of it. Merging by that
mask is the whole secret of partial writes.
"""

from typing import Generic, TypeVar

from mypy_extensions import mypyc_attr

__all__ = [
    "ClearBits",
    "Fixed",
    "ReadOnly",
    "ReadWrite",
    "Register",
    "SetBits",
    "Word",
    "WriteOnly",
]

# A word that needs only a base class of the device serves the device as well.
OwnerT = TypeVar("OwnerT", contravariant=True)


# Devices of an embedder are Python, also where this module is compiled.
@mypyc_attr(allow_interpreted_subclasses=True)
class Word(Generic[OwnerT]):
    """State behind a register: register `index` of an array, in the device `owner`."""

    def get(self, owner: OwnerT, index: int, secure: bool) -> int:
        """What is stored."""
        return 0

    def view(self, owner: OwnerT, index: int, secure: bool) -> int:
        """What a read returns; differs from `get` where hardware adds bits of its own."""
        return self.get(owner, index, secure)

    def put(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Store `value`, already merged with what was stored; the access reached the bits in `mask`."""


class Register(Generic[OwnerT]):
    """Reads as zero and ignores writes: the base of the others, and what a reserved register is."""

    readable = True
    writable = True

    def read(self, owner: OwnerT, index: int, secure: bool) -> int:
        """The register's whole value."""
        return 0

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Write the bits of `value` that are in `mask`."""


class Fixed(Register[OwnerT]):
    """Reads as one constant and ignores writes."""

    writable = False

    def __init__(self, value: int) -> None:
        self.value = value

    def read(self, owner: OwnerT, index: int, secure: bool) -> int:
        """The constant."""
        return self.value


class ReadOnly(Register[OwnerT]):
    """Reads a word and ignores writes."""

    writable = False

    def __init__(self, word: Word[OwnerT]) -> None:
        self.word = word

    def read(self, owner: OwnerT, index: int, secure: bool) -> int:
        """The word."""
        return self.word.view(owner, index, secure)


class WriteOnly(Register[OwnerT]):
    """Passes on what is written and reads as zero."""

    readable = False

    def __init__(self, word: Word[OwnerT]) -> None:
        self.word = word

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Hand the written bits to the word."""
        self.word.put(owner, index, value & mask, mask, secure)


class ReadWrite(Register[OwnerT]):
    """Reads as written in the bits of `writable`; the bits of `ones` always read as one."""

    def __init__(self, word: Word[OwnerT], writable: int, ones: int = 0) -> None:
        self.word = word
        self.changeable = writable
        self.ones = ones

    def read(self, owner: OwnerT, index: int, secure: bool) -> int:
        """The word, with the bits that are always one."""
        return self.word.view(owner, index, secure) | self.ones

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Merge the written bits into the word."""
        word = self.word
        changed = mask & self.changeable
        merged = (word.get(owner, index, secure) & ~changed) | (value & changed)
        word.put(owner, index, merged, mask, secure)


class SetBits(Register[OwnerT]):
    """Writing 1 sets a bit, writing 0 does nothing."""

    def __init__(self, word: Word[OwnerT]) -> None:
        self.word = word

    def read(self, owner: OwnerT, index: int, secure: bool) -> int:
        """The word."""
        return self.word.view(owner, index, secure)

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Set the bits that are 1 in `value`."""
        word = self.word
        word.put(owner, index, word.get(owner, index, secure) | (value & mask), mask, secure)


class ClearBits(Register[OwnerT]):
    """Writing 1 clears a bit, writing 0 does nothing."""

    def __init__(self, word: Word[OwnerT]) -> None:
        self.word = word

    def read(self, owner: OwnerT, index: int, secure: bool) -> int:
        """The word."""
        return self.word.view(owner, index, secure)

    def write(self, owner: OwnerT, index: int, value: int, mask: int, secure: bool) -> None:
        """Clear the bits that are 1 in `value`."""
        word = self.word
        word.put(owner, index, word.get(owner, index, secure) & ~(value & mask), mask, secure)
