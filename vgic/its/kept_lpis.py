"""What KVM keeps of each LPI that an ITS has mapped, beside guest RAM: its collection, and the vCPU it goes to.

In the architecture an LPI goes where its event's collection goes, so the tables say it all. In KVM it has a target
of its own, which follows the collection when that is mapped, and its event when that is mapped or moved. So MOVALL
moves LPIs for good, and an event whose collection is unmapped is cut off from it. Rules ITS-34 to ITS-37.

The LPIs of all ITSes of a VM are together: MOVALL moves those of every ITS. They are kept in pieces of 1,024
INTIDs, so that what concerns all of them is done in bounded parts (LPI-29).
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from sortedcontainers import SortedDict

from vgic.its.errors import Fault, ItsError
from vgic.lpis.bank import LpiBank, MappedLpis
from vgic.lpis.work import LOOKS_OF_A_STEP, STEPS_OF_AN_ACCESS

__all__ = ["KeptLpi", "KeptLpis"]

_PIECE_BITS: Final = 10
"""Bits of an INTID within a piece; no LPI is in piece 0."""
_MOVES_OF_A_STEP: Final = 4
"""So many pending LPIs go from one vCPU to another in a step."""
_CPU: Final = 0xFFFF
_COLLECTION_SHIFT: Final = 16
_CUT_OFF: Final = 0x1_0000_0000
"""The collection was unmapped while the event named it, so the event goes nowhere."""
_DISCARDED: Final = 0x2_0000_0000
"""The event is gone, and its LPI still pending."""
_ITS_SHIFT: Final = 34
_OF_ITS: Final = 0x3_FFFF_FFFF
"""All but the ITS."""
_OF_COLLECTION: Final = 0xFFFF
"""All but the ITS, the flags and the collection."""


class KeptLpi(NamedTuple):
    """What is kept of an LPI."""

    intid: int
    its: int
    collection: int
    cpu: int
    is_cut_off: bool
    """Its collection was unmapped, and `cpu` is where it went."""


class _Piece:
    """What is kept of 1,024 INTIDs in a row."""

    __slots__ = ("cut_offs", "words")

    def __init__(self, cut_offs: int) -> None:
        self.words: dict[int, int] = {}
        """By INTID."""
        self.cut_offs = cut_offs
        """How many of the ITSes' cut-offs have reached this piece."""


class KeptLpis(MappedLpis):
    """The LPIs that the ITSes of a VM have mapped, a word each: vCPU [15:0], ICID [31:16], flags, ITS from [34] on.

    The banks are those of the vCPUs. Methods with a `start` do no more than an access may, from that piece on; they
    return where to go on, 0 where nothing is left.
    """

    def __init__(self, banks: Sequence[LpiBank]) -> None:
        self._banks = banks
        self._work = banks[0].configuration.work
        self._pieces: SortedDict[int, _Piece] = SortedDict()
        """By the bits of INTIDs above the lowest ten."""
        self._cut_offs = 0
        """How often all events of an ITS were cut off. Pieces follow when they are looked at."""
        self._cut_off_last: dict[int, int] = {}
        """By ITS, what `_cut_offs` was after it was cut off last."""

    def _words_of(self, intid: int) -> dict[int, int]:
        """The words of an LPI's piece; of one that there is not, to be looked into only."""
        piece = self._pieces.get(intid >> _PIECE_BITS)
        if piece is None:
            return {}
        if piece.cut_offs != self._cut_offs:
            self._catch_up(piece)
        return piece.words

    def _catch_up(self, piece: _Piece) -> None:
        cut = {its for its, number in self._cut_off_last.items() if number > piece.cut_offs}
        words = piece.words
        for intid in words:
            if words[intid] >> _ITS_SHIFT in cut:
                words[intid] |= _CUT_OFF
        piece.cut_offs = self._cut_offs
        self._work.steps += len(words) // LOOKS_OF_A_STEP

    def _keep(self, intid: int, word: int) -> None:
        number = intid >> _PIECE_BITS
        if number not in self._pieces:
            self._pieces[number] = _Piece(self._cut_offs)
        self._words_of(intid)[intid] = word

    def _forget(self, intid: int) -> None:
        words = self._words_of(intid)
        words.pop(intid, None)
        if not words:
            self._pieces.pop(intid >> _PIECE_BITS, None)

    def goes_to(self, cpu: int, intid: int) -> bool:
        """True where an event has this LPI, and it goes to this vCPU."""
        word = self._words_of(intid).get(intid, -1)
        return word >= 0 and not word & _DISCARDED and word & _CPU == cpu

    def target(self, intid: int, cpu: int) -> int:
        """The vCPU of an LPI whose collection goes to `cpu`. Raises Fault where its event is cut off (ITS-35)."""
        word = self._words_of(intid).get(intid, cpu)
        if word & _CUT_OFF:
            raise Fault(ItsError.COLLECTION_UNMAPPED)
        return word & _CPU

    def map(self, its: int, intid: int, collection: int, cpu: int) -> None:
        """An event was given this LPI, in a collection that goes to `cpu`; a pending one stays (ITS-36)."""
        word = self._words_of(intid).get(intid, -1)
        if word >= 0 and self._banks[word & _CPU].is_pending(intid):
            cpu = word & _CPU
        self._keep(intid, its << _ITS_SHIFT | collection << _COLLECTION_SHIFT | cpu)

    def move(self, its: int, intid: int, collection: int, cpu: int) -> None:
        """MOVI: the event goes to another collection, which goes to `cpu`."""
        self._keep(intid, its << _ITS_SHIFT | collection << _COLLECTION_SHIFT | cpu)

    def discard(self, intid: int) -> None:
        """DISCARD: the event is gone; its LPI is known as long as it is offered to its vCPU (ITS-36)."""
        word = self._words_of(intid).get(intid, -1)
        if word >= 0 and self._banks[word & _CPU].is_offered(intid):
            self._keep(intid, word | _DISCARDED)
        else:
            self._forget(intid)

    # What concerns many.

    def _next(self, start: int) -> int:
        """The first piece from this one on, 0 where there is none."""
        place = self._pieces.bisect_left(start)
        return int(self._pieces.peekitem(place)[0]) if place < len(self._pieces) else 0

    def _look_at(self, number: int) -> dict[int, int]:
        """The words of a piece, to look at all of them."""
        words = self._words_of(number << _PIECE_BITS)
        self._work.steps += 1 + len(words) // LOOKS_OF_A_STEP
        return words

    def move_all(self, source: int, target: int, start: int = 0) -> int:
        """MOVALL: every LPI of a vCPU goes to another one from now on (ITS-34)."""
        begun = self._work.steps
        number = self._next(start)
        while number and self._work.steps - begun < STEPS_OF_AN_ACCESS:
            words = self._look_at(number)
            for intid, word in words.items():
                if word & _CPU == source:
                    words[intid] = word & ~_CPU | target
            number = self._next(number + 1)
        return number

    def retarget(self, its: int, collection: int, cpu: int, start: int = 0) -> int:
        """MAPC: the LPIs of a collection go to `cpu`, pending ones too (ITS-35)."""
        wanted = its << _ITS_SHIFT | collection << _COLLECTION_SHIFT
        begun = self._work.steps
        number = self._next(start)
        while number and self._work.steps - begun < STEPS_OF_AN_ACCESS:
            words = self._look_at(number)
            moved = [intid for intid, word in words.items() if word & ~_CPU == wanted and word & _CPU != cpu]
            for intid in moved:
                before = words[intid] & _CPU
                words[intid] = wanted | cpu
                self._banks[before].move(intid, self._banks[cpu])
            self._work.steps += len(moved) // _MOVES_OF_A_STEP
            number = self._next(number + 1)
        return number

    def cut_off(self, its: int, collection: int, start: int = 0) -> int:
        """The events of a collection go nowhere until they are mapped anew (ITS-35)."""
        wanted = its << _ITS_SHIFT | collection << _COLLECTION_SHIFT
        begun = self._work.steps
        number = self._next(start)
        while number and self._work.steps - begun < STEPS_OF_AN_ACCESS:
            words = self._look_at(number)
            for intid, word in words.items():
                if word & ~_OF_COLLECTION == wanted:
                    words[intid] = word | _CUT_OFF
            number = self._next(number + 1)
        return number

    def cut_off_all(self, its: int) -> None:
        """All events of an ITS go nowhere until they are mapped anew (ITS-35). O(1)."""
        self._cut_offs += 1
        self._cut_off_last[its] = self._cut_offs

    # State.

    def _all(self) -> Iterator[tuple[int, int]]:
        """INTIDs and words."""
        for number in self._pieces:
            yield from self._words_of(number << _PIECE_BITS).items()

    def intids(self, its: int) -> list[int]:
        """The LPIs that an ITS has mapped."""
        return [intid for intid, word in self._all() if word >> _ITS_SHIFT == its]

    def mapped(self) -> Iterator[KeptLpi]:
        """Each LPI that an event of some ITS has."""
        for intid, word in self._all():
            if not word & _DISCARDED:
                collection = word >> _COLLECTION_SHIFT & _CPU
                yield KeptLpi(intid, word >> _ITS_SHIFT, collection, word & _CPU, word & _CUT_OFF != 0)

    def word(self, its: int, intid: int) -> int:
        """What is kept of an LPI that this ITS has mapped, without the ITS; -1: nothing."""
        word = self._words_of(intid).get(intid, -1)
        return word & _OF_ITS if word >> _ITS_SHIFT == its else -1

    def set_word(self, its: int, intid: int, word: int) -> None:
        """Keep what `word` told; -1, or of a vCPU that there is not: nothing."""
        if word >= 0 and word & _CPU < len(self._banks):
            self._keep(intid, its << _ITS_SHIFT | word & _OF_ITS)
        elif self.word(its, intid) >= 0:
            self._forget(intid)

    def replace(self, other: "KeptLpis") -> None:
        """Keep what another one does, of the same VM."""
        self._pieces.clear()
        for intid, word in other._all():
            self._keep(intid, word)
