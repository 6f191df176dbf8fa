"""Which collections the commands of an ITS have named, in the order in which they first did (KVM-53)."""

from collections.abc import Iterable, Iterator

__all__ = ["NamedCollections"]


class NamedCollections:
    """ICIDs, mapped or not, in the order in which they were named; each once, until it is unmapped."""

    def __init__(self) -> None:
        self._since: dict[int, int] = {}
        """By ICID a number that is the greater, the later it was named."""
        self._next = 1
        self._places: dict[int, int] | None = {}
        """By ICID its place, the first being 1; None when they are to be counted again."""

    def __iter__(self) -> Iterator[int]:
        return iter(self._counted())

    def __contains__(self, icid: object) -> bool:
        return icid in self._since

    def add(self, icid: int) -> None:
        """A command names a collection."""
        if icid not in self._since:
            self.put(icid, self._next)

    def update(self, icids: Iterable[int]) -> None:
        """Collections are named one after the other."""
        for icid in icids:
            self.add(icid)

    def discard(self, icid: int) -> None:
        """A collection is unmapped."""
        if self._since.pop(icid, None) is not None:
            self._places = None

    def clear(self) -> None:
        """All are forgotten."""
        self._since, self._places, self._next = {}, {}, 1

    def place(self, icid: int) -> int:
        """The place of a collection, the first being 1; 0 where none has named it."""
        return self._counted().get(icid, 0)

    def put(self, icid: int, place: int) -> None:
        """Give a collection a place, as one has it that is saved."""
        self._since[icid] = place
        self._next = max(self._next, place + 1)
        self._places = None

    def _counted(self) -> dict[int, int]:
        if self._places is None:
            self._places = {icid: at for at, icid in enumerate(sorted(self._since, key=self._since.__getitem__), 1)}
        return self._places
