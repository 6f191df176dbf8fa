"""The registers of the extended ranges (GICv3.1): the words of the others, for the other bank of a device."""

from collections.abc import Iterable, Mapping

from mmio import RegisterLayout, StoredWord
from vgic.interrupts.registers import BankOwner

__all__ = ["extended_words"]


class _Extended(StoredWord[BankOwner]):
    """The word of a register, for the interrupts of the extended range instead."""

    def __init__(self, word: StoredWord[BankOwner]) -> None:
        self.word = word
        self.alias = word.alias

    def bank_of(self, owner: BankOwner) -> BankOwner:
        """Who has the interrupts of the extended range."""
        assert owner.extended is not None, "without them a device has no such register"
        return owner.extended

    def get(self, owner: BankOwner, index: int) -> int:
        return self.word.get(self.bank_of(owner), index)

    def view(self, owner: BankOwner, index: int, secure: bool) -> int:
        return self.word.view(self.bank_of(owner), index, secure)

    def put(self, owner: BankOwner, index: int, value: int, mask: int, secure: bool) -> None:
        self.word.put(self.bank_of(owner), index, value, mask, secure)

    def kept(self, owner: BankOwner, index: int, writable: int) -> int:
        return self.word.kept(self.bank_of(owner), index, writable)

    def keep(self, owner: BankOwner, index: int, value: int) -> None:
        self.word.keep(self.bank_of(owner), index, value)


def extended_words(
    words: Mapping[str, StoredWord[BankOwner]], layouts: Iterable[RegisterLayout]
) -> dict[str, StoredWord[BankOwner]]:
    """The words behind those registers of the extended range that are like one in `words`: GICD_IGROUPR<n>E."""
    usual = {layout.name: layout.name.removesuffix("<n>E") for layout in layouts}
    return {name: _Extended(words[stem]) for name, stem in usual.items() if stem in words}
