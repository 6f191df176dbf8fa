"""A 64 KiB frame: offset and size of an access to register and byte lanes.

A frame is a table, not a device: the device whose frame it is comes with each access as `owner`, so that 65,536
redistributors share two frames. An access that the frame does not take (see `Refusal`) changes nothing and is
told to the caller, who answers it RAZ/WI; the guest is never faulted.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from enum import Enum
from typing import Final, Generic, TypeVar

from mypy_extensions import i64

from mmio.layout import AccessKind, LayoutError, RegisterLayout
from mmio.registers import (
    ClearBits,
    Fixed,
    ReadOnly,
    ReadWrite,
    Register,
    SetBits,
    StoredWord,
    Word,
    WriteOnly,
)

__all__ = ["FRAME_BITS", "FRAME_SIZE", "ILLEGAL", "Frame", "Refusal", "StoredRegister"]

FRAME_BITS: Final = 16
"""Bits of an offset in a frame."""

FRAME_SIZE: Final = 1 << FRAME_BITS
"""Bytes in a frame."""

ILLEGAL: Final = -1
"""What `Frame.read` returns for an access that it refuses."""

OwnerT = TypeVar("OwnerT")


class Refusal(Enum):
    """Why an access was answered RAZ/WI."""

    UNMAPPED = "no device at this address"
    SIZE = "an access is 1, 2, 4 or 8 bytes"
    HOLE = "no register at this offset"
    WIDTH = "the register does not take this access size"
    MISALIGNED = "the address is not a multiple of the access size"
    READ_ONLY = "the register is read only"
    WRITE_ONLY = "the register is write only"


class StoredRegister(Generic[OwnerT]):
    """A register of a frame that is state of the device."""

    def __init__(
        self, layout: RegisterLayout, index: int, register: Register[OwnerT], word: StoredWord[OwnerT]
    ) -> None:
        self.layout = layout
        self.index = index
        """Which register of an array, counted from 0."""
        self.word = word
        self._ones = register.ones
        self._writable = (1 << layout.width) - 1
        if isinstance(register, ReadWrite):
            self._writable = register.changeable
        elif not register.writable:
            self._writable = 0

    @property
    def name(self) -> str:
        """Arm's name, or the alias of the word, with the number of the register in an array."""
        title = self.layout.title(self.index)
        stem = self.layout.name.partition("<n>")[0]
        return self.word.alias + title.removeprefix(stem) if self.word.alias else title

    def kept(self, owner: OwnerT) -> int:
        """The bits that may differ from one state to another, NOT_THERE where the device has no such register."""
        return self.word.kept(owner, self.index, self._writable)

    def get(self, owner: OwnerT) -> int:
        """What is stored, and the bits that always read as one."""
        return self.word.get(owner, self.index) | self._ones

    def keep(self, owner: OwnerT, value: int) -> None:
        """Store what `get` returned once, and do nothing else."""
        self.word.keep(owner, self.index, value & ~self._ones)


class _Slot(Generic[OwnerT]):
    """Four bytes of a frame: the register that lies there, and the accesses that it takes."""

    __slots__ = ("index", "lanes", "layout", "mask", "ones", "reads", "register", "width", "word", "writes")

    def __init__(self, register: Register[OwnerT], layout: RegisterLayout | None, index: int) -> None:
        self.register = register
        self.word = register.word
        self.ones = register.ones
        self.layout = layout
        """None in a hole."""
        self.index = index
        """Which register of an array, counted from 0."""
        self.reads: i64 = 0
        """The sizes that a read may have: they are powers of two, so their sum tells them all."""
        self.writes: i64 = 0
        self.width: i64 = 0
        """Bytes of the register."""
        self.lanes: i64 = 0
        """The bits of an offset that say which byte of the register it is."""
        self.mask = 0
        """All bits of the register."""
        if layout is not None:
            sizes = sum(layout.sizes)
            self.reads = sizes if register.readable else 0
            self.writes = sizes if register.writable else 0
            self.width = layout.width // 8
            self.lanes = layout.width // 8 - 1
            self.mask = (1 << layout.width) - 1


class Frame(Generic[OwnerT]):
    """The registers of one 64 KiB frame.

    `layouts` says what there is and `words` holds the state behind each register by name; a register's access
    kind is declared in its layout and nowhere else. An implementation may differ from the layouts: registers in
    `fixed` are constants, in those of `writable` other bits can be written, and those in `absent` do not exist; in
    those of `ones` more bits always read as one, and cannot be written. These four may name registers of other
    frames too.

    Raises LayoutError for layouts that overlap, a word without a layout, or a register without what it needs.
    """

    def __init__(
        self,
        name: str,
        layouts: Sequence[RegisterLayout],
        words: Mapping[str, Word[OwnerT]],
        fixed: Mapping[str, int] | None = None,
        writable: Mapping[str, int] | None = None,
        absent: Collection[str] = (),
        ones: Mapping[str, int] | None = None,
    ) -> None:
        self.name = name
        unknown = words.keys() - {layout.name for layout in layouts}
        if unknown:
            raise LayoutError(f"frame {name} has no register {', '.join(sorted(unknown))}")
        self._slots: list[_Slot[OwnerT]] = [_Slot(Register(), None, 0)] * (FRAME_SIZE // 4)
        self._stored: list[tuple[RegisterLayout, Register[OwnerT]]] = []
        for layout in layouts:
            if layout.name not in absent:
                mask = (writable or {}).get(layout.name, layout.writable)
                added = (ones or {}).get(layout.name, 0)
                register = _register(layout, words.get(layout.name), (fixed or {}).get(layout.name), mask, added)
                self._place(layout, register)

    def stored(self) -> Iterator[StoredRegister[OwnerT]]:
        """The registers that are state, in the order of the layouts; of two that show the same word, one."""
        for layout, register in self._stored:
            word = register.word
            if isinstance(word, StoredWord):
                for index in range(layout.count):
                    yield StoredRegister(layout, index, register, word)

    def stored_at(self, offset: i64) -> StoredRegister[OwnerT] | None:
        """The register that covers `offset`, None where it is not state, or there is none."""
        slot = self._slots[offset >> 2]
        layout, word = slot.layout, slot.word
        if layout is None or not isinstance(word, StoredWord):
            return None
        return StoredRegister(layout, slot.index, slot.register, word)

    def _place(self, layout: RegisterLayout, register: Register[OwnerT]) -> None:
        if isinstance(register.word, StoredWord) and not isinstance(register, ClearBits):
            self._stored.append((layout, register))
        width = layout.width // 8
        if layout.offset % width:
            raise LayoutError(
                f"frame {self.name}: {layout.name} at {layout.offset:#x} is not aligned to {width} bytes"
            )
        for index in range(layout.count):
            for half in range(0, width, 4):
                place = (layout.offset + index * layout.stride + half) >> 2
                other = self._slots[place].layout if place < len(self._slots) else layout
                if other is not None:
                    name = other.name
                    where = f"{place * 4:#x}"
                    raise LayoutError(f"frame {self.name}: {layout.title(index)} and {name} meet at {where}")
                self._slots[place] = _Slot(register, layout, index)

    def read(self, owner: OwnerT, offset: i64, size: i64, secure: bool) -> int:
        """Read `size` bytes (1, 2, 4 or 8) at `offset`; ILLEGAL where the frame refuses the access."""
        slot = self._slots[offset >> 2]
        if not size & slot.reads or offset & (size - 1):
            return ILLEGAL
        value = slot.word.view(owner, slot.index, secure) | slot.ones
        if size == slot.width:
            return value
        lsb, bits = int(8 * (offset & slot.lanes)), int(8 * size)
        return value >> lsb & (1 << bits) - 1

    def write(self, owner: OwnerT, offset: i64, size: i64, value: int, secure: bool) -> bool:
        """Write the low `size` bytes of `value` at `offset`; False where the frame refuses the access."""
        slot = self._slots[offset >> 2]
        if not size & slot.writes or offset & (size - 1):
            return False
        mask = slot.mask
        if size != slot.width:
            lsb, bits = int(8 * (offset & slot.lanes)), int(8 * size)
            mask = (1 << bits) - 1 << lsb
            value <<= lsb
        slot.register.write(owner, slot.index, value & mask, mask, secure)
        return True

    def refusal(self, offset: i64, size: i64, write: bool) -> Refusal | None:
        """Why an access has no effect, or None where it has one. For reports, not for the hot path."""
        slot = self._slots[offset >> 2]
        register, layout = slot.register, slot.layout
        if layout is None:
            return Refusal.HOLE
        if size not in layout.sizes:
            return Refusal.WIDTH
        if offset & (size - 1):
            return Refusal.MISALIGNED
        if write and not register.writable:
            return Refusal.READ_ONLY
        if not write and not register.readable:
            return Refusal.WRITE_ONLY
        return None

    def register_at(self, offset: i64) -> tuple[RegisterLayout, int] | None:
        """The layout of the register that covers `offset` and its index in the array, None in a hole."""
        slot = self._slots[offset >> 2]
        return None if slot.layout is None else (slot.layout, slot.index)


def _register(
    layout: RegisterLayout, word: Word[OwnerT] | None, fixed: int | None, writable: int, ones: int
) -> Register[OwnerT]:
    kind = layout.access
    if fixed is not None:
        return Fixed(fixed)
    if kind is AccessKind.RAZ_WI:
        return Register()
    if kind is AccessKind.RO:
        return Fixed(layout.reset) if word is None else ReadOnly(word)
    if word is None:
        raise LayoutError(f"{layout.name} is {kind.value} and has no state behind it")
    match kind:
        case AccessKind.WO:
            return WriteOnly(word)
        case AccessKind.W1S:
            return SetBits(word)
        case AccessKind.W1C:
            return ClearBits(word)
    return ReadWrite(word, writable & ~ones, layout.ones | ones)
