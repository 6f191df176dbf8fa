"""What a VM's Redistributors share of LPIs: the configuration bytes that are cached, and a count of work."""

from vgic.lpis.pieces import IN_PIECE, PIECE_BITS, mask_of
from vgic.lpis.tables import PIECE, ConfigurationTable
from vgic.lpis.work import LPIS_OF_A_STEP, STEPS_OF_A_PIECE, Work

__all__ = ["LpiConfiguration"]


class LpiConfiguration:
    """The configuration bytes of a VM's LPIs, cached from when they are first needed until they are read again.

    1 byte for each LPI, in pieces of 4 KiB where one of them has been needed.
    """

    def __init__(self) -> None:
        self.cached: dict[int, bytearray] = {}
        """By piece, the bytes of 4096 LPIs; 0: not cached, since a configuration byte is never 0."""
        self._forgotten: list[dict[int, bytearray]] = []
        """What is not cached any more. To give so much memory back at once would take too long."""
        self.work = Work()
        """What all Redistributors have done."""

    def byte(self, table: ConfigurationTable, intid: int) -> int:
        """The configuration byte of an LPI of this table."""
        return self.held(intid) or self.read(table, intid)

    def held(self, intid: int) -> int:
        """The byte as it is cached, 0 where it is not."""
        piece = self.cached.get(intid >> PIECE_BITS)
        return 0 if piece is None else piece[intid & IN_PIECE]

    def read(self, table: ConfigurationTable, intid: int) -> int:
        """The same as `byte`, read again."""
        byte = table.read(intid)
        self.keep(intid, byte)
        return byte

    def keep(self, intid: int, byte: int) -> None:
        """Cache a configuration byte."""
        piece = self.cached.get(intid >> PIECE_BITS)
        if piece is None:
            piece = bytearray(PIECE)
            self._cache(intid >> PIECE_BITS, piece)
        piece[intid & IN_PIECE] = byte

    def of_piece(self, table: ConfigurationTable, number: int, wanted: int) -> int:
        """The bytes of the LPIs of a piece that are in the mask `wanted`, as `byte` has them; 0 for the others."""
        cached = self.cached.get(number, b"")
        missing = wanted & ~mask_of(cached)
        held = int.from_bytes(cached, "little")
        if missing:
            held |= self.fresh(table, number, missing)
            self._cache(number, bytearray(held.to_bytes(PIECE, "little")))
        return held & wanted

    def fresh(self, table: ConfigurationTable, number: int, wanted: int) -> int:
        """The same, read again and not cached."""
        found, singly = table.read_piece(number, wanted)
        self.work.steps += STEPS_OF_A_PIECE + singly // LPIS_OF_A_STEP
        return found & wanted

    def forget(self) -> None:
        """Have every byte read again when it is needed."""
        if self.cached:
            self._forgotten.append(self.cached)
            self.cached = {}

    def _cache(self, number: int, piece: bytearray) -> None:
        self.cached[number] = piece
        if self._forgotten:
            self._forgotten[-1].popitem()
            if not self._forgotten[-1]:
                self._forgotten.pop()
