"""What KVM keeps of each LPI that an ITS has mapped, beside guest RAM: its collection, and the vCPU it goes to.

In the architecture an LPI goes where its event's collection goes, so the tables say it all. In KVM it has a target
of its own, which follows the collection when that is mapped, and its event when that is mapped or moved. So MOVALL
moves LPIs for good, and an event whose collection is unmapped is cut off from it. Rules ITS-34 to ITS-37.

The LPIs of all ITSes of a VM are together: MOVALL moves those of every ITS.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from vgic.its.errors import Fault, ItsError
from vgic.lpis.bank import LpiBank, MappedLpis
from vgic.lpis.work import LOOKS_OF_A_STEP

__all__ = ["KeptLpi", "KeptLpis"]

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


class KeptLpis(MappedLpis):
    """The LPIs that the ITSes of a VM have mapped, a word each: vCPU [15:0], ICID [31:16], flags, ITS from [34] on.

    The banks are those of the vCPUs.
    """

    def __init__(self, banks: Sequence[LpiBank]) -> None:
        self._banks = banks
        self._words: dict[int, int] = {}
        """By INTID."""

    @property
    def looks(self) -> int:
        """The steps that it takes to look at every LPI."""
        return len(self._words) // LOOKS_OF_A_STEP

    def goes_to(self, cpu: int, intid: int) -> bool:
        """True where an event has this LPI, and it goes to this vCPU."""
        word = self._words.get(intid, -1)
        return word >= 0 and not word & _DISCARDED and word & _CPU == cpu

    def target(self, intid: int, cpu: int) -> int:
        """The vCPU of an LPI whose collection goes to `cpu`. Raises Fault where its event is cut off (ITS-35)."""
        word = self._words.get(intid, cpu)
        if word & _CUT_OFF:
            raise Fault(ItsError.COLLECTION_UNMAPPED)
        return word & _CPU

    def map(self, its: int, intid: int, collection: int, cpu: int) -> None:
        """An event was given this LPI, in a collection that goes to `cpu`; a pending one stays (ITS-36)."""
        word = self._words.get(intid, -1)
        if word >= 0 and self._banks[word & _CPU].is_pending(intid):
            cpu = word & _CPU
        self._words[intid] = its << _ITS_SHIFT | collection << _COLLECTION_SHIFT | cpu

    def move(self, its: int, intid: int, collection: int, cpu: int) -> None:
        """MOVI: the event goes to another collection, which goes to `cpu`."""
        self._words[intid] = its << _ITS_SHIFT | collection << _COLLECTION_SHIFT | cpu

    def discard(self, intid: int) -> None:
        """DISCARD: the event is gone; its LPI is known as long as it is offered to its vCPU (ITS-36)."""
        word = self._words.pop(intid, -1)
        if word >= 0 and self._banks[word & _CPU].is_offered(intid):
            self._words[intid] = word | _DISCARDED

    def move_all(self, source: int, target: int) -> None:
        """MOVALL: every LPI of a vCPU goes to another one from now on (ITS-34). O(LPIs mapped)."""
        words = self._words
        for intid in [intid for intid, word in words.items() if word & _CPU == source]:
            words[intid] = words[intid] & ~_CPU | target

    def retarget(self, its: int, collection: int, cpu: int) -> int:
        """MAPC: the LPIs of a collection go to `cpu`, pending ones too; how many of those (ITS-35). O(LPIs)."""
        words = self._words
        wanted = its << _ITS_SHIFT | collection << _COLLECTION_SHIFT
        moved = 0
        for intid in [intid for intid, word in words.items() if word & ~_CPU == wanted]:
            before = words[intid] & _CPU
            words[intid] = wanted | cpu
            if before != cpu:
                self._banks[before].move(intid, self._banks[cpu])
                moved += 1
        return moved

    def cut_off(self, its: int, collection: int | None = None) -> None:
        """The events of a collection, or all of an ITS, go nowhere until they are mapped anew (ITS-35). O(LPIs)."""
        words = self._words
        ignored = _OF_ITS if collection is None else _OF_COLLECTION
        wanted = its << _ITS_SHIFT | (collection or 0) << _COLLECTION_SHIFT
        for intid in [intid for intid, word in words.items() if word & ~ignored == wanted]:
            words[intid] |= _CUT_OFF

    # State.

    def intids(self, its: int) -> list[int]:
        """The LPIs that an ITS has mapped."""
        return [intid for intid, word in self._words.items() if word >> _ITS_SHIFT == its]

    def mapped(self) -> Iterator[KeptLpi]:
        """Each LPI that an event of some ITS has."""
        for intid, word in self._words.items():
            if not word & _DISCARDED:
                collection = word >> _COLLECTION_SHIFT & _CPU
                yield KeptLpi(intid, word >> _ITS_SHIFT, collection, word & _CPU, word & _CUT_OFF != 0)

    def word(self, its: int, intid: int) -> int:
        """What is kept of an LPI that this ITS has mapped, without the ITS; -1: nothing."""
        word = self._words.get(intid, -1)
        return word & _OF_ITS if word >> _ITS_SHIFT == its else -1

    def set_word(self, its: int, intid: int, word: int) -> None:
        """Keep what `word` told; -1, or of a vCPU that there is not: nothing."""
        if word >= 0 and word & _CPU < len(self._banks):
            self._words[intid] = its << _ITS_SHIFT | word & _OF_ITS
        elif self.word(its, intid) >= 0:
            del self._words[intid]

    def replace(self, other: "KeptLpis") -> None:
        """Keep what another one does, of the same VM."""
        self._words = dict(other._words)
