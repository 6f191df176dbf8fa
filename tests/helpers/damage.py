"""Damaged copies of a file: bits flipped, the end cut off, a piece put elsewhere, a number made huge."""

import random
from collections.abc import Callable, Iterator

from vgic_tools.snapshots.errors import SnapshotError

__all__ = ["damaged", "survivors"]


def damaged(data: bytes, count: int, seed: int) -> Iterator[bytes]:
    """`count` copies, each damaged in one to four ways."""
    rng = random.Random(seed)
    for _ in range(count):
        copy = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            if not copy:
                break
            at = rng.randrange(len(copy))
            match rng.randrange(5):
                case 0:
                    copy[at] ^= 1 << rng.randrange(8)
                case 1:
                    del copy[at:]
                case 2:
                    piece = copy[at : at + rng.randrange(1, 200)]
                    to = rng.randrange(len(copy))
                    copy[to : to + rng.choice((0, len(piece)))] = piece
                case 3:
                    copy[at : at + rng.choice((1, 2, 4, 8))] = rng.choice((b"\xff", b"\0", b"9", b"f")) * 4
                case _:
                    del copy[at : at + rng.randrange(1, 60)]
        yield bytes(copy)


def survivors(read: Callable[[bytes], object], original: bytes, count: int, seed: int) -> int:
    """How many of so many damaged copies are read; the others are refused in a sentence, nothing else happens."""
    return sum(_is_read(read, copy) for copy in damaged(original, count, seed))


def _is_read(read: Callable[[bytes], object], copy: bytes) -> bool:
    try:
        read(copy)
    except SnapshotError as error:
        refusal = str(error)
        assert refusal
        assert "\n" not in refusal
        assert len(refusal) < 1000
        return False
    return True
